"""Outlines: the edge of a region of cells, labelled where it runs, with a dot in every cell inside.

Each cell is in or out, so a line follows the cells' edges; nothing is interpolated between grid values. A region by
adjusted p-values is mostly the raw one, so only the difference is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from hpcmass.plots.plane import Mask

Segments = npt.NDArray[np.float64]
"""Straight lines, (segment, 2 ends, 2 coordinates x and y)."""

RAW, ADJUSTED, SYNCHRONY = 0, 1, 2
"""Ranks, the later ones drawn on top of the earlier ones."""


@dataclass(frozen=True, eq=False)
class Outline:
    """A region to enclose.

    Attributes
    ----------
    text : str
        What being inside means, for the legend.
    tag : str
        The short name that stands on the line.
    inside : array of bool, (up, right)
    rank : int
        `RAW`: a solid line; `ADJUSTED`: a dashed one; `SYNCHRONY`: the dotted border of the synchronised region,
        without dots inside.
    raw : array of bool, (up, right), optional
        Of an `ADJUSTED` one: the region before the adjustment. Line and dots stand only where the two differ.
    short : str
        What the legend says of an `ADJUSTED` one, below the entry of the raw one.
    unknown : array of bool, (up, right), optional
        Cells that were not requested: they get no dots.
    """

    text: str
    tag: str
    inside: Mask
    rank: int = RAW
    raw: Mask | None = None
    short: str = ""
    unknown: Mask | None = None

    def across(self, unknown: Mask) -> Outline:
        """The same with a line that runs through `unknown` cells: each is in or out as the nearest known one is."""
        if unknown.all():
            return self
        raw = None if self.raw is None else nearest_known(self.raw, unknown)
        return replace(self, inside=nearest_known(self.inside, unknown), raw=raw, unknown=unknown)


def nearest_known(inside: Mask, unknown: Mask) -> Mask:
    """`inside`, with the value of the nearest other cell in every unknown one."""
    from scipy.ndimage import distance_transform_edt

    row, column = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    filled: Mask = inside[row, column]
    return filled


@dataclass(frozen=True, eq=False)
class Dots:
    """Marks in some cells.

    Attributes
    ----------
    text : str
        What they mean, for the legend.
    cells : array of bool, (up, right)
    rank : int
        The outline's, for colour and place.
    full : bool
        Discs rather than rings.
    """

    text: str
    cells: Mask
    rank: int
    full: bool = True


NEAR_END: Final = 0.15
"""Part of a small map's width in which a centred tag would leave it."""
TICK: Final = 0.3
"""Length, in cells, of the ticks that point to the inside of a border."""


@dataclass(frozen=True)
class _LineStyle:
    colour: str
    width: float
    dashes: Any
    dots: tuple[float, float] | None
    """Position of the dot in its cell."""


LINE_STYLES: Final = (
    _LineStyle("black", 2.2, "solid", (0.3, 0.3)),
    _LineStyle("#E6550D", 1.5, (0, (2.5, 1.6)), (-0.3, 0.3)),
    _LineStyle("#6A00A8", 1.7, (0, (0.6, 1.1)), None),
)
"""The colours do not occur in the colour maps; solid, dashed and dotted tell the lines apart in grey."""


def draw_outlines(axes: Axes, outlines: Sequence[Outline], weight: float = 1.0) -> None:
    """Draw outlines over a map whose cells are unit squares around whole numbers.

    `weight`: width of the lines and size of the dots, of the usual ones.
    """
    edges = [edge(outline) for outline in outlines]
    for halo in (True, False):  # all halos below all lines
        for outline, segments in zip(outlines, edges, strict=True):
            line = _line_options(outline.rank, halo, weight)
            axes.add_collection(LineCollection(list(segments), **line))
            axes.add_collection(LineCollection(list(inward_ticks(outline)), **line | {"linestyles": ["solid"]}))
    taken: list[tuple[float, float]] = []
    for outline, segments in zip(outlines, edges, strict=True):
        for dots in dots_of(outline):
            y, x = np.nonzero(dots.cells)
            right, up = LINE_STYLES[dots.rank].dots or (0.0, 0.0)
            axes.plot(x + right, y + up, **_dot_style(dots, weight * min(3.0, 72 / outline.inside.shape[1])))
        place = tag_place(outline, segments, taken)
        if place is not None:
            taken.append(place)
            axes.annotate(
                outline.tag, place, ha=_side(place, outline) if weight < 1 else "center",
                va="center", fontsize=6.5, weight="bold", zorder=8,
                color=LINE_STYLES[outline.rank].colour, annotation_clip=False,
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.9},
            )  # fmt: skip


def _side(place: tuple[float, float], outline: Outline) -> Literal["left", "center", "right"]:
    """Near the left or right end of a small map a tag stands within it."""
    part = (place[0] + 0.5) / outline.inside.shape[1]
    return "left" if part < NEAR_END else "right" if part > 1 - NEAR_END else "center"


def edge(outline: Outline) -> Segments:
    """The line that an outline draws.

    It surrounds the cells, with two exceptions: a border between two regions omits the frame, and an adjusted region's
    line omits what the raw line shows already.
    """
    segments = boundary(outline.inside, outline.raw)
    return segments[~_on_frame(segments, outline.inside.shape)] if outline.rank == SYNCHRONY else segments


def inward_ticks(outline: Outline) -> Segments:
    """Of a border between two regions: from the middle of each cell's side, a tick into the region inside."""
    if outline.rank != SYNCHRONY:
        return np.empty((0, 2, 2))
    inside = outline.inside
    found = []
    for row, column in np.argwhere(inside):
        for up, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            y, x = row + up, column + right
            if 0 <= y < inside.shape[0] and 0 <= x < inside.shape[1] and not inside[y, x]:
                reach = 0.5 - TICK
                start = (column + 0.5 * right, row + 0.5 * up)
                found.append((start, (column + reach * right, row + reach * up)))
    return np.array(found, dtype=np.float64).reshape(-1, 2, 2)


def dots_of(outline: Outline) -> list[Dots]:
    """The dots of an outline, only the kinds that occur."""
    inside, raw = outline.inside, outline.raw
    if LINE_STYLES[outline.rank].dots is None:
        return []
    if raw is None:
        found = [Dots("inside an outline", inside, outline.rank)]
    else:
        found = [
            Dots("inside by Benjamini–Hochberg only", inside & ~raw, outline.rank),
            Dots("outside by Benjamini–Hochberg", raw & ~inside, outline.rank, full=False),
        ]
    if outline.unknown is not None:
        found = [replace(dots, cells=dots.cells & ~outline.unknown) for dots in found]
    return [dots for dots in found if dots.cells.any()]


def boundary(inside: Mask, drawn: Mask | None = None) -> Segments:
    """Line segments around the cells of `inside`, as long as they run straight.

    Parameters
    ----------
    inside : array of bool, (rows, columns)
    drawn : array of bool, (rows, columns), optional
        Where the line around these cells runs, none is returned.
    """
    upright, level = _changes(inside)
    if drawn is not None:
        there = _changes(drawn)
        upright, level = upright & ~there[0], level & ~there[1]
    column, bottom, top = _runs(upright.T)
    row, left, right = _runs(level)
    x = np.concatenate([np.stack([column, column], axis=1), np.stack([left, right], axis=1)])
    y = np.concatenate([np.stack([bottom, top], axis=1), np.stack([row, row], axis=1)])
    return np.stack([x, y], axis=2) - 0.5


def _changes(inside: Mask) -> tuple[Mask, Mask]:
    """Where inside and outside meet: sides left and right of cells, and sides below and above."""
    padded = np.pad(inside, 1)
    return padded[1:-1, 1:] != padded[1:-1, :-1], padded[1:, 1:-1] != padded[:-1, 1:-1]


def _runs(changes: Mask) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Runs of True along the rows of `changes`: row, first position, position after the last."""
    steps = np.diff(np.pad(changes, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, first = np.nonzero(steps == 1)
    _, end = np.nonzero(steps == -1)
    return row, first, end


def tag_place(outline: Outline, segments: Segments, taken: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Where an outline's tag stands: the middle of the longest straight piece of its line within the map.

    Parameters
    ----------
    outline : Outline
    segments : array, (segment, 2 ends, 2 coordinates x and y)
        Its line; pieces along the frame of the map are used only if there are no others.
    taken : sequence of (x, y)
        Where other tags stand: as far as can be, not closer than a cell and a half.

    Returns
    -------
    (x, y), or None without a line, and for an outline that shows a difference: it would cover the few cells that differ
    """
    if not len(segments) or outline.raw is not None:
        return None
    middle = segments.mean(axis=1)
    length = np.abs(segments[:, 1] - segments[:, 0]).sum(axis=1)
    frame = _on_frame(segments, outline.inside.shape)
    near = np.zeros(len(segments), dtype=bool)
    for x, y in taken:
        near |= np.abs(middle - (x, y)).max(axis=1) < 1.5
    best = int(np.argmax(length - 1e3 * frame - 1e6 * near))
    return float(middle[best, 0]), float(middle[best, 1])


def _on_frame(segments: Segments, shape: tuple[int, int]) -> Mask:
    rows, columns = shape
    x, y = segments.mean(axis=1).T
    return np.isin(x, (-0.5, columns - 0.5)) | np.isin(y, (-0.5, rows - 0.5))


def legend_texts(outlines: Sequence[Outline]) -> list[tuple[Outline, str, str]]:
    """The first of every kind of outline, its tag and its text; "(nowhere)" or "(everywhere)" where it is not drawn.

    An adjusted outline that equals the raw one is not drawn: the raw one's text mentions it.
    """
    kinds: dict[str, list[Outline]] = {}
    for outline in outlines:
        kinds.setdefault(outline.text, []).append(outline)
    equal = [same for same in kinds.values() if same[0].raw is not None and not any(dots_of(o) for o in same)]
    found = []
    for text, same in kinds.items():
        if same[0].raw is not None:
            if same not in equal:
                found.append((same[0], same[0].tag, f"{same[0].short}, where it differs"))
            continue
        text += "".join(f", and the same {other[0].short}" for other in equal if other[0].raw is same[0].inside)
        nowhere, everywhere = not any(o.inside.any() for o in same), all(o.inside.all() for o in same)
        within = ", on the side of the ticks" if same[0].rank == SYNCHRONY else ""
        extent = " (nowhere)" if nowhere else " (everywhere)" if everywhere else within
        found.append((same[0], same[0].tag, text + extent))
    return found


def split_label(tag: str, text: str) -> tuple[str, str]:
    """Tag and rest of an entry: a text that begins with its tag does not repeat it."""
    return (tag, text[len(tag) :]) if text.startswith(f"{tag} ") else (tag, f": {text}")


def legend_dots(outlines: Sequence[Outline]) -> list[Dots]:
    """The first of every kind of dots."""
    kinds: dict[str, Dots] = {}
    for dots in (dots for outline in outlines for dots in dots_of(outline)):
        kinds.setdefault(dots.text, dots)
    return list(kinds.values())


def legend_lines(outlines: Sequence[Outline]) -> list[Artist]:
    """A handle for every kind of outline, then for every kind of dots."""
    lines: list[Artist] = []
    for outline, tag, text in legend_texts(outlines):
        line = LINE_STYLES[outline.rank]
        style = {"color": line.colour, "linestyle": line.dashes, "linewidth": line.width}
        lines.append(Line2D([], [], label="".join(split_label(tag, text)), **style))
    return [*lines, *(Line2D([], [], label=dots.text, **_dot_style(dots, 4.0)) for dots in legend_dots(outlines))]


def _line_options(rank: int, halo: bool, weight: float) -> dict[str, Any]:
    options: dict[str, Any] = {
        "clip_on": False,
        "capstyle": "projecting",
        "antialiaseds": False,
        "zorder": 3 if halo else 4 + rank,
    }
    if halo:
        return options | {"colors": "white", "linewidths": weight * (LINE_STYLES[rank].width + 1.6)}
    return options | {
        "colors": LINE_STYLES[rank].colour,
        "linewidths": weight * LINE_STYLES[rank].width,
        "linestyles": [LINE_STYLES[rank].dashes],
        "capstyle": "butt" if rank else "projecting",
    }


def _dot_style(dots: Dots, size: float) -> dict[str, Any]:
    colour = LINE_STYLES[dots.rank].colour
    return {
        "marker": "o",
        "linestyle": "none",
        "markersize": size if dots.full else 1.1 * size,
        "markerfacecolor": colour if dots.full else "white",
        "markeredgecolor": "white" if dots.full else colour,
        "markeredgewidth": size / (6 if dots.full else 3.5),
    }
