"""How unlikely is unlikely: assertions about random numbers at one stated false-alarm rate.

Every assertion below fails for a right program with probability `FALSE_ALARM` (where a statistic is only
asymptotically normal, about that). Seeds are fixed, so a test that passes once passes always; the rate applies
to a change of a seed or of the order in which random numbers are consumed. There are some 500 such assertions, so a
complete redraw fails once in 200 times.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

FALSE_ALARM = 1e-5
"""Probability that one assertion fails although nothing is wrong."""


def assert_standard_normal(z: float | npt.NDArray[np.floating], what: str) -> None:
    """Assert that z, or the largest of several z, is one that standard normals reach (Bonferroni)."""
    values = np.abs(np.atleast_1d(np.asarray(z, float)))
    assert np.isfinite(values).all(), f"{what}: not finite"
    limit = stats.norm.isf(FALSE_ALARM / (2 * values.size))
    assert values.max() < limit, f"{what}: |z| = {values.max():.2f} at {values.argmax()}, limit {limit:.2f}"


def assert_chi2(statistic: float, dof: int, what: str) -> None:
    """Assert that the statistic is one that χ² with `dof` degrees of freedom takes, neither too large nor too small."""
    low, high = stats.chi2.ppf(FALSE_ALARM / 2, dof), stats.chi2.isf(FALSE_ALARM / 2, dof)
    assert low < statistic < high, f"{what}: χ² = {statistic:.1f}, expected {low:.1f} to {high:.1f} for {dof} d.o.f."


def assert_frequencies(observed: npt.NDArray[np.integer], probability: npt.NDArray[np.floating], what: str) -> None:
    """Pearson's χ² of counts against probabilities that add up to 1; rare neighbours are merged."""
    expected = probability * observed.sum()
    merged: list[tuple[float, float]] = [(0.0, 0.0)]
    for o, e in zip(observed, expected, strict=True):
        if merged[-1][1] >= 10:
            merged.append((0.0, 0.0))
        merged[-1] = (merged[-1][0] + o, merged[-1][1] + e)
    if merged[-1][1] < 10 and len(merged) > 1:
        o, e = merged.pop()
        merged[-1] = (merged[-1][0] + o, merged[-1][1] + e)
    o, e = np.array(merged).T
    assert_chi2(float(((o - e) ** 2 / e).sum()), len(merged) - 1, what)


def assert_uncorrelated(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating] | None, what: str) -> None:
    """Assert that the columns of x, and those of y if given, are uncorrelated; rows are independent samples.

    Sum and largest of the squared correlation coefficients, each n times a χ² with one degree of freedom.
    """
    x = (x - x.mean(0)) / x.std(0)
    if y is None:
        r = np.asarray(x.T @ x, float)[np.triu_indices(x.shape[1], 1)] / len(x)
    else:
        r = (np.asarray(x.T @ ((y - y.mean(0)) / y.std(0)), float) / len(x)).reshape(-1)
    z = r * np.sqrt(len(x))
    assert_standard_normal(z, what)
    assert_chi2(float((z**2).sum()), z.size, what)


def assert_distance(distance: float, n: int, what: str) -> None:
    """Kolmogorov–Smirnov: the largest difference of the distribution functions, n samples."""
    limit = stats.kstwobign.isf(FALSE_ALARM) / np.sqrt(n)
    assert distance < limit, f"{what}: D = {distance:.2e}, limit {limit:.2e}"
