// The panel beside the pictures: verdict, types, lesions, notes. All text goes in as text, never as markup.

/** Lines where calls and outlines do not go together, which no single number shows. */
function disagreement(value) {
  return [outlinesAgainstCall(value), typesAgainstCall(value.study)].filter(Boolean).join(" ");
}

function typesAgainstCall({ positive, calls }) {
  const typed = Object.entries(calls).some(([name, call]) => name !== "any" && call.positive);
  if (positive !== false || !typed) return "";
  return "Types are called although haemorrhage as a whole is not: each has a threshold of its own.";
}

function outlinesAgainstCall(value) {
  const { positive } = value.study;
  const roles = value.models.map((one) => one.role);
  if (positive === null || !roles.includes("haemorrhage") || !roles.includes("slice-classifier")) return "";
  const count = value.lesions.length;
  if (positive && !count) return "The networks disagree: haemorrhage is called, and none is outlined.";
  if (!positive && count) return `The networks disagree: not called, but ${counted(count, "lesion")} outlined.`;
  return "";
}

/** The gravest line on what makes the answer doubtful; the others stand among the notes. */
function doubtful({ warnings, doubts }) {
  if (!doubts) return "";
  const more = doubts > 1 ? ` And ${doubts - 1} more among the notes.` : "";
  return `${capital(warnings[0])}.${more}`;
}

class Findings {
  /** @param {HTMLElement} root @param {Object} look @param {(number: number) => void} onLesion */
  constructor(root, look, onLesion) {
    this.root = root;
    this.look = look;
    this.onLesion = onLesion;
    this.find = (selector) => root.querySelector(selector);
    this.rows = [];
  }

  show(value) {
    this.verdict(value);
    this.types(value);
    this.lesions(value);
    this.ventricles(value);
    const others = value.doubts ? value.warnings.slice(1) : value.warnings;
    const notes = others.map((line) => made("li", "", `${capital(line)}.`));
    const { reduced, shape, full_shape: full } = value.stream;
    if (reduced > 1) {
      const sizes = `${shape[2]} × ${shape[1]} of ${full[2]} × ${full[1]} pixels`;
      notes.unshift(made("li", "", `Shown at 1/${reduced} of its resolution (${sizes}); everything was measured in full.`));
    }
    this.find(".notes ul").replaceChildren(...notes);
    this.find(".notes").hidden = !notes.length;
    const models = value.models.map((one) => {
      const revision = one.revision ? ` at ${one.revision.slice(0, 8)}` : "";
      const weights = `weights ${one.sha256.slice(0, 8)}`;
      return made("li", "", made("b", "", one.name), ` ${one.role}${revision}, ${weights}, ${one.engine}`);
    });
    if (value.seconds !== null) models.push(made("li", "", `Analysed in ${value.seconds.toFixed(1)} s`));
    this.find(".models ul").replaceChildren(...models);
    this.find(".notice").textContent = value.notice;
  }

  verdict(value) {
    const { positive, probabilities, calls } = value.study;
    const looked = positive !== null;
    this.find(".verdict").firstElementChild.hidden = !looked;
    this.find(".verdict").dataset.called = String(positive);
    this.find(".verdict").dataset.part = String(!value.complete && positive === false);
    if (looked) {
      this.find(".call").textContent = positive ? "Called" : value.complete ? "Not called" : "Not called in the part read";
      this.find(".call-words").textContent =
        `probability ${probability(probabilities.any)}, called from ${calls.any.threshold.toFixed(2)}`;
    }
    const alone = Boolean(value.ventricles?.alone);
    const ml = alone ? value.ventricles.volume_ml : (value.volume_ml?.total ?? null);
    this.find(".volume-caption").textContent = alone ? "Ventricles" : "Volume";
    this.find(".volume").textContent = ml === null ? "–" : `${millilitres(ml)} mL`;
    const count = value.lesions.length;
    const lesions = alone ? "" : count ? `in ${counted(count, "lesion")}` : "nothing outlined";
    this.find(".disagree").textContent = disagreement(value);
    this.find(".disagree").hidden = !disagreement(value);
    const doubt = doubtful(value);
    this.find(".doubt").textContent = doubt;
    this.find(".doubt").hidden = !doubt;
    const unknown = value.spacing_known ? ""
      : value.pixels_known ? "the file does not say how thick slices are" : "the file gives no millimetres";
    this.find(".volume-words").textContent = [lesions, unknown].filter(Boolean).join("; ");
  }

  types(value) {
    const { probabilities, calls, named } = value.study;
    const names = this.look.classes.filter((name) => name in probabilities);
    // The sum of all first, then its parts.
    names.sort((one, other) => Number(other === "any") - Number(one === "any"));
    this.find(".types").hidden = !names.length;
    const rows = names.map((name) => {
      const { positive, threshold } = calls[name];
      const title = made("th", "", made("i", "swatch"), name === "any" ? "Any" : capital(name));
      title.scope = "row";
      // Types are named with precision in mind: not each that reaches its threshold is.
      const tagged = name === "any" ? positive : named.includes(name);
      if (tagged) title.append(" ", made("span", "tag", positive ? "called" : "outlined"));
      const bar = made("div", "bar", made("span", "filled"), made("span", "threshold"));
      bar.style.setProperty("--p", String(probabilities[name]));
      bar.style.setProperty("--threshold", String(threshold));
      bar.title = `called from ${threshold.toFixed(2)}`;
      const ml = value.volume_ml ? value.volume_ml[name === "any" ? "total" : name] : null;
      const row = made("tr", tagged ? "called" : "", title, made("td", "wide", bar),
        made("td", "number", probability(probabilities[name])),
        made("td", ml ? "number" : "number none", ml === null ? "–" : millilitres(ml)));
      row.style.setProperty("--colour", this.colour(name));
      return row;
    });
    this.find(".types tbody").replaceChildren(...rows);
  }

  lesions(value) {
    const number = (text) => made("td", "number", text);
    const ml = (volume) => number(volume === null ? "–" : millilitres(volume));
    this.rows = value.lesions.map((lesion) => {
      const button = made("button", "number", String(lesion.number));
      button.type = "button";
      button.setAttribute("aria-label", `Go to lesion ${lesion.number}, ${lesion.subtype}`);
      const slices = [lesion.first_slice, lesion.last_slice].map((slice) => slice + 1);
      const span = slices[0] === slices[1] ? `${slices[0]}` : `${slices[0]}–${slices[1]}`;
      const row = made("tr", "", made("td", "", button), made("td", "", made("i", "swatch"), capital(lesion.subtype)),
        ml(lesion.volume_ml), ml(lesion.abc2_ml), number(span));
      row.style.setProperty("--colour", this.colour(lesion.subtype));
      row.title = `mean probability ${probability(lesion.mean_probability)}`;
      row.addEventListener("click", () => this.onLesion(lesion.number));
      return row;
    });
    this.find(".lesions tbody").replaceChildren(...this.rows);
    this.find(".lesions").hidden = !this.rows.length;
    const segmented = value.models.some((one) => one.role === "haemorrhage");
    this.find(".counting").hidden = !this.rows.length && !value.ventricles?.rows.length;
    this.find(".no-lesions").hidden = !segmented || this.rows.length > 0;
  }

  /** What was measured of the ventricles of a CT. */
  ventricles(value) {
    const rows = (value.ventricles?.rows ?? []).map(({ name, value: words, remark, validated_on: held }) => {
      const title = made("th", "", capital(name));
      title.scope = "row";
      const cell = made("td", "number", words);
      if (remark) cell.append(" ", made("span", "remark", remark));
      return made("tr", "", title, cell, made("td", "held", held));
    });
    this.find(".ventricles tbody").replaceChildren(...rows);
    this.find(".ventricles").hidden = !rows.length;
  }

  /** Mark the lesion that was gone to, 0 for none. */
  markLesion(number) {
    this.rows.forEach((row, place) => {
      if (place + 1 === number) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    });
  }

  colour(name) {
    return this.look.colours[name] ? `rgb(${this.look.colours[name]})` : "var(--v-ink)";
  }
}
