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

function setTruth(drawn) {
  if (!shown?.value.truth) return;
  chosen.truth = drawn;
  showChoices();
  ask();
  speak(drawn ? shown.value.truth.words : "Truth hidden");
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
    root.dataset.windowing = "true";
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
  measure(view, stage, x, y) {
    if (!shown) return;
    const { u, v } = view.under(shown.store, x, y);
    const { plane } = view;
    if (stage === "begin")
      shown.measures.push({ kind: chosen.tool, plane: plane.name, index: shown.at[plane.axis], from: { u, v }, to: { u, v } });
    const last = shown.measures[shown.measures.length - 1];
    if (stage !== "drop") last.to = { u, v };
    const { sx, sy } = view.frame(shown.store);
    const { du, dv } = spanOf(last);
    const nothing = last.kind === "ruler" ? Math.hypot(du * sx, dv * sy) < LEAST_DRAWN_PX
      : Math.min(du * sx, dv * sy) < LEAST_DRAWN_PX;
    if (stage === "drop" || (stage === "end" && nothing)) shown.measures.pop();
    else if (stage === "end") speak(`${MEASURE_NAMES[last.kind]} ${measured(last)}`);
    showChoices();
    ask();
  },
  done: () => delete root.dataset.windowing,
};

/** Take the last measure away, or all. */
function unmeasure(all) {
  if (!shown) return;
  shown.measures.splice(all ? 0 : -1);
  showChoices();
  ask();
}

function setTool(name) {
  chosen.tool = name;
  root.dataset.tool = name;
  showChoices();
}

/** The viewer alone on the screen; where a browser cannot, over the whole page. */
function fillScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (root.requestFullscreen) root.requestFullscreen();
  else root.classList.toggle("filling");
  showFilled();
}

function showFilled() {
  const filled = Boolean(document.fullscreenElement) || root.classList.contains("filling");
  root.dataset.filled = String(filled);
  find(".fill-screen").setAttribute("aria-pressed", String(filled));
  ask();
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
    if (layer === "ventricles") setVentricles(!chosen.ventricles);
    if (layer === "truth") setTruth(!chosen.truth);
    if (tool) setTool(tool);
    if (zoom) zoomBy({ in: 1.25, out: 0.8, fit: 0 }[zoom]);
    if (step) jump(Number(step));
    if (button.classList.contains("open-help")) find(".help").showModal();
    if (button.classList.contains("clear-measures")) unmeasure(true);
    if (button.classList.contains("fill-screen")) fillScreen();
  });
  document.addEventListener("fullscreenchange", showFilled);
  find(".navigator").addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.deltaY && shown) gestures.scroll(views[0], -Math.sign(event.deltaY));
  }, { passive: false });
  find(".opacity").addEventListener("input", (event) => {
    chosen.opacity = Number(event.target.value) / 100;
    retable();
  });
  listenForKeys();
  const seen = new ResizeObserver(ask);
  for (const view of views) seen.observe(view.canvas);
}
