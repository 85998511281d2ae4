"""Are two averaged spectra the same? The paper's χ² and a test that is calibrated for spectra.

χ² of equation (25) takes spectra for histograms of counts, whose errors are Poisson. An averaged periodogram has a
*relative* error instead: where the true spectra are equal, the ratio of two independent estimates follows
F(2K, 2K), K = trials × independent components merged, whatever the spectrum's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.special
import scipy.stats

from hpcmass.compare.series import Real
from hpcmass.compare.spectra import merged_moments, window_correlation


@dataclass(frozen=True)
class SpectralTest:
    """A statistic, its degrees of freedom (-1 if undefined) and the probability of a larger one."""

    statistic: float
    dof: int
    pvalue: float


UNDEFINED = SpectralTest(float("nan"), -1, float("nan"))
"""Where a spectrum has no power, or the model that it belongs to diverged."""


def chi_squared(p: Real, q: Real, count: float) -> SpectralTest:
    """χ²(P, Q) = Σ_l (P_l - Q_l)² / (P_l + Q_l), equation (25), of spectra normalised like histograms.

    Parameters
    ----------
    p, q : array, (L,)
        Spectra; each is scaled to the sum `count` first (two binned data sets of equal size: Press et al. 1989).
    count : float
        Total count C of each histogram; χ² is proportional to it.

    Returns
    -------
    SpectralTest
        With L - 1 degrees of freedom (the totals are equal), less one for each bin that is empty in both.
    """
    if not (_has_power(p) and _has_power(q)):
        return UNDEFINED
    p, q = p * (count / p.sum()), q * (count / q.sum())
    total = p + q
    filled = total > 0
    statistic = float(np.sum((p - q)[filled] ** 2 / total[filled]))
    dof = int(filled.sum()) - 1
    return SpectralTest(statistic, dof, float(scipy.stats.chi2.sf(statistic, dof)) if dof > 0 else float("nan"))


def log_ratio(
    p: Real, q: Real, n_trials: int, n_components: npt.NDArray[np.intp], bin_fraction: Real | None = None
) -> SpectralTest:
    """S = Σ_l (d_l - d̄)²/s_l of the log-ratios d_l = ln(P_l/Q_l), and its probability under equal shapes.

    Where the true spectra are equal, P_l/Q_l follows F(2K_l, 2K_l) with K_l = trials × independent components (the
    Hamming window makes neighbours dependent, `merged_moments`, and a line within a bin leaves few:
    `effective_bin_fraction`). So
    d_l has variance s_l = 2 ψ'(K_l) and fourth cumulant 2 ψ‴(K_l). Like χ² of the normalised spectra, S takes no
    notice of a common factor: d̄ is the mean log-ratio, weighted by 1/s_l. S has mean L - 1 and variance
    2 (L - 1) + Σ_l 2 ψ‴(K_l)/s_l², and is referred to the gamma distribution with these moments (for large K: χ² with
    L - 1 degrees of freedom). Two small corrections: a sum of dependent components is a little more skewed than the F
    distribution supposes, which lowers s_l by twice the excess of its third cumulant; and adjacent bins are
    correlated at their common edge, which enters the variance of S.

    Series that are coherent with each other (a model and the network that drives it) have ratios closer to 1 than
    independent ones, so the test then rejects less often than its level.

    Parameters
    ----------
    p, q : array, (L,)
        Spectra averaged over trials and within bins.
    n_trials : int
    n_components : array of int, (L,)
        Raw components merged in each bin.
    bin_fraction : array, (L,), optional
        From `spectra.effective_bin_fraction`; without it the spectra are taken as flat within each bin.

    Returns
    -------
    SpectralTest
        Its statistic is (S - mean) / standard deviation; UNDEFINED unless every bin has power and L > 1.
    """
    if not (_has_power(p) and _has_power(q) and p.all() and q.all() and p.size > 1):
        return UNDEFINED
    second, third = merged_moments(n_components)
    bin_fraction = np.ones_like(second) if bin_fraction is None else bin_fraction
    k = bin_fraction * n_trials / second
    excess_skew = (2 * third / n_trials**2 - 2 * second**2 / n_trials**2) / bin_fraction**2
    variance = 2 * (scipy.special.polygamma(1, k) - excess_skew)
    share = 1 / variance / np.sum(1 / variance)
    d = np.log(p / q)
    total = float(np.sum((d - np.dot(share, d)) ** 2 / variance))
    dof = p.size - 1
    kurtosis = 2 * scipy.special.polygamma(3, k) / variance**2
    overlap = 2 * _neighbour_correlation(n_components, second) ** 2
    spread = 2 * dof + float(np.sum(kurtosis * (1 - share) ** 2) + 2 * overlap.sum())
    pvalue = float(scipy.stats.gamma.sf(total, dof**2 / spread, scale=spread / dof))
    return SpectralTest((total - dof) / spread**0.5, dof, pvalue)


DECIBEL: Final = 10 / np.log(10)
"""Per unit of a natural logarithm of power."""


def shape_distance_db(p: Real, q: Real, k: Real, shared: Real) -> float:
    """Root-mean-square difference of the shapes of two spectra (dB), beyond what their sampling errors explain.

    sqrt(mean_l (d_l - d̄)² - mean_l 2 ψ'(K_l) (1 - κ_l)), or 0, with the log-ratios d_l = ln(P_l/Q_l): unlike the
    statistics of the tests it does not grow with the amount of data. Errors that the series share cancel in the ratio,
    which leaves the part 1 - κ of independent ones.

    Parameters
    ----------
    p, q : array, (L,)
        Spectra averaged over trials and within bins.
    k : array, (L,)
        Independent components in each average.
    shared : array, (L,)
        Unbiased coherence κ of the two series; NaN counts as 0.

    Returns
    -------
    float
        NaN unless every bin has power and L > 1.
    """
    if not (_has_power(p) and _has_power(q) and p.all() and q.all() and p.size > 1):
        return float("nan")
    d = np.log(p / q)
    sampling = 2 * scipy.special.polygamma(1, k) * (1 - np.nan_to_num(shared))
    excess = np.mean((d - d.mean()) ** 2) - np.mean(sampling)
    return float(DECIBEL * np.sqrt(max(excess, 0.0)))


def _neighbour_correlation(n_components: npt.NDArray[np.intp], second: Real) -> Real:
    """Correlation of the mean powers of adjacent bins, from the components on either side of the edge, (L - 1,)."""
    m = np.asarray(n_components, dtype=np.float64)
    left, right = m[:-1], m[1:]
    _, near, far = window_correlation() ** 2
    two_apart = 1.0 * (left >= 2) + (right >= 2)  # pairs of components across the edge
    return np.asarray((near + far * two_apart) / (left * right) / np.sqrt(second[:-1] * second[1:]))


def _has_power(spectrum: Real) -> bool:
    return bool(np.all(np.isfinite(spectrum)) and spectrum.sum() > 0)
