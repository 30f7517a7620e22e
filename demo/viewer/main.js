// A first picture; the whole viewer follows.
const canvas = element.querySelector("canvas");
const status = element.querySelector(".status");
async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
async function show() {
  const value = props.value;
  canvas.hidden = !value;
  if (!value) { status.textContent = "No scan yet."; return; }
  const bytes = new Uint8Array(await (await fetch(value.volume.url)).arrayBuffer());
  const header = value.stream, [, rows, columns] = header.shape, size = rows * columns;
  const start = header.labels ? header.labels.bytes : 0;
  const planes = await inflate(bytes.subarray(start, start + header.lengths[0]));
  const codes = new Int16Array(size);
  for (let i = 0; i < size; i++) {
    const row = (i / columns) | 0, column = i % columns;
    const a = column ? codes[i - 1] : 0, b = row ? codes[i - columns] : 0;
    const c = row && column ? codes[i - columns - 1] : 0;
    const low = Math.min(a, b), high = Math.max(a, b);
    const folded = planes[i] | (planes[size + i] << 8);
    codes[i] = Math.min(high, Math.max(low, a + b - c)) + ((folded >> 1) ^ -(folded & 1));
  }
  const values = header.stretches.flatMap(([n, first, step]) => Array.from({ length: n }, (_, k) => first + k * step));
  canvas.width = columns; canvas.height = rows;
  const picture = new ImageData(columns, rows);
  for (let i = 0; i < size; i++) {
    const grey = Math.max(0, Math.min(255, (values[codes[i]] / 80) * 255));
    picture.data.set([grey, grey, grey, 255], 4 * i);
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
  status.textContent = `Slice ${header.order[0] + 1} of ${header.shape[0]}`;
}
watch("value", show);
show();
