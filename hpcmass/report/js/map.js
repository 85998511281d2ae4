// Maps: one statistic of one source, or of a difference, over the plane of two axes.
const LOW_RHO = 0.5;
const narrow = matchMedia("(max-width: 760px)");
let activeMap = 0;  // on a narrow screen only this one is shown

const planeShape = () => [shape[axisOf.get(state.right)], shape[axisOf.get(state.up)]];
const isPlane = () => planeShape().every((n) => n > 1);

// What the maps show: a source each, then the difference.
function views() {
  const statistic = byName.get(state.statistic);
  const found = state.shownSources.map((source) => ({ statistic, source, title: source }));
  if (state.shownMinus) found.push({ statistic, minus: state.shownMinus, title: state.shownMinus.join(` ${MINUS} `) });
  return found;
}

function viewValue(view, flat) {
  if (!view.minus) return valueOf(view.statistic.name, view.source, flat);
  const [a, b] = view.minus.map((source) => valueOf(view.statistic.name, source, flat));
  return a - b;
}

function viewGap(view, flat) {
  const sources = view.minus || [view.source];
  const lacking = sources.find((source) => !Number.isFinite(valueOf(view.statistic.name, source, flat)));
  const reason = gapOf(view.statistic, lacking || sources[0], flat);
  return view.minus ? `${lacking}: ${reason}` : reason;
}

function planeFlats() {
  const [columns, rows] = planeShape();
  return Array.from({ length: columns * rows }, (_, i) => flatOf(pointAt(i % columns, Math.floor(i / columns))));
}

// The colour scale of a view: one for all sources of the statistic, so that maps can be compared.
function scaleOf(view) {
  const statistic = view.statistic;
  const signed = Boolean(view.minus) || statistic.kind === "signed";
  const palette = signed ? "signed" : statistic.kind;
  const sources = view.minus ? [null] : statistic.sources;
  const values = planeFlats().flatMap((flat) =>
    sources.map((source) => viewValue(source ? { statistic, source } : view, flat)));
  let log = !signed && (state.scale === "log" || (state.scale === "auto" && statistic.log));
  if (log && !values.some((v) => v > 0)) log = false;
  let [low, high] = fittingLimits(statistic, values, signed, log);
  if (!view.minus) {
    if (state.low !== null && (!log || state.low > 0)) low = state.low;
    if (state.high !== null && (!log || state.high > 0)) high = state.high;
    if (!(high > low)) high = low + (Math.abs(low) || 1) * 1e-3;
  }
  return new ColourScale(low, high, log, palette);
}

// Labels of one side that do not collide: every k-th one, upright where the cells are narrow.
function sideLabels(texts, step, across) {
  const longest = Math.max(...texts.map((text) => text.length)) * 6.4;
  const upright = across && longest + 8 > step && step >= 13;
  const needed = across ? (upright ? 13 : longest + 8) : 13;
  const every = Math.max(1, Math.ceil(needed / step));
  return { upright, longest, shown: texts.map((_, k) => k).filter((k) => k % every === 0) };
}

function geometry(width) {
  const [columns, rows] = planeShape();
  const [right, up] = [axes[axisOf.get(state.right)], axes[axisOf.get(state.up)]];
  const left = 34 + Math.max(...up.texts.map((text) => text.length)) * 6.4;
  const room = Math.max(120, width - left - 18);
  const cw = Math.max(8, Math.min(room / columns, 84));
  const tall = narrow.matches ? 340 : 400;
  const ch = Math.max(14, Math.min(tall / rows, 84, Math.max(cw * 2.2, 40)));
  const across = sideLabels(right.texts, cw, true);
  const foot = across.upright ? across.longest + 12 : 20;
  return {
    columns, rows, right, up, left, cw, ch, across, upward: sideLabels(up.texts, ch, false), top: 6, foot,
    width: left + columns * cw + 14, bottom: 6 + rows * ch,
    x: (c) => Math.round(100 * (left + (c + 0.5) * cw)) / 100,
    y: (r) => Math.round(100 * (6 + (rows - r - 0.5) * ch)) / 100,
  };
}

function isDimmed(view, flat) {
  const name = view.statistic.name;
  if (!view.source || !isModel(view.source)) return name === "peak_frequency" && Math.abs(viewValue(view, flat) - data.settings.lowest_hz) < 1e-6;
  if (name === "lag") return valueOf("rho", view.source, flat) < LOW_RHO;
  return name === "peak_frequency" && Math.abs(viewValue(view, flat) - data.settings.lowest_hz) < 1e-6;
}

function isPartlyDiverged(view, flat) {
  if (!view.source || !isModel(view.source)) return false;
  const n = valueOf("n_diverged", view.source, flat);
  return n > 0 && n < ofNetwork("n_compared", flat);
}

function drawMap(view, key, width) {
  const g = geometry(width);
  const scale = scaleOf(view);
  const side = (Math.min(g.cw, g.ch));
  let cells = "", marks = "";
  for (let i = 0; i < g.columns * g.rows; i++) {
    const [c, r] = [i % g.columns, Math.floor(i / g.columns)];
    const flat = flatOf(pointAt(c, r));
    const value = viewValue(view, flat);
    const box = `x="${g.x(c - 0.5)}" y="${g.y(r + 0.5)}" width="${g.cw.toFixed(2)}" height="${g.ch.toFixed(2)}"`;
    if (!Number.isFinite(value)) {
      cells += `<rect data-i="${i}" ${box} fill="url(#hatch-${hatchOf(viewGap(view, flat))})"/>`;
      continue;
    }
    const colour = scale.colour(value);
    cells += `<rect data-i="${i}" ${box} fill="${css(colour)}"/>`;
    if (scale.palette === "signed" && value < 0) {
      const half = Math.min(4, side / 5);
      marks += `<path class="sign" d="M${g.x(c) - half} ${g.y(r)}h${2 * half}" stroke="${isDark(colour) ? "#fff" : "#000"}"/>`;
    }
    if (isDimmed(view, flat)) marks += `<rect ${box} fill="url(#hatch-dim)"/>`;
    if (isPartlyDiverged(view, flat)) {
      const h = Math.min(4, side / 4);
      marks += `<path class="crossed" d="M${g.x(c) - h} ${g.y(r) - h}l${2 * h} ${2 * h}m0 ${-2 * h}l${-2 * h} ${2 * h}"/>`;
    }
  }
  for (const outline of outlinesOf(view.source)) {
    if (state.outlines.includes(outline.key)) marks += outlineMarks(outline, view.source, g.columns, g.rows, g.x, g.y, side);
  }
  state.pins.forEach((pin, k) => {
    const [c, r] = [pin[axisOf.get(state.right)], pin[axisOf.get(state.up)]];
    if (samePoint(pin, pointAt(c, r))) marks += cursor(g, c, r, POINT_COLOURS[k + 1], "pin");
  });
  const [c, r] = [state.point[axisOf.get(state.right)], state.point[axisOf.get(state.up)]];
  marks += cursor(g, c, r, state.pins.length ? POINT_COLOURS[0] : "#fff", "cursor");
  const bar = colourBar(g, scale, view, key);
  return `<svg class="map" width="${Math.ceil(g.width)}" height="${Math.ceil(g.bottom + g.foot + 62)}" role="presentation">
<g class="cells">${cells}</g><g class="marks">${marks}<rect class="here" visibility="hidden" width="${g.cw}" height="${g.ch}"/></g>${labels(g)}${bar}</svg>`;
}

function cursor(g, c, r, colour, name) {
  const box = `x="${g.x(c - 0.5)}" y="${g.y(r + 0.5)}" width="${g.cw}" height="${g.ch}"`;
  return `<rect class="${name}-halo" ${box}/><rect class="${name}" ${box} stroke="${colour}"/>`;
}

const hatchOf = (reason) => {
  if (reason.includes("not requested")) return "blank";
  if (reason.includes("not computed") || reason.includes("not compared")) return "dots";
  if (reason.includes("failed")) return "plus";
  if (reason.includes("silent")) return "rise";
  return reason.includes("diverged") ? "cross" : "none";
};

function labels(g) {
  const foot = g.y(-0.5);
  const across = g.across.shown.map((k) => g.across.upright
    ? `<text transform="translate(${g.x(k) + 4} ${foot + 6}) rotate(-90)" text-anchor="end">${g.right.texts[k]}</text>`
    : `<text x="${g.x(k)}" y="${foot + 15}" text-anchor="middle">${g.right.texts[k]}</text>`);
  const up = g.upward.shown.map((k) => `<text x="${g.left - 6}" y="${g.y(k) + 4}" text-anchor="end">${g.up.texts[k]}</text>`);
  const middle = (g.x(-0.5) + g.x(g.columns - 0.5)) / 2;
  const name = (axis) => escaped(g.width < 240 ? axis.symbol : axis.label);
  const height = g.bottom - g.top;
  return `${across.join("")}${up.join("")}<text class="side" x="${middle}" y="${foot + g.foot + 13}" text-anchor="middle">${name(g.right)}</text>
<text class="side" transform="translate(12 ${(g.top + g.bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(g.up.label.length * 6.4 > height ? g.up.symbol : g.up.label)}</text>`;
}

function colourBar(g, scale, view, key) {
  const [x0, y0] = [g.left, g.bottom + g.foot + 24];
  const width = Math.max(120, Math.min(300, g.columns * g.cw));
  const stops = Array.from({ length: 17 }, (_, k) => `<stop offset="${k / 16}" stop-color="${css(colourAt(scale.palette, k / 16))}"/>`);
  let last = -Infinity;
  const ticks = scale.ticks().filter((v) => {
    const x = width * scale.fraction(v);
    const half = written(v, 3).length * 3.2 + 3;
    if (x < -0.5 || x > width + 0.5 || x - half < last) return false;
    last = x + half;
    return true;
  }).map((v) => {
    const x = x0 + width * scale.fraction(v);
    return `<path class="axis" d="M${x} ${y0 + 10}v4"/><text x="${x}" y="${y0 + 25}" text-anchor="middle">${escaped(written(v, 3))}</text>`;
  });
  return `<defs><linearGradient id="bar-${key}">${stops.join("")}</linearGradient></defs><rect x="${x0}" y="${y0}" width="${width}" height="10" fill="url(#bar-${key})"/>${ticks.join("")}`;
}

const unitOf = (statistic) => (statistic.unit ? ` (${statistic.unit})` : "");

function renderMaps() {
  const host = byId("maps");
  const shown = views();
  byId("map-title").textContent = isPlane() ? "" : "This plane is a line: see the plots of the axis.";
  byId("statistic-text").textContent = `${byName.get(state.statistic).text}${unitOf(byName.get(state.statistic))}`;
  host.hidden = !isPlane();
  byId("explorer").classList.toggle("lines-only", !isPlane());
  byId("explorer").classList.toggle("many", shown.length > 2);
  activeMap = Math.min(activeMap, shown.length - 1);
  while (host.children.length > shown.length) host.lastChild.remove();
  while (host.children.length < shown.length) host.append(makeMapHost(host.children.length));
  renderTabs(shown);
  if (!isPlane()) return;
  const room = host.clientWidth || 600;
  let across = narrow.matches ? 1 : Math.max(1, Math.min(shown.length, Math.floor(room / 320)));
  while (across > 1 && geometry((room - 16 * (across - 1)) / across).cw < 12) across--;
  const width = (room - 16 * (across - 1)) / across - 2;
  shown.forEach((view, k) => {
    const figure = host.children[k];
    figure.hidden = narrow.matches && k !== activeMap;
    figure.querySelector("figcaption").textContent = `${view.title}: ${view.statistic.label}${unitOf(view.statistic)}`;
    const box = figure.querySelector(".map-box");
    box.dataset.map = view.minus ? "minus" : view.source;
    box.setAttribute("aria-label", `map, ${view.title}, ${view.statistic.label}: arrow keys move, Enter shows the point`);
    box.innerHTML = drawMap(view, k, width);
  });
  renderMapLegend(shown);
}

// What the lines, hatches and marks on the maps mean.
function renderMapLegend(shown) {
  const entries = new Map();
  for (const view of shown) {
    for (const outline of outlinesOf(view.source)) {
      if (!state.outlines.includes(outline.key)) continue;
      const base = outline.key.endsWith("_bh") ? OUTLINES[OUTLINES.indexOf(outline) - 1].label : "";
      entries.set(outline.key, [swatch({ colour: outline.colour, dashes: outline.dash }, true), base ? `${base}: Benjamini–Hochberg` : outline.label]);
    }
    for (const flat of planeFlats()) {
      if (!Number.isFinite(viewValue(view, flat))) {
        const reason = viewGap(view, flat).replace(/^[^:]*: /, "");
        entries.set(reason, [patch(hatchOf(reason)), reason]);
      } else if (isDimmed(view, flat)) {
        entries.set("dimmed", [patch("dim"), dimmedText(view)]);
      } else if (isPartlyDiverged(view, flat)) {
        entries.set("crossed", [cross(), "model diverged in some of the trials"]);
      }
    }
  }
  byId("map-legend").replaceChildren(...[...entries.values()].map(([mark, text]) => element("li", {}, mark, element("span", { class: "text" }, text))));
}

const dimmedText = (view) => (view.statistic.name === "lag" ? `ρ < ${LOW_RHO}: the lag means little` : "most power at the lowest frequency: no peak");

function drawn(content, white) {
  const made = element("span", { class: white ? "swatch white" : "swatch", "aria-hidden": "true" });
  made.innerHTML = `<svg width="30" height="12">${content}</svg>`;
  return made;
}
const swatch = (style, white) => drawn(`<path class="curve" style="--curve:${style.colour}" stroke-width="2" stroke-dasharray="${style.dashes || "none"}" d="M1 6H29"/>`, white);
const patch = (hatch) => drawn(`<rect x="1" width="28" height="12" fill="url(#hatch-${hatch})"/>`);
const cross = () => drawn('<path class="crossed" d="M11 2l8 8m0 -8l-8 8"/>', true);

function renderTabs(shown) {
  const host = byId("map-tabs");
  host.hidden = !narrow.matches || shown.length < 2 || !isPlane();
  host.replaceChildren(...shown.map((view, k) => {
    const button = element("button", { type: "button", "aria-pressed": String(k === activeMap) }, view.title);
    button.addEventListener("click", () => { activeMap = k; renderMaps(); });
    return button;
  }));
}
