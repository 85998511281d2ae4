"""One map: a statistic over the plane as coloured cells, gaps hatched, regions of agreement outlined.

The grid is often finer where something happens (p = 0, 0.01, 0.02, 0.05, …, 1). Cells of their true width would be
hairlines there, so all cells have the same size and carry their grid values as tick labels.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from hpcmass.plots import style
from hpcmass.plots.lines import NETWORK
from hpcmass.plots.outlines import Outline, draw_outlines, legend_lines
from hpcmass.plots.plane import NOT_REQUESTED, FloatMap, Gap, Mask, Plane

MAX_TICKS = 26
"""More tick labels than this on one axis run into each other."""
FULL_WEIGHT: Final = 16.0
"""Points of a cell's side from which outlines have their full weight."""
TICK_ROOM: Final = 1.3
"""Least distance between tick labels, of the height of their letters."""
LETTER: Final = 0.62
"""Width of a letter, likewise."""
LABEL_LETTER: Final = 0.52
"""Width of a letter of an axis's label, of its height, on the average."""
LEAST_LETTERS: Final = 12
"""Letters that a line of a label has room for, however small the map is."""
SIGNED_FROM: Final = 0.01
"""A negative cell gets a minus sign beyond this fraction of a centred scale's end: smaller values look like zero."""


ONE_LINE = 24
"""Most characters in a line of a colour bar's label."""

EQUAL = 1e-9
"""Values with a smaller relative difference have one colour."""

MOST_POWERS = 10
"""About how many powers of ten a colour bar has room for."""

Extend = Literal["neither", "both", "min", "max"]


@dataclass(frozen=True, eq=False)
class Scale:
    """How values become colours; panels that share one object share a colour bar.

    Attributes
    ----------
    label : str
        Quantity and unit, for the colour bar.
    norm : matplotlib Normalize
    colours : str
        Name of a colour map.
    extend : str
        Where values exceed the bar: `neither`, `min`, `max`, `both`.
    """

    label: str
    norm: Normalize
    colours: str = style.SEQUENTIAL
    extend: Extend = "neither"

    @property
    def signed(self) -> bool:
        """Whether it is centred at zero, with two colours for two signs."""
        return self.colours == style.DIVERGING

    def ticks(self) -> list[float]:
        """Round values for a colour bar."""
        low, high = float(self.norm.vmin or 0), float(self.norm.vmax or 0)
        if isinstance(self.norm, LogNorm):
            return _round_numbers(low, high)
        return [float(v) for v in MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high) if low <= v <= high]

    def bar(self, figure: Figure, axes: Sequence[Axes], one_line: int = ONE_LINE) -> None:
        """Put this scale's colour bar beside `axes`; a label of more letters than `one_line` is broken."""
        mappable = ScalarMappable(self.norm, mpl.colormaps[self.colours])
        bar = figure.colorbar(mappable, ax=list(axes), label=on_two_lines(self.label, one_line), extend=self.extend)
        if isinstance(self.norm, LogNorm):
            bar.set_ticks(self.ticks())
            bar.ax.yaxis.set_major_formatter(lambda value, _: style.number(value))
            bar.minorticks_off()


def on_two_lines(label: str, one_line: int = ONE_LINE) -> str:
    """Long labels, broken near the middle: a bar may be short. Where `one_line` is less, into lines of that length."""
    if len(label) <= one_line:
        return label
    return "\n".join(textwrap.wrap(label, max(one_line, len(label) // 2 + 4) if one_line >= ONE_LINE else one_line))


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten within [low, high]; some powers alone if it spans more than three decades."""
    digits = (1, 2, 5) if high <= 1e3 * low else (1,)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = range(first, last + 1, 1 + (last - first) // MOST_POWERS)
    return [value for k in powers for d in digits if low <= (value := d * 10.0**k) <= high]


def finite(arrays: Sequence[FloatMap]) -> FloatMap:
    """All numbers of these maps; a single 0 if there is none."""
    values = np.concatenate([np.zeros(0), *(a[np.isfinite(a)].ravel() for a in arrays)])
    return values if values.size else np.zeros(1)


def linear(label: str, *arrays: FloatMap, low: float | None = None, high: float | None = None,
           colours: str = style.SEQUENTIAL, power: float = 1.0) -> Scale:  # fmt: skip
    """A scale from `low` to `high` (default: the data's range); `power` < 1 spreads the small values."""
    values = finite(arrays)
    bottom = float(values.min()) if low is None else low
    top = float(values.max()) if high is None else high
    if top - bottom <= EQUAL * abs(bottom):
        top = bottom + max(1.0, abs(bottom) / 1000)  # beside a large number 1 would be lost
    norm = Normalize(bottom, top) if power == 1 else PowerNorm(power, bottom, top)
    return Scale(label, norm, colours, extend(values, bottom, top))


def logarithmic(label: str, *arrays: FloatMap) -> Scale:
    """A logarithmic scale over the data's positive range, a decade at least."""
    values = finite(arrays)
    positive = values[values > 0]
    bottom, top = (float(positive.min()), float(positive.max())) if positive.size else (0.1, 1.0)
    if top < 10 * bottom:
        middle = np.sqrt(top * bottom)
        bottom, top = float(middle / np.sqrt(10)), float(middle * np.sqrt(10))
    return Scale(label, LogNorm(bottom, top), extend="min" if (values <= 0).any() else "neither")


def centred(label: str, *arrays: FloatMap, quantile: float = 0.98) -> Scale:
    """A diverging scale around zero that clips the largest 2 %, so that outliers do not hide the rest."""
    values = finite(arrays)
    limit = float(np.quantile(np.abs(values), quantile, method="higher")) or float(np.abs(values).max()) or 1.0
    return Scale(label, Normalize(-limit, limit), style.DIVERGING, extend(values, -limit, limit))


def extend(values: FloatMap, low: float, high: float) -> Extend:
    """At which ends of a scale values are beyond it."""
    below, above = bool(values.min() < low), bool(values.max() > high)
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[below, above]  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class Panel:
    """Everything that one map shows.

    Attributes
    ----------
    title : str
    values : array, (λ, p)
    scale : Scale
    gaps : sequence of (Gap, mask)
        Why values are missing.
    outlines : sequence of Outline
    crossed : array of bool, (λ, p), optional
        Cells whose value uses only some of the trials, because a model diverged in the others.
    dimmed : array of bool, (λ, p), optional
        Cells whose value means little; `dimmed_text` says why.
    statistic : str
        Name of the variable, for its standard errors; empty where there is none.
    source : str
        A mass model, or `network`.
    """

    title: str
    values: FloatMap
    scale: Scale
    gaps: Sequence[tuple[Gap, Mask]] = ()
    outlines: Sequence[Outline] = field(default=())
    crossed: Mask | None = None
    dimmed: Mask | None = None
    dimmed_text: str = ""
    statistic: str = ""
    source: str = NETWORK

    @property
    def colours(self) -> FloatMap:
        """Red, green and blue (0 to 1) of every cell, (λ, p, 3); those of gaps mean nothing."""
        filled = np.nan_to_num(self.values, nan=float(self.scale.norm.vmin or 0))
        rgba: FloatMap = mpl.colormaps[self.scale.colours](self.scale.norm(filled).filled(0))
        return rgba[..., :3]

    @property
    def dark(self) -> Mask:
        """Cells on which white ink stands out better than black."""
        mask: Mask = self.colours @ (0.299, 0.587, 0.114) < 0.5
        return mask if self.dimmed is None else mask & ~self.dimmed

    @property
    def negative(self) -> Mask:
        """Cells that get a minus sign: on a centred scale grey print shows no sign."""
        if not self.scale.signed:
            return np.zeros(self.values.shape, dtype=np.bool_)
        limit = float(self.scale.norm.vmax or 0)
        return self.values < -SIGNED_FROM * limit  # never true of NaN


def draw_map(
    axes: Axes, plane: Plane, panel: Panel, *, label_x: bool = True, label_y: bool = True, weight: float = 1.0
) -> None:
    """Draw one panel into `axes`; the figure adds colour bar and legend (see `legend_entries`).

    `weight` below 1: thinner outlines and smaller dots, for small cells.
    """
    rows, columns = plane.shape
    axes.pcolormesh(
        np.arange(columns + 1) - 0.5,
        np.arange(rows + 1) - 0.5,
        np.ma.masked_invalid(panel.values),
        norm=panel.scale.norm,
        cmap=mpl.colormaps[panel.scale.colours],
        rasterized=True,
    )
    for gap, cells in panel.gaps:
        for row, column in np.argwhere(cells):
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **_gap_style(gap)))
    if panel.dimmed is not None:
        for row, column in np.argwhere(panel.dimmed & np.isfinite(panel.values)):
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **_DIM))
    _mark_negative(axes, panel)
    if panel.crossed is not None and panel.crossed.any():
        y, x = np.nonzero(panel.crossed)
        axes.plot(x, y, **_CROSS)
    unknown = next((cells for gap, cells in panel.gaps if gap is NOT_REQUESTED), None)
    outlines = panel.outlines if unknown is None else [outline.across(unknown) for outline in panel.outlines]
    draw_outlines(axes, outlines, weight)
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(-0.5, rows - 0.5), title=panel.title)
    _label_ticks(axes, plane)
    axes.set_xlabel(plane.right_label if label_x else "")
    axes.set_ylabel(plane.up_label if label_y else "")


def _label_ticks(axes: Axes, plane: Plane) -> None:
    for axis, values in ((axes.xaxis, plane.right_values), (axes.yaxis, plane.up_values)):
        step = -(-len(values) // MAX_TICKS)
        shown = range(0, len(values), step)
        axis.set_ticks(list(shown), [style.number(values[i]) for i in shown])
    if max(len(style.number(v)) for v in plane.right_values) * len(plane.right_values) > 24:
        axes.tick_params(axis="x", rotation=90)
    axes.tick_params(length=2)


def weight_of(plane: Plane, inches: tuple[float, float]) -> float:
    """The weight of outlines in a map of this size."""
    rows, columns = plane.shape
    cell = 72 * min(inches[0] / columns, inches[1] / rows)
    return min(1.0, max(0.4, cell / FULL_WEIGHT))


def thin_ticks(axes: Axes, plane: Plane, inches: tuple[float, float]) -> None:
    """Label every second, third, ... cell where there is no room for all: `inches` is the size of the map."""
    heights = [_points(mpl.rcParams[label]) / 72 for label in ("xtick.labelsize", "ytick.labelsize")]
    for axis, values, room, height in zip(
        (axes.xaxis, axes.yaxis), (plane.right_values, plane.up_values), inches, heights, strict=True
    ):
        step = max(1, math.ceil(TICK_ROOM * height * len(values) / max(room, 0.1)))
        shown = range(0, len(values), step)
        axis.set_ticks(list(shown), [style.number(values[i]) for i in shown])
        if axis is axes.xaxis:
            letters = (max(len(style.number(values[i])) for i in shown) + 1) * len(shown)
            axes.tick_params(axis="x", rotation=90 if LETTER * height * letters > room else 0)


def log_axis(axes: Axes) -> None:
    """A logarithmic axis upwards, with plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: style.number(value))
    axes.yaxis.set_minor_formatter(NullFormatter())


def fit_labels(axes: Axes, inches: tuple[float, float]) -> int:
    """Break the labels of both sides into lines that fit a panel of this size; returns the lines below it."""
    letter = LABEL_LETTER * _points(mpl.rcParams["axes.labelsize"]) / 72
    for axis, room in zip((axes.xaxis, axes.yaxis), inches, strict=True):
        text = axis.get_label_text().replace("\n", " ")
        width = max(LEAST_LETTERS, int(min(room / letter, len(text) + 1)))
        axis.set_label_text("\n".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)))
    return axes.get_xlabel().count("\n") + 1


def _points(size: Any) -> float:
    """A font size of matplotlib's settings, which may be a word such as `small`."""
    return float(FontProperties(size=size).get_size_in_points())


def _mark_negative(axes: Axes, panel: Panel) -> None:
    """A minus in every negative cell."""
    if not panel.negative.any():
        return
    dark = panel.dark
    size = min(5.0, 90 / max(panel.values.shape))
    for ink, cells in (("white", panel.negative & dark), ("black", panel.negative & ~dark)):
        y, x = np.nonzero(cells)
        axes.plot(x, y, **_minus_style(ink, size))


def _minus_style(ink: str, size: float = 5.0) -> dict[str, Any]:
    return {"marker": "_", "linestyle": "none", "markersize": size, "markeredgewidth": size / 5, "color": ink}


_DIM: dict[str, Any] = {
    "facecolor": (1, 1, 1, 0.7), "edgecolor": (0.35, 0.35, 0.35, 0.9), "hatch": "\\\\\\\\", "linewidth": 0,
}  # fmt: skip
_CROSS: dict[str, Any] = {
    "marker": "X", "linestyle": "none", "markersize": 5.5, "markerfacecolor": "white", "markeredgecolor": "black",
    "markeredgewidth": 0.6,
}  # fmt: skip


def _gap_style(gap: Gap) -> dict[str, Any]:
    if gap.blank:
        return {"facecolor": "white", "edgecolor": style.GAP_HATCH, "linewidth": 0}
    return {"facecolor": style.GAP_FACE, "edgecolor": style.GAP_HATCH, "hatch": gap.hatch, "linewidth": 0}


def legend_entries(panels: Sequence[Panel]) -> list[Artist]:
    """One handle for every kind of outline, mark and gap in `panels`, in that order."""
    marks: dict[str, Artist] = {}
    for panel in panels:
        if panel.negative.any():
            marks["negative"] = Line2D([], [], label="negative", **_minus_style("black"))
        if panel.dimmed is not None and panel.dimmed.any():
            marks[panel.dimmed_text] = Patch(label=panel.dimmed_text, **_DIM)
        if panel.crossed is not None and panel.crossed.any():
            marks["crossed"] = Line2D([], [], label="model diverged in some of the trials", **_CROSS)
        for gap, _ in panel.gaps:
            marks[gap.text] = Patch(label=gap.text, **_gap_style(gap))
    return [*legend_lines([o for panel in panels for o in panel.outlines]), *marks.values()]
