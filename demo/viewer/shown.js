// What is shown now, and how the page follows it. One function holds all parts: those of controls.js stand beside these.

const root = element.querySelector(".viewer");
const find = (selector) => root.querySelector(selector);
const look = props.look;
const views = [...root.querySelectorAll(".view")].map((one) => new PlaneView(one));
const OVERLAYS = ["fill", "outline", "off"];
const KEPT_FRAMES = 500;
const SPEAK_AFTER_MS = 400;

/** What the visitor has chosen; it outlives a scan, where the next one can have it too. */
const chosen = {
  overlay: "fill", opacity: 0.4, crosshair: true, tool: "crosshair", preset: look.presets[0].name, ventricles: true,
  truth: false,
};
/** @type {null | {value: Object, store: ScanStore, at: number[], range: {center: number, width: number},
 *   colours: Map<number, number[]>, names: Map<number, string>, lesion: number, measures: Measure[], tables: Map,
 *   look: string, truth: null | Object}} */
let shown = null;
let loading = null;
let frameAsked = 0;
let speaking = 0;
let hovered = null;
const frameTimes = [];
/** When a scan was given, first drawn and all there, in milliseconds since 1970. */
let times = {};
const now = () => performance.timeOrigin + performance.now();

const findings = new Findings(find(".findings"), look, goToLesion);
const sliceBar = new Navigator(find(".navigator"), (index) => goTo(views[0].plane.name, index));

function labelLooks(value) {
  const names = value.modality === "MR" ? { ventricles: 1 } : { ...look.labels, ventricles: look.ventricle_id };
  const pairs = Object.entries(names);
  const colour = (name) => look.colours[name] ?? look.ventricle_colour;
  return {
    names: new Map(pairs.map(([name, id]) => [id, name])),
    colours: new Map(pairs.map(([name, id]) => [id, colour(name)])),
  };
}

/** Colours of the labels that are drawn: the ventricles are a layer that can be put away. */
function drawnColours() {
  if (chosen.ventricles || shown.value.modality === "MR") return shown.colours;
  return new Map([...shown.colours].filter(([label]) => label !== look.ventricle_id));
}

/** A new scan, or none. */
async function open(value) {
  loading?.abort();
  loading = null;
  shown = null;
  views.forEach((view) => view.clear());
  find(".failed").hidden = true;
  root.dataset.state = value ? "loading" : "empty";
  times = { given: now() };
  if (!value) return;
  const controller = (loading = new AbortController());
  const store = new ScanStore(value.stream);
  shown = {
    value, store, at: [...value.first_at], range: firstRange(value), lesion: 0, measures: [], truth: null,
    ...labelLooks(value),
  };
  root.dataset.flat = String(store.shape[0] < 2);
  root.dataset.modality = value.modality;
  findings.show(value);
  find(".source").textContent = value.title;
  find(".source").title = value.title;
  showPlane("axial");
  retable();
  try {
    const truth = value.truth ? await truthOf(value.truth) : null;
    if (shown?.store !== store) return;
    shown.truth = truth;
    await receive(store, value.volume.url, controller.signal, () => arrived(store));
  } catch (error) {
    if (controller.signal.aborted || shown?.store !== store) return;
    fail(error);
  }
}

/** The presets are in HU: a scan without HU begins with the range that its header names. */
function firstRange(value) {
  const preset = look.presets.find((one) => one.name === chosen.preset) ?? look.presets[0];
  if (value.modality === "CT") return { center: preset.center, width: preset.width };
  const [low, high] = value.stream.shown;
  return { center: (low + high) / 2, width: high - low };
}

function arrived(store) {
  if (shown?.store !== store) return;
  if (store.arrived === 1) {
    root.dataset.state = "first";
    showNavigator();
    settleStop();
  }
  if (store.arrived === store.shape[0]) {
    root.dataset.state = "ready";
    times.complete = now();
  }
  const bar = find(".loading");
  bar.setAttribute("aria-valuemax", String(store.shape[0]));
  bar.setAttribute("aria-valuenow", String(store.arrived));
  bar.style.setProperty("--part", String(store.arrived / store.shape[0]));
  ask();
}

function fail(error) {
  shown = null;
  root.dataset.state = "failed";
  const old = typeof DecompressionStream === "undefined";
  find(".failed").textContent = old
    ? "This browser cannot unpack the scan; open the page in a current one."
    : `The scan did not arrive (${error.message}); analyse it again.`;
  find(".failed").hidden = false;
}

/** Colour tables for the present window and overlay. */
function retable() {
  if (!shown) return;
  const filled = chosen.overlay === "fill" ? drawnColours() : new Map();
  shown.tables = colourTables(shown.store.values, shown.range, filled, chosen.opacity);
  shown.look = [shown.range.center, shown.range.width, chosen.overlay, chosen.opacity, chosen.ventricles].join(" ");
  showChoices();
  ask();
}

function ask() {
  if (!frameAsked) frameAsked = requestAnimationFrame(frame);
}

/** Draw all three planes and what stands over them. */
function frame() {
  frameAsked = 0;
  if (!shown) return;
  const start = performance.now();
  const scene = {
    ...shown, colours: drawnColours(), overlay: chosen.overlay, crosshair: chosen.crosshair, measured,
    truth: chosen.truth ? shown.truth : null,
  };
  for (const view of views) if (view.canvas.clientWidth) view.draw(scene);
  frameTimes.push(performance.now() - start);
  if (frameTimes.length > KEPT_FRAMES) frameTimes.shift();
  if (shown.store.arrived) times.drawn ??= now();
  showPlaces();
}

function showPlane(name) {
  const others = Object.values(PLANES).filter((plane) => plane.name !== name);
  [PLANES[name], ...others].forEach((plane, slot) => views[slot].show(plane));
  root.dataset.plane = name;
  root.querySelectorAll("[data-plane]").forEach((button) => {
    button.setAttribute("aria-pressed", String(button.dataset.plane === name));
  });
  if (!shown) return;
  for (const view of views) {
    const letters = shown.value.spacing_known ? edgeLetters(shown.store.header.affine, view.plane) : {};
    for (const edge of view.root.querySelectorAll(".edge"))
      edge.textContent = letters[["top", "right", "bottom", "left"].find((side) => edge.classList.contains(side))] ?? "";
    view.root.querySelector(".plane-name").textContent = view.plane.title;
    view.root.querySelector(".enlarge")?.setAttribute("aria-label", `Show ${view.plane.name} large`);
  }
  showNavigator();
  ask();
}

function showNavigator() {
  if (!shown) return;
  const { plane } = views[0];
  const chances = plane.axis === 0 ? (shown.value.slices.any ?? null) : null;
  sliceBar.show(shown.store.shape[plane.axis], chances, labelsAlong(shown.store, plane.axis), shown.colours);
  root.dataset.strip = String(Boolean(chances));
  shown.holds = labelsAlong(shown.store, plane.axis);
}

/** Words for the slice of the main plane: for the slider, and to be spoken. */
function sliceWords() {
  const { plane } = views[0];
  const index = shown.at[plane.axis];
  const found = [...(shown.holds?.[index] ?? [])].map((id) => shown.names.get(id));
  const chance = plane.axis === 0 ? shown.value.slices.any?.[index] : undefined;
  return [
    `${plane.title} slice ${index + 1} of ${shown.store.shape[plane.axis]}`,
    found.length ? `${found.join(" and ")} outlined` : "nothing outlined",
    chance === undefined ? "" : `probability of haemorrhage ${probability(chance)}`,
  ].filter(Boolean).join(", ");
}

/** Everything in words and numbers that depends on where we are. */
function showPlaces() {
  const { store, at, value } = shown;
  for (const view of views) {
    const { axis } = view.plane;
    view.root.querySelector(".place").textContent =
      store.shape[0] > 1 ? `${at[axis] + 1} / ${store.shape[axis]}` : "";
  }
  const main = views[0];
  const index = at[main.plane.axis];
  const axial = main.plane.axis === 0;
  const height = axial ? value.z_mm[index] : null;
  find(".height").textContent = height === null ? "" : `z ${height.toFixed(1).replace("-", "−")} mm`;
  const chance = axial ? value.slices.any?.[index] : undefined;
  find(".slice-words").textContent = `Slice ${index + 1} / ${store.shape[main.plane.axis]}`;
  find(".legend").textContent = chance === undefined ? "" : `Haemorrhage in this slice ${probability(chance)}`;
  sliceBar.stand(index, sliceWords());
  showScale(main.frame(store));
  showReading(hovered ?? at);
  find("[data-zoom=fit]").textContent = `${Math.round(main.zoom * 100)}%`;
  findings.markLesion(shown.lesion);
  find(".jumps").hidden = !value.lesions.length;
  find(".jump-words").textContent = shown.lesion
    ? `Lesion ${shown.lesion} / ${value.lesions.length}` : counted(value.lesions.length, "lesion");
}

/** Whether a plane's millimetres are the file's: in all but the axial one a step is the distance between slices. */
function millimetresIn(plane) {
  const { spacing_known: all, pixels_known: within } = shown.value;
  return all || (within && plane.axis === 0);
}

const measured = (one) => measureWords(shown.store, one, millimetresIn(PLANES[one.plane]));

function showScale(frame) {
  const line = find(".scale-line");
  line.parentElement.hidden = !millimetresIn(views[0].plane);
  const { pixels, text } = scaleBar(frame.pixelsPerMm, frame.width / 3);
  line.style.width = `${pixels}px`;
  find(".scale-text").textContent = text;
}

function showReading(voxel) {
  find(".reading").textContent = reading(shown.store, shown.store.valueAt(voxel));
  const name = shown.names.get(shown.store.labelAt(voxel));
  find(".reading-type").textContent = name ? capital(name) : "";
}

function showChoices() {
  const press = (attribute, value) => root.querySelectorAll(`button[data-${attribute}]`).forEach((button) =>
    button.setAttribute("aria-pressed", String(button.dataset[attribute] === value)));
  press("overlay", chosen.overlay);
  press("tool", chosen.tool);
  find(".clear-measures").hidden = !shown?.measures.length;
  const fits = look.presets.find((one) => shown && one.center === shown.range.center && one.width === shown.range.width);
  press("preset", shown?.value.modality === "CT" ? (fits?.name ?? "") : "");
  find(".opacity").disabled = chosen.overlay !== "fill";
  const { value } = shown ?? {};
  const layers = {
    ventricles: { on: chosen.ventricles, there: Boolean(value?.ventricles) && value.modality !== "MR" },
    truth: { on: chosen.truth, there: Boolean(value?.truth) },
  };
  for (const [name, { on, there }] of Object.entries(layers)) {
    find(`[data-layer=${name}]`).setAttribute("aria-pressed", String(on));
    find(`[data-layer=${name}]`).hidden = !there;
  }
  find(".layers").hidden = !Object.values(layers).some((one) => one.there);
  find(".findings .truth").hidden = !(chosen.truth && layers.truth.there);
  find(".findings .truth").textContent = value?.truth?.words ?? "";
  if (!shown) return;
  const digits = shown.range.width < 10 ? 1 : 0;
  const text = (value) => value.toFixed(digits).replace("-", "−");
  find(".range").textContent = `W ${text(shown.range.width)}  L ${text(shown.range.center)}`;
}
