// The page's numbers: statistics of every point as 64-bit numbers, curves as lines of 16-bit ones.
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const MISSING = -32768;
const NETWORK = data.network;
const axes = data.axes;
const axisOf = new Map(axes.map((axis, k) => [axis.name, k]));
const shape = axes.map((axis) => axis.values.length);
const size = shape.reduce((product, n) => product * n, 1);
const strides = shape.map((_, k) => shape.slice(k + 1).reduce((product, n) => product * n, 1));
const byName = new Map(data.statistics.map((statistic) => [statistic.name, statistic]));

function bytesOf(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let k = 0; k < letters.length; k++) bytes[k] = letters.charCodeAt(k);
  return bytes;
}

let numbers = new Float64Array(bytesOf(byId("numbers").textContent.trim()).buffer);
{
  let start = 0;
  for (const statistic of data.statistics) {
    statistic.start = start;
    start += statistic.sources.length * size;
  }
}

const flatOf = (index) => index.reduce((sum, i, k) => sum + i * strides[k], 0);
const indexOf = (flat) => strides.map((stride, k) => Math.floor(flat / stride) % shape[k]);

// A statistic of the network or a model at a point; NaN where there is none.
function valueOf(name, source, flat) {
  const statistic = byName.get(name);
  if (!statistic) return NaN;
  const place = statistic.sources.indexOf(source);
  return place < 0 ? NaN : numbers[statistic.start + place * size + flat];
}

const ofNetwork = (name, flat) => valueOf(name, NETWORK, flat);
const isModel = (source) => source !== NETWORK;

// Standard error, as the ends of a bar: that of ρ is of Fisher's z.
function errorBar(statistic, source, flat) {
  const value = valueOf(statistic.name, source, flat);
  const error = statistic.se ? valueOf(statistic.se, source, flat) : NaN;
  if (!Number.isFinite(error) || !Number.isFinite(value)) return null;
  if (statistic.name !== "rho") return [value - error, value + error];
  const z = valueOf("rho_z", source, flat);
  return [Math.tanh(z - error), Math.tanh(z + error)];
}

// Why there is no value.
function gapOf(statistic, source, flat) {
  if (data.requested && !data.requested[flat]) return "not requested";
  if (!data.done[flat]) return data.failed[flat] ? "network run failed" : "not computed yet";
  const compared = ofNetwork("n_compared", flat);
  if (!(compared > 0)) return "not compared yet";
  if (isModel(source) && valueOf("n_diverged", source, flat) >= compared) return "model diverged in every trial";
  if (isModel(source) && valueOf("n_diverged", source, flat) > 0) return "model diverged in some of the trials";
  if (ofNetwork("silent", flat) === 1) return "network silent";
  if (statistic.name.startsWith("rate_")) return "no neurons of this kind";
  if (statistic.name.startsWith("cv_isi")) return "too few spikes a neuron";
  if (statistic.group === "Standard errors") return "needs two trials";
  return "not defined";
}

// Curves ----------------------------------------------------------------------------------------------------------

// Lines of equal length, one a point; those that have changed since are in `newer`.
const lineReader = (id) => {
  const text = byId(id).textContent.trim();
  const length = text.indexOf("\n") < 0 ? text.length : text.indexOf("\n");
  const newer = new Map();
  const read = (flat) => newer.get(flat) ?? text.slice(flat * (length + 1), flat * (length + 1) + length);
  return [read, newer];
};
const [traceLine, newTraces] = lineReader("traces");
const [spectrumLine, newSpectra] = lineReader("spectra");

function unpacked(line, scales, first, rows) {
  const bytes = bytesOf(line);
  const view = new DataView(bytes.buffer);
  const n = bytes.length / 2 / rows;
  return Array.from({ length: rows }, (_, row) => {
    const [offset, scale] = [scales[2 * (first + row)], scales[2 * (first + row) + 1]];
    return Float64Array.from({ length: n }, (_, k) => {
      const whole = view.getInt16(2 * (row * n + k), true);
      return whole === MISSING ? NaN : offset + scale * whole;
    });
  });
}

const remembered = new Map();
function remember(key, make) {
  if (!remembered.has(key)) {
    if (remembered.size > 40) remembered.clear();
    remembered.set(key, make());
  }
  return remembered.get(key);
}

const sampleTimes = Float64Array.from({ length: data.curves.samples }, (_, k) => data.curves.start + k * data.curves.step);

// Name of a series → its samples, for one of the trials of a point that the page has; null without it.
function tracesOf(flat, slot) {
  if (slot >= data.curves.trials[flat].length) return null;
  const { series, further, further_trials: trials } = data.curves;
  const each = series.length + trials * further.length;
  const rows = remember(`t${flat}`, () => unpacked(traceLine(flat), data.curves.scales, flat * each, each));
  if (slot === 0) return new Map(series.map((name, k) => [name, rows[k]]));
  const first = series.length + further.length * (slot - 1);
  return slot > trials ? null : new Map(further.map((name, k) => [name, rows[first + k]]));
}

// Decades of the power densities: the network, the models, the network's standard error.
function spectraOf(flat) {
  const each = data.curves.spectrum_scales.length / 2 / size;
  return remember(`s${flat}`, () => unpacked(spectrumLine(flat), data.curves.spectrum_scales, flat * each, each));
}
