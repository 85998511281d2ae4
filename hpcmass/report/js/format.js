// Numbers as text, ticks, and the colours of values.
const MINUS = "−";
const typographic = (text) => text.replace(/^-/, MINUS).replace("e-", `e${MINUS}`).replace("e+", "e");

function written(value, digits = 4) {
  if (!Number.isFinite(value)) return "–";
  const magnitude = Math.abs(value);
  const plain = magnitude === 0 || (magnitude >= 1e-3 && magnitude < 1e6);
  return typographic(plain ? String(Number(value.toPrecision(digits))) : String(Number(value.toPrecision(3)).toExponential()));
}

// A value with its standard error, to the error's two digits.
function plusMinus(value, error) {
  if (!Number.isFinite(error)) return written(value);
  if (error === 0) return `${written(value)} ± 0`;
  const decimals = 1 - Math.floor(Math.log10(error));
  if (decimals > 6 || decimals < -3 || Math.abs(value) >= 1e6) return `${written(value)} ± ${written(error, 2)}`;
  const shown = Math.max(0, decimals);
  return `${typographic(value.toFixed(shown))} ± ${error.toFixed(shown)}`;
}

function niceTicks(low, high, most = 6) {
  if (!(high > low)) return [low];
  const raw = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((s) => s >= raw * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

// Of a logarithmic scale (both ends positive): 1, 2, 5 times powers of ten, or some powers alone.
function logTicks(low, high, most = 8) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  if (high / low < 8) return niceTicks(low, high, 4).filter((v) => v > 0);
  for (const digits of [[1, 2, 5], [1, 3], [1]]) {
    for (let every = 1; every < 9; every++) {
      if (every > 1 && digits.length > 1) break;
      const ticks = [];
      for (let k = first; k <= last; k++) {
        if ((k - first) % every) continue;
        for (const d of digits) if (d * 10 ** k >= low * 0.999 && d * 10 ** k <= high * 1.001) ticks.push(d * 10 ** k);
      }
      if (ticks.length <= most) return ticks;
    }
  }
  return [low, high];
}

const hex = (text) => [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16));
const palettes = Object.fromEntries(Object.entries(data.palettes).map(([name, stops]) => [name, stops.map(hex)]));

function colourAt(palette, fraction) {
  const stops = palettes[palette];
  const place = Math.min(1, Math.max(0, fraction)) * (stops.length - 1);
  const k = Math.min(stops.length - 2, Math.floor(place));
  return stops[k].map((c, i) => Math.round(c + (place - k) * (stops[k + 1][i] - c)));
}

const css = (rgb) => `rgb(${rgb.join(",")})`;
const isDark = (rgb) => 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] < 130;

// Limits of a colour scale that fit some values (NaN are left out).
function fittingLimits(statistic, values, signed, log) {
  let finite = values.filter(Number.isFinite);
  if (signed) {
    const sizes = finite.map(Math.abs).sort((a, b) => a - b);
    const limit = sizes[Math.min(sizes.length - 1, Math.ceil(0.98 * (sizes.length - 1)))] || sizes[sizes.length - 1] || 1;
    return [-limit, limit];
  }
  if (log) finite = finite.filter((v) => v > 0);
  if (!finite.length) return log ? [0.1, 1] : [0, 1];
  let low = Infinity, high = -Infinity;
  for (const v of finite) [low, high] = [Math.min(low, v), Math.max(high, v)];
  if (statistic.kind === "correlation") return [Math.min(0, low), 1];
  if (statistic.flags.length) return [0, Math.max(1, statistic.flags.length - 1)];
  if (statistic.name === "spike_contrast" || statistic.group === "p- and q-values") return [0, 1];
  if (log) return high >= 10 * low ? [low, high] : [Math.sqrt(low * high / 10), Math.sqrt(low * high * 10)];
  if (low > 0 && low < 0.5 * high) low = 0;
  if (high - low <= 1e-9 * Math.abs(low)) high = low + Math.max(1, Math.abs(low) / 1000);
  return [low, high];
}

class ColourScale {
  constructor(low, high, log, palette) {
    Object.assign(this, { low, high, log, palette });
  }
  fraction(value) {
    if (this.log) return value > 0 ? Math.log(value / this.low) / Math.log(this.high / this.low) : 0;
    return (value - this.low) / (this.high - this.low);
  }
  colour(value) {
    return colourAt(this.palette, this.fraction(value));
  }
  ticks() {
    return this.log ? logTicks(this.low, this.high, 6) : niceTicks(this.low, this.high, 5);
  }
}

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => ESCAPES[c]);

// An HTML element with attributes and children.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}
