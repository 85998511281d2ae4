// Above the point's curves: where it is, trials, curves to show, pinned points, and lines to copy.
function renderPoint() {
  const flat = flatOf(state.point);
  const title = byId("point-title");
  title.textContent = whereText(state.point);
  title.style.borderColor = shownPoints().length > 1 ? POINT_COLOURS[0] : "";
  renderTrials(flat);
  renderToggles(flat);
  renderPins();
  renderCommands(flat);
  renderValues(flat);
  for (const input of document.getElementsByName("units")) input.checked = input.value === state.units;
  byId("power-log").checked = state.power === "log";
  renderCurves();
}

function renderTrials(flat) {
  const { trials, n_trials: all, further, further_trials: more } = data.curves;
  const select = byId("trial");
  const numbers = trials[flat];
  const options = numbers.map((number, slot) => element("option", { value: String(slot) }, `trial ${number}`));
  if (select.textContent !== options.map((option) => option.textContent).join("")) select.replaceChildren(...options);
  if (state.trial >= numbers.length) state.trial = 0;
  select.value = String(state.trial);
  select.disabled = numbers.length < 2;
  const notes = [];
  const lacking = state.trial > 0 ? data.models.filter((name) => !further.includes(name)) : [];
  if (lacking.length) notes.push(`Only the first trial has the potential of ${lacking.join(", ")}.`);
  if (!more && all > 1) notes.push("The other trials are in the sweep file only.");
  else if (numbers.length < all && numbers.length) notes.push(`${numbers.length} of ${all} trials are in this page.`);
  byId("trial-note").textContent = notes.join(" ");
}

function renderToggles(flat) {
  const several = shownPoints().length > 1;
  const names = [...series, ...Object.keys(INPUT_NAMES).filter((name) => data.curves.series.includes(name))];
  const host = byId("curve-toggles");
  if (host.children.length !== names.length) {
    host.replaceChildren(...names.map((name) => {
      const box = element("input", { type: "checkbox", "data-curve": name });
      box.addEventListener("change", () => {
        const hidden = state.hidden.filter((other) => other !== name);
        update({ hidden: box.checked ? hidden : [...hidden, name] }, "point", "slices");
      });
      return element("label", {}, box, element("span", { class: "mark" }), element("span", { class: "text" }));
    }));
  }
  names.forEach((name, k) => {
    const label = host.children[k];
    label.querySelector("input").checked = !isHidden(name);
    const style = several ? { ...styleOf(name, 0, true), colour: "var(--ink)" } : data.styles[name];
    label.querySelector(".mark").replaceChildren(swatch(style));
    const mean = valueOf("mean_v", name, flat), sd = valueOf("sd_v", name, flat);
    const diverged = isModel(name) ? valueOf("n_diverged", name, flat) : 0;
    const ran = diverged > 0 ? `: diverged in ${diverged} of ${ofNetwork("n_compared", flat)} trials` : "";
    const numbers = Number.isFinite(mean) ? `: ${written(mean, 4)} ± ${written(sd, 3)} mV` : ran;
    label.querySelector(".text").textContent = (INPUT_NAMES[name] || name) + (several ? "" : numbers);
  });
  byId("curve-note").textContent = several ? "Colour: the point; dashes: the curve." : "Mean ± standard deviation in time, over all trials.";
}

function renderPins() {
  const pinned = state.pins.some((pin) => samePoint(pin, state.point));
  const button = byId("pin");
  button.disabled = pinned || state.pins.length >= MOST_PINS;
  button.textContent = pinned ? "pinned" : state.pins.length >= MOST_PINS ? `${MOST_PINS} points are pinned` : "pin this point";
  byId("pins").replaceChildren(...state.pins.map((pin, k) => {
    const remove = element("button", { type: "button", "aria-label": `remove the pin at ${whereText(pin)}` }, "×");
    remove.addEventListener("click", () => {
      update({ pins: state.pins.filter((_, i) => i !== k) }, "maps", "point");
      const left = byId("pins").querySelectorAll("button:last-child");
      (left[Math.min(k, left.length - 1)] || byId("pin")).focus();
    });
    const go = element("button", { type: "button", title: "show this point", style: `border-color:${POINT_COLOURS[k + 1]}` }, whereText(pin));
    go.addEventListener("click", () => choose(pin, false));
    return element("li", {}, go, remove);
  }));
}

const shellWord = (text) => (/^[\w./=:,+-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);

function renderCommands(flat) {
  const number = data.curves.trials[flat][state.trial] ?? 0;
  const value = (name) => axes[axisOf.get(name)].values[state.point[axisOf.get(name)]];
  const at = axes.filter((axis) => !["p", "lam", data.scanned].includes(axis.name)).map((axis) => ` --at ${axis.name}=${value(axis.name)}`);
  byId("command-trial").textContent =
    `hpcmass trial ${shellWord(data.files.config)} --p ${value("p")} --lam ${value("lam")}${at.join("")} --trial ${number} --plot`;
  const place = axes.map((axis) => `${axis.name}=${value(axis.name)}`).join(", ");
  const statistic = byName.get(state.statistic);
  const source = state.shownSources.find(isModel) || state.shownSources[0];
  const variable = statistic.variables[statistic.sources.indexOf(source)];
  const model = isModel(source) && variable ? `, model=${JSON.stringify(source)}` : "";
  byId("command-xarray").parentElement.hidden = !variable;
  const expression = variable.includes("/") ? variable.split(" / ").map((name) => `ds.${name}`).join(" / ") : `ds.${variable}`;
  byId("command-xarray").textContent =
    `import xarray as xr; ds = xr.open_dataset(${JSON.stringify(data.files.comparison)}, engine="h5netcdf"); (${expression}).sel(${place}${model})`;
}

// All statistics of the point, by group.
function renderValues(flat) {
  const host = byId("values");
  if (!host.open) return;
  const table = element("table");
  table.append(element("caption", {}, `All statistics at ${whereText(state.point)}, ± standard error over the trials`));
  const head = table.createTHead().insertRow();
  for (const text of ["", NETWORK, ...data.models]) head.append(element("th", { scope: "col" }, text));
  let group = null;
  const body = table.createTBody();
  for (const statistic of listed) {
    if (statistic.group === "Standard errors") continue;
    if (statistic.group !== group) {
      group = statistic.group;
      body.insertRow().append(element("th", { scope: "colgroup", colspan: String(series.length + 1), class: "group" }, group));
    }
    const row = body.insertRow();
    row.append(element("th", { scope: "row", title: statistic.text }, `${statistic.label}${unitOf(statistic)}`));
    for (const source of series) {
      row.append(element("td", { class: "n" }, statistic.sources.includes(source) ? valueText(statistic, source, flat) : ""));
    }
  }
  host.querySelector(".wide").replaceChildren(table);
}

function setUpPoint() {
  byId("trial").addEventListener("change", (event) => update({ trial: Number(event.target.value) }, "point"));
  for (const input of document.getElementsByName("units")) input.addEventListener("change", () => update({ units: input.value }, "point"));
  byId("power-log").addEventListener("change", (event) => update({ power: event.target.checked ? "log" : "linear", frequency: null }, "point"));
  byId("pin").addEventListener("click", () => update({ pins: [...state.pins, state.point] }, "maps", "point"));
  byId("values").addEventListener("toggle", () => renderValues(flatOf(state.point)));
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copyText(byId(button.dataset.copy).textContent, button));
  }
}
