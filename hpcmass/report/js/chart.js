// Line plots: axes, curves, error bars, bands; ranges chosen by dragging, wheel, buttons or keys.
const CHART = { left: 58, right: 12, top: 8, foot: 36 };

class Chart {
  // `zoom`: called with the range chosen, or null for all of it; without it the range is fixed.
  constructor(host, label, height, zoom) {
    Object.assign(this, { host, label, height, zoom });
    host.classList.add("chart-box");
    if (!zoom) return;
    host.tabIndex = 0;
    host.setAttribute("role", "application");
    host.setAttribute("aria-label", `${label}: plus and minus zoom, arrow keys move, 0 shows all`);
    this.listen();
  }

  // spec: { x: {label, low, high, log, view, ticks}, y: {label, log, zero, limits}, curves, bands, marks, dots }
  draw(spec) {
    this.spec = spec;
    const width = Math.max(260, this.host.clientWidth || 600);
    const { x } = spec;
    const [low, high] = x.view || [x.low, x.high];
    const forward = x.log ? Math.log10 : (v) => v;
    const inner = width - CHART.left - CHART.right;
    this.scaleX = (v) => CHART.left + inner * (forward(v) - forward(low)) / (forward(high) - forward(low) || 1);
    this.invertX = (px) => {
      const at = forward(low) + (px - CHART.left) / inner * (forward(high) - forward(low));
      return x.log ? 10 ** at : at;
    };
    Object.assign(this, { width, low, high });
    const [bottom, top] = this.limits(low, high);
    const tall = this.height - CHART.top - CHART.foot;
    const level = spec.y.log ? Math.log10 : (v) => v;
    const toY = (v) => CHART.top + tall * (1 - (level(v) - level(bottom)) / (level(top) - level(bottom)));
    const clampY = (v) => Math.max(-4000, Math.min(8000, toY(v)));
    const id = this.host.id;
    let body = "";
    for (const band of spec.bands || []) body += this.band(band, clampY);
    for (const curve of spec.curves) body += this.curve(curve, clampY);
    for (const dots of spec.dots || []) body += this.dots(dots, toY);
    let marks = "";
    for (const mark of spec.marks || []) {
      if (!(mark.x >= low && mark.x <= high)) continue;
      marks += `<path class="mark" d="M${this.scaleX(mark.x).toFixed(1)} ${CHART.top}v${tall}" ${mark.colour ? `style="stroke:${mark.colour}"` : ""}/>`;
    }
    this.host.innerHTML = `<svg class="chart" width="${width}" height="${this.height}" role="img" aria-label="${escaped(this.label)}"><defs><clipPath id="clip-${id}"><rect x="${CHART.left}" y="${CHART.top}" width="${inner}" height="${tall}"/></clipPath></defs>${this.frame(bottom, top, toY, tall, inner)}<g clip-path="url(#clip-${id})">${marks}${body}</g><rect class="selection" y="${CHART.top}" height="${tall}" visibility="hidden"/></svg>`;
  }

  limits(low, high) {
    const { y, curves, bands } = this.spec;
    if (y.limits) return y.limits;
    let [bottom, top] = [Infinity, -Infinity];
    const take = (v) => { if (Number.isFinite(v) && (!y.log || v > 0)) { bottom = Math.min(bottom, v); top = Math.max(top, v); } };
    for (const curve of [...curves, ...(bands || [])]) {
      for (let k = 0; k < curve.x.length; k++) {
        if (curve.x[k] < low || curve.x[k] > high) continue;
        for (const values of [curve.y, curve.low, curve.high]) if (values) take(values[k]);
      }
    }
    if (!Number.isFinite(bottom)) return y.log ? [0.1, 1] : [0, 1];
    if (y.log) {
      bottom = Math.max(bottom, top * 1e-8);
      return top > bottom * 1.01 ? [bottom / 1.3, top * 1.3] : [bottom / 3, top * 3];
    }
    if (y.zero && bottom > 0) bottom = 0;
    const room = (top - bottom) * 0.05 || Math.abs(top) * 0.1 || 1;
    return [y.zero && bottom === 0 ? 0 : bottom - room, top + room];
  }

  frame(bottom, top, toY, tall, inner) {
    const { x, y } = this.spec;
    const foot = CHART.top + tall;
    let drawn = "";
    const ticksX = x.ticks || (x.log ? logTicks(this.low, this.high, Math.max(3, inner / 60)) : niceTicks(this.low, this.high, Math.max(2, inner / 80))).map((v) => [v, written(v, 6)]);
    let last = -Infinity;
    for (const [value, text] of ticksX) {
      const px = this.scaleX(value);
      if (px < CHART.left - 1 || px > CHART.left + inner + 1) continue;
      drawn += `<path class="grid" d="M${px.toFixed(1)} ${CHART.top}v${tall}"/>`;
      const half = text.length * 3.3 + 4;
      if (px - half < last) continue;
      last = px + half;
      drawn += `<text x="${px.toFixed(1)}" y="${foot + 15}" text-anchor="middle">${escaped(text)}</text>`;
    }
    for (const value of y.log ? logTicks(bottom, top, 6) : niceTicks(bottom, top, Math.max(2, tall / 36))) {
      const py = toY(value);
      if (y.blank) continue;
      drawn += `<path class="grid" d="M${CHART.left} ${py.toFixed(1)}h${inner}"/><text x="${CHART.left - 6}" y="${(py + 4).toFixed(1)}" text-anchor="end">${escaped(written(value, 6))}</text>`;
    }
    for (const [value, text] of y.ticks || []) drawn += `<text x="${CHART.left - 6}" y="${(toY(value) + 4).toFixed(1)}" text-anchor="end">${escaped(text)}</text>`;
    const middle = CHART.top + tall / 2;
    return `${drawn}<path class="axis" d="M${CHART.left} ${CHART.top}v${tall}h${inner}"/><text class="side" x="${CHART.left + inner / 2}" y="${foot + 31}" text-anchor="middle">${escaped(x.label)}</text><text class="side" transform="translate(11 ${middle}) rotate(-90)" text-anchor="middle">${escaped(y.label)}</text>`;
  }

  curve(curve, toY) {
    const n = curve.x.length;
    let d = "", pen = false, bars = "", dots = "";
    const [from, to] = [this.low - (this.high - this.low) * 0.02, this.high + (this.high - this.low) * 0.02];
    for (let k = 0; k < n; k++) {
      const [x, y] = [curve.x[k], curve.y[k]];
      const there = Number.isFinite(y) && (!this.spec.y.log || y > 0);
      if (!there || (n > 60 && (x < from || x > to))) { pen = false; continue; }
      const [px, py] = [this.scaleX(x).toFixed(1), toY(y).toFixed(1)];
      d += `${pen ? "L" : "M"}${px} ${py}`;
      pen = true;
      if (curve.low && Number.isFinite(curve.low[k])) bars += `M${px} ${toY(curve.low[k]).toFixed(1)}V${toY(curve.high[k]).toFixed(1)}m-3 0h6M${px} ${toY(curve.low[k]).toFixed(1)}m-3 0h6`;
      if (curve.points) dots += `<circle cx="${px}" cy="${py}" r="3" class="dot" style="--curve:${curve.colour}"/>`;
    }
    const style = `style="--curve:${curve.colour}" stroke-width="${curve.width || 1.4}"`;
    const values = curve.points ? ` data-y="${curve.y.join(" ")}"` : "";
    return `<g data-curve="${escaped(curve.name)}"${values}><path class="curve" ${style} stroke-dasharray="${curve.dashes || "none"}" d="${d}"/>${bars ? `<path class="curve" style="--curve:${curve.colour}" stroke-width="1.1" d="${bars}"/>` : ""}${dots}</g>`;
  }

  band(band, toY) {
    let [there, back] = ["", ""];
    for (let k = 0; k < band.x.length; k++) {
      if (!Number.isFinite(band.low[k]) || !Number.isFinite(band.high[k])) continue;
      const px = this.scaleX(band.x[k]).toFixed(1);
      there += `${there ? "L" : "M"}${px} ${toY(band.high[k]).toFixed(1)}`;
      back = `L${px} ${toY(band.low[k]).toFixed(1)}${back}`;
    }
    return there ? `<path class="band" data-band="${escaped(band.name)}" style="--curve:${band.colour}" d="${there}${back}Z"/>` : "";
  }

  dots(dots, toY) {
    let d = "";
    for (let k = 0; k < dots.x.length; k++) {
      if (dots.x[k] < this.low || dots.x[k] > this.high) continue;
      d += `M${this.scaleX(dots.x[k]).toFixed(1)} ${toY(dots.y[k] + 0.4).toFixed(1)}V${toY(dots.y[k] - 0.4).toFixed(1)}`;
    }
    return `<path class="curve" style="--curve:${dots.colour}" stroke-width="1" d="${d}"/>`;
  }

  // Values of all curves at the place of the pointer.
  readout(px) {
    const at = this.invertX(px);
    const lines = [`${this.spec.x.label.replace(/ \(.*/, "")} ${written(at, 4)}`];
    for (const curve of this.spec.curves) {
      let best = -1;
      for (let k = 0; k < curve.x.length; k++) if (best < 0 || Math.abs(curve.x[k] - at) < Math.abs(curve.x[best] - at)) best = k;
      if (best >= 0 && Number.isFinite(curve.y[best])) {
        const bar = curve.low && Number.isFinite(curve.low[best]) ? ` (${written(curve.low[best])} … ${written(curve.high[best])})` : "";
        lines.push(`${curve.name}: ${written(curve.y[best])}${bar}`);
      }
    }
    return lines;
  }

  // Another range: `factor` < 1 is a closer one, `shift` in widths.
  change(factor, shift = 0, at = null) {
    const { x } = this.spec;
    const [forward, backward] = x.log ? [Math.log10, (v) => 10 ** v] : [(v) => v, (v) => v];
    const [a, b, least, most] = [this.low, this.high, x.low, x.high].map(forward);
    const centre = at === null ? (a + b) / 2 : forward(at);
    let width = Math.min((b - a) * factor, most - least);
    if (width < (most - least) / 500) width = (most - least) / 500;
    let start = centre - (centre - a) * (width / (b - a)) + shift * width;
    start = Math.max(least, Math.min(start, most - width));
    this.select(backward(start), backward(start + width));
  }

  select(low, high) {
    const { x } = this.spec;
    const all = low <= x.low * (1 + 1e-9 * Math.sign(x.low)) && high >= x.high * (1 - 1e-9 * Math.sign(x.high));
    this.zoom(all ? null : [low, high]);
  }

  listen() {
    const { host } = this;
    const place = (event) => event.clientX - host.getBoundingClientRect().left;
    let start = null;
    host.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      start = { px: place(event), low: this.low, high: this.high, touch: event.pointerType === "touch" };
      if (!start.touch) host.setPointerCapture(event.pointerId);
    });
    host.addEventListener("pointermove", (event) => {
      const px = place(event);
      if (start && !start.touch && Math.abs(px - start.px) > 3) {
        const rect = host.querySelector(".selection");
        rect.setAttribute("x", Math.min(px, start.px));
        rect.setAttribute("width", Math.abs(px - start.px));
        rect.setAttribute("visibility", "visible");
      }
      if (event.pointerType !== "touch" && px > CHART.left && px < this.width - CHART.right) showTip(this.readout(px), event.clientX, event.clientY);
    });
    host.addEventListener("pointerup", (event) => {
      const from = start;
      start = null;
      if (!from) return;
      const px = place(event);
      if (from.touch) {
        if (Math.abs(px - from.px) > 12) this.change(1, (from.px - px) / (this.width - CHART.left - CHART.right));
      } else if (Math.abs(px - from.px) > 6) {
        const clamp = (v) => Math.max(CHART.left, Math.min(this.width - CHART.right, v));
        const [a, b] = [this.invertX(clamp(Math.min(px, from.px))), this.invertX(clamp(Math.max(px, from.px)))];
        if (b > a) this.select(a, b);
      }
    });
    host.addEventListener("pointercancel", () => { start = null; });
    host.addEventListener("pointerleave", hideTip);
    host.addEventListener("dblclick", () => this.zoom(null));
    host.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== host) return;
      event.preventDefault();
      this.change(event.deltaY > 0 ? 1.25 : 0.8, 0, this.invertX(place(event)));
    }, { passive: false });
    host.addEventListener("keydown", (event) => {
      const keys = { "+": [0.5, 0], "=": [0.5, 0], "-": [2, 0], ArrowLeft: [1, -0.25], ArrowRight: [1, 0.25] };
      if (event.key in keys) this.change(...keys[event.key]);
      else if (event.key === "0" || event.key === "Home" || event.key === "Escape") this.zoom(null);
      else return;
      event.preventDefault();
    });
  }
}

// Buttons for a chart's range.
function zoomButtons(chart) {
  const bar = element("div", { class: "zoom", role: "group", "aria-label": `range of ${chart.label}` });
  const actions = [["+", "zoom in", () => chart.change(0.5)], [MINUS, "zoom out", () => chart.change(2)],
    ["‹", "earlier", () => chart.change(1, -0.25)], ["›", "later", () => chart.change(1, 0.25)], ["all", "show all", () => chart.zoom(null)]];
  for (const [text, title, act] of actions) {
    const button = element("button", { type: "button", title, "aria-label": `${title}, ${chart.label}` }, text);
    button.addEventListener("click", act);
    bar.append(button);
  }
  return bar;
}
