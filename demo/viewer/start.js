// Begin, with whatever value the component has, and follow it.

listen();
root.dataset.tool = chosen.tool;
// For tests and benchmarks: how long frames took, and the same doors that buttons use.
element.hemobench = {
  frameTimes, views, open, goTo, goToLesion, showPlane, setRange, state: () => shown, times: () => times, draw: frame,
  measures: () => (shown?.measures ?? []).map(measured),
};
watch("value", () => open(props.value));
open(props.value);
