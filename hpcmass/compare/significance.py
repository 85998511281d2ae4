"""Significance of a correlation between two autocorrelated series, maximised over lags and pooled over trials.

Fisher's z = atanh(r) is normal with standard error 1/sqrt(N_eff - 3), N_eff the effective number of samples. Two
things beyond a textbook's test matter here. The series are autocorrelated, so N_eff is far below their length
(Bartlett 1935). And the correlation at the *best* lag is positive by construction, even if the series are
independent; the test takes the search into account.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.signal
import scipy.special

from hpcmass.compare.series import Real, sum_of_products

SUM_WINDOW: Final = 5.0
"""The autocorrelation time is the first lag beyond 5 times Σ r² (as in Sokal's automatic window)."""

TAPER: Final = 3.0
"""The Parzen window that tapers the autocorrelations ends at 3 times that lag."""

LARGEST_R: Final = 1 - 1e-15
"""Correlations are clipped to this, so that z is finite."""


@dataclass(frozen=True)
class EffectiveSamples:
    """Effective sample size for the correlation of two series, from their autocorrelations, if they are independent.

    Attributes
    ----------
    n_eff : float
        Effective number of samples; NaN if a series is constant.
    roughness : float
        1 - c, c the correlation between the estimates at two neighbouring lags.
    """

    n_eff: float
    roughness: float


def tapered(r: Real) -> Real:
    """An autocorrelation under a Parzen window whose width follows from the autocorrelation time.

    The result is a non-negative spectrum's, so that sums over products of two of them are never negative, and ends
    where the estimate is only noise.

    Parameters
    ----------
    r : array, (n_lags + 1,)
        Autocorrelation at lags 0, 1, …, with the divisor n at all lags.
    """
    width = _taper_width(r)
    taper = scipy.signal.windows.parzen(2 * width + 1)[width:]
    return np.asarray(r[: width + 1] * taper)


def _taper_width(r: Real) -> int:
    """Last lag of the taper: TAPER times the autocorrelation time, or the longest lag available."""
    sums = 2 * np.cumsum(r**2) - 1  # squares have one sign: a rhythm's zero crossings do not end the sum
    beyond = np.flatnonzero(np.arange(r.size) >= SUM_WINDOW * sums)
    last = int(beyond[0]) if beyond.size else r.size - 1
    return min(math.ceil(TAPER * last), r.size - 1)


def outlasting(r_x: Real, r_y: Real) -> float:
    """Σ_j r_x(j) r_y(j) of two series whose autocorrelations outlast the lags at which they are known.

    A rhythm whose phase survives for as long as a fifth of the trial (nearly every spike at p = 1 without inhibition)
    leaves fewer independent samples than the known lags suggest. The products are extrapolated geometrically beyond
    these, with their decay from the second to the last third.

    Parameters
    ----------
    r_x, r_y : array, (n_lags + 1,)
        Autocorrelations, not tapered.

    Returns
    -------
    float
        Sum over lags of both signs; infinite if there is no decay; 1, the least, unless both outlast the known lags.
    """
    longest = r_x.size - 1
    if np.isnan(r_x[0]) or np.isnan(r_y[0]) or min(_taper_width(r_x), _taper_width(r_y)) < longest:
        return 1.0
    products = r_x * r_y
    known = 2 * float(products.sum()) - 1
    before, last = (float(products[longest * k // 3 : longest * (k + 1) // 3].sum()) for k in (1, 2))
    if last <= 0:
        return max(known, 1.0)
    return known + 2 * last * last / (before - last) if last < before else math.inf


def effective_samples(x: Real, y: Real, n_samples: int, at_least: float = 1.0) -> EffectiveSamples:
    """N_eff = n / Σ_j r_x(j) r_y(j): Bartlett's variance of the correlation of two independent series.

    N_eff is never taken to exceed n.

    Parameters
    ----------
    x, y : array
        `tapered` autocorrelations, each up to its last lag.
    n_samples : int
        Length n of the series.
    at_least : float
        What the sum is taken for if it is less: `outlasting`.
    """
    if np.isnan(x[0]) or np.isnan(y[0]):
        return EffectiveSamples(math.nan, math.nan)
    if x.size < y.size:
        x, y = y, x
    # y vanishes beyond its own end, x one lag later at the latest: both sums are complete.
    x = np.pad(x, (0, 1))[: y.size + 1]
    total = 2 * sum_of_products(x[: y.size], y) - 1.0
    neighbours = np.concatenate(([x[1]], (x[:-2] + x[2:]) / 2))
    rough = 2 * sum_of_products(x[: y.size] - neighbours, y) - (x[0] - x[1])
    return EffectiveSamples(n_samples / max(total, at_least), min(max(rough / total, 0.0), 1.0) if total > 0 else 1.0)


def largest_of_lags(u: float, roughness: float, n_lags: int) -> float:
    """Probability that the largest of the standardised correlations at `n_lags` lags exceeds u by chance.

    Independent series give a stationary normal sequence over the lags, whose neighbours correlate with
    c = 1 - `roughness`. It exceeds u if it begins above u or crosses u upwards later; the crossings are counted as a
    Poisson process, P(max > u) = 1 - Φ(u) exp(-(n_lags - 1) · 2 T(u, a) / Φ(u)), with Owen's function T and
    a = sqrt((1 - c)/(1 + c)): 2 T(u, a) is the exact probability of a crossing in one step.
    """
    a = math.sqrt(roughness / max(2 - roughness, 1e-12))
    log_below = float(scipy.special.log_ndtr(u))
    crossings = (n_lags - 1) * 2 * float(scipy.special.owens_t(u, a)) / math.exp(max(log_below, -600.0))
    return -math.expm1(log_below - crossings)


@dataclass(frozen=True)
class PooledCorrelation:
    """The correlations of all trials at one point as one.

    Attributes
    ----------
    rho : float
        tanh of the mean of z = atanh(rho) over the trials, each at its own best lag.
    z, se, se_trials : float
        That mean, its standard error from the effective samples, and from the spread over trials (NaN for one).
    pvalue : float
        Probability that independent series are so correlated at any common lag, all trials pooled.
    n_eff : float
        Mean over the trials.
    """

    rho: float
    z: float
    se: float
    se_trials: float
    pvalue: float
    n_eff: float

    def agrees(self, alpha: float, rho_min: float) -> bool:
        """Inside the drawn contour: significant at `alpha` and above `rho_min`."""
        return self.pvalue < alpha and self.rho > rho_min


def pool(curves: Sequence[npt.NDArray[np.float64]], samples: Sequence[EffectiveSamples]) -> PooledCorrelation:
    """Pool the trials in which the correlation is defined; all NaN if there is none.

    The p-value is that of the largest u(lag) = Σ_i (N_i - 3) z_i(lag) / sqrt(Σ_i (N_i - 3)) over the lags, with the
    trials' z_i and effective samples N_i (a trial with N_i ≤ 3 weighs nothing): one search in the pooled trials, not
    the sum of one search in each, whose mean is far from zero even for independent series.

    Parameters
    ----------
    curves : sequence of array, (n_lags,)
        Correlation at each lag, one array per trial; NaN where undefined.
    samples : sequence of EffectiveSamples
        Of the same trials.
    """
    defined = [(r, e) for r, e in zip(curves, samples, strict=True) if not np.isnan(r).all()]
    if not defined:
        return PooledCorrelation(*[math.nan] * 6)
    z = np.arctanh(np.clip([r for r, _ in defined], -LARGEST_R, LARGEST_R))
    n_eff = np.array([e.n_eff for _, e in defined])
    weight = np.maximum(n_eff - 3, 0)
    best = np.nanmax(z, axis=1)
    n, mean_z = len(defined), float(best.mean())
    u = np.sum(weight[:, None] * z, axis=0) / np.sqrt(weight.sum()) if weight.any() else np.full(z.shape[1], np.nan)
    roughness = float(np.mean([e.roughness for _, e in defined]))
    return PooledCorrelation(
        rho=math.tanh(mean_z),
        z=mean_z,
        se=float(np.sqrt(np.sum(1 / weight))) / n if weight.all() else math.nan,
        se_trials=float(best.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan,
        pvalue=largest_of_lags(float(np.nanmax(u)), roughness, u.size) if not np.isnan(u).all() else math.nan,
        n_eff=float(n_eff.mean()),
    )
