// The bar of controls: every one is an HTML input, so that keyboard and screen reader work.
function setUpControls() {
  const select = byId("statistic");
  const groups = new Map();
  for (const statistic of listed) {
    if (!groups.has(statistic.group)) groups.set(statistic.group, element("optgroup", { label: statistic.group }));
    groups.get(statistic.group).append(element("option", { value: statistic.name }, `${statistic.label}${unitOf(statistic)}`));
  }
  select.append(...groups.values());
  select.addEventListener("change", () => update({ statistic: select.value, low: null, high: null, scale: "auto" }));
  byId("sources").append(...series.map((source) => {
    const box = element("input", { type: "checkbox", value: source });
    box.addEventListener("change", () => {
      const chosen = [...byId("sources").querySelectorAll("input")].filter((each) => each.checked && !each.disabled).map((each) => each.value);
      if (chosen.length) update({ sources: chosen });
      else box.checked = true;
    });
    return element("label", {}, box, source);
  }));
  for (const [id, place] of [["minus-a", 0], ["minus-b", 1]]) {
    byId(id).append(element("option", { value: "" }, "–"), ...series.map((source) => element("option", { value: source }, source)));
    byId(id).addEventListener("change", () => chooseDifference(place));
  }
  for (const [id, key, other] of [["axis-right", "right", "up"], ["axis-up", "up", "right"]]) {
    byId(id).append(...axes.map((axis) => element("option", { value: axis.name }, axis.symbol)));
    byId(id).addEventListener("change", (event) => {
      const changes = { [key]: event.target.value };
      if (state[other] === event.target.value) changes[other] = state[key];
      update(changes);
    });
  }
  byId("axes-control").hidden = axes.length < 3;
  byId("outlines").append(...OUTLINES.map((outline) => {
    const box = element("input", { type: "checkbox", value: outline.key });
    box.addEventListener("change", () => {
      const rest = state.outlines.filter((key) => key !== outline.key);
      update({ outlines: box.checked ? [...rest, outline.key] : rest }, "maps");
    });
    return element("label", {}, box, swatch({ colour: outline.colour, dashes: outline.dash }), outline.label);
  }));
  for (const id of ["low", "high"]) {
    byId(id).addEventListener("change", (event) => {
      const value = event.target.value.trim() === "" ? null : Number(event.target.value);
      update({ [id]: Number.isFinite(value) ? value : null }, "maps");
    });
  }
  byId("scale").addEventListener("change", (event) => update({ scale: event.target.value }, "maps", "slices"));
  byId("fit").addEventListener("click", () => update({ low: null, high: null, scale: "auto" }, "maps", "slices"));
  byId("even").addEventListener("change", (event) => update({ even: event.target.checked }, "slices"));
  byId("reset").addEventListener("click", () => update(defaults()));
}

let pendingMinus = ["", ""];
function chooseDifference(place) {
  pendingMinus = [byId("minus-a").value, byId("minus-b").value];
  const [a, b] = pendingMinus;
  if (!a || !b) {
    if (state.minus) { pendingMinus = place === 0 ? ["", b] : [a, ""]; }
    update({ minus: null }, "maps");
  } else if (a === b) {
    pendingMinus[1 - place] = "";
    update({ minus: null }, "maps");
  } else {
    update({ minus: [a, b] }, "maps");
  }
  syncControls();
}

// Sliders of the axes that are not a side of the map.
function renderSliders() {
  const others = axes.filter((axis) => ![state.right, state.up].includes(axis.name) && axis.values.length > 1);
  const host = byId("sliders");
  const names = others.map((axis) => axis.name).join("|");
  if (host.dataset.names !== names) {
    host.dataset.names = names;
    host.replaceChildren(...others.map((axis) => {
      const place = axisOf.get(axis.name);
      const slider = element("input", { type: "range", min: "0", max: String(axis.values.length - 1), step: "1", "data-axis": axis.name });
      slider.addEventListener("input", () => update({ point: state.point.with(place, Number(slider.value)), trial: 0 }));
      return element("label", {}, `${axis.symbol} = `, element("output"), slider);
    }));
  }
  for (const slider of host.querySelectorAll("input")) {
    const place = axisOf.get(slider.dataset.axis);
    slider.value = String(state.point[place]);
    slider.setAttribute("aria-valuetext", axes[place].texts[state.point[place]]);
    slider.previousElementSibling.textContent = axes[place].texts[state.point[place]];
  }
  byId("sliders-control").hidden = !others.length;
}

function syncControls() {
  const statistic = byName.get(state.statistic);
  byId("statistic").value = state.statistic;
  for (const box of byId("sources").querySelectorAll("input")) {
    box.disabled = !statistic.sources.includes(box.value);
    box.checked = !box.disabled && state.shownSources.includes(box.value);
  }
  const pair = state.shownMinus || pendingMinus;
  for (const [id, source] of [["minus-a", pair[0]], ["minus-b", pair[1]]]) {
    for (const option of byId(id).options) option.disabled = option.value !== "" && !statistic.sources.includes(option.value);
    byId(id).value = statistic.sources.includes(source) ? source : "";
    byId(id).disabled = statistic.sources.length < 2;
  }
  byId("axis-right").value = state.right;
  byId("axis-up").value = state.up;
  for (const box of byId("outlines").querySelectorAll("input")) box.checked = state.outlines.includes(box.value);
  const view = views()[0];
  const scale = scaleOf(view.minus ? view : { statistic, source: statistic.sources[0] });
  for (const [id, value] of [["low", scale.low], ["high", scale.high]]) {
    byId(id).value = state[id] === null ? "" : String(state[id]);
    byId(id).placeholder = String(Number(value.toPrecision(3)));
  }
  byId("scale").value = state.scale;
  byId("even").checked = state.even;
  renderSliders();
}
