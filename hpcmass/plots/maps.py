"""One map: a statistic over the plane as coloured cells, gaps hatched, regions of agreement outlined.

The grid is often finer where something happens (p = 0, 0.01, 0.02, 0.05, …, 1). Cells of their true width would be
hairlines there, so all cells have the same size and carry their grid values as tick labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from hpcmass.plots import style
from hpcmass.plots.gaps import Gap
from hpcmass.plots.plane import AXIS_LABELS, RIGHT, UP, FloatMap, Mask, Plane
from hpcmass.plots.scales import Scale

MAX_TICKS = 26
"""More tick labels than this on one axis run into each other."""


@dataclass(frozen=True, eq=False)
class Outline:
    """A region to enclose, and what it means."""

    text: str
    inside: Mask
    rank: int = 0
    """0: the solid line, 1: the dashed one that stays visible on top of it."""


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
    """

    title: str
    values: FloatMap
    scale: Scale
    gaps: Sequence[tuple[Gap, Mask]] = ()
    outlines: Sequence[Outline] = field(default=())
    crossed: Mask | None = None


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
    if panel.crossed is not None and panel.crossed.any():
        y, x = np.nonzero(panel.crossed)
        axes.plot(x, y, **_CROSS)
    for halo in (True, False):  # all halos below all lines
        for outline in panel.outlines:
            axes.add_collection(LineCollection(list(boundary(outline.inside)), **_outline_look(outline.rank, halo)))
    for outline in panel.outlines:
        y, x = np.nonzero(outline.inside)
        axes.plot(x + (0.3, -0.3)[outline.rank], y + 0.3, **_dot_look(outline.rank, min(3.0, 72 / columns)))
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(-0.5, rows - 0.5), title=panel.title)
    _label_ticks(axes, plane)
    axes.set_xlabel(AXIS_LABELS[RIGHT] if label_x else "")
    axes.set_ylabel(AXIS_LABELS[UP] if label_y else "")


def _label_ticks(axes: Axes, plane: Plane) -> None:
    for axis, values in ((axes.xaxis, plane.p), (axes.yaxis, plane.lam)):
        step = -(-len(values) // MAX_TICKS)
        shown = range(0, len(values), step)
        axis.set_ticks(list(shown), [style.number(values[i]) for i in shown])
    if max(len(style.number(v)) for v in plane.p) * len(plane.p) > 24:
        axes.tick_params(axis="x", rotation=90)
    axes.tick_params(length=2)


def boundary(inside: Mask) -> npt.NDArray[np.float64]:
    """Line segments around the cells of `inside`, as long as they run straight.

    Each cell is in or out, so the line follows the cells' edges; nothing is interpolated between grid values.

    Parameters
    ----------
    inside : array of bool, (rows, columns)

    Returns
    -------
    array, (segment, 2 ends, 2 coordinates x and y)
    """
    padded = np.pad(inside, 1)
    column, bottom, top = _runs((padded[1:-1, 1:] != padded[1:-1, :-1]).T)
    row, left, right = _runs(padded[1:, 1:-1] != padded[:-1, 1:-1])
    x = np.concatenate([np.stack([column, column], axis=1), np.stack([left, right], axis=1)])
    y = np.concatenate([np.stack([bottom, top], axis=1), np.stack([row, row], axis=1)])
    return np.stack([x, y], axis=2) - 0.5


def _runs(changes: Mask) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Runs of True along the rows of `changes`: row, first position, position after the last."""
    steps = np.diff(np.pad(changes, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, first = np.nonzero(steps == 1)
    _, end = np.nonzero(steps == -1)
    return row, first, end


_CROSS: dict[str, Any] = {
    "marker": "X", "linestyle": "none", "markersize": 5.5, "markerfacecolor": "white", "markeredgecolor": "black",
    "markeredgewidth": 0.6,
}  # fmt: skip


def _gap_look(gap: Gap) -> dict[str, Any]:
    return {"facecolor": style.GAP_FACE, "edgecolor": style.GAP_HATCH, "hatch": gap.hatch, "linewidth": 0}


_DASHES: tuple[Any, ...] = ("solid", (0, (2.5, 1.6)))
_WIDTHS = (2.2, 1.5)


def _outline_look(rank: int, halo: bool) -> dict[str, Any]:
    look: dict[str, Any] = {
        "clip_on": False,
        "capstyle": "projecting",
        "antialiaseds": False,
        "zorder": 3 if halo else 4 + rank,
    }
    if halo:
        return look | {"colors": "white", "linewidths": _WIDTHS[rank] + 1.6}
    return look | {
        "colors": style.OUTLINE_COLOURS[rank],
        "linewidths": _WIDTHS[rank],
        "linestyles": [_DASHES[rank]],
    }


def _dot_look(rank: int, size: float = 3.0) -> dict[str, Any]:
    """The dots that tell which side of an outline is inside."""
    return {
        "marker": "o",
        "linestyle": "none",
        "markersize": size,
        "markerfacecolor": style.OUTLINE_COLOURS[rank],
        "markeredgecolor": "white",
        "markeredgewidth": size / 6,
    }


def legend_entries(panels: Sequence[Panel]) -> list[Artist]:
    """One handle for every kind of outline, mark and gap in `panels`, in that order."""
    lines: dict[str, Artist] = {}
    marks: dict[str, Artist] = {}
    for panel in panels:
        for outline in panel.outlines:
            text = outline.text if any(_encloses(p, outline.text) for p in panels) else f"{outline.text}: nowhere"
            look = _dot_look(outline.rank) | {
                "color": style.OUTLINE_COLOURS[outline.rank],
                "linestyle": _DASHES[outline.rank],
                "linewidth": _WIDTHS[outline.rank],
            }
            lines[text] = Line2D([], [], label=text, **look)
        if panel.crossed is not None and panel.crossed.any():
            marks["crossed"] = Line2D([], [], label="model ran away in some of the trials", **_CROSS)
        for gap, _ in panel.gaps:
            marks[gap.text] = Patch(label=gap.text, **_gap_look(gap))
    return [*lines.values(), *marks.values()]


def _encloses(panel: Panel, text: str) -> bool:
    return any(o.text == text and bool(o.inside.any()) for o in panel.outlines)
