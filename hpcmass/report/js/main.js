// Start: read the address, draw, and draw again when the address or the width changes.
renderers = { maps: () => { syncControls(); renderMaps(); }, slices: renderSlices, point: renderPoint, curves: renderCurves };

function renderAll() {
  for (const part of ["maps", "slices", "point"]) renderers[part]();
}

setUpControls();
setUpPoint();
setUpDownloads();
readFragment(location.hash);
byId("claims").open = !narrow.matches;
settle();
if (data.axes.every((axis) => axis.values.length === 1)) {
  byId("explorer").classList.add("one-point"); // no maps, no plots along an axis: all its numbers are in their place
  byId("values").open = true;
  document.querySelector(".board").before(byId("values"));
}
renderAll();
document.documentElement.dataset.ready = "yes";

addEventListener("hashchange", () => {
  if (readFragment(location.hash)) {
    settle();
    renderAll();
  }
});

let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  renderAll();
});
