// What wheel, mouse and fingers ask for on a view, told through `act`; every listener sits on the view itself.

const PIXELS_A_NOTCH = 40;
const TAP_PX = 8;

/** @param {PlaneView} view
 * @param {{scroll: (view: PlaneView, steps: number) => void, place: (view: PlaneView, x: number, y: number) => void,
 *   window: (dx: number, dy: number) => void, pan: (view: PlaneView, dx: number, dy: number) => void,
 *   zoom: (view: PlaneView, factor: number, x: number, y: number) => void, hover: (view: PlaneView, x: number, y: number) => void,
 *   leave: () => void, tool: () => string, steps: (view: PlaneView) => number, done: () => void,
 *   measure: (view: PlaneView, stage: "begin" | "move" | "end" | "drop", x: number, y: number) => void}} act */
function listenForGestures(view, act) {
  const { canvas } = view;
  /** @type {Map<number, {x: number, y: number}>} */
  const down = new Map();
  let doing = null;
  let moved = 0;
  let left = 0;

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? PIXELS_A_NOTCH : 1;
    if (event.ctrlKey || event.metaKey) {
      act.zoom(view, Math.exp(-event.deltaY * lines * 0.004), event.clientX, event.clientY);
      return;
    }
    // A notch of a wheel is one slice however large it is; a touchpad's small steps add up.
    const amount = event.deltaY * lines;
    if (Math.abs(amount) >= PIXELS_A_NOTCH) {
      left = 0;
      act.scroll(view, -Math.sign(amount));
      return;
    }
    left += amount;
    const steps = Math.trunc(left / PIXELS_A_NOTCH);
    left -= steps * PIXELS_A_NOTCH;
    if (steps) act.scroll(view, -steps);
  }, { passive: false });

  const what = (event) => {
    if (event.pointerType === "touch" && act.tool() === "crosshair") return "swipe";
    if (event.button === 2) return "window";
    if (event.button === 1 || event.shiftKey) return "pan";
    return view.isMain ? act.tool() : "crosshair";
  };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (doing in MEASURE_NAMES) act.measure(view, "drop", event.clientX, event.clientY);
    doing = down.size > 1 ? "pinch" : what(event);
    moved = down.size > 1 ? Infinity : 0;
    left = 0;
    if (event.button === 1) event.preventDefault();
    if (doing === "crosshair") act.place(view, event.clientX, event.clientY);
    if (doing in MEASURE_NAMES) act.measure(view, "begin", event.clientX, event.clientY);
  });

  canvas.addEventListener("pointermove", (event) => {
    const last = down.get(event.pointerId);
    if (!last) {
      if (event.pointerType !== "touch") act.hover(view, event.clientX, event.clientY);
      return;
    }
    const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
    if (doing === "pinch") pinch(event, last);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    moved += Math.hypot(dx, dy);
    if (doing === "crosshair") act.place(view, event.clientX, event.clientY);
    if (doing in MEASURE_NAMES) act.measure(view, "move", event.clientX, event.clientY);
    if (doing === "window") act.window(dx, dy);
    if (doing === "pan") act.pan(view, dx, dy);
    if (doing === "swipe" && moved > TAP_PX) swipe(dy);
  });

  function swipe(dy) {
    left += dy;
    const pixels = Math.max(5, Math.min(24, canvas.clientHeight / act.steps(view)));
    const steps = Math.trunc(left / pixels);
    left -= steps * pixels;
    if (steps) act.scroll(view, -steps);
  }

  function pinch(event, last) {
    const other = [...down].find(([id]) => id !== event.pointerId)?.[1];
    if (!other) return;
    const apart = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
    const now = { x: event.clientX, y: event.clientY };
    act.pan(view, (now.x - last.x) / 2, (now.y - last.y) / 2);
    act.zoom(view, apart(now) / apart(last), (now.x + other.x) / 2, (now.y + other.y) / 2);
  }

  const up = (event) => {
    if (!down.delete(event.pointerId)) return;
    if (event.type === "pointerup" && doing === "swipe" && moved <= TAP_PX)
      act.place(view, event.clientX, event.clientY);
    if (doing in MEASURE_NAMES) act.measure(view, event.type === "pointerup" ? "end" : "drop", event.clientX, event.clientY);
    act.done();
    // One finger left of two is no swipe.
    doing = down.size ? "rest" : null;
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => act.leave());
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
}
