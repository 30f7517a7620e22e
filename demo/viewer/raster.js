// Codes to pixels: a table from code to colour for each label, one loop over a slice, and outlines as paths.

const packed = (r, g, b) => (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;

/** One table for bare voxels and one for each label, code -> packed pixel.
 * @param {Float32Array} values @param {{center: number, width: number}} range
 * @param {Map<number, number[]>} colours @param {number} opacity */
function colourTables(values, range, colours, opacity) {
  const low = range.center - range.width / 2;
  const greys = Uint8ClampedArray.from(values, (value) => ((value - low) / range.width) * 255);
  const tables = new Map([[0, Uint32Array.from(greys, (grey) => packed(grey, grey, grey))]]);
  for (const [label, colour] of colours) {
    const mixed = (grey, part) => Math.round(grey + (colour[part] - grey) * opacity);
    tables.set(label, Uint32Array.from(greys, (grey) => packed(mixed(grey, 0), mixed(grey, 1), mixed(grey, 2))));
  }
  return tables;
}

/** Where a plane's picture lies in the codes: the code of column `u` and row `v` is at `from + u * across + v * down`;
 * `sliceOf` gives the slice of the scan that row `v` is from. */
function layout(store, plane, index) {
  const [depth, rows, columns] = store.shape;
  const size = rows * columns;
  if (plane.axis === 0) return { from: index * size, across: 1, down: columns, sliceOf: () => index };
  const top = (depth - 1) * size;
  const sliceOf = (v) => depth - 1 - v;
  return plane.axis === 1
    ? { from: top + index * columns, across: 1, down: -size, sliceOf }
    : { from: top + index, across: columns, down: -size, sliceOf };
}

/** Fill `pixels` (rows x columns of the plane's picture) with slice `index`; slices not yet there stay black.
 * @param {ScanStore} store @param {Uint32Array} pixels @param {Map<number, Uint32Array>} tables */
function paintSlice(store, plane, index, pixels, tables) {
  const { codes, ready } = store;
  const bare = tables.get(0);
  const width = store.shape[plane.across];
  const { from, across, down, sliceOf } = layout(store, plane, index);
  for (let v = 0, out = 0; out < pixels.length; v++) {
    const end = out + width;
    if (!ready[sliceOf(v)]) pixels.fill(0xff000000, out, end);
    else for (let i = out, at = from + v * down; i < end; i++, at += across) pixels[i] = bare[codes[at]];
    out = end;
  }
  if (tables.size < 2) return;
  eachLabel(store, plane, index, (label, u, v) => {
    const table = tables.get(label);
    if (table && ready[sliceOf(v)]) pixels[v * width + u] = table[codes[from + u * across + v * down]];
  });
}

/** The voxels of the label map in one slice: calls back with label, column and row of the plane's picture.
 * @param {ScanStore} store @param {(label: number, u: number, v: number) => void} each */
function eachLabel(store, plane, index, each) {
  if (!store.labels) return;
  const { start, shape, data } = store.labels;
  const inside = index - start[plane.axis];
  if (inside < 0 || inside >= shape[plane.axis]) return;
  const step = [shape[1] * shape[2], shape[2], 1];
  const last = store.shape[plane.down] - 1;
  for (let j = 0; j < shape[plane.down]; j++) {
    const along = start[plane.down] + j;
    const v = plane.upwards ? last - along : along;
    let at = inside * step[plane.axis] + j * step[plane.down];
    for (let i = 0; i < shape[plane.across]; i++, at += step[plane.across])
      if (data[at]) each(data[at], start[plane.across] + i, v);
  }
}

// Marching squares: for each pattern of the four voxels about a corner (1 left above, 2 right above, 4 right below,
// 8 left below) the sides of the cell that the outline joins, in pairs. Sides: 0 above, 1 right, 2 below, 3 left.
const CROSSINGS = [
  [], [3, 0], [0, 1], [3, 1], [1, 2], [3, 0, 1, 2], [0, 2], [3, 2],
  [2, 3], [2, 0], [0, 1, 2, 3], [2, 1], [1, 3], [1, 0], [0, 3], [],
];
const SIDES = [[0.5, 0], [1, 0.5], [0.5, 1], [0, 0.5]];

/** Outlines of each label in one slice, as paths in columns and rows of the plane's picture.
 * @param {ScanStore} store @returns {Map<number, Path2D>} */
function outlines(store, plane, index) {
  const paths = new Map();
  if (!store.labels) return paths;
  const { start, shape } = store.labels;
  // Corners of the box of labels, (width x height) of them, each with the four voxels about it.
  const width = shape[plane.across] + 1;
  const height = shape[plane.down] + 1;
  const left = start[plane.across];
  const top = plane.upwards ? store.shape[plane.down] - start[plane.down] - shape[plane.down] : start[plane.down];
  /** @type {Map<number, Uint8Array>} */
  const corners = new Map();
  eachLabel(store, plane, index, (label, u, v) => {
    let cells = corners.get(label);
    if (!cells) corners.set(label, (cells = new Uint8Array(width * height)));
    const at = (v - top) * width + (u - left);
    cells[at] |= 4;
    cells[at + 1] |= 8;
    cells[at + width] |= 2;
    cells[at + width + 1] |= 1;
  });
  for (const [label, cells] of corners) {
    const path = new Path2D();
    for (let at = 0; at < cells.length; at++) {
      const sides = CROSSINGS[cells[at]];
      if (!sides.length) continue;
      const [u, v] = [left + (at % width) - 0.5, top + Math.floor(at / width) - 0.5];
      for (let k = 0; k < sides.length; k += 2) {
        const [one, other] = [SIDES[sides[k]], SIDES[sides[k + 1]]];
        path.moveTo(u + one[0], v + one[1]);
        path.lineTo(u + other[0], v + other[1]);
      }
    }
    paths.set(label, path);
  }
  return paths;
}
