// Regions of the plane and the lines around them, as in the figures: nothing is interpolated between cells.
const alpha = data.settings.alpha;
const test = (name, key, label, colour, dash, dot) => ({
  key, label, colour, dash, dot, needs: name, inside: (source, flat) => valueOf(name, source, flat) > alpha,
});
const flag = (name, key, label, colour, dash, dot) => ({
  key, label, colour, dash, dot, needs: name, inside: (source, flat) => valueOf(name, source, flat) === 1,
});
// Own statistics with a p-value: the same outlines as in the figures, where they are not significant.
const OWN_COLOURS = ["#00664B", "#5B4300", "#0B5CAD", "#7A1FA2"];
const ownTests = data.own_tests.flatMap((name, k) => {
  const colour = OWN_COLOURS[k % OWN_COLOURS.length];
  return [
    test(`${name}_pvalue`, `own.${name}.p`, `${name} not significant (p > ${alpha})`, colour, "", [0.28, -0.28]),
    test(`${name}_qvalue`, `own.${name}_bh`, "the same, Benjamini–Hochberg", colour, "4 3", null),
  ];
});
const OUTLINES = [
  flag("rho_agrees", "rho", `ρ > ${data.settings.rho_min} and significant (α = ${alpha})`, "#000000", "", [0.28, 0.28]),
  flag("rho_agrees_bh", "rho_bh", "the same, Benjamini–Hochberg", "#000000", "4 3", null),
  test("chi2_pvalue", "chi2", `the paper's χ² test finds no difference (p > ${alpha})`, "#B3003B", "", [-0.28, 0.28]),
  test("chi2_qvalue", "chi2_bh", "the same, Benjamini–Hochberg", "#B3003B", "4 3", null),
  test("log_ratio_pvalue", "cal", `the calibrated test finds no difference (p > ${alpha})`, "#E6550D", "", [-0.28, -0.28]),
  test("log_ratio_qvalue", "cal_bh", "the same, Benjamini–Hochberg", "#E6550D", "4 3", null),
  ...ownTests,
  {
    key: "sync", label: `synchronised (Spike-contrast ≥ ${data.settings.spike_contrast_min}), on the side of the ticks`,
    colour: "#6A00A8", dash: "1.5 2.5", dot: null, needs: "synchronised",
    inside: (source, flat) => ofNetwork("synchronised", flat) === 1,
  },
].filter((outline) => byName.has(outline.needs));

// Outlines that a map of this source can have.
const outlinesOf = (source) => OUTLINES.filter((outline) => outline.key === "sync" || (source && isModel(source)));

// `inside`: truth by column and row. Returns the path of the edge, and of ticks into the region.
function edgePaths(inside, columns, rows, x, y, frame) {
  const there = (c, r) => c >= 0 && r >= 0 && c < columns && r < rows && inside(c, r);
  let edge = "", ticks = "";
  const reach = 0.22;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      if (!inside(c, r)) continue;
      for (const [right, up] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        if (there(c + right, r + up)) continue;
        const beyond = c + right < 0 || r + up < 0 || c + right >= columns || r + up >= rows;
        if (beyond && !frame) continue;
        const [cx, cy] = [c + right / 2, r + up / 2];
        edge += `M${x(cx - up / 2)} ${y(cy - right / 2)}L${x(cx + up / 2)} ${y(cy + right / 2)}`;
        if (!frame) ticks += `M${x(cx)} ${y(cy)}L${x(cx - right * reach)} ${y(cy - up * reach)}`;
      }
    }
  }
  return { edge, ticks };
}

const isRequested = (c, r) => !data.requested || data.requested[flatOf(pointAt(c, r))] === 1;

// For every cell of the plane the nearest one that is requested, where there is one: its place, row by row.
function nearestRequested(columns, rows) {
  const known = [];
  for (let i = 0; i < columns * rows; i++) if (isRequested(i % columns, Math.floor(i / columns))) known.push(i);
  return Array.from({ length: columns * rows }, (_, i) => {
    const [c, r] = [i % columns, Math.floor(i / columns)];
    if (!known.length || isRequested(c, r)) return i;
    const far = (k) => (k % columns - c) ** 2 + (Math.floor(k / columns) - r) ** 2;
    return known.reduce((best, k) => (far(k) < far(best) ? k : best));
  });
}

function outlineMarks(outline, source, columns, rows, x, y, cell) {
  const at = (c, r) => outline.inside(source, flatOf(pointAt(c, r)));
  const inside = (c, r) => at(c, r) && isRequested(c, r);
  const key = `nearest ${flatOf(pointAt(0, 0))} ${flatOf(pointAt(columns - 1, rows - 1))} ${columns}`;
  const nearest = data.requested ? remember(key, () => nearestRequested(columns, rows)) : null;
  const across = nearest ? (c, r) => at(nearest[r * columns + c] % columns, Math.floor(nearest[r * columns + c] / columns)) : at;
  const { edge, ticks } = edgePaths(across, columns, rows, x, y, outline.key !== "sync");
  if (!edge) return "";
  const line = (d, dash) =>
    `<path class="halo" d="${d}"/><path class="outline" d="${d}" stroke="${outline.colour}" stroke-dasharray="${dash}"/>`;
  let marks = line(edge, outline.dash) + (ticks ? line(ticks, "") : "");
  if (outline.dot) {
    const radius = Math.max(1.2, Math.min(2.6, cell / 9));
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        if (!inside(c, r)) continue;
        marks += `<circle cx="${x(c + outline.dot[0])}" cy="${y(r + outline.dot[1])}" r="${radius}" fill="${outline.colour}" stroke="#fff" stroke-width="0.6"/>`;
      }
    }
  }
  return `<g data-outline="${outline.key}">${marks}</g>`;
}
