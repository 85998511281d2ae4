"""Adaptive refinement: which points to add to a sweep, from its comparison, and the configuration that has them.

A cell of the grid is a rectangle with four points at its corners. It is divided where an outline passes through it, or
where two neighbouring corners differ by more than their errors: the middles of its sides and its centre are requested.
Cells of a grid that was refined before have several sizes, and those that an outline reached since are divided, too.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment
from hpcmass.config.axes import canonical
from hpcmass.config.file import parse_experiment
from hpcmass.config.network import WHOLE_NUMBERS
from hpcmass.config.yaml_text import written
from hpcmass.errors import UserError
from hpcmass.grid import requested as requested_in
from hpcmass.plots.outlines import RAW, SYNCHRONY
from hpcmass.plots.plane import FloatMap, Mask, cut_plane
from hpcmass.plots.requested import Requested
from hpcmass.plots.requested import requested as maps_of
from hpcmass.plots.view import View
from hpcmass.text import counted, one_line

Place = tuple[int, ...]
"""A point on the refined axes: one index per axis."""

STANDARD_ERRORS: Final = 3.0
"""Least difference of two neighbours, in units of its standard error."""

RELEVANT: Final = 0.25
"""The same, as a part of the range of the map's values."""

LINE_LETTERS: Final = 116
"""Letters in a line of the configuration."""

EQUAL_STEPS: Final = 1e-6
"""Relative difference of steps that count as equal."""


@dataclass(frozen=True)
class Refinement:
    """Points to add to a sweep.

    Attributes
    ----------
    experiment : Experiment
        The refined one, for `run_sweep(…, reuse=[OLD])`.
    by : tuple of str
        The maps that decided, such as `rho:MFM`.
    outlines, differences : int
        New points because an outline passes; because neighbours differ.
    left : int
        Further points for which the budget was too small.
    """

    experiment: Experiment
    by: tuple[str, ...]
    outlines: int
    differences: int
    left: int

    @property
    def new(self) -> int:
        """Points to simulate."""
        return self.outlines + self.differences

    @property
    def requested(self) -> int:
        """All points of the refined sweep."""
        return int(requested_in(self.experiment).sum())

    @property
    def size(self) -> int:
        """Points of the refined grid, requested or not."""
        return int(requested_in(self.experiment).size)

    def __str__(self) -> str:
        if not self.new:
            return f"nothing to refine by {', '.join(self.by)}: no outline passes, and no neighbours differ"
        share = f"{self.requested} of {self.size} points of the grid requested ({self.requested / self.size:.0%})"
        why = f"{self.outlines} at outlines, {self.differences} at differences"
        return f"{counted(self.new, 'new point')} by {', '.join(self.by)} ({why}); {share}"


@dataclass(frozen=True)
class _Cell:
    """A cell to divide: its new points, and by what it is preferred where not all can be."""

    new: frozenset[Place]
    outline: bool
    stride: int
    jump: float

    @property
    def rank(self) -> tuple[bool, int, float]:
        """Outlines first, of these the large cells, of these the steepest."""
        return not self.outline, -self.stride, -self.jump


def refine(
    view: View,
    by: Sequence[str] | None = None,
    *,
    budget: int = 500,
    difference: float | None = None,
    axes: tuple[str, str] | None = None,
) -> Refinement:
    """Points to add where the maps of a comparison change.

    Parameters
    ----------
    view : View
        The comparison, in any plane.
    by : sequence of str, optional
        The maps that decide, `STATISTIC:MODEL` or `STATISTIC`; without it ρ of every model.
    budget : int
        Most new points. Outlines come first.
    difference : float, optional
        Least difference between neighbours that matters, in the unit of the map; without it a quarter of the range of
        the map's values. It must also be three standard errors. Infinity: outlines alone count.
    axes : tuple of 2 str, optional
        The axes that become finer; without it the first two that vary. All values of the others are treated alike.

    Raises
    ------
    UserError
        If there is no such statistic, model or axis; if the sweep is an import; if an axis cannot become finer.
    """
    experiment = view.experiment
    if experiment.imported is not None:
        raise UserError(f"{view.path} compares imported recordings, which no simulation can refine")
    if budget < 1:
        raise UserError(f"the budget is {budget}; give at least one point")
    if difference is not None and not difference > 0:
        raise UserError(f"the difference is {difference:g}; give a number above 0")
    names = list(experiment.axes())
    first = cut_plane(view.data, axes)
    for name in (first.right, first.up):
        if name not in names:
            raise UserError(f"{name} is a parameter of the models, which needs no new trials; give other --axes")
    finer = [name for name in (first.right, first.up) if len(experiment.axes()[name]) > 1]
    asked = requested_in(experiment)
    planes = view.planes(first.right, first.up)
    maps = [(plane, maps_of(plane, by or ["rho"])) for plane in planes]
    cells = [
        cell
        for plane, listed in maps
        for shown in listed
        for cell in _cells(plane, shown, asked, names, finer, difference)
    ]
    chosen, outlines, left = _within(sorted(cells, key=lambda cell: cell.rank), budget)
    if left and not chosen:
        raise UserError(f"a budget of {counted(budget, 'point')} is too small for one cell; give --budget 5 or more")
    decided = tuple(dict.fromkeys(f"{shown.statistic}:{shown.source}" for shown in maps[0][1]))
    refined = _configured(experiment, asked, chosen, finer, view.path.name, decided) if chosen else experiment
    return Refinement(refined, decided, outlines, len(chosen) - outlines, left)


def _cells(
    view: View,
    shown: Requested,
    asked: npt.NDArray[np.bool_],
    names: Sequence[str],
    finer: Sequence[str],
    difference: float | None,
) -> Iterator[_Cell]:
    """The cells to divide by one map of a plane."""
    plane = view.plane
    steps = [2 if name in finer else 0 for name in (plane.up, plane.right)]
    known = view.point("n_compared") > 0
    ranks = (RAW, SYNCHRONY) if shown.statistic in ("spike_contrast", "synchronised") else (RAW,)
    insides = [outline.inside for outline in shown.panel.outlines if outline.rank in ranks]
    here = asked[tuple(slice(None) if n in (plane.up, plane.right) else plane.fixed[n] for n in names)]
    here = here if names.index(plane.up) < names.index(plane.right) else here.T

    def place(row: int, column: int) -> Place:
        """On axes that are twice as fine; the others are as they were."""
        index = {**plane.fixed, plane.up: row, plane.right: column}
        return tuple(index[name] for name in names)

    for found in divided(shown.panel.values, shown.low, shown.high, insides, known, here, steps, difference):
        new = frozenset(place(*point) for point in found.new)
        yield _Cell(new, found.outline, found.stride, found.jump)


@dataclass(frozen=True)
class Divided:
    """A cell of a plane that is to be divided.

    Attributes
    ----------
    new : tuple of (int, int)
        Its new points, row and column on axes that are twice as fine.
    outline : bool
        An outline passes; else its neighbours differ.
    stride : int
        Its side, in steps of those axes.
    jump : float
        Largest difference of neighbours, over the relevant one.
    """

    new: tuple[tuple[int, int], ...]
    outline: bool
    stride: int
    jump: float = field(compare=False)


def divided(
    values: FloatMap,
    low: FloatMap,
    high: FloatMap,
    insides: Sequence[Mask],
    known: Mask,
    requested: Mask,
    steps: Sequence[int] = (2, 2),
    difference: float | None = None,
) -> Iterator[Divided]:
    """The cells of one map that are to be divided.

    Parameters
    ----------
    values, low, high : array of float, (up, right)
        The map, and its values less and plus a standard error; NaN where there is none.
    insides : sequence of array of bool, (up, right)
        Regions that have an outline.
    known, requested : array of bool, (up, right)
        Points that are compared; points that are or will be simulated.
    steps : sequence of 2 int
        Upwards and to the right: 2 where the axis becomes finer, 0 where it has one value.
    difference : float, optional
        See `refine`.
    """
    finite = values[np.isfinite(values) & known]
    amount = difference or (RELEVANT * float(np.ptp(finite)) if finite.size else 0.0)
    three = tuple(_spread(np.where(known, each, np.nan), steps) for each in (values, low, high))
    regions = [_spread(inside & known, steps) for inside in insides]
    there, asked = _spread(known, steps), _spread(requested, steps)
    stride = 2
    while stride < max(asked.shape):
        reach = [stride if step else 0 for step in steps]
        for row, column in itertools.product(*map(_starts, asked.shape, reach)):
            cell = slice(row, row + reach[0] + 1), slice(column, column + reach[1] + 1)
            corners = (slice(None, None, stride),) * 2
            if not asked[cell][corners].all():
                continue
            half = stride // 2
            lacking = np.argwhere(~asked[cell][::half, ::half]) * half
            passes = any(_mixed(inside[cell][there[cell]]) for inside in regions)
            jump = _jump([each[cell][corners] for each in three], amount)
            if lacking.size and (passes or jump > 1):
                new = tuple((row + int(up), column + int(right)) for up, right in lacking)
                yield Divided(new, passes, stride, jump)
        stride *= 2


def _spread(values: npt.NDArray[Any], steps: Sequence[int]) -> npt.NDArray[Any]:
    """A plane on axes that are twice as fine; what is between the old points is False or NaN."""
    lengths = [(n - 1) * step + 1 if step else n for n, step in zip(values.shape, steps, strict=True)]
    found = np.full(lengths, False if values.dtype == bool else np.nan, values.dtype)
    found[:: steps[0] or 1, :: steps[1] or 1] = values
    return found


def _starts(length: int, reach: int) -> range:
    """Where the cells begin along an axis; where there is none of it, at every row."""
    return range(0, length - reach, reach) if reach else range(length)


def _mixed(inside: Mask) -> bool:
    return bool(inside.any() and not inside.all())


def _jump(three: Sequence[FloatMap], amount: float) -> float:
    """The largest difference of two neighbouring corners that exceeds their errors, over the relevant amount.

    `three`: the corners' values, and these less and plus a standard error.
    """
    largest = 0.0
    for axis in (0, 1):
        first, second = (tuple(np.take(each, [k], axis) for each in three) for k in (0, -1))
        with np.errstate(invalid="ignore"):
            upper, lower = np.maximum(first[0], second[0]), np.minimum(first[0], second[0])
            down = np.where(first[0] >= second[0], first[0] - first[1], second[0] - second[1])
            up = np.where(first[0] >= second[0], second[2] - second[0], first[2] - first[0])
            gap = upper - lower
            sure = gap > STANDARD_ERRORS * np.hypot(down, up)
        largest = max(largest, float(np.max(gap[sure], initial=0.0)))
    return largest / amount if amount > 0 else 0.0


def _within(cells: Sequence[_Cell], budget: int) -> tuple[set[Place], int, int]:
    """New points of the first cells that the budget allows; how many are at outlines; how many are left out."""
    chosen: set[Place] = set()
    wanted: set[Place] = set()
    outlines = 0
    for cell in cells:
        wanted |= cell.new
        if len(chosen | cell.new) <= budget:
            chosen |= cell.new
        outlines = len(chosen) if cell.outline else outlines
    return chosen, outlines, len(wanted) - len(chosen)


def _configured(
    experiment: Experiment,
    asked: npt.NDArray[np.bool_],
    chosen: set[Place],
    finer: Sequence[str],
    source: str,
    by: Sequence[str],
) -> Experiment:
    """The experiment on axes that are finer where a new point needs that."""
    axes = dict(experiment.axes())
    double = {name: any(place[k] % 2 for place in chosen) for k, name in enumerate(axes) if name in finer}
    points = {tuple(int(i) for i in place) for place in np.argwhere(asked)}
    factor = [2 if double.get(name) else 1 for name in axes]
    there = {tuple(i * f for i, f in zip(place, factor, strict=True)) for place in points}
    there |= {
        tuple(i if name not in finer or double[name] else i // 2 for name, i in zip(axes, place, strict=True))
        for place in chosen
    }
    refined = {name: halved(name, values) if double.get(name) else values for name, values in axes.items()}
    listed = [[refined[name][i] for name, i in zip(axes, place, strict=True)] for place in sorted(there)]
    head = f"Refined from {one_line(source)} by {', '.join(by)}: {len(chosen)} of {len(listed)} points are new."
    text = configuration_text(experiment, refined, listed, head)
    return parse_experiment(text, "the refined configuration")


def halved(name: str, values: Sequence[float]) -> tuple[float, ...]:
    """An axis with a value in the middle of each interval: the geometric mean where all ratios are equal.

    Raises
    ------
    UserError
        If there is no number in between.
    """
    array = np.asarray(values, dtype=np.float64)
    middles = (array[1:] + array[:-1]) / 2
    if len(array) > 2 and array[0] > 0:
        ratios, steps = array[1:] / array[:-1], np.diff(array)
        if np.ptp(ratios) <= EQUAL_STEPS * ratios[0] and np.ptp(steps) > EQUAL_STEPS * steps[0]:
            middles = np.sqrt(array[1:] * array[:-1])
    for low, middle, high in zip(array[:-1], middles, array[1:], strict=True):
        if not low < canonical(middle) < high or (name in WHOLE_NUMBERS and middle != int(middle)):
            kind = "whole number" if name in WHOLE_NUMBERS else "number"
            raise UserError(
                f"the axis {name} cannot become finer: there is no {kind} in the middle of {low:g} and {high:g}; "
                "choose other axes with --axes"
            )
    found = [values[0]]
    for middle, value in zip(middles.tolist(), values[1:], strict=True):
        found += [canonical(middle), value]
    return tuple(found)


def configuration_text(
    experiment: Experiment, axes: Mapping[str, Sequence[float]], points: Sequence[Sequence[float]], head: str
) -> str:
    """A configuration with other axes, and the points that are requested, a line for each value of the first axis."""
    keys = {key: value for key, value in experiment.document().items() if key not in ("grid", "points")}
    first = written({key: keys.pop(key) for key in ("title", "root_seed", "trials")})
    lines = [f"# {head}", first.rstrip(), "", "grid:"]
    lines += [_filled(f"  {name}: [{', '.join(map(_number, values))}]") for name, values in axes.items()]
    lines += ["", f"# Only these points are simulated: {', '.join(axes)}.", "points:"]
    for point in points:
        lines.append(f"  - [{', '.join(map(_number, point))}]")
    return "\n".join([*lines, "", written(keys)])


def _filled(line: str) -> str:
    return textwrap.fill(line, LINE_LETTERS, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _number(value: float) -> str:
    """A number that every YAML parser reads as one."""
    text = f"{value:.12g}"
    mantissa, exponent, power = text.partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}{exponent}{power}" if exponent else text
