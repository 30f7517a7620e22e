// Where things are: the three planes, their axes in the volume, letters of directions, millimetres.

/** Each plane: the axis that is stepped through, the axes of its columns and rows, and whether rows run upwards. */
const PLANES = {
  axial: { name: "axial", title: "Axial", axis: 0, across: 2, down: 1, upwards: false },
  coronal: { name: "coronal", title: "Coronal", axis: 1, across: 2, down: 0, upwards: true },
  sagittal: { name: "sagittal", title: "Sagittal", axis: 2, across: 1, down: 0, upwards: true },
};
const LETTERS = [["L", "R"], ["P", "A"], ["I", "S"]];
const OPPOSITE = { L: "R", R: "L", A: "P", P: "A", S: "I", I: "S" };
// Beyond about 20 degrees a second letter says that the direction is oblique.
const OBLIQUE = 0.35;

/** Letters of the direction in which an axis of the volume runs, the main one first.
 * @param {number[][]} affine @param {number} axis */
function directionLetters(affine, axis) {
  const column = [0, 1, 2].map((row) => affine[row][axis]);
  const length = Math.hypot(...column);
  return column
    .map((part, world) => ({ share: Math.abs(part) / length, letter: LETTERS[world][part > 0 ? 1 : 0] }))
    .filter((one) => one.share > OBLIQUE)
    .sort((one, other) => other.share - one.share)
    .map((one) => one.letter)
    .slice(0, 2)
    .join("");
}

const opposite = (letters) => [...letters].map((letter) => OPPOSITE[letter]).join("");

/** Letters at the four edges of a plane's picture. */
function edgeLetters(affine, plane) {
  const right = directionLetters(affine, plane.across);
  const along = directionLetters(affine, plane.down);
  const bottom = plane.upwards ? opposite(along) : along;
  return { right, left: opposite(right), bottom, top: opposite(bottom) };
}

/** Columns and rows of a plane's picture, and millimetres a step of each. */
function planeSize(shape, spacing, plane) {
  return {
    columns: shape[plane.across],
    rows: shape[plane.down],
    count: shape[plane.axis],
    columnMm: spacing[plane.across],
    rowMm: spacing[plane.down],
  };
}

/** Where the body is in a plane's picture: what a view is fitted to. */
function bodyOf(header, plane) {
  const ranges = [[0, header.shape[0]], ...header.body];
  const [left, right] = ranges[plane.across];
  const [from, to] = ranges[plane.down];
  const rows = header.shape[plane.down];
  return plane.upwards ? { left, right, top: rows - to, bottom: rows - from } : { left, right, top: from, bottom: to };
}

/** The voxel at a place of a plane's picture, `u` columns from the left and `v` rows from the top. */
function voxelAt(shape, plane, index, u, v) {
  const within = (value, size) => Math.max(0, Math.min(size - 1, Math.floor(value)));
  const voxel = [0, 0, 0];
  voxel[plane.axis] = index;
  voxel[plane.across] = within(u, shape[plane.across]);
  const row = within(v, shape[plane.down]);
  voxel[plane.down] = plane.upwards ? shape[plane.down] - 1 - row : row;
  return voxel;
}

/** The middle of a voxel in a plane's picture, the inverse of `voxelAt`. */
function placeOf(shape, plane, voxel) {
  const row = plane.upwards ? shape[plane.down] - 1 - voxel[plane.down] : voxel[plane.down];
  return { u: voxel[plane.across] + 0.5, v: row + 0.5 };
}

/** A round length that is at most `widest` pixels long. */
function scaleBar(pixelsPerMm, widest) {
  const fitting = [100, 50, 20, 10, 5, 2, 1].find((length) => length * pixelsPerMm <= widest) ?? 1;
  return { pixels: fitting * pixelsPerMm, text: fitting >= 10 ? `${fitting / 10} cm` : `${fitting} mm` };
}

/** Which labels each slice along an axis holds: one set of ids a slice.
 * @param {ScanStore} store */
function labelsAlong(store, axis) {
  const found = Array.from({ length: store.shape[axis] }, () => new Set());
  if (!store.labels) return found;
  const { start, shape, data } = store.labels;
  let at = 0;
  for (let d = 0; d < shape[0]; d++)
    for (let h = 0; h < shape[1]; h++)
      for (let w = 0; w < shape[2]; w++, at++)
        if (data[at]) found[start[axis] + (axis === 0 ? d : axis === 1 ? h : w)].add(data[at]);
  return found;
}
