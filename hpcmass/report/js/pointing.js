// Pointer and keys on the maps: values in a tip, the row and the column of the cell, the point on a click.
const tip = byId("tip");
const spoken = byId("spoken");
let hovered = null;  // the point under the pointer or the keys, which the plots of row and column show

function showTip(lines, x, y) {
  tip.textContent = lines.join("\n");
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 16, innerWidth - box.width - 4))}px`;
  tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(4, y - box.height - 12) : y + 18}px`;
}

const hideTip = () => { tip.hidden = true; };

// A statistic's value with its standard error, p- and q-value.
function valueText(statistic, source, flat) {
  const value = valueOf(statistic.name, source, flat);
  if (!Number.isFinite(value)) return gapOf(statistic, source, flat);
  if (statistic.flags.length && Number.isInteger(value)) return statistic.flags[value] || String(value);
  const error = statistic.se ? valueOf(statistic.se, source, flat) : NaN;
  const unit = statistic.unit ? ` ${statistic.unit}` : "";
  if (statistic.name === "rho" && Number.isFinite(error)) {
    return `${written(value)} (z ${plusMinus(valueOf("rho_z", source, flat), error)})`;
  }
  return `${plusMinus(value, error)}${unit}`;
}

function describe(view, flat) {
  const { statistic } = view;
  const lines = [whereText(indexOf(flat))];
  if (view.minus) {
    const value = viewValue(view, flat);
    lines.push(`${view.title}: ${Number.isFinite(value) ? written(value) + (statistic.unit ? ` ${statistic.unit}` : "") : viewGap(view, flat)}`);
    for (const source of view.minus) lines.push(`${source}: ${valueText(statistic, source, flat)}`);
  } else {
    lines.push(`${view.title}: ${valueText(statistic, view.source, flat)}`);
    for (const [key, name] of [["p", "p-value"], ["q", "q-value"]]) {
      const chance = statistic[key] ? valueOf(statistic[key], view.source, flat) : NaN;
      if (Number.isFinite(chance)) lines.push(`${name} ${written(chance, 2)}`);
    }
  }
  const compared = ofNetwork("n_compared", flat);
  const diverged = view.source && isModel(view.source) ? valueOf("n_diverged", view.source, flat) : 0;
  lines.push(`${compared || 0} of ${data.curves.n_trials} trials compared${diverged > 0 ? `, diverged in ${diverged}` : ""}`);
  for (const outline of outlinesOf(view.source)) {
    if (state.outlines.includes(outline.key) && outline.inside(view.source, flat)) lines.push(`• ${outline.label}`);
  }
  if (isDimmed(view, flat)) lines.push(`• ${dimmedText(view)}`);
  return lines;
}

function enter(point) {
  if (hovered && samePoint(hovered, point)) return;
  hovered = point;
  for (const each of document.querySelectorAll(".map-box")) {
    const here = each.querySelector(".here");
    const [columns] = planeShape();
    const i = point[axisOf.get(state.up)] * columns + point[axisOf.get(state.right)];
    const cell = each.querySelector(`[data-i="${i}"]`);
    if (!here || !cell) continue;
    here.setAttribute("visibility", "visible");
    for (const side of ["x", "y"]) here.setAttribute(side, cell.getAttribute(side));
  }
  renderSlices();
}

function leave() {
  hideTip();
  if (!hovered) return;
  hovered = null;
  for (const here of document.querySelectorAll(".here")) here.setAttribute("visibility", "hidden");
  renderSlices();
}

function choose(point, scroll) {
  hovered = null;
  hideTip();
  update({ point, trial: 0 });
  spoken.textContent = `showing ${whereText(point)}`;
  if (scroll && narrow.matches) byId("point").scrollIntoView({ block: "start", behavior: "auto" });
}

function makeMapHost(k) {
  const figure = element("figure", {}, element("figcaption"));
  const box = element("div", { class: "map-box", tabindex: "0", role: "application" });
  figure.append(box);
  const pointOf = (event) => {
    const i = event.target.dataset ? event.target.dataset.i : undefined;
    const [columns] = planeShape();
    return i === undefined ? null : pointAt(Number(i) % columns, Math.floor(Number(i) / columns));
  };
  box.addEventListener("pointermove", (event) => {
    const point = pointOf(event);
    if (!point || event.pointerType === "touch") return;
    enter(point);
    showTip(describe(views()[k], flatOf(point)), event.clientX, event.clientY);
  });
  box.addEventListener("pointerleave", leave);
  box.addEventListener("click", (event) => {
    const point = pointOf(event);
    if (point) choose(point, true);
  });
  box.addEventListener("keydown", (event) => {
    const [columns, rows] = planeShape();
    const from = hovered || state.point;
    const [c, r] = [from[axisOf.get(state.right)], from[axisOf.get(state.up)]];
    const moves = { ArrowRight: [c + 1, r], ArrowLeft: [c - 1, r], ArrowUp: [c, r + 1], ArrowDown: [c, r - 1], Home: [0, r], End: [columns - 1, r] };
    if (event.key in moves) {
      const [column, row] = moves[event.key];
      const point = pointAt(Math.min(Math.max(column, 0), columns - 1), Math.min(Math.max(row, 0), rows - 1));
      enter(point);
      const i = point[axisOf.get(state.up)] * columns + point[axisOf.get(state.right)];
      const at = box.querySelector(`[data-i="${i}"]`).getBoundingClientRect();
      const lines = describe(views()[k], flatOf(point));
      showTip(lines, at.right - 12, at.bottom - 12);
      spoken.textContent = lines.join("; ");
    } else if (event.key === "Enter" || event.key === " ") {
      choose(from, true);
    } else if (event.key === "Escape") {
      leave();
    } else {
      return;
    }
    event.preventDefault();
  });
  box.addEventListener("blur", leave);
  return figure;
}
