"""Which points of a grid to calibrate at, and the interpolation to all others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Real = npt.NDArray[np.float64]

LARGEST_GRID = 20_000
"""Largest number of candidate points; a larger grid is thinned out."""


def coordinates(shape: tuple[int, ...]) -> Real:
    """All points of a grid, (n_points, n_axes), each axis from 0 to 1 by index: grids are finer where it matters."""
    axes = [np.linspace(0.0, 1.0, n) if n > 1 else np.zeros(1) for n in shape]
    return np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=-1)


def spread_out(points: Real) -> Iterator[int]:
    """Numbers of points, each as far as possible from all before it: any first few of them cover the grid.

    Starts at the last corner, where all axes are largest (the costliest one as a rule).
    """
    candidates = np.arange(0, len(points), -(-len(points) // LARGEST_GRID))
    if candidates[-1] != len(points) - 1:
        candidates = np.append(candidates, len(points) - 1)
    places = points[candidates]
    nearest = np.full(len(candidates), np.inf)
    chosen = len(candidates) - 1
    for _ in range(len(candidates)):
        yield int(candidates[chosen])
        nearest = np.minimum(nearest, ((places - places[chosen]) ** 2).sum(axis=1))
        nearest[chosen] = -1.0
        chosen = int(nearest.argmax())


def interpolate(known: Real, values: Real, wanted: Real) -> Real:
    """Linear radial basis functions through `values` at `known`, (n, n_axes), kept within the range of the values."""
    if len(known) == 1 or np.ptp(values) == 0:
        return np.full(len(wanted), values.mean())
    from scipy.interpolate import RBFInterpolator  # not in the calibrating processes, whose memory is measured

    between = RBFInterpolator(known, values, kernel="linear", degree=0)
    found: Real = between(wanted)
    return found.clip(values.min(), values.max())


def leave_one_out(known: Real, values: Real) -> Real:
    """Leave-one-out prediction at each point, over its measured value; NaN for a single point.

    One inverse of the interpolation's matrix serves all points (Rippa 1999, Adv. Comput. Math. 11:193); to interpolate
    once for each of n points would take n times as long.
    """
    n = len(known)
    if n == 1:
        return np.full(1, np.nan)
    between = np.ones((n + 1, n + 1))
    between[:n, :n] = -np.sqrt(((known[:, None] - known[None]) ** 2).sum(axis=-1))
    between[n, n] = 0.0
    inverse = np.linalg.inv(between)
    by_others = values - (inverse[:n, :n] @ values) / np.diagonal(inverse)[:n]
    ordered = np.sort(values)  # the range of the others; a value that occurs twice stays in it
    least = np.where(values == ordered[0], ordered[1], ordered[0])
    most = np.where(values == ordered[-1], ordered[-2], ordered[-1])
    return by_others.clip(least, most) / values
