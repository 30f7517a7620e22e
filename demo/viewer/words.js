// Numbers and words as they are shown; the same digits as hemobench/inference/overview/style.py gives.

/** Millilitres in the digits that matter. */
const millilitres = (ml) => (ml === 0 ? "0" : ml < 1 ? ml.toFixed(2) : ml < 100 ? ml.toFixed(1) : ml.toFixed(0));

/** A probability with two digits that never rounds to sure. */
const probability = (p) => (p > 0.994 ? "> 0.99" : p < 0.005 ? "< 0.01" : p.toFixed(2));

const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);

/** The value of a voxel in the words of its modality; the last codes of HU stand for all that is beyond. */
function reading(store, value) {
  if (value === null) return "";
  const { modality, stretches } = store.header;
  if (modality === "grey") return `grey ${Math.round(value)}`;
  if (modality !== "CT") return `signal ${Math.abs(value) < 10 ? value.toFixed(1) : Math.round(value)}`;
  if (value === stretches[0][1]) return "air";
  const last = stretches[stretches.length - 1][1];
  return `${value >= last ? "≥ " : ""}${Math.round(value)} HU`.replace("-", "−");
}

/** An element with a class, text and children. */
function made(tag, className = "", ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}
