// The scan as it arrives: bytes to codes, slice by slice. The counterpart of demo/volume_stream.py.

/** @typedef {{shape: number[], full_shape: number[], reduced: number, spacing_mm: number[], affine: number[][],
 *   modality: string, stretches: number[][], shown: number[], order: number[], lengths: number[],
 *   labels: null | {start: number[], shape: number[], bytes: number}}} Header */

/** The codes of a scan, the value that each code stands for, and the label map's box. */
class ScanStore {
  /** @param {Header} header */
  constructor(header) {
    this.header = header;
    this.shape = header.shape;
    const [depth, rows, columns] = header.shape;
    this.codes = new Int16Array(depth * rows * columns);
    this.ready = new Uint8Array(depth);
    this.arrived = 0;
    this.values = Float32Array.from(
      header.stretches.flatMap(([count, first, step]) => Array.from({ length: count }, (_, k) => first + k * step)),
    );
    /** @type {null | {start: number[], shape: number[], data: Uint8Array}} */
    this.labels = null;
    // Counts what has changed, so that pictures made before are known to be old.
    this.revision = 0;
  }

  /** The value at a voxel, null where its slice has not arrived. */
  valueAt([d, h, w]) {
    const [, rows, columns] = this.shape;
    return this.ready[d] ? this.values[this.codes[(d * rows + h) * columns + w]] : null;
  }

  /** The label id at a voxel, 0 outside the box. */
  labelAt([d, h, w]) {
    if (!this.labels) return 0;
    const { start, shape, data } = this.labels;
    const [i, j, k] = [d - start[0], h - start[1], w - start[2]];
    if (i < 0 || j < 0 || k < 0 || i >= shape[0] || j >= shape[1] || k >= shape[2]) return 0;
    return data[(i * shape[1] + j) * shape[2] + k];
  }

  /** The slice after the folded differences in `planes`: all low bytes, then all high ones. */
  unfold(index, planes) {
    const [, rows, columns] = this.shape;
    const size = rows * columns;
    if (planes.length !== 2 * size) throw new Error(`slice ${index} came with ${planes.length} bytes, not ${2 * size}`);
    const codes = this.codes.subarray(index * size, (index + 1) * size);
    for (let row = 0, at = 0; row < rows; row++) {
      let left = 0;
      let corner = 0;
      for (let column = 0; column < columns; column++, at++) {
        const above = row ? codes[at - columns] : 0;
        const flat = left + above - corner;
        const low = left < above ? left : above;
        const high = left < above ? above : left;
        const predicted = flat < low ? low : flat > high ? high : flat;
        const folded = planes[at] | (planes[size + at] << 8);
        left = predicted + ((folded >> 1) ^ -(folded & 1));
        codes[at] = left;
        corner = above;
      }
    }
    this.ready[index] = 1;
    this.arrived += 1;
    this.revision += 1;
  }
}

/** @param {Uint8Array} bytes */
async function inflated(bytes) {
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(plain).arrayBuffer());
}

/** Fetch the stream of `store` and unfold each block as soon as its last byte is there.
 * @param {ScanStore} store @param {string} url @param {AbortSignal} signal @param {(index: number) => void} onSlice */
async function receive(store, url, signal, onSlice) {
  const { labels, lengths, order } = store.header;
  const response = await fetch(url, { signal });
  if (!response.ok || !response.body) throw new Error(`the server answered ${response.status}`);
  const ends = [labels ? labels.bytes : 0];
  for (const length of lengths) ends.push(ends[ends.length - 1] + length);
  const bytes = new Uint8Array(ends[ends.length - 1]);
  let filled = 0;
  let queued = 0;
  let work = Promise.resolve();
  const block = async (number) => {
    signal.throwIfAborted();
    const plain = await inflated(bytes.subarray(number ? ends[number - 1] : 0, ends[number]));
    signal.throwIfAborted();
    if (number) {
      store.unfold(order[number - 1], plain);
      onSlice(order[number - 1]);
    } else {
      store.labels = { start: labels.start, shape: labels.shape, data: plain };
      store.revision += 1;
    }
  };
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (filled + value.length > bytes.length) throw new Error("more came than the scan has");
    bytes.set(value, filled);
    filled += value.length;
    while (queued < ends.length && ends[queued] <= filled) {
      const number = queued++;
      if (number || labels) work = work.then(() => block(number));
    }
    // A block that fails is heard of below; until then nobody else is to hear of it.
    work.catch(() => {});
  }
  if (queued < ends.length) throw new Error("the scan stopped half way");
  await work;
}
