// Who changes what is shown: buttons, keys, gestures, and the doors they share.

function speak(words) {
  clearTimeout(speaking);
  speaking = setTimeout(() => (find(".spoken").textContent = words), SPEAK_AFTER_MS);
}

function goTo(planeName, index) {
  if (!shown) return;
  const { axis } = PLANES[planeName];
  shown.at[axis] = Math.max(0, Math.min(shown.store.shape[axis] - 1, Math.round(index)));
  shown.lesion = 0;
  hovered = null;
  ask();
  // The slider speaks for itself.
  if (root.getRootNode().activeElement !== find(".slices")) speak(sliceWords());
}

function goToLesion(number) {
  const lesion = shown?.value.lesions[number - 1];
  if (!lesion) return;
  shown.at = [...lesion.at];
  shown.lesion = number;
  hovered = null;
  if (views[0].zoom > 1) {
    const { u, v } = placeOf(shown.store.shape, views[0].plane, shown.at);
    views[0].center = { u, v };
  }
  ask();
  const size = lesion.volume_ml === null ? "" : `, ${millilitres(lesion.volume_ml)} millilitres`;
  speak(`Lesion ${number} of ${shown.value.lesions.length}, ${lesion.subtype}${size}. ${sliceWords()}`);
}

function jump(step) {
  const count = shown?.value.lesions.length ?? 0;
  if (count) goToLesion(((shown.lesion || (step > 0 ? 0 : 1)) - 1 + step + count) % count + 1);
}

function setRange(center, width) {
  if (!shown) return;
  const values = shown.store.values;
  const all = values[values.length - 1] - values[0];
  shown.range = {
    center: Math.max(values[0], Math.min(values[values.length - 1], center)),
    width: Math.max(all / 4000, Math.min(2 * all, width)),
  };
  retable();
}

function setPreset(name) {
  const preset = look.presets.find((one) => one.name === name);
  if (!preset || shown?.value.modality !== "CT") return;
  chosen.preset = name;
  setRange(preset.center, preset.width);
  speak(`${capital(name)} window`);
}

function setOverlay(name) {
  chosen.overlay = name;
  retable();
  speak(`Overlay ${name}`);
}

function setVentricles(drawn) {
  chosen.ventricles = drawn;
  retable();
  speak(drawn ? "Ventricles shown" : "Ventricles hidden");
}

function zoomBy(factor) {
  if (!shown) return;
  const view = views[0];
  // By button or key there is no pointer: what the crosshair is on comes to the middle.
  if (view.zoom === 1) view.center = placeOf(shown.store.shape, view.plane, shown.at);
  view.zoom = Math.max(1, Math.min(FURTHEST_ZOOM, view.zoom * factor));
  if (factor === 0 || view.zoom === 1) view.resetZoom();
  ask();
}

const gestures = {
  tool: () => chosen.tool,
  steps: (view) => (shown ? shown.store.shape[view.plane.axis] : 1),
  scroll: (view, steps) => shown && goTo(view.plane.name, shown.at[view.plane.axis] + steps),
  place(view, x, y) {
    if (!shown) return;
    const { u, v } = view.under(shown.store, x, y);
    shown.at = voxelAt(shown.store.shape, view.plane, shown.at[view.plane.axis], u, v);
    shown.lesion = 0;
    hovered = null;
    ask();
  },
  window(dx, dy) {
    if (!shown) return;
    const { center, width } = shown.range;
    setRange(Math.round(center - (dy * width) / 250), Math.round(width * Math.exp(dx / 250) + Math.sign(dx) * 0.5));
  },
  pan(view, dx, dy) {
    if (!shown || view.zoom === 1) return;
    const { sx, sy } = view.frame(shown.store);
    view.moveBy(shown.store, -dx / sx, -dy / sy);
    ask();
  },
  zoom(view, factor, x, y) {
    if (!shown) return;
    view.zoomAbout(shown.store, factor, x, y);
    ask();
  },
  hover(view, x, y) {
    if (!shown) return;
    const { u, v, inside } = view.under(shown.store, x, y);
    hovered = inside ? voxelAt(shown.store.shape, view.plane, shown.at[view.plane.axis], u, v) : null;
    showReading(hovered ?? shown.at);
  },
  leave() {
    hovered = null;
    if (shown) showReading(shown.at);
  },
};

function onKey(event) {
  if (!shown || event.altKey || event.ctrlKey || event.metaKey || find(".help").open) return;
  const { key } = event;
  const inSlider = event.target instanceof HTMLInputElement;
  const { plane } = views[0];
  const arrows = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] };
  const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 5, PageDown: -5 }[key];
  const letters = {
    a: () => showPlane("axial"), c: () => showPlane("coronal"), s: () => showPlane("sagittal"),
    n: () => jump(1), p: () => jump(-1),
    o: () => setOverlay(OVERLAYS[(OVERLAYS.indexOf(chosen.overlay) + 1) % OVERLAYS.length]),
    v: () => setVentricles(!chosen.ventricles),
    x: () => { chosen.crosshair = !chosen.crosshair; ask(); },
    "+": () => zoomBy(1.25), "=": () => zoomBy(1.25), "-": () => zoomBy(0.8), 0: () => zoomBy(0),
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
  else if (letters[key.toLowerCase()]) letters[key.toLowerCase()]();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function listen() {
  for (const view of views) listenForGestures(view, gestures);
  views.slice(1).forEach((view) => {
    const enlarge = () => showPlane(view.plane.name);
    view.canvas.addEventListener("dblclick", enlarge);
    view.root.querySelector(".enlarge").addEventListener("click", enlarge);
  });
  find(".presets").replaceChildren(...look.presets.map((preset) => {
    const button = made("button", "", capital(preset.name));
    button.type = "button";
    button.dataset.preset = preset.name;
    button.title = `W ${preset.width} L ${preset.center}`;
    return button;
  }));
  root.addEventListener("click", (event) => {
    const button = event.target.closest?.("button");
    if (!button) return;
    const { plane, preset, overlay, layer, tool, zoom, jump: step } = button.dataset;
    if (plane) showPlane(plane);
    if (preset) setPreset(preset);
    if (overlay) setOverlay(overlay);
    if (layer) setVentricles(!chosen.ventricles);
    if (tool) { chosen.tool = tool; root.dataset.tool = tool; showChoices(); }
    if (zoom) zoomBy({ in: 1.25, out: 0.8, fit: 0 }[zoom]);
    if (step) jump(Number(step));
    if (button.classList.contains("open-help")) find(".help").showModal();
  });
  find(".opacity").addEventListener("input", (event) => {
    chosen.opacity = Number(event.target.value) / 100;
    retable();
  });
  root.addEventListener("keydown", onKey);
  const seen = new ResizeObserver(ask);
  for (const view of views) seen.observe(view.canvas);
}
