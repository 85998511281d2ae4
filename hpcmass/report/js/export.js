// Downloads: the view as SVG and PNG, its numbers as CSV; texts to the clipboard.
const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "stroke-linecap", "font-size", "font-family",
  "font-weight", "opacity", "shape-rendering", "fill-opacity", "visibility", "paint-order"];

function download(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// A drawing with the styles that the page gives it, on its own.
function standalone(svg) {
  const copy = svg.cloneNode(true);
  const [from, to] = [svg.querySelectorAll("*"), copy.querySelectorAll("*")];
  from.forEach((source, k) => {
    if (["defs", "stop", "linearGradient", "pattern", "clipPath"].includes(source.tagName)) return;
    const style = getComputedStyle(source);
    if (source.tagName !== "g") {
      for (const name of STYLES) {
        const value = style.getPropertyValue(name);
        if (name === "fill" && source.getAttribute("fill")) continue;
        if (value) to[k].setAttribute(name, value.replace(/"/g, "'"));
      }
      to[k].removeAttribute("style");
    }
  });
  return copy;
}

// All drawings of the view in one, where they stand on the page, with their titles.
function viewSvg() {
  const root = byId("explorer");
  root.classList.add("exporting");
  const hidden = [...byId("curve-toggles").children].filter((label) => !label.querySelector("input").checked);
  for (const label of hidden) label.hidden = true;
  try {
    return composed(root);
  } finally {
    for (const label of hidden) label.hidden = false;
    root.classList.remove("exporting");
  }
}

function composed(root) {
  const origin = root.getBoundingClientRect();
  const style = getComputedStyle(document.body);
  const parts = [];
  let [right, bottom] = [0, 0];
  for (const svg of root.querySelectorAll("svg.map, svg.chart, .swatch svg")) {
    const box = svg.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const copy = standalone(svg);
    copy.setAttribute("x", box.left - origin.left);
    copy.setAttribute("y", box.top - origin.top);
    if (svg.closest(".white")) parts.push(`<rect x="${box.left - origin.left}" y="${box.top - origin.top}" width="${box.width}" height="${box.height}" fill="#fff"/>`);
    parts.push(new XMLSerializer().serializeToString(copy));
    [right, bottom] = [Math.max(right, box.right - origin.left), Math.max(bottom, box.bottom - origin.top)];
  }
  for (const text of root.querySelectorAll("figcaption, .slice h3, #point-title, .panel h4, .legend .text, #curve-toggles .text, #pins button:first-child")) {
    const box = text.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const own = getComputedStyle(text);
    const x = own.textAlign === "center" ? box.left + box.width / 2 : box.left;
    parts.push(`<text x="${x - origin.left}" y="${box.top - origin.top + box.height * 0.75}" fill="${text.style.borderColor || own.color}" font-family="${escaped(own.fontFamily.replace(/"/g, "'"))}" font-size="${own.fontSize}" font-weight="${own.fontWeight}" text-anchor="${own.textAlign === "center" ? "middle" : "start"}">${escaped(text.textContent)}</text>`);
  }
  const [width, height] = [Math.ceil(right + 20), Math.ceil(bottom + 20)];
  const hatches = byId("hatches").outerHTML;
  const text = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"><title>${escaped(document.title)}</title>${hatches}<rect width="${width}" height="${height}" fill="${style.backgroundColor}"/><g transform="translate(10 10)">${parts.join("")}</g></svg>`;
  return { text, width, height };
}

const fileName = (ending) => `${data.files.comparison.replace(/\.h5$/, "")}-${state.statistic}${ending}`;

function saveSvg() {
  download(new Blob([viewSvg().text], { type: "image/svg+xml" }), fileName(".svg"));
}

function savePng() {
  const { text, width, height } = viewSvg();
  const image = new Image();
  image.onload = () => {
    const canvas = element("canvas");
    [canvas.width, canvas.height] = [2 * width, 2 * height];
    canvas.getContext("2d").drawImage(image, 0, 0, 2 * width, 2 * height);
    canvas.toBlob((blob) => download(blob, fileName(".png")), "image/png");
  };
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
}

const csvCell = (value) => {
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
  return /[",\n]/.test(value) ? `"${value.replace(/"/g, '""')}"` : value;
};
const csv = (rows) => rows.map((row) => row.map(csvCell).join(",")).join("\n") + "\n";

// The numbers behind the maps: a row for each cell and source.
function mapRows() {
  const statistic = byName.get(state.statistic);
  const further = ["se", "p", "q"].filter((key) => statistic[key]);
  const rows = [[...axes.map((axis) => axis.name), "source", statistic.name, ...further.map((key) => statistic[key]), "n_compared", "note"]];
  const wanted = isPlane() ? views() : statistic.sources.map((source) => ({ statistic, source, title: source }));
  for (const view of wanted) {
    for (const flat of planeFlats()) {
      const value = viewValue(view, flat);
      rows.push([
        ...indexOf(flat).map((i, k) => axes[k].values[i]), view.minus ? view.minus.join("-") : view.source, value,
        ...further.map((key) => (view.minus ? NaN : valueOf(statistic[key], view.source, flat))),
        ofNetwork("n_compared", flat), Number.isFinite(value) ? "" : viewGap(view, flat),
      ]);
    }
  }
  return rows;
}

// The curves of the point: a row for each sample of time and of frequency.
function curveRows() {
  const rows = [[...axes.map((axis) => axis.name), "trial", "quantity", "at", "unit_of_at", "value", "unit"]];
  for (const [k, point] of shownPoints().entries()) {
    const flat = flatOf(point);
    const place = point.map((i, axis) => axes[axis].values[i]);
    const slot = k === 0 ? state.trial : 0;
    for (const [name, values] of tracesOf(flat, slot) || []) {
      const unit = name in INPUT_NAMES ? "1/ms" : "mV";
      values.forEach((v, i) => rows.push([...place, data.curves.trials[flat][slot], name, sampleTimes[i], "ms", v, unit]));
    }
    spectraOf(flat).forEach((decades, row) => {
      const name = row < series.length ? `spectrum of ${series[row]}` : `standard error of the spectrum of ${NETWORK}`;
      decades.forEach((v, i) => rows.push([...place, "all", name, data.curves.frequency[i], "Hz", 10 ** v, "mV^2/Hz"]));
    });
  }
  return rows;
}

function copyText(text, button) {
  const done = () => {
    const before = button.textContent;
    button.textContent = "copied";
    spoken.textContent = "copied";
    setTimeout(() => { button.textContent = before; }, 1500);
  };
  const byHand = () => {
    const area = element("textarea", { class: "offscreen" });
    area.value = text;
    document.body.append(area);
    area.select();
    if (document.execCommand("copy")) done();
    area.remove();
    button.focus();
  };
  if (navigator.clipboard && isSecureContext) navigator.clipboard.writeText(text).then(done, byHand);
  else byHand();
}

function setUpDownloads() {
  const actions = {
    "save-svg": saveSvg,
    "save-png": savePng,
    "save-csv": () => download(new Blob([csv(mapRows())], { type: "text/csv" }), fileName(".csv")),
    "save-curves": () => download(new Blob([csv(curveRows())], { type: "text/csv" }), fileName("-curves.csv")),
    "save-config": () => download(new Blob([byId("configuration-text").textContent], { type: "text/yaml" }), data.files.config),
  };
  for (const [id, act] of Object.entries(actions)) byId(id).addEventListener("click", act);
  byId("copy-link").addEventListener("click", (event) => copyText(location.href, event.currentTarget));
}
