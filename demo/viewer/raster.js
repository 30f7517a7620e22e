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

/** Fill `pixels` (rows x columns of the plane's picture) with slice `index`; slices not yet there stay black.
 * @param {ScanStore} store @param {Uint32Array} pixels @param {Map<number, Uint32Array>} tables */
function paintSlice(store, plane, index, pixels, tables) {
  const [depth, rows, columns] = store.shape;
  const { codes, ready } = store;
  const bare = tables.get(0);
  if (plane.axis === 0) {
    const start = index * rows * columns;
    if (ready[index]) for (let i = 0; i < pixels.length; i++) pixels[i] = bare[codes[start + i]];
    else pixels.fill(0xff000000);
  } else {
    const width = plane.axis === 1 ? columns : rows;
    for (let d = 0; d < depth; d++) {
      const out = (depth - 1 - d) * width;
      const slab = d * rows * columns;
      if (!ready[d]) pixels.fill(0xff000000, out, out + width);
      else if (plane.axis === 1) {
        const from = slab + index * columns;
        for (let i = 0; i < width; i++) pixels[out + i] = bare[codes[from + i]];
      } else {
        for (let i = 0, from = slab + index; i < width; i++, from += columns) pixels[out + i] = bare[codes[from]];
      }
    }
  }
  paintLabels(store, plane, index, pixels, tables);
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

function paintLabels(store, plane, index, pixels, tables) {
  if (tables.size < 2) return;
  const [, rows, columns] = store.shape;
  const width = store.shape[plane.across];
  eachLabel(store, plane, index, (label, u, v) => {
    const table = tables.get(label);
    const [d, h, w] = voxelAt(store.shape, plane, index, u, v);
    if (table && store.ready[d]) pixels[v * width + u] = table[store.codes[(d * rows + h) * columns + w]];
  });
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
  const width = store.shape[plane.across] + 1;
  /** @type {Map<number, Map<number, number>>} */
  const corners = new Map();
  const mark = (cells, key, bit) => cells.set(key, (cells.get(key) ?? 0) | bit);
  eachLabel(store, plane, index, (label, u, v) => {
    let cells = corners.get(label);
    if (!cells) corners.set(label, (cells = new Map()));
    // Each voxel is one of four about each of its corners; corner (u, v) is above and left of voxel (u, v).
    const key = v * width + u;
    mark(cells, key, 4);
    mark(cells, key + 1, 8);
    mark(cells, key + width, 2);
    mark(cells, key + width + 1, 1);
  });
  const paths = new Map();
  for (const [label, cells] of corners) {
    const path = new Path2D();
    for (const [key, pattern] of cells) {
      if (pattern === 15) continue;
      const [u, v] = [(key % width) - 0.5, Math.floor(key / width) - 0.5];
      const sides = CROSSINGS[pattern];
      for (let k = 0; k < sides.length; k += 2) {
        const [from, to] = [SIDES[sides[k]], SIDES[sides[k + 1]]];
        path.moveTo(u + from[0], v + from[1]);
        path.lineTo(u + to[0], v + to[1]);
      }
    }
    paths.set(label, path);
  }
  return paths;
}
