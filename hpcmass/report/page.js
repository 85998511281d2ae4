"use strict";
// Values on hover, a point's curves on a click, the arrow keys for those without a pointer. No library, no network.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const data = JSON.parse(document.getElementById("data").textContent);
  const columns = data.right.values.length;
  const rows = data.up.values.length;
  const tip = document.getElementById("tip");
  const spoken = document.getElementById("spoken");
  const maps = Array.from(document.querySelectorAll(".cells"));
  let chosen = null;

  const where = (i) =>
    `${data.right.symbol} = ${data.right.values[i % columns]}, ` +
    `${data.up.symbol} = ${data.up.values[Math.floor(i / columns)]}${data.fixed ? ", " + data.fixed : ""}`;

  function written(value) {
    if (value === null) return "–";
    const size = Math.abs(value);
    const text = size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
    return text.replace("-", "−");
  }

  function describe(key, i) {
    const map = data.maps[key];
    const value = map.values[i];
    const gap = map.gaps[i];
    const lines = [where(i), `${map.title}: ${value === null ? gap || "no value" : written(value)}`];
    if (map.label !== map.title) lines.push(map.label);
    for (const [text, inside] of map.notes) if (inside[i] === "1") lines.push("• " + text);
    return lines;
  }

  // Tip ---------------------------------------------------------------------------------------------------------

  function showTip(key, i, x, y) {
    tip.textContent = describe(key, i).join("\n");
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 4))}px`;
    tip.style.top = `${y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18}px`;
  }

  function hideTip() {
    tip.hidden = true;
  }

  // A point -----------------------------------------------------------------------------------------------------

  function choose(i) {
    chosen = i;
    for (const cells of maps) {
      const cursor = cells.parentNode.querySelector(".cursor");
      const cell = cells.children[i];
      cursor.setAttribute("x", cell.getAttribute("x"));
      cursor.setAttribute("y", cell.getAttribute("y"));
      cursor.setAttribute("visibility", "visible");
    }
    document.getElementById("point-title").textContent = where(i);
    drawCurves(i);
    listValues(i);
  }

  function listValues(i) {
    const table = document.createElement("table");
    let label = null;
    for (const map of Object.values(data.maps)) {
      const row = table.insertRow();
      const name = row.insertCell();
      name.textContent = map.label === label ? "" : map.label;
      label = map.label;
      row.insertCell().textContent = map.title === label ? "" : map.title;
      const value = row.insertCell();
      value.className = "n";
      value.textContent = map.values[i] === null ? map.gaps[i] || "–" : written(map.values[i]);
    }
    document.getElementById("values").replaceChildren(table);
  }

  function numbers(packed) {
    const bytes = Uint8Array.from(atob(packed.data), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Array.from({ length: bytes.length / 2 }, (_, k) => {
      const whole = view.getInt16(2 * k, true);
      return whole === -32768 ? NaN : packed.offset + packed.scale * whole;
    });
  }

  function drawCurves(i) {
    const place = document.getElementById("curves");
    const point = data.points[i];
    if (!point) {
      place.textContent = "Nothing was compared here.";
      return;
    }
    const traces = point.traces.map(numbers);
    const spectra = point.spectra.map(numbers);
    const time = traces[0].map((_, k) => point.start + k * point.step);
    const names = point.traces.map((trace) => trace.text);
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = "Mean ± sd: of all trials. Drawn: the first trial, standardised over the time shown.";
    place.replaceChildren(
      note,
      chart("potential, standardised over the time shown", time, traces, { x: "time (ms)", names }),
      chart("power density (mV²/Hz)", data.frequency.map(Math.log10), spectra, {
        x: "frequency (Hz)", names: data.series.map((s) => s.name), decades: true,
      }),
    );
  }

  // Charts ------------------------------------------------------------------------------------------------------

  const LEFT = 48, RIGHT = 8, TOP = 6, WIDTH = 430, HEIGHT = 150, FOOT = 32;

  function element(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function ticks(low, high) {
    const raw = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= raw);
    const found = [];
    for (let k = Math.ceil(low / step); k * step <= high + 1e-9 * step; k++) found.push(k * step);
    return found;
  }

  // With `decades` both axes are logarithms: ticks stand at whole powers of ten.
  function decadeTicks(low, high) {
    const every = Math.max(1, Math.ceil((high - low) / 6));
    const found = [];
    for (let k = Math.ceil(low); k <= high; k += every) found.push(k);
    return found;
  }

  function chart(label, x, curves, options) {
    const svg = element("svg", {
      class: "chart", viewBox: `0 0 ${LEFT + WIDTH + RIGHT} ${TOP + HEIGHT + FOOT + 15 * curves.length}`, role: "img",
      "aria-label": label,
    });
    const all = curves.flat().filter(Number.isFinite);
    let low = Math.min(...all), high = Math.max(...all);
    if (!all.length) [low, high] = [0, 1];
    if (options.decades) low = Math.max(low, Math.min(high - 8, ...curves[0].filter(Number.isFinite)));
    if (high - low < 1e-12) [low, high] = [low - 1, high + 1];
    const first = x[0], last = x.length > 1 ? x[x.length - 1] : x[0] + 1;
    const toX = (v) => LEFT + (WIDTH * (v - first)) / (last - first);
    const toY = (v) => TOP + HEIGHT - (HEIGHT * (Math.max(v, low) - low)) / (high - low);
    const mark = (v) => (options.decades ? (v >= 0 && v < 4 ? String(10 ** v) : `1e${v}`) : String(Number(v.toPrecision(6)))).replace("-", "−");
    const pick = options.decades ? decadeTicks : ticks;
    for (const v of pick(first, last)) {
      svg.append(element("path", { class: "grid", d: `M${toX(v)} ${TOP}v${HEIGHT}` }));
      svg.append(element("text", { x: toX(v), y: TOP + HEIGHT + 12, "text-anchor": "middle" }, mark(v)));
    }
    for (const v of pick(low, high)) {
      svg.append(element("path", { class: "grid", d: `M${LEFT} ${toY(v)}h${WIDTH}` }));
      svg.append(element("text", { x: LEFT - 4, y: toY(v) + 3, "text-anchor": "end" }, mark(v)));
    }
    svg.append(element("text", { x: LEFT + WIDTH / 2, y: TOP + HEIGHT + 25, "text-anchor": "middle", class: "side" }, options.x));
    svg.append(element("text", {
      transform: `translate(9 ${TOP + HEIGHT / 2}) rotate(-90)`, "text-anchor": "middle", class: "side",
    }, label.split(" over ")[0]));
    curves.forEach((curve, k) => {
      const { colour, dashes } = data.series[k];
      const stroke = {
        class: "curve", style: `--curve: ${colour || "var(--network)"}`, "stroke-width": k ? 1.3 : 2.4,
        "stroke-dasharray": dashes || "none",
      };
      let d = "";
      let pen = "M";
      curve.forEach((v, n) => {
        if (Number.isFinite(v)) d += `${pen}${toX(x[n]).toFixed(1)} ${toY(v).toFixed(1)}`;
        pen = Number.isFinite(v) ? "L" : "M";
      });
      if (d) svg.append(element("path", { ...stroke, d }));
      const y = TOP + HEIGHT + FOOT + 15 * k + 6;
      svg.append(element("path", { ...stroke, d: `M${LEFT} ${y}h28` }));
      svg.append(element("text", { x: LEFT + 34, y: y + 3 }, options.names[k]));
    });
    return svg;
  }

  // Pointer and keys --------------------------------------------------------------------------------------------

  for (const cells of maps) {
    const key = cells.dataset.map;
    const cellOf = (event) => (event.target.dataset.i === undefined ? null : Number(event.target.dataset.i));
    cells.addEventListener("pointermove", (event) => {
      const i = cellOf(event);
      if (i !== null) showTip(key, i, event.clientX, event.clientY);
    });
    cells.addEventListener("pointerleave", hideTip);
    cells.addEventListener("click", (event) => {
      const i = cellOf(event);
      if (i !== null) choose(i);
    });
    let active = null;
    const go = (i) => {
      active = i;
      const box = cells.children[i].getBoundingClientRect();
      showTip(key, i, box.right, box.bottom);
      spoken.textContent = describe(key, i).join("; ");
    };
    cells.addEventListener("keydown", (event) => {
      const at = active ?? chosen ?? 0;
      const [row, column] = [Math.floor(at / columns), at % columns];
      const moves = {
        ArrowRight: [row, column + 1], ArrowLeft: [row, column - 1], ArrowUp: [row + 1, column],
        ArrowDown: [row - 1, column], Home: [row, 0], End: [row, columns - 1],
      };
      if (event.key in moves) {
        const [r, c] = moves[event.key];
        go(Math.min(Math.max(r, 0), rows - 1) * columns + Math.min(Math.max(c, 0), columns - 1));
      } else if (event.key === "Enter" || event.key === " ") {
        choose(at);
        spoken.textContent = `showing ${where(at)}`;
      } else if (event.key === "Escape") {
        hideTip();
      } else {
        return;
      }
      event.preventDefault();
    });
    cells.addEventListener("blur", () => {
      active = null;
      hideTip();
    });
  }

  if (data.first !== null) choose(data.first);
})();
