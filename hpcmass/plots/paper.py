"""A figure for a paper: chosen maps, or lines through them, at an exact width."""

from __future__ import annotations

import re
import string
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from hpcmass.errors import UserError
from hpcmass.plots.lines import NETWORK, draw_curve
from hpcmass.plots.maps import draw_map, fit_labels, legend_entries, log_axis, thin_ticks, weight_of
from hpcmass.plots.own import irrelevant
from hpcmass.plots.plane import FloatMap, Plane, grid_index
from hpcmass.plots.requested import Limits, Requested, line_label, requested
from hpcmass.plots.saving import Picture
from hpcmass.plots.view import View

MM_PER_INCH: Final = 25.4
WIDTHS_MM: Final = (30.0, 1000.0)
"""Narrowest and widest figure."""
TWO_COLUMNS_MM: Final = 140.0
"""Width from which the legend has two columns."""
COLUMN_MM: Final = 55.0
"""About the width of a map, with its labels."""
BAR_INCHES: Final = 0.8
"""Width of a colour bar with its labels."""
LINE_ASPECT: Final = 0.8
"""Height of a panel of lines, of its width."""
FEWEST_TICKS: Final = 3
"""Ticks upwards of a panel of lines, at least."""
LEAST_INCHES: Final = 0.25
"""Least width of a panel."""
SETTLING: Final = 3
"""Rounds in which labels, ticks and height are fitted to each other."""
ENTRY_INCHES: Final = 0.17
"""Height of a line of the legend."""
LABEL_INCHES: Final = 0.069
"""Width of a letter of a colour bar's label, about."""
LETTER_INCHES: Final = 0.06
"""Width of a letter of the legend, about."""


def paper_figure(
    view: View,
    names: Sequence[str],
    *,
    width_mm: float,
    columns: int | None = None,
    limits: Limits | None = None,
    along: Mapping[str, float] | None = None,
    letters: bool = False,
    legend: bool = True,
) -> Picture:
    """A figure of its own, in matplotlib's current style: maps or lines, colour bars, legend.

    Parameters
    ----------
    view : View
    names : sequence of str
        Maps, as in `requested`.
    width_mm : float
        Width of the whole figure; its height follows from the maps.
    columns : int, optional
        Panels in a row.
    limits : mapping of str to (float, float), optional
        Statistic → ends of its colours, or of the axis of its lines.
    along : mapping of str to float, optional
        One axis of the plane and a value on the grid: lines along p = 0.2 instead of maps, a panel for each statistic.
        A plane of one row or one column has lines without it.
    letters : bool
        Letter the panels a, b, c, ...
    legend : bool
        Explain outlines, marks and gaps below the panels.
    """
    if not WIDTHS_MM[0] <= width_mm <= WIDTHS_MM[1]:
        raise UserError(
            f"the figure is {width_mm:g} mm wide; give a width from {WIDTHS_MM[0]:g} to {WIDTHS_MM[1]:g} mm"
        )
    along = along or _only_line(view)
    panels = _in_panels(requested(view, names, limits), along)
    columns = min(columns or max(1, int(width_mm // COLUMN_MM)), len(panels))
    rows = -(-len(panels) // columns)
    width = width_mm / MM_PER_INCH
    groups = [] if along else _sharing_bars(panels, columns)
    bars = max((sum(g[0] // columns == row for g in groups) for row in range(rows)), default=0)
    inches = _panel_inches(view, width, columns, bars, lines=bool(along))
    entries = _entries(view, panels, along) if legend else []
    across = 1 if width_mm < TWO_COLUMNS_MM else 2
    shown = [_wrapped(entry, width / across) for entry in entries]
    longest = max((len(line) for text in shown for line in text.split("\n")), default=0)
    across = max(across, min(len(shown), int(width / (0.6 + LETTER_INCHES * longest))))
    where = view.plane.fixed_text(irrelevant(view, [each.panel for panel in panels for each in panel]))
    lines = sum(text.count("\n") + 1 for text in shown) / across + bool(where)
    labelled = rows if along else 1 if len(panels) % columns == 0 else 2
    height = rows * (inches[1] + 0.6) + labelled * 1.0 + ENTRY_INCHES * lines
    figure = Picture(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    flat: list[Axes] = list(grid.ravel())
    for axes in flat[len(panels) :]:
        axes.remove()
    flat = flat[: len(panels)]
    for k, (axes, panel) in enumerate(zip(flat, panels, strict=True)):
        if along:
            draw_lines(axes, view, panel, along, limits, legend=False)
            continue
        last_row = (k // columns + 2) * columns > len(panels)  # there is not a whole row below
        draw_map(axes, view.plane, panel[0].panel, label_x=last_row, label_y=k % columns == 0,
                 weight=weight_of(view.plane, inches))  # fmt: skip
        axes.tick_params(labelbottom=last_row, labelleft=k % columns == 0)
    for group in groups:
        panels[group[0]][0].panel.scale.bar(figure, [flat[k] for k in group], _letters_along(inches[1]))
    if letters:
        add_letters(flat)
    if entries:
        for entry, text in zip(entries, shown, strict=True):
            entry.set_label(text)
        title = f"at {where}" if where else None
        figure.legend(handles=entries, loc="outside lower center", ncols=across, frameon=False, title=title)
    _settle(figure, flat, rows, None if along else view.plane)
    return figure


def _settle(figure: Picture, panels: Sequence[Axes], rows: int, plane: Plane | None) -> None:
    """Break labels and thin ticks for the width that the panels get, and make the figure as high as they need.

    `plane`: of maps; None for lines.
    """
    bars = [axes for axes in figure.axes if axes not in panels]
    for _ in range(SETTLING):
        with warnings.catch_warnings(record=True) as collapsed:
            warnings.simplefilter("always")
            figure.draw_without_rendering()
        boxes = [axes.get_window_extent() for axes in panels]
        inches = (
            min(box.width for box in boxes) / figure.dpi,
            min(box.height for box in boxes) / figure.dpi,
        )
        if inches[0] < LEAST_INCHES or collapsed:
            width_mm = figure.get_figwidth() * MM_PER_INCH
            raise UserError(f"there is no room for the panels in {width_mm:g} mm; give a larger width or fewer columns")
        wanted = inches[0] * (LINE_ASPECT if plane is None else _aspect(plane))
        for axes in panels:
            if plane is not None:
                thin_ticks(axes, plane, (inches[0], wanted))
            fit_labels(axes, (inches[0], wanted))
        for axes in bars:
            height = axes.get_window_extent().height / figure.dpi
            fit_labels(axes, (np.inf, height + wanted - inches[1]))
        figure.set_figheight(figure.get_figheight() + rows * (wanted - inches[1]))


def _aspect(plane: Plane) -> float:
    """Height of a map, of its width."""
    up, right = plane.shape
    return min(max(up / right, 0.6), 1.2)


def draw_into(
    axes: Sequence[Axes],
    view: View,
    names: Sequence[str],
    *,
    limits: Limits | None = None,
    along: Mapping[str, float] | None = None,
    letters: bool = False,
) -> None:
    """The same panels in the axes of a figure that there is, each with its colour bar, without a legend."""
    along = along or _only_line(view)
    panels = _in_panels(requested(view, names, limits), along)
    if len(panels) != len(axes):
        raise UserError(f"there are {len(panels)} panels for {len(axes)} axes; give an axes for each panel")
    for own, panel in zip(axes, panels, strict=True):
        if along:
            draw_lines(own, view, panel, along, limits)
            continue
        figure = own.get_figure(root=True)
        box = own.get_window_extent()
        if figure is None:
            raise UserError("the axes have been removed from their figure; give others")
        inches = (box.width / figure.dpi, box.height / figure.dpi)
        draw_map(own, view.plane, panel[0].panel, weight=weight_of(view.plane, inches))
        thin_ticks(own, view.plane, inches)
        fit_labels(own, inches)
        panel[0].panel.scale.bar(figure, [own], _letters_along(inches[1]))
    if letters:
        add_letters(axes)


def draw_lines(
    axes: Axes,
    view: View,
    shown: Sequence[Requested],
    along: Mapping[str, float],
    limits: Limits | None = None,
    *,
    legend: bool = True,
) -> None:
    """One statistic along a line of the plane, a curve for the network and each model, with standard errors.

    `along` has one axis of the plane and its value; the curves run over the other axis.
    """
    plane = view.plane
    axis, value = _line_of(view, along)
    upwards = axis == plane.right
    place = grid_index(axis, value, plane.right_values if upwards else plane.up_values)
    at = np.array(plane.up_values if upwards else plane.right_values)

    asked = view.requested[:, place] if upwards else view.requested[place]

    def cut(values: FloatMap) -> FloatMap:
        return (values[:, place] if upwards else values[place])[asked]

    for each in shown:
        line = view.line(each.source)
        values = cut(each.panel.values)
        draw_curve(axes, at[asked], values, [cut(each.low), cut(each.high)], each.panel.title, line)
    scale = shown[0].panel.scale
    if isinstance(scale.norm, LogNorm):
        log_axis(axes)
    else:
        axes.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], min_n_ticks=FEWEST_TICKS))
    if shown[0].statistic in (limits or {}):
        axes.set_ylim(scale.norm.vmin, scale.norm.vmax)
    axes.set_title(plane.at(axis, value))
    axes.set_xlabel(plane.up_label if upwards else plane.right_label)
    axes.set_ylabel(line_label(view, shown[0]))
    if legend:
        axes.legend(frameon=False)


def add_letters(axes: Sequence[Axes]) -> None:
    """A bold letter above the left end of each panel."""
    if len(axes) > len(string.ascii_lowercase):
        raise UserError(f"there are {len(axes)} panels and only 26 letters; draw fewer, or no letters")
    for letter, own in zip(string.ascii_lowercase, axes, strict=False):
        own.set_title(letter, loc="left", weight="bold")


def _in_panels(maps: list[Requested], along: Mapping[str, float] | None) -> list[list[Requested]]:
    """What each panel shows: one map, or all lines of one statistic."""
    if not along:
        return [[each] for each in maps]
    statistics = dict.fromkeys(each.statistic for each in maps)
    return [[each for each in maps if each.statistic == name] for name in statistics]


def _only_line(view: View) -> dict[str, float] | None:
    """Where the lines of a plane of one row or one column are: a map of it would say less."""
    plane = view.plane
    if plane.shape[0] == 1 < plane.shape[1]:
        return {plane.up: plane.up_values[0]}
    return {plane.right: plane.right_values[0]} if plane.shape[1] == 1 < plane.shape[0] else None


def _line_of(view: View, along: Mapping[str, float]) -> tuple[str, float]:
    (axis, value), *others = along.items()
    sides = (view.plane.right, view.plane.up)
    if others or axis not in sides:
        raise UserError(f"lines run along one value of {sides[0]} or of {sides[1]}; give one of these axes")
    return axis, value


def _sharing_bars(panels: list[list[Requested]], columns: int) -> list[list[int]]:
    """Positions of panels beside each other with one scale: they share a colour bar."""

    def key(k: int) -> tuple[int, str]:
        return k // columns, panels[k][0].statistic

    return [list(group) for _, group in groupby(range(len(panels)), key)]


def _panel_inches(view: View, width: float, columns: int, bars: int, *, lines: bool) -> tuple[float, float]:
    """Width and height of a panel, about."""
    if lines:
        each = width / columns - 0.6
        return each, LINE_ASPECT * (each + 0.3)
    each = max(0.5, (width - 0.7 - BAR_INCHES * bars) / columns - 0.1)
    return each, each * _aspect(view.plane)


def _entries(view: View, panels: list[list[Requested]], along: Mapping[str, float] | None) -> list[Artist]:
    """What the legend explains: outlines, marks and gaps of maps, or whose the lines are."""
    if not along:
        return legend_entries([panel[0].panel for panel in panels])
    titles = {each.source: each.panel.title for panel in panels for each in panel}
    names = [name for name in (NETWORK, *view.models) if name in titles]
    entries: list[Artist] = [Line2D([], [], label=titles[name], **view.line(name)) for name in names]
    if any(np.isfinite(each.low).any() for panel in panels for each in panel):
        bar: dict[str, Any] = {"color": "0.25", "marker": "|", "markersize": 9, "linestyle": "none"}
        entries.append(Line2D([], [], label="standard error over the trials", **bar))
    return entries


def _letters_along(height: float) -> int:
    """Letters of a colour bar's label that fit along a map of so many inches."""
    return max(14, int(1.2 * height / LABEL_INCHES))


def _wrapped(entry: Artist, width: float) -> str:
    """An entry's text in lines that the figure has room for."""
    text = re.sub(r" ([≥>=<]) ", "\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}", str(entry.get_label()))
    return textwrap.fill(text, max(20, int((width - 0.7) / LETTER_INCHES)), break_on_hyphens=False)
