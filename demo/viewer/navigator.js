// The slider under the pictures, with the probability of each slice and where labels are.

const SVG = "http://www.w3.org/2000/svg";
// Half of the slider's thumb: where the first and the last slice are, from its ends.
const INSET = 8;

function drawn(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  return node;
}

class Navigator {
  /** @param {HTMLElement} root @param {(index: number) => void} onSlice */
  constructor(root, onSlice) {
    this.root = root;
    this.slider = root.querySelector(".slices");
    this.strip = root.querySelector(".strip");
    this.count = 1;
    this.slider.addEventListener("input", () => onSlice(Number(this.slider.value)));
    const go = (event) => {
      const box = this.strip.getBoundingClientRect();
      const along = (event.clientX - box.left - INSET) / Math.max(1, box.width - 2 * INSET);
      onSlice(Math.max(0, Math.min(this.count - 1, Math.round(along * (this.count - 1)))));
    };
    this.strip.addEventListener("pointerdown", (event) => {
      this.strip.setPointerCapture(event.pointerId);
      go(event);
    });
    this.strip.addEventListener("pointermove", (event) => event.buttons && go(event));
  }

  /** Show `count` slices, the probability of each (or none) and the labels that each holds.
   * @param {number[] | null} chances @param {Set<number>[]} labels @param {Map<number, number[]>} colours */
  show(count, chances, labels, colours) {
    this.count = count;
    this.root.hidden = count < 2;
    this.slider.max = String(count - 1);
    this.strip.style.setProperty("--twice", String(Math.max(1, 2 * (count - 1))));
    const bars = this.strip.querySelector(".bars");
    bars.setAttribute("viewBox", `0 0 ${count} 1`);
    const drawnBars = (chances ?? []).map((p, index) => drawn("rect", {
      x: index + 0.1, width: 0.8, y: 1 - Math.max(p, 0.02), height: Math.max(p, 0.02),
    }));
    bars.replaceChildren(...drawnBars);
    bars.style.display = chances ? "" : "none";
    const ids = [...new Set(labels.flatMap((set) => [...set]))].sort();
    const marks = this.strip.querySelector(".marks");
    marks.setAttribute("viewBox", `0 0 ${count} ${Math.max(1, ids.length)}`);
    marks.style.height = `${ids.length * 4}px`;
    marks.replaceChildren(...ids.flatMap((id, row) => runs(labels, id).map(([from, to]) => drawn("rect", {
      x: from, width: to - from, y: row, height: 0.75, fill: `rgb(${colours.get(id) ?? [128, 128, 128]})`,
    }))));
    this.strip.hidden = !chances && !ids.length;
  }

  /** Stand at a slice. */
  stand(index, words) {
    this.slider.value = String(index);
    this.slider.setAttribute("aria-valuetext", words);
    this.strip.style.setProperty("--along", String(this.count > 1 ? index / (this.count - 1) : 0));
    this.strip.querySelectorAll(".bars .now").forEach((bar) => bar.classList.remove("now"));
    this.strip.querySelector(".bars").children[index]?.classList.add("now");
  }
}

/** Stretches [from, to) of slices that hold a label. */
function runs(labels, id) {
  const found = [];
  labels.forEach((set, index) => {
    if (!set.has(id)) return;
    const last = found[found.length - 1];
    if (last && last[1] === index) last[1] = index + 1;
    else found.push([index, index + 1]);
  });
  return found;
}
