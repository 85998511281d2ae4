// What is shown, and its form in the address: a link with this fragment opens the same view.
const POINT_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"];
const MOST_PINS = 4;
const listed = data.statistics.filter((statistic) => statistic.listed);

function defaults() {
  const first = byName.has("rho") ? "rho" : listed[0].name;
  return {
    statistic: first, sources: data.models.slice(0, 3), minus: null, right: data.initial.right, up: data.initial.up,
    outlines: ["rho", "sync"], low: null, high: null, scale: "auto", point: [...data.initial.point], pins: [], trial: 0,
    units: "mv", hidden: [], time: null, frequency: null, lag: null, even: false, power: "log",
  };
}

const state = defaults();

const OPTIONS = {
  scale: ["auto", "linear", "log"], units: ["mv", "sd"], power: ["log", "linear"],
};

const nearest = (values, wanted) =>
  values.reduce((best, v, k) => (Math.abs(v - wanted) < Math.abs(values[best] - wanted) ? k : best), 0);
const pointText = (point) => point.map((i, k) => axes[k].values[i]).join(",");
function pointFrom(text) {
  const wanted = (text || "").split(",").map(Number);
  return wanted.length === axes.length && wanted.every(Number.isFinite) ? wanted.map((v, k) => nearest(axes[k].values, v)) : null;
}
const rangeFrom = (text) => {
  const ends = (text || "").split(",").map(Number);
  return ends.length === 2 && ends.every(Number.isFinite) && ends[1] > ends[0] ? ends : null;
};
const rangeText = (range) => range.map((v) => Number(v.toPrecision(7))).join(",");

function fragment() {
  const usual = defaults();
  const found = new URLSearchParams({ show: state.statistic, of: state.sources.join("|"), at: pointText(state.point) });
  if (state.minus) found.set("minus", state.minus.join("|"));
  if (state.right !== usual.right || state.up !== usual.up) found.set("axes", `${state.right}|${state.up}`);
  if (state.outlines.join() !== usual.outlines.join()) found.set("outlines", state.outlines.join("|"));
  if (state.low !== null) found.set("low", state.low);
  if (state.high !== null) found.set("high", state.high);
  for (const key of Object.keys(OPTIONS)) if (state[key] !== usual[key]) found.set(key, state[key]);
  if (state.pins.length) found.set("pins", state.pins.map(pointText).join("|"));
  if (state.trial) found.set("trial", state.trial);
  if (state.hidden.length) found.set("hidden", state.hidden.join("|"));
  for (const key of ["time", "frequency", "lag"]) if (state[key]) found.set(key, rangeText(state[key]));
  if (state.even) found.set("even", "1");
  return `#${found}`;
}

// The state of an address; what it says wrongly keeps its default.
function readFragment(text) {
  const found = new URLSearchParams(text.replace(/^#/, ""));
  if (!found.has("show")) return false;
  Object.assign(state, defaults());
  const several = (key) => (found.get(key) || "").split("|").filter((name) => name !== "");
  if (byName.has(found.get("show"))) state.statistic = found.get("show");
  if (found.has("of")) state.sources = several("of");
  if (several("minus").length === 2) state.minus = several("minus");
  const [right, up] = several("axes");
  if (axisOf.has(right) && axisOf.has(up) && right !== up) Object.assign(state, { right, up });
  if (found.has("outlines")) state.outlines = several("outlines");
  for (const key of ["low", "high"]) if (found.has(key) && Number.isFinite(Number(found.get(key)))) state[key] = Number(found.get(key));
  for (const [key, values] of Object.entries(OPTIONS)) if (values.includes(found.get(key))) state[key] = found.get(key);
  state.point = pointFrom(found.get("at")) || state.point;
  state.pins = several("pins").map(pointFrom).filter((point) => point).slice(0, MOST_PINS);
  state.trial = Math.max(0, Math.trunc(Number(found.get("trial"))) || 0);
  state.hidden = several("hidden");
  for (const key of ["time", "frequency", "lag"]) state[key] = rangeFrom(found.get(key));
  state.even = found.get("even") === "1";
  return true;
}

// Make the state one that can be shown.
function settle() {
  const statistic = byName.get(state.statistic);
  const known = state.sources.filter((source) => statistic.sources.includes(source));
  state.shownSources = known.length ? known : statistic.sources.slice(0, 3);
  const pair = state.minus && state.minus.every((source) => statistic.sources.includes(source)) && state.minus[0] !== state.minus[1];
  state.shownMinus = pair ? state.minus : null;
}

let renderers = {};
function update(changes, ...parts) {
  Object.assign(state, changes);
  settle();
  history.replaceState(null, "", fragment());
  for (const part of parts.length ? parts : ["maps", "slices", "point"]) renderers[part]();
}

const symbolOf = (axis) => axes[axisOf.get(axis)].symbol;
const whereText = (point) => point.map((i, k) => `${axes[k].symbol} = ${axes[k].texts[i]}`).join(", ");
// The point of the grid at a column and row of the plane shown.
function pointAt(column, row) {
  const point = [...state.point];
  point[axisOf.get(state.right)] = column;
  point[axisOf.get(state.up)] = row;
  return point;
}
const samePoint = (a, b) => a.every((i, k) => i === b[k]);
