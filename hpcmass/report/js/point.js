// The point: potentials, inputs, spikes, spectra and cross-correlation, with those of the pinned points.
const INPUT_NAMES = { phi_E: "Φ from excitatory neurons", phi_I: "Φ from inhibitory neurons", phi_ext: "Φ from outside" };
const series = [NETWORK, ...data.models];
const pointCharts = {};

const shownPoints = () => [state.point, ...state.pins.filter((pin) => !samePoint(pin, state.point))];
const isHidden = (name) => state.hidden.includes(name);

// Style of a series: by its own colour for one point, by the point's colour for several.
function styleOf(name, k, several) {
  const own = data.styles[name];
  const pinned = state.pins.findIndex((pin) => samePoint(pin, shownPoints()[k]));
  const dashes = name === "phi_I" ? "6 2" : own.dashes;
  return several ? { ...own, dashes, colour: POINT_COLOURS[k === 0 ? 0 : pinned + 1] } : own;
}

function potentialCurves(points) {
  const several = points.length > 1;
  const curves = [];
  points.forEach((point, k) => {
    const flat = flatOf(point);
    const traces = tracesOf(flat, k === 0 ? state.trial : 0);
    if (!traces) return;
    for (const name of series) {
      if (isHidden(name) || !traces.has(name)) continue;
      const v = traces.get(name);
      if (!v.some(Number.isFinite)) continue;
      curves.push({ name: several ? `${name} at ${whereText(point)}` : name, series: name, ...styleOf(name, k, several), width: name === NETWORK ? 2 : 1.3, x: sampleTimes, y: state.units === "sd" ? standardised(v) : v });
    }
  });
  return curves;
}

function standardised(v) {
  const mean = v.reduce((sum, x) => sum + x, 0) / v.length;
  const sd = Math.sqrt(v.reduce((sum, x) => sum + (x - mean) ** 2, 0) / v.length) || 1;
  return v.map((x) => (x - mean) / sd);
}

function inputCurves(points) {
  const several = points.length > 1;
  return points.flatMap((point, k) => {
    const traces = tracesOf(flatOf(point), k === 0 ? state.trial : 0);
    return traces ? Object.keys(INPUT_NAMES).filter((name) => traces.has(name) && !isHidden(name)).map((name) => ({
      name: several ? `${INPUT_NAMES[name]} at ${whereText(point)}` : INPUT_NAMES[name], ...styleOf(name, k, several), x: sampleTimes, y: traces.get(name),
    })) : [];
  });
}

function spectrumCurves(points) {
  const several = points.length > 1;
  const [curves, bands] = [[], []];
  points.forEach((point, k) => {
    const decades = spectraOf(flatOf(point));
    series.forEach((name, row) => {
      if (isHidden(name)) return;
      const y = decades[row].map((v) => 10 ** v);
      if (!y.some(Number.isFinite)) return;
      const style = styleOf(name, k, several);
      curves.push({ name: several ? `${name} at ${whereText(point)}` : name, ...style, width: name === NETWORK ? 2 : 1.3, x: data.curves.frequency, y });
      if (name !== NETWORK || decades.length === series.length) return;
      const error = decades[series.length].map((v) => 10 ** v);
      bands.push({ name, colour: style.colour, x: data.curves.frequency, low: y.map((v, i) => Math.max(v - error[i], v * 1e-3)), high: y.map((v, i) => v + error[i]) });
    });
  });
  return { curves, bands };
}

// Pearson correlation of network(t) and model(t + lag) in the stored window, the samples that overlap.
function correlationAt(network, model) {
  const most = Math.min(Math.round(data.settings.max_lag_ms / data.curves.step), Math.floor(network.length / 3));
  const [lags, values] = [[], []];
  for (let lag = -most; lag <= most; lag++) {
    let [n, sx, sy, sxx, syy, sxy] = [0, 0, 0, 0, 0, 0];
    for (let k = Math.max(0, -lag); k < network.length - Math.max(0, lag); k++) {
      const [x, y] = [network[k] - network[0], model[k + lag] - model[0]];
      n++; sx += x; sy += y; sxx += x * x; syy += y * y; sxy += x * y;
    }
    lags.push(lag * data.curves.step);
    values.push((sxy - sx * sy / n) / Math.sqrt((sxx - sx * sx / n) * (syy - sy * sy / n)));
  }
  return [lags, values];
}

function correlationCurves(points) {
  const several = points.length > 1;
  return points.flatMap((point, k) => {
    const flat = flatOf(point);
    const slot = k === 0 ? state.trial : 0;
    const traces = tracesOf(flat, slot);
    if (!traces) return [];
    return data.models.filter((name) => !isHidden(name) && traces.has(name) && Number.isFinite(traces.get(name)[0])).map((name) => {
      const [x, y] = remember(`c${flat} ${slot} ${name}`, () => correlationAt(traces.get(NETWORK), traces.get(name)));
      return { name: several ? `${name} at ${whereText(point)}` : name, ...styleOf(name, k, several), x, y };
    });
  });
}

function chartOf(key, label, height, range) {
  const host = byId(`chart-${key}`);
  if (!pointCharts[key]) {
    pointCharts[key] = new Chart(host, label, height, (chosen) => update({ [range]: chosen }, "curves"));
    host.before(zoomButtons(pointCharts[key]));
  }
  return pointCharts[key];
}

function drawOrSay(key, label, height, range, spec, nothing) {
  const chart = chartOf(key, label, height, range);
  const empty = !spec.curves.length && !(spec.dots || []).length;
  const note = byId(`note-${key}`);
  note.hidden = !empty;
  note.textContent = nothing;
  byId(`chart-${key}`).hidden = empty;
  byId(`chart-${key}`).previousElementSibling.hidden = empty;
  if (!empty) chart.draw(spec);
}

function renderCurves() {
  const points = shownPoints();
  const flat = flatOf(state.point);
  const [first, last] = [sampleTimes[0], sampleTimes[sampleTimes.length - 1]];
  const time = { label: "time (ms)", low: first, high: last, view: state.time };
  const curves = potentialCurves(points);
  const why = data.curves.trials[flat].length ? "" : `No curves: ${gapOf(byName.get("rho") || listed[0], data.models[0], flat)}.`;
  drawOrSay("potentials", "potentials", 260, "time", {
    x: time, y: { label: state.units === "sd" ? "potential, standardised" : "potential (mV)" }, curves,
  }, why || "All curves are hidden.");
  drawOrSay("inputs", "inputs", 190, "time", { x: time, y: { label: "input Φ (1/ms)", zero: true }, curves: inputCurves(points) },
    why || (data.curves.series.includes("phi_E") ? "All curves are hidden." : "The inputs Φ are in the sweep file, without which this page was written."));
  renderRaster(time);
  const { curves: powers, bands } = spectrumCurves(points);
  const frequencies = data.curves.frequency.filter((f) => f > 0);
  const log = state.power === "log";
  drawOrSay("spectra", "spectra", 260, "frequency", {
    x: { label: "frequency (Hz)", low: frequencies[0], high: frequencies[frequencies.length - 1] + 1e-9, log, view: state.frequency },
    y: { label: "power density (mV²/Hz)", log }, curves: powers, bands,
  }, why || "All curves are hidden.");
  const lags = correlationCurves(points);
  const reach = lags.length ? lags[0].x[lags[0].x.length - 1] : 1;
  drawOrSay("correlation", "cross-correlation", 260, "lag", {
    x: { label: "lag (ms), positive: the model is late", low: -reach, high: reach, view: state.lag },
    y: { label: "correlation ρ" }, curves: lags,
    marks: data.models.filter((name) => !isHidden(name)).map((name) => ({ x: valueOf("lag", name, flat), colour: data.styles[name].colour })),
  }, why || "No model to correlate.");
}

function renderRaster(time) {
  const raster = data.curves.raster;
  byId("panel-raster").hidden = !raster;
  if (!raster) return;
  const split = (from, to) => {
    const chosen = raster.row.map((row, k) => k).filter((k) => raster.row[k] >= from && raster.row[k] < to);
    return { x: chosen.map((k) => raster.time[k]), y: chosen.map((k) => raster.row[k]) };
  };
  const kinds = [["phi_E", 0, raster.excitatory], ["phi_I", raster.excitatory, raster.rows]].filter(([, from, to]) => to > from);
  drawOrSay("raster", "spikes", 220, "time", {
    x: time, curves: [],
    y: { label: `${raster.rows} of ${raster.neurons} neurons`, limits: [-1, raster.rows], blank: true, ticks: kinds.map(([name, from, to]) => [(from + to) / 2, name === "phi_E" ? "exc." : "inh."]) },
    dots: kinds.map(([name, from, to]) => ({ colour: data.styles[name].colour, ...split(from, to) })),
  }, "No spikes.");
}
