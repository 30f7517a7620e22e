// One plane on a canvas: its place and zoom, what is drawn, and which voxel is under a point.

const FURTHEST_ZOOM = 16;
// How much of the canvas the body fills: beside the small ones stand letters.
const FILLS = { main: 0.94, side: 0.84 };

class PlaneView {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.canvas = root.querySelector("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.isMain = root.dataset.slot === "0";
    this.plane = PLANES.axial;
    this.picture = document.createElement("canvas");
    this.pictureContext = this.picture.getContext("2d", { alpha: false });
    this.pixels = null;
    this.paths = new Map();
    this.painted = "";
    this.resetZoom();
  }

  show(plane) {
    if (this.plane === plane) return;
    this.plane = plane;
    this.resetZoom();
  }

  resetZoom() {
    this.zoom = 1;
    this.center = null;
  }

  /** Where the plane's picture stands on the canvas, in CSS pixels. */
  frame(store) {
    const size = planeSize(store.shape, store.header.spacing_mm, this.plane);
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const fills = this.isMain ? FILLS.main : FILLS.side;
    const body = bodyOf(store.header, this.plane);
    const fit = fills * Math.min(
      width / ((body.right - body.left) * size.columnMm), height / ((body.bottom - body.top) * size.rowMm));
    const pixelsPerMm = fit * this.zoom;
    const { u, v } = this.center ?? { u: (body.left + body.right) / 2, v: (body.top + body.bottom) / 2 };
    const [sx, sy] = [pixelsPerMm * size.columnMm, pixelsPerMm * size.rowMm];
    return { ...size, width, height, pixelsPerMm, sx, sy, left: width / 2 - u * sx, top: height / 2 - v * sy };
  }

  /** Column and row of the plane's picture under a point of the page; outside it, `inside` is false. */
  under(store, clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    const { left, top, sx, sy, columns, rows } = this.frame(store);
    const [u, v] = [(clientX - box.left - left) / sx, (clientY - box.top - top) / sy];
    return { u, v, inside: u >= 0 && v >= 0 && u < columns && v < rows };
  }

  /** Zoom by a factor so that the place under a point stays under it. */
  zoomAbout(store, factor, clientX, clientY) {
    const before = this.under(store, clientX, clientY);
    this.zoom = Math.max(1, Math.min(FURTHEST_ZOOM, this.zoom * factor));
    const after = this.under(store, clientX, clientY);
    this.moveBy(store, before.u - after.u, before.v - after.v);
  }

  /** Move the middle of the view by columns and rows, never off the picture. */
  moveBy(store, du, dv) {
    const { columns, rows } = planeSize(store.shape, store.header.spacing_mm, this.plane);
    const body = bodyOf(store.header, this.plane);
    const { u, v } = this.center ?? { u: (body.left + body.right) / 2, v: (body.top + body.bottom) / 2 };
    const within = (value, size) => Math.max(0, Math.min(size, value));
    this.center = this.zoom === 1 ? null : { u: within(u + du, columns), v: within(v + dv, rows) };
  }

  /** Bring the canvas to the screen's own pixels. */
  resize() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(this.canvas.clientWidth * ratio), Math.round(this.canvas.clientHeight * ratio)];
    if (this.canvas.width === width && this.canvas.height === height) return;
    this.canvas.width = width;
    this.canvas.height = height;
  }

  /** Draw the plane through `scene.at`.
   * @param {{store: ScanStore, at: number[], tables: Map<number, Uint32Array>, look: string, overlay: string,
   *   colours: Map<number, number[]>, truth: null | Object, crosshair: boolean, measures: Measure[],
   *   measured: (one: Measure) => string}} scene */
  draw(scene) {
    this.resize();
    const { store, at } = scene;
    const index = at[this.plane.axis];
    this.paint(scene, index);
    const frame = this.frame(store);
    const ratio = this.canvas.width / Math.max(1, frame.width);
    const { context } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    const [sx, sy] = [frame.sx * ratio, frame.sy * ratio];
    context.setTransform(sx, 0, 0, sy, frame.left * ratio, frame.top * ratio);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = sx < 0.7 ? "medium" : "low";
    context.drawImage(this.picture, 0, 0);
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (scene.overlay !== "off") this.strokeOutlines(scene, sx, sy, frame, ratio);
    if (scene.truth) drawTruth(this, store, index, scene.truth, frame, ratio);
    if (scene.crosshair && store.shape[0] > 1) this.drawCrosshair(store, at, frame, ratio);
    if (this.isMain) drawMeasures(this, scene.measures, index, frame, ratio, scene.measured);
  }

  /** Make the picture anew where slice, window, overlay or what has arrived are others than the last time. */
  paint(scene, index) {
    const { store } = scene;
    // An axial picture is of one slice: others that arrive do not change it.
    const arrived = this.plane.axis === 0 ? `${store.ready[index]} ${Boolean(store.labels)}` : store.revision;
    const key = [this.plane.name, index, scene.look, arrived].join(" ");
    if (key === this.painted) return;
    const { columns, rows } = planeSize(store.shape, store.header.spacing_mm, this.plane);
    if (this.picture.width !== columns || this.picture.height !== rows || !this.pixels) {
      this.picture.width = columns;
      this.picture.height = rows;
      this.pixels = new ImageData(columns, rows);
      this.words = new Uint32Array(this.pixels.data.buffer);
    }
    paintSlice(store, this.plane, index, this.words, scene.tables);
    this.pictureContext.putImageData(this.pixels, 0, 0);
    this.paths = scene.overlay === "off" ? new Map() : outlines(store, this.plane, index);
    this.painted = key;
  }

  strokeOutlines(scene, sx, sy, frame, ratio) {
    const place = new DOMMatrix([sx, 0, 0, sy, frame.left * ratio, frame.top * ratio]);
    this.context.lineWidth = (this.isMain ? 1.5 : 1) * ratio;
    this.context.lineCap = "round";
    for (const [label, path] of this.paths) {
      if (!scene.colours.has(label)) continue; // a layer that was put away
      const placed = new Path2D();
      placed.addPath(path, place);
      this.context.strokeStyle = `rgb(${scene.colours.get(label)})`;
      this.context.stroke(placed);
    }
  }

  drawCrosshair(store, at, frame, ratio) {
    const { u, v } = placeOf(store.shape, this.plane, at);
    const [x, y] = [Math.round((frame.left + u * frame.sx) * ratio), Math.round((frame.top + v * frame.sy) * ratio)];
    const gap = (this.isMain ? 16 : 8) * ratio;
    const { context, canvas } = this;
    context.beginPath();
    for (const [x0, y0, x1, y1] of [
      [0, y, x - gap, y],
      [x + gap, y, canvas.width, y],
      [x, 0, x, y - gap],
      [x, y + gap, x, canvas.height],
    ]) {
      context.moveTo(x0 + 0.5, y0 + 0.5);
      context.lineTo(x1 + 0.5, y1 + 0.5);
    }
    context.lineWidth = Math.max(1, Math.round(ratio));
    context.strokeStyle = "rgba(125, 190, 255, 0.5)";
    context.stroke();
  }

  /** Forget the scan. */
  clear() {
    this.pixels = null;
    this.words = null;
    this.paths = new Map();
    this.painted = "";
    this.picture.width = this.picture.height = 1;
    this.resetZoom();
  }
}
