"""The grid of a sweep as text: a cell is a point, a row a value of the upward axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hpcmass.errors import UserError
from hpcmass.live.trials import NOT_REQUESTED, Trials
from hpcmass.nearest import did_you_mean
from hpcmass.progress import duration
from hpcmass.store.schema import DONE, FAILED, NUMBERS, PENDING, SWEEP_VARIABLES
from hpcmass.text import counted

STATE: Final = "state"
"""Shows the state of the trials in place of a statistic."""

SHORT: Final = {"rate": "rate_E"}
"""Other names of statistics."""

STATISTICS: Final = (*NUMBERS, "wall_s")

FILLING: Final = "█▒#+"
"""Marks that fill their cell."""

WIDEST_CELL: Final = 5
SHOWN_RANKS: Final = 8

PLAIN, RESET = "", "\x1b[0m"
GREEN, YELLOW, RED, DIM = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[2m"
SCALE: Final = (17, 18, 24, 30, 29, 35, 71, 107, 143, 220)
"""Colours of the digits 0 to 9, of the 256 that terminals have: the background of a cell, from dark to light."""


@dataclass(frozen=True)
class Screen:
    """What the terminal can show.

    Attributes
    ----------
    columns : int
    rows : int or None
        None: the picture may be as high as it likes.
    colour, unicode : bool
    """

    columns: int = 80
    rows: int | None = None
    colour: bool = False
    unicode: bool = True


@dataclass(frozen=True)
class Side:
    """Which axes the picture shows, and the index at which each further one is fixed."""

    right: str
    up: str
    fixed: dict[str, int]


@dataclass(frozen=True)
class LastTrial:
    """The trial that a rank stored last, and for how long it has been stored, as far as it was seen."""

    label: str
    wall_s: float
    ago_s: float


def statistic_of(name: str) -> str | None:
    """The variable behind a name of `--show`; None for the state.

    Raises
    ------
    UserError
        If there is no such statistic.
    """
    if name == STATE:
        return None
    found = SHORT.get(name, name)
    if found not in STATISTICS:
        known = [STATE, *SHORT, *STATISTICS]
        hint = did_you_mean(name, known) or f"choose from {', '.join(known)}"
        raise UserError(f"a sweep has no statistic '{name}'; {hint}")
    return found


def sides(
    axes: Mapping[str, Sequence[float]], shown: tuple[str, str] | None = None, at: Mapping[str, float] | None = None
) -> Side:
    """The axes of the picture: `shown`, else the first two of more than one value; others at `at`, else their first.

    Raises
    ------
    UserError
        If there is no such axis or value.
    """
    names, at = list(axes), dict(at or {})
    if shown is None:
        first, second, *_ = sorted(names, key=lambda name: len(axes[name]) == 1)
        shown = (first, second) if names.index(first) < names.index(second) else (second, first)
    for name in (*shown, *at):
        if name not in names:
            hint = did_you_mean(name, names) or f"it has {', '.join(names)}"
            raise UserError(f"'{name}' is not an axis of this sweep; {hint}")
    if shown[0] == shown[1]:
        raise UserError(f"a picture needs two different axes, not {shown[0]} twice")
    twice = next((name for name in shown if name in at), None)
    if twice is not None:
        raise UserError(f"{twice} is a side of the picture; give --at for another axis, or other --axes")
    fixed = {}
    for name in names:
        if name in shown:
            continue
        values = np.asarray(axes[name])
        wanted = at.get(name, float(values[0]))
        close = np.isclose(values, wanted, rtol=1e-9, atol=0)
        if not close.any():
            there = ", ".join(f"{value:g}" for value in values)
            raise UserError(f"{name} = {wanted:g} is not in this sweep; it has {there}")
        fixed[name] = int(np.argmax(close))
    return Side(*shown, fixed)


def picture(
    trials: Trials,
    show: str,
    side: Side,
    screen: Screen,
    *,
    title: str = "",
    last: Mapping[tuple[int, int], LastTrial] | None = None,
) -> str:
    """The whole text: title, counts, grid with its scale, ranks.

    Parameters
    ----------
    trials : Trials
        Read with the statistic of `show`.
    show : str
        `state` or the name of a statistic.
    side : Side
    screen : Screen
    title : str
    last : mapping, optional
        File and rank → the trial that it stored last.
    """
    progress = trials.progress
    pace = progress.pace()
    head = [
        _head(title, progress.state(), screen),
        *_wrapped([progress.counts(), pace] if pace else [progress.counts()], screen.columns),
    ]
    ranks = _ranks(trials, last or {}, screen)
    free = None if screen.rows is None else screen.rows - len(head) - 1  # the cursor is in the last row
    grid = _grid(trials, show, side, screen, free)
    if free is not None and len(grid) + len(ranks) > free:
        ranks = ranks[: max(0, free - len(grid))] if free - len(grid) > 1 else []
    return "\n".join([*head, *grid, *ranks])


# The grid -------------------------------------------------------------------------------------------------------------


def _grid(trials: Trials, show: str, side: Side, screen: Screen, free: int | None) -> list[str]:
    names = list(trials.axes)
    right, up = trials.axes[side.right], trials.axes[side.up]
    labels = [f"{value:.4g}" for value in up]
    margin = max(len(_symbol(side.up, screen)), *map(len, labels)) + 2
    across = _block(len(right), max(1, screen.columns - margin))
    upwards = 1 if free is None else _block(len(up), max(1, free - 4))
    n_columns = math.ceil(len(right) / across)
    width = min(WIDEST_CELL, max(1, (screen.columns - margin) // n_columns))

    def plane(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """The values in this plane, (up, right, trial)."""
        cut = values[tuple(side.fixed.get(name, slice(None)) for name in names)]
        return cut if names.index(side.right) > names.index(side.up) else np.swapaxes(cut, 0, 1)

    status, values = plane(trials.status), plane(trials.values)
    lines = []
    for first in reversed(range(0, len(up), upwards)):
        rows = slice(first, first + upwards)
        cells = [slice(column, column + across) for column in range(0, len(right), across)]
        states = [status[rows, columns].ravel() for columns in cells]
        if show == STATE:
            marks = [_state_mark(state, screen) for state in states]
        else:
            limits = _limits(values)
            marks = [
                _value_mark(values[rows, columns].ravel(), state, limits, screen)
                for columns, state in zip(cells, states, strict=True)
            ]
        text = "".join(_cell(mark, colour, width, screen) for mark, colour in marks)
        lines.append(f"{labels[first]:>{margin - 2}} {'│' if screen.unicode else '|'}{text}".rstrip())
    top = f"{_symbol(side.up, screen):>{margin - 2}}"
    lines = [_cut(f"{top}  {_what(show)}", screen), *lines]
    feet = [f"{value:.4g}" for value in right[::across]]
    lines.append(_foot(feet, _symbol(side.right, screen), margin, width, screen))
    lines.append(_state_legend(screen) if show == STATE else _scale(_limits(values), _unit(show), screen))
    notes = [f"{_symbol(name, screen)} = {trials.axes[name][i]:g}" for name, i in side.fixed.items()]
    if (status == NOT_REQUESTED).any():
        notes.append("empty cells are not requested")
    if across > 1 or upwards > 1:
        notes.append(f"a cell is {across} x {upwards} points, for lack of room")
    return [*lines, _cut(", ".join(notes), screen)] if notes else lines


def _block(count: int, room: int) -> int:
    """Points that share a cell, so that `count` of them fit."""
    return max(1, math.ceil(count / room))


def _symbol(name: str, screen: Screen) -> str:
    return "λ" if name == "lam" and screen.unicode else name


def _what(show: str) -> str:
    if show == STATE:
        return "trials of each point"
    name = str(statistic_of(show))
    return f"{name}, {SWEEP_VARIABLES[name].long_name}, mean over trials"


def _unit(show: str) -> str:
    unit = SWEEP_VARIABLES[str(statistic_of(show))].unit
    return "" if unit in ("1", "flag") else f" {unit}"


def _state_mark(states: npt.NDArray[np.generic], screen: Screen) -> tuple[str, str]:
    """The mark and colour of a cell by the states of its trials."""
    if (states == NOT_REQUESTED).all():
        return " ", PLAIN
    failed, pending, done = ((states == state).any() for state in (FAILED, PENDING, DONE))
    if failed:
        return "X" if not done and not pending else "x", RED
    if not done:
        return "·" if screen.unicode else ".", DIM
    if pending:
        return "▒" if screen.unicode else "+", YELLOW
    return "█" if screen.unicode else "#", GREEN


def _state_legend(screen: Screen) -> str:
    done, part, none = ("█", "▒", "·") if screen.unicode else ("#", "+", ".")
    entries = ((done, GREEN, "all done"), (part, YELLOW, "some done"), (none, DIM, "none done"),
               ("x", RED, "a trial failed"), ("X", RED, "all failed"))  # fmt: skip
    return "   ".join(f"{_painted(mark, colour, screen)} {text}" for mark, colour, text in entries)


def _limits(values: npt.NDArray[np.generic]) -> tuple[float, float] | None:
    """Least and greatest mean of the points in the plane; None if there is none."""
    means = _mean(np.asarray(values, dtype=np.float64))
    finite = means[np.isfinite(means)]
    return (float(finite.min()), float(finite.max())) if finite.size else None


def _mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over the last dimension of what is finite, NaN if nothing is."""
    finite = np.isfinite(values)
    count = finite.sum(axis=-1)
    total = np.where(finite, values, 0.0).sum(axis=-1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _value_mark(
    values: npt.NDArray[np.generic],
    states: npt.NDArray[np.generic],
    limits: tuple[float, float] | None,
    screen: Screen,
) -> tuple[str, str]:
    """A digit from 0 to 9 for the place of the mean between the limits."""
    mean = float(_mean(np.asarray(values, dtype=np.float64)))
    if math.isnan(mean) or limits is None:
        if (states == NOT_REQUESTED).all():
            return " ", PLAIN
        if (states == DONE).any():
            return "-", PLAIN
        return ("x", RED) if (states == FAILED).any() else ("·" if screen.unicode else ".", DIM)
    low, high = limits
    digit = 0 if high <= low else min(9, int(10 * (mean - low) / (high - low)))
    return str(digit), _shade(digit)


def _shade(digit: int) -> str:
    return f"\x1b[48;5;{SCALE[digit]}m\x1b[38;5;{231 if digit < 6 else 16}m"


def _scale(limits: tuple[float, float] | None, unit: str, screen: Screen) -> str:
    rest = "- not defined   x failed"
    if limits is None:
        return f"no trial has a value yet   {rest}"
    low, high = limits
    if low == high:
        return f"{_painted('0', _shade(0), screen)} {low:.4g}{unit}   {rest}"
    digits = "".join(_painted(str(k), _shade(k), screen) for k in range(10))
    return f"{low:.4g} {digits} {high:.4g}{unit}   {rest}"


def _cell(mark: str, colour: str, width: int, screen: Screen) -> str:
    """A mark in the middle of its cell; some fill it, a shade is its background."""
    if mark in FILLING:
        text = mark * max(1, width - 1) + " " * (width > 1)
        return _painted(text.rstrip(), colour, screen) + " " * (len(text) - len(text.rstrip()))
    if screen.colour and colour.startswith("\x1b[48"):
        return _painted(mark.center(max(1, width - 1)), colour, screen) + " " * (width > 1)
    left = max(0, (width - 2) // 2)
    return " " * left + _painted(mark, colour, screen) + " " * (width - left - 1)


def _painted(text: str, colour: str, screen: Screen) -> str:
    return f"{colour}{text}{RESET}" if screen.colour and colour else text


def _foot(labels: Sequence[str], symbol: str, margin: int, width: int, screen: Screen) -> str:
    """The values under the columns; those that would run into the one before are left out."""
    text = f"{symbol:>{margin - 2}}  "
    for k, label in enumerate(labels):
        start = margin + k * width + (0 if width < 3 else max(0, (width - 1 - len(label)) // 2))
        if start + len(label) > screen.columns or (k and len(text) + 1 > start):
            continue
        text = text.ljust(start) + label
    return text.rstrip()


# Ranks ----------------------------------------------------------------------------------------------------------------


def _ranks(trials: Trials, last: Mapping[tuple[int, int], LastTrial], screen: Screen) -> list[str]:
    """A line for each rank: how many trials, their mean time, the last one."""
    ended = (trials.status != PENDING) & (trials.rank >= 0)
    if not ended.any():
        return []
    pairs = np.stack([trials.owner[ended], trials.rank[ended]], axis=1)
    wall = trials.wall_s[ended]
    unique, place = np.unique(pairs, axis=0, return_inverse=True)
    counts = np.bincount(place.ravel())
    means = np.bincount(place.ravel(), weights=np.nan_to_num(wall)) / counts
    several = len(trials.labels) > 1
    lines = ["rank"]
    order = sorted(range(len(unique)), key=lambda k: (_ago(last, unique[k]), *unique[k].tolist()))
    for k in sorted(order[:SHOWN_RANKS], key=lambda k: tuple(unique[k].tolist())):
        owner, rank = unique[k].tolist()
        name = f"{trials.labels[owner]}, {rank}" if several else f"{rank}"
        text = f"{name:>4}  {counted(int(counts[k]), 'trial')}, {means[k]:.3g} s each"
        seen = last.get((owner, rank))
        if seen is not None:
            text += f"; last {seen.label}, {seen.wall_s:.3g} s, {duration(seen.ago_s)} ago"
        lines.append(_cut(text, screen))
    if len(unique) > SHOWN_RANKS:
        lines.append(f"and {len(unique) - SHOWN_RANKS} more")
    return lines


def _ago(last: Mapping[tuple[int, int], LastTrial], pair: npt.NDArray[np.generic]) -> float:
    owner, rank = pair.tolist()
    seen = last.get((owner, rank))
    return math.inf if seen is None else seen.ago_s


def _cut(text: str, screen: Screen) -> str:
    mark = "…" if screen.unicode else "..."
    return text if len(text) <= screen.columns else text[: screen.columns - len(mark)] + mark


def _head(title: str, state: str, screen: Screen) -> str:
    """The title, of a long one its end, and the state."""
    room = screen.columns - len(state) - 3
    mark = "…" if screen.unicode else "..."
    shown = title if len(title) <= room else mark + title[len(title) - max(0, room - len(mark)) :]
    return f"{shown} ({state})" if title else state


def _wrapped(pieces: Sequence[str], columns: int) -> list[str]:
    """The pieces in one line if they fit, else a line each."""
    line = "   ".join(pieces)
    return [line] if len(line) <= columns else list(pieces)
