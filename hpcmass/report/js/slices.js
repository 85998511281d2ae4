// The row and the column of a cell as line plots: all sources of the statistic, with error bars.
const sliceCharts = {};

function sliceSpec(axisName, point) {
  const statistic = byName.get(state.statistic);
  const axis = axes[axisOf.get(axisName)];
  const place = axisOf.get(axisName);
  const xs = state.even ? axis.values.map((_, k) => k) : axis.values;
  // a line runs across points that are not requested, and breaks where a value is missing
  const places = axis.values.map((_, k) => k).filter((k) => !data.requested || data.requested[flatOf(point.with(place, k))]);
  const curves = statistic.sources.filter((source) => !state.hidden.includes(source)).map((source) => {
    const flats = places.map((k) => flatOf(point.with(place, k)));
    const bars = flats.map((flat) => errorBar(statistic, source, flat));
    return {
      name: source, ...data.styles[source], points: true, width: 1.5, x: places.map((k) => xs[k]),
      y: flats.map((flat) => valueOf(statistic.name, source, flat)),
      low: bars.map((bar) => (bar ? bar[0] : NaN)), high: bars.map((bar) => (bar ? bar[1] : NaN)),
    };
  });
  const [low, high] = [Math.min(...xs), Math.max(...xs)];
  const room = (high - low) * 0.03 || 0.5;
  const log = (state.scale === "log" || (state.scale === "auto" && statistic.log)) && curves.some((c) => c.y.some((v) => v > 0));
  return {
    x: { label: axis.label, low: low - room, high: high + room, ticks: state.even ? axis.texts.map((text, k) => [k, text]) : undefined },
    y: { label: shortLabel(statistic), log: log && statistic.kind === "plain" },
    curves, marks: [{ x: xs[point[place]] }],
  };
}

function shortLabel(statistic) {
  const text = statistic.label.length > 28 ? statistic.name : statistic.label;
  return `${text}${unitOf(statistic)}`;
}

function renderSlices() {
  const point = hovered || state.point;
  for (const [key, axisName, other] of [["row", state.right, state.up], ["column", state.up, state.right]]) {
    const section = byId(`slice-${key}`);
    section.hidden = shape[axisOf.get(axisName)] < 2;
    if (section.hidden) continue;
    const fixed = axes.filter((axis) => axis.name !== axisName).map((axis) => `${axis.symbol} = ${axis.texts[point[axisOf.get(axis.name)]]}`);
    section.querySelector("h3").textContent = `along ${symbolOf(axisName)}, at ${fixed.join(", ")}`;
    const host = section.querySelector(".chart-host");
    sliceCharts[key] ||= new Chart(host, `statistic along ${key}`, isPlane() ? 216 : 320);
    sliceCharts[key].height = isPlane() ? 216 : 320;
    host.tabIndex = 0;
    host.setAttribute("role", "application");
    host.setAttribute("aria-label", `plot along ${symbolOf(axisName)}: left and right arrow keys choose the point`);
    sliceCharts[key].draw(sliceSpec(axisName, point));
    host.onpointermove = (event) => showTip(sliceCharts[key].readout(event.clientX - host.getBoundingClientRect().left), event.clientX, event.clientY);
    host.onpointerleave = hideTip;
    host.onkeydown = (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const place = axisOf.get(axisName);
      const next = state.point[place] + (step || 0);
      if (!step || next < 0 || next >= shape[place]) return;
      event.preventDefault();
      choose(state.point.with(place, next), false);
    };
    host.onclick = (event) => {
      const at = sliceCharts[key].invertX(event.clientX - host.getBoundingClientRect().left);
      const axis = axes[axisOf.get(axisName)];
      const xs = state.even ? axis.values.map((_, k) => k) : axis.values;
      choose(state.point.with(axisOf.get(axisName), nearest(xs, at)), false);
    };
  }
  renderLegend();
}

function renderLegend() {
  const statistic = byName.get(state.statistic);
  byId("slice-legend").replaceChildren(...statistic.sources.filter((source) => !state.hidden.includes(source)).map((source) =>
    element("li", {}, swatch(data.styles[source]), element("span", { class: "text" }, source))));
}
