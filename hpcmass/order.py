"""The order in which the trials of a sweep are handed out: it decides when something is known, never what.

    coarse grid, mixed │ finer grid, mixed │ … │ the cheapest of the rest, the costliest of them first

A coarse grid comes first, so that a picture of the whole plane forms early. All trials of a point come together: the
picture then has error bars, and a comparison that runs beside the sweep reads each point once. Within a grid costly and
cheap points alternate: the costly ones read the graph most, and all of them at once would wait for the memory of a
full node. The cheap trials at the end fill the gaps that the costly ones leave, so that all workers end together. The
number of workers decides how many these are. Where such an order is expected to take longer, the costliest come first
throughout.
"""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

Real = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

COARSE_INTERVALS = 4
"""Fewest intervals of an axis in the coarse grid; a shorter axis is taken whole."""

GOLDEN = 2654435769
"""2^32 over the golden ratio: its multiples modulo 2^32 are evenly spread, however many there are."""

TAILS = (1.0, 2.0, 4.0)
"""Work of the cheap trials at the end, in units of the costliest trial on every worker; the first that suffices."""

LONGER = 1.01
"""Longest expected run, over that with the costliest trials first throughout: else those come first."""

SCHEDULED_TRIALS = 50_000
"""Trials at the end of a sweep whose schedule is simulated one by one: they decide how evenly the workers finish."""

TASKS_PER_WORKER = 2
"""Trials handed to a worker at a time: one runs, one waits, the other 10⁵ stay unpickled."""

POINTS_PER_WORKER = 4
"""Fewest points for each worker if a point is one task: with fewer, some would wait long for the last ones."""


def spreads(n_points: int, workers: int) -> bool:
    """Whether the trials of a point that is compared during the run are tasks of different workers."""
    return workers > 1 and n_points < POINTS_PER_WORKER * workers


def point_order(costs: Real, n_trials: Ints, workers: int) -> Ints:
    """The points of a sweep in the order in which their trials are begun.

    Parameters
    ----------
    costs : array of float, a dimension an axis
        Expected cost of a trial at each point.
    n_trials : array of int, same shape
        Trials to do at each point; points without any are left out.
    workers : int
        Trials that run at the same time.

    Returns
    -------
    array of int, (n_points,)
        Numbers of points, in the grid's order.
    """
    levels, cost, number = grid_levels(costs.shape).ravel(), costs.ravel(), n_trials.ravel()
    todo = np.flatnonzero(number)
    costliest_first: Ints = todo[np.argsort(-cost[todo], kind="stable")]
    if workers == 1:
        return _in_levels(costliest_first, levels[costliest_first], np.empty(0, np.int64))
    level = levels[costliest_first]
    may_wait = np.flatnonzero(level) if level.any() else np.arange(level.size)
    work = np.cumsum((cost * number)[costliest_first[may_wait[::-1]]])
    longest = LONGER * finish(np.repeat(cost[costliest_first], number[costliest_first]), workers)
    for tail in TAILS:
        n_last = int(np.searchsorted(work, tail * workers * cost[todo].max(initial=0.0))) + 1
        order = _in_levels(costliest_first, level, may_wait[-n_last:])
        if finish(np.repeat(cost[order], number[order]), workers) <= longest:
            return order
    return costliest_first


def grid_levels(lengths: tuple[int, ...]) -> Ints:
    """At which refinement each point of a grid appears: 0 in the coarse grid, 1 where its intervals are halved, …"""
    levels = np.zeros(lengths, np.int64)
    for axis, length in enumerate(lengths):
        level = _axis_levels(length)
        levels = np.maximum(levels, level.reshape([-1 if k == axis else 1 for k in range(len(lengths))]))
    return levels


def finish(seconds: Real, workers: int) -> float:
    """When the last of some trials ends, each begun in this order by the first free worker."""
    workers = max(1, min(workers, len(seconds)))
    # with many trials the workers finish the first ones at about the same time: the last ones fill the gaps
    last = max(SCHEDULED_TRIALS, 8 * workers)
    free_at = [float(seconds[:-last].sum()) / workers] * workers
    for each in seconds[-last:].tolist():
        heapq.heapreplace(free_at, free_at[0] + each)
    return max(free_at)


def _axis_levels(length: int) -> Ints:
    """The same of one axis, whose last value is in the coarse grid, too."""
    levels = np.zeros(length, np.int64)
    stride = 1
    while 2 * stride * COARSE_INTERVALS <= length - 1:
        stride *= 2
        levels[np.arange(length) % stride != 0] += 1
    levels[-1] = 0
    return levels


def _in_levels(costliest_first: Ints, level: Ints, last: Ints) -> Ints:
    """Level after level, each of them mixed; at the end those in the places `last` of the list."""
    rest = np.ones(level.size, bool)
    rest[last] = False
    grids = [_mixed(costliest_first[(level == k) & rest]) for k in range(int(level.max(initial=0)) + 1)]
    return np.concatenate([*grids, costliest_first[last]])


def _mixed(points: Ints) -> Ints:
    """The first one first; any successive ones are from everywhere in the list."""
    mixed: Ints = points[np.argsort(np.arange(points.size, dtype=np.uint64) * np.uint64(GOLDEN) % np.uint64(2**32))]
    return mixed
