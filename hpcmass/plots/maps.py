"""One map: a statistic over the plane as coloured cells, gaps hatched, regions of agreement outlined.

The grid is often finer where something happens (p = 0, 0.01, 0.02, 0.05, …, 1). Cells of their true width would be
hairlines there, so all cells have the same size and carry their grid values as tick labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from hpcmass.plots import style
from hpcmass.plots.gaps import Gap
from hpcmass.plots.outlines import Outline, draw_outlines, legend_lines
from hpcmass.plots.plane import FloatMap, Mask, Plane
from hpcmass.plots.scales import Scale

MAX_TICKS = 26
"""More tick labels than this on one axis run into each other."""
SIGNED_FROM: Final = 0.01
"""A cell bears a minus from this part of a centred scale's end on: less is zero to the eye."""


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
        Cells whose value rests on some of the trials only, because a model ran away in the others.
    dimmed : array of bool, (λ, p), optional
        Cells whose value means little, and `dimmed_text`, why.
    """

    title: str
    values: FloatMap
    scale: Scale
    gaps: Sequence[tuple[Gap, Mask]] = ()
    outlines: Sequence[Outline] = field(default=())
    crossed: Mask | None = None
    dimmed: Mask | None = None
    dimmed_text: str = ""

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
        """Cells that bear a minus: on a centred scale grey ink shows no sign."""
        if not self.scale.signed:
            return np.zeros(self.values.shape, dtype=np.bool_)
        limit = float(self.scale.norm.vmax or 0)
        mask: Mask = self.values < -SIGNED_FROM * limit  # never true of NaN
        return mask


def draw_map(axes: Axes, plane: Plane, panel: Panel, *, label_x: bool = True, label_y: bool = True) -> None:
    """Draw one panel into `axes`; colour bar and legend are the figure's business (see `legend_entries`)."""
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
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **_gap_look(gap)))
    if panel.dimmed is not None:
        for row, column in np.argwhere(panel.dimmed & np.isfinite(panel.values)):
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **_DIM))
    _mark_negative(axes, panel)
    if panel.crossed is not None and panel.crossed.any():
        y, x = np.nonzero(panel.crossed)
        axes.plot(x, y, **_CROSS)
    draw_outlines(axes, panel.outlines)
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


def _mark_negative(axes: Axes, panel: Panel) -> None:
    """A minus in every negative cell."""
    if not panel.negative.any():
        return
    dark = panel.dark
    size = min(5.0, 90 / max(panel.values.shape))
    for ink, cells in (("white", panel.negative & dark), ("black", panel.negative & ~dark)):
        y, x = np.nonzero(cells)
        axes.plot(x, y, **_minus_look(ink, size))


def _minus_look(ink: str, size: float = 5.0) -> dict[str, Any]:
    return {"marker": "_", "linestyle": "none", "markersize": size, "markeredgewidth": size / 5, "color": ink}


_DIM: dict[str, Any] = {
    "facecolor": (1, 1, 1, 0.7), "edgecolor": (0.35, 0.35, 0.35, 0.9), "hatch": "\\\\\\\\", "linewidth": 0,
}  # fmt: skip
_CROSS: dict[str, Any] = {
    "marker": "X", "linestyle": "none", "markersize": 5.5, "markerfacecolor": "white", "markeredgecolor": "black",
    "markeredgewidth": 0.6,
}  # fmt: skip


def _gap_look(gap: Gap) -> dict[str, Any]:
    return {"facecolor": style.GAP_FACE, "edgecolor": style.GAP_HATCH, "hatch": gap.hatch, "linewidth": 0}


def legend_entries(panels: Sequence[Panel]) -> list[Artist]:
    """One handle for every kind of outline, mark and gap in `panels`, in that order."""
    marks: dict[str, Artist] = {}
    for panel in panels:
        if panel.negative.any():
            marks["negative"] = Line2D([], [], label="negative", **_minus_look("black"))
        if panel.dimmed is not None and panel.dimmed.any():
            marks[panel.dimmed_text] = Patch(label=panel.dimmed_text, **_DIM)
        if panel.crossed is not None and panel.crossed.any():
            marks["crossed"] = Line2D([], [], label="model ran away in some of the trials", **_CROSS)
        for gap, _ in panel.gaps:
            marks[gap.text] = Patch(label=gap.text, **_gap_look(gap))
    return [*legend_lines([o for panel in panels for o in panel.outlines]), *marks.values()]
