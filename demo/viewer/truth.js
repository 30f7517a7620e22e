// What is truly in an example: its outline over the pictures. In words it stands beside what was found.

const TRUTH_DASH = [5, 4];

/** The box of an example's truth as `outlines` takes one, null where nothing was put in. */
async function truthOf({ box, outline }) {
  if (!box) return null;
  const packed = Uint8Array.from(atob(outline), (letter) => letter.charCodeAt(0));
  return { start: box.start, shape: box.shape, data: await inflated(packed) };
}

/** Stroke it dashed, white on black: no type of blood is white, and dashes show on bone too.
 * @param {PlaneView} view @param {{start: number[], shape: number[], data: Uint8Array}} truth */
function drawTruth(view, store, index, truth, frame, ratio) {
  const place = new DOMMatrix([frame.sx * ratio, 0, 0, frame.sy * ratio, frame.left * ratio, frame.top * ratio]);
  const { context } = view;
  const placed = new Path2D();
  const paths = outlines({ shape: store.shape, labels: truth }, view.plane, index);
  for (const path of paths.values()) placed.addPath(path, place);
  const width = (view.isMain ? 1.5 : 1) * ratio;
  for (const [colour, wide, dash] of [["#000", 2 * width, []], ["#fff", width, TRUTH_DASH]]) {
    context.strokeStyle = colour;
    context.lineWidth = wide;
    context.setLineDash(dash.map((length) => length * ratio));
    context.stroke(placed);
  }
  context.setLineDash([]);
}
