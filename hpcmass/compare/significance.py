"""How significant is a correlation of two autocorrelated series, sought over lags and pooled over trials?

Fisher's z = atanh(rho) is normal with standard error 1/sqrt(N_eff - 3), N_eff the effective number of samples. Two
things beyond a textbook's test matter here. The series remember their past, so N_eff is far below their length
(Bartlett 1935). And rho is the *largest* correlation over many lags, positive by construction even if the series
have nothing to do with each other; the test takes the search into account.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.special

from hpcmass.compare.series import Real

WINDOW: Final = 5.0
"""Autocorrelations are summed up to the first lag beyond 5 times the sum (Sokal's automatic window)."""


@dataclass(frozen=True)
class Memory:
    """What the autocorrelations of two series say about an estimate of their correlation.

    Attributes
    ----------
    n_eff : float
        Effective number of samples; NaN if a series is constant.
    step_correlation : float
        Correlation between the estimates at two neighbouring lags, if the series are independent.
    """

    n_eff: float
    step_correlation: float


def effective_samples(r_x: Real, r_y: Real, n_samples: int) -> Memory:
    """N_eff = n / Σ_j (1 - |j|/n) r_x(j) r_y(j), Bartlett's variance of a correlation of independent series.

    The sum runs over |j| ≤ J, where J is the smaller of the two series' windows: the first J with
    J ≥ `WINDOW` · Σ_{|j| ≤ J} r(j)². Squares have one sign, so that a rhythm's zero crossings do not end the sum.
    N_eff is never taken to exceed n.

    Parameters
    ----------
    r_x, r_y : array, (n_lags + 1,)
        Autocorrelations at lags 0, 1, ….
    n_samples : int
        Length n of the series.
    """
    if np.isnan(r_x[0]) or np.isnan(r_y[0]):
        return Memory(float("nan"), float("nan"))
    window = min(_window(r_x), _window(r_y))
    lags = np.arange(window + 1)
    weight = np.where(lags == 0, 1.0, 2.0) * (1 - lags / n_samples)
    x, y = r_x[: window + 1], r_y[: window + 1]
    total = float(np.dot(weight, x * y))
    n_eff = n_samples if total <= 1 else n_samples / total
    # Σ_j r_x(j) r_y(j + 1) over Σ_j r_x(j) r_y(j), by symmetry with the mean of the neighbours j - 1 and j + 1.
    neighbours = (y[np.abs(lags[:-1] - 1)] + y[lags[:-1] + 1]) / 2
    ratio = np.dot(weight[:-1], x[:-1] * neighbours) / total if total > 0 else 0.0
    return Memory(float(n_eff), float(np.clip(ratio, -1.0, 1.0)))


def _window(r: Real) -> int:
    sums = 2 * np.cumsum(r**2) - 1
    long_enough = np.flatnonzero(np.arange(r.size) >= WINDOW * sums)
    return int(long_enough[0]) if long_enough.size else r.size - 1


def search_score(rho: float, memory: Memory, n_lags: int) -> float:
    """Standard normal score of the largest of `n_lags` correlations, under independence of the series.

    u = atanh(rho) sqrt(N_eff - 3) is the maximum of a stationary normal sequence whose neighbours correlate with c =
    `memory.step_correlation`. Its distribution is taken as that of a sequence that starts below u and crosses u
    upwards as a Poisson process, P(max ≤ u) = Φ(u) exp(-(n_lags - 1) · 2 T(u, a) / Φ(u)), where T is Owen's
    function, a = sqrt((1 - c)/(1 + c)), and 2 T(u, a) the exact probability of a crossing in one step.

    Returns
    -------
    float
        Φ⁻¹(P(max ≤ u)); NaN if rho is undefined or N_eff ≤ 3.
    """
    if math.isnan(rho) or not memory.n_eff > 3:
        return float("nan")
    u = math.atanh(rho) * math.sqrt(memory.n_eff - 3) if abs(rho) < 1 else math.copysign(math.inf, rho)
    if math.isinf(u):
        return u
    a = math.sqrt((1 - memory.step_correlation) / max(1 + memory.step_correlation, 1e-300))
    log_below = float(scipy.special.log_ndtr(u))
    if u < 8:
        crossings = (n_lags - 1) * 2 * float(scipy.special.owens_t(u, a))
        log_cdf = log_below - crossings / math.exp(log_below) if log_below > -700 else -math.inf
        if log_cdf > -math.log(2):
            return -float(scipy.special.ndtri_exp(math.log(-math.expm1(log_cdf))))
        return float(scipy.special.ndtri_exp(log_cdf))
    # Far out the probability of a larger maximum underflows; its logarithm does not.
    log_step = -u * u / 2 - math.log(u * math.sqrt(2 * math.pi)) + math.log(math.erf(u * a / math.sqrt(2)) + 1e-300)
    return -float(scipy.special.ndtri_exp(np.logaddexp(scipy.special.log_ndtr(-u), math.log(n_lags) + log_step)))


@dataclass(frozen=True)
class PooledCorrelation:
    """The correlations of all trials at one point as one.

    Attributes
    ----------
    rho : float
        tanh of the mean of z = atanh(rho) over the trials.
    z, se, se_trials : float
        That mean, its standard error from the effective samples, and from the spread over trials (NaN for one).
    pvalue : float
        Probability of such correlations between independent series: Stouffer's sum of the trials' `search_score`.
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


def pool(trials: list[tuple[float, Memory]], n_lags: int) -> PooledCorrelation:
    """Pool the trials in which the correlation is defined; all NaN if there is none.

    Parameters
    ----------
    trials : list of (float, Memory)
        Largest correlation over lags (NaN where undefined) and memory of each trial.
    n_lags : int
        Number of lags sought over.
    """
    trials = [(rho, memory) for rho, memory in trials if not math.isnan(rho)]
    if not trials:
        return PooledCorrelation(*[math.nan] * 6)
    n = len(trials)
    score = sum(search_score(rho, memory, n_lags) for rho, memory in trials) / math.sqrt(n)
    n_eff = np.array([memory.n_eff for _, memory in trials])
    free = np.where(n_eff > 3, n_eff - 3, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # rho = 1 has an infinite z
        z = np.arctanh([rho for rho, _ in trials])
        spread = float(z.std(ddof=1)) if n > 1 else math.nan
    mean_z = float(z.mean())
    return PooledCorrelation(
        rho=math.tanh(mean_z),
        z=mean_z,
        se=float(np.sqrt(np.sum(1 / free))) / n,
        se_trials=spread / math.sqrt(n),
        pvalue=float(scipy.special.ndtr(-score)),
        n_eff=float(n_eff.mean()),
    )
