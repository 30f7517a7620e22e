// What keys ask for: in the viewer all of them, elsewhere on the page the arrows that nothing else there wants.

function onKey(event) {
  if (!shown || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || find(".help").open) return;
  const { key } = event;
  const inSlider = event.target instanceof HTMLInputElement;
  if (roam(event)) return;
  const { plane } = views[0];
  const arrows = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] };
  const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 5, PageDown: -5 }[key];
  const letters = {
    a: () => showPlane("axial"), c: () => showPlane("coronal"), s: () => showPlane("sagittal"),
    n: () => jump(1), p: () => jump(-1),
    o: () => setOverlay(OVERLAYS[(OVERLAYS.indexOf(chosen.overlay) + 1) % OVERLAYS.length]),
    v: () => setVentricles(!chosen.ventricles), t: () => setTruth(!chosen.truth),
    x: () => { chosen.crosshair = !chosen.crosshair; ask(); },
    "+": () => zoomBy(1.25), "=": () => zoomBy(1.25), "-": () => zoomBy(0.8), 0: () => zoomBy(0),
    d: () => setTool("ruler"), e: () => setTool("area"), w: () => setTool("window"), h: () => setTool("crosshair"),
    f: fillScreen, Delete: () => unmeasure(false), Backspace: () => unmeasure(false),
    "?": () => find(".help").showModal(),
  };
  const preset = look.presets[Number(key) - 1];
  if (event.shiftKey && arrows[key] && !inSlider) {
    const { center, width } = shown.range;
    const grain = Math.max(1, Math.round(width / 20));
    setRange(center + arrows[key][1] * grain, width + arrows[key][0] * grain);
  } else if (step && !inSlider) goTo(plane.name, shown.at[plane.axis] + step);
  else if (key === "Home" && !inSlider) goTo(plane.name, 0);
  else if (key === "End" && !inSlider) goTo(plane.name, Infinity);
  else if (preset) setPreset(preset.name);
  else if (letters[key] ?? letters[key.toLowerCase()]) (letters[key] ?? letters[key.toLowerCase()])();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

/** The bar's buttons are one stop of the Tab key: left and right go from one to the next. Whether that was asked for. */
function roam(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const bar = event.target.closest?.(".toolbar");
  if (!bar || !step || event.shiftKey || event.target instanceof HTMLInputElement) return false;
  const all = stops();
  all[(all.indexOf(event.target) + step + all.length) % all.length].focus();
  event.preventDefault();
  event.stopPropagation();
  return true;
}

const stops = () => [...root.querySelectorAll(".toolbar button")].filter((one) => one.checkVisibility() && !one.disabled);

/** Give the Tab key a stop in the bar where the one it had is not shown. */
function settleStop() {
  const shownNow = stops();
  if (shownNow.some((one) => one.tabIndex === 0)) return;
  root.querySelectorAll(".toolbar button").forEach((one) => { one.tabIndex = one === shownNow[0] ? 0 : -1; });
}

/** Arrows step through the slices wherever the focus has no use for them, as the wheel does over every picture. */
function onKeyOutside(event) {
  const nowhere = document.activeElement === document.body || document.activeElement === null;
  if (nowhere && ["ArrowUp", "ArrowDown"].includes(event.key) && root.checkVisibility() && inView()) onKey(event);
}

/** Whether some of the large picture is on the screen. */
function inView() {
  const { top, bottom } = views[0].root.getBoundingClientRect();
  return top < window.innerHeight - 80 && bottom > 80;
}

function listenForKeys() {
  root.addEventListener("keydown", onKey);
  document.addEventListener("keydown", onKeyOutside);
  const bar = find(".toolbar");
  bar.querySelectorAll("button").forEach((one, number) => { one.tabIndex = number ? -1 : 0; });
  bar.addEventListener("focusin", (event) => {
    if (!(event.target instanceof HTMLButtonElement)) return;
    bar.querySelectorAll("button").forEach((one) => { one.tabIndex = one === event.target ? 0 : -1; });
  });
}
