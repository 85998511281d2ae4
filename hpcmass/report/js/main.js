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
