// Lengths and areas that a visitor draws on the large picture: what they are in numbers, and how they look.

const LEAST_DRAWN_PX = 3;
const MEASURE_INK = "#ffe08a";
const MEASURE_NAMES = { ruler: "Distance", area: "Area" };

/** @typedef {{kind: "ruler" | "area", plane: string, index: number, from: {u: number, v: number},
 *   to: {u: number, v: number}}} Measure Ends are columns and rows of the plane's picture. */

/** Columns, rows and steps of the box between the ends. */
const spanOf = ({ from, to }) => ({ du: Math.abs(to.u - from.u), dv: Math.abs(to.v - from.v) });

/** Mean and number of the values whose voxels' middles lie in the ellipse of an area.
 * @param {ScanStore} store @param {Measure} measure */
function valuesWithin(store, { plane: name, index, from, to }) {
  const plane = PLANES[name];
  const { columns, rows } = planeSize(store.shape, store.header.spacing_mm, plane);
  const [cu, cv] = [(from.u + to.u) / 2, (from.v + to.v) / 2];
  const [ru, rv] = [Math.abs(to.u - from.u) / 2, Math.abs(to.v - from.v) / 2];
  let [sum, count] = [0, 0];
  for (let row = Math.max(0, Math.floor(cv - rv)); row <= Math.min(rows - 1, cv + rv); row++)
    for (let column = Math.max(0, Math.floor(cu - ru)); column <= Math.min(columns - 1, cu + ru); column++) {
      if (((column + 0.5 - cu) / ru) ** 2 + ((row + 0.5 - cv) / rv) ** 2 > 1) continue;
      const value = store.valueAt(voxelAt(store.shape, plane, index, column, row));
      if (value === null) continue;
      sum += value;
      count += 1;
    }
  return { mean: count ? sum / count : null, count };
}

/** What a measure says. `known` is whether the plane's millimetres are the file's; else it is counted in pixels.
 * @param {ScanStore} store @param {Measure} measure @param {boolean} known */
function measureWords(store, measure, known) {
  const { columnMm, rowMm } = planeSize(store.shape, store.header.spacing_mm, PLANES[measure.plane]);
  const { du, dv } = spanOf(measure);
  const [across, down] = known ? [du * columnMm, dv * rowMm] : [du, dv];
  if (measure.kind === "ruler") return `${Math.hypot(across, down).toFixed(1)} ${known ? "mm" : "pixels"}`;
  const area = (Math.PI / 4) * across * down;
  const size = `${area < 10 ? area.toFixed(1) : Math.round(area)} ${known ? "mm²" : "pixels"}`;
  const { mean } = valuesWithin(store, measure);
  if (mean === null) return size;
  const { modality } = store.header;
  const value = Math.abs(mean) < 10 ? mean.toFixed(1) : String(Math.round(mean));
  const unit = { CT: " HU", grey: " grey" }[modality] ?? "";
  return `${size}, mean ${value.replace("-", "−")}${unit}`;
}

/** Draw the measures of a view's plane and slice over its picture.
 * @param {PlaneView} view @param {Measure[]} measures @param {(one: Measure) => string} words */
function drawMeasures(view, measures, index, frame, ratio, words) {
  const { context } = view;
  for (const one of measures) {
    if (one.plane !== view.plane.name || one.index !== index) continue;
    const [x0, y0, x1, y1] = [one.from, one.to].flatMap(({ u, v }) =>
      [(frame.left + u * frame.sx) * ratio, (frame.top + v * frame.sy) * ratio]);
    context.beginPath();
    if (one.kind === "ruler") {
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
      for (const [x, y] of [[x0, y0], [x1, y1]]) {
        context.moveTo(x + 3 * ratio, y);
        context.arc(x, y, 3 * ratio, 0, 2 * Math.PI);
      }
    } else context.ellipse((x0 + x1) / 2, (y0 + y1) / 2, Math.abs(x1 - x0) / 2, Math.abs(y1 - y0) / 2, 0, 0, 2 * Math.PI);
    context.lineWidth = 1.5 * ratio;
    context.strokeStyle = MEASURE_INK;
    context.stroke();
    label(context, words(one), Math.max(x0, x1) + 6 * ratio, (y0 + y1) / 2, ratio);
  }
}

/** Words on a dark ground, inside of the canvas. */
function label(context, text, x, y, ratio) {
  context.font = `600 ${13 * ratio}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  const width = context.measureText(text).width;
  const left = Math.max(4 * ratio, Math.min(x, context.canvas.width - width - 8 * ratio));
  context.fillStyle = "rgba(0, 0, 0, 0.7)";
  context.fillRect(left - 4 * ratio, y - 10 * ratio, width + 8 * ratio, 20 * ratio);
  context.fillStyle = MEASURE_INK;
  context.fillText(text, left, y);
}
