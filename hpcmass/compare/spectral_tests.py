"""Are two averaged spectra the same? The paper's χ² and a test that is calibrated for spectra.

χ² of equation (25) takes spectra for histograms of counts, whose errors are Poisson. An averaged periodogram has a
*relative* error instead: where the true spectra are equal, the ratio of two independent estimates follows
F(2K, 2K), K = trials × independent components merged, whatever the spectrum's size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.special
import scipy.stats

from hpcmass.compare.series import Real
from hpcmass.compare.spectra import effective_components, window_correlation


@dataclass(frozen=True)
class SpectralTest:
    """A statistic, its degrees of freedom (-1 where there are none) and the probability of a larger one."""

    statistic: float
    dof: int
    pvalue: float


UNDEFINED = SpectralTest(float("nan"), -1, float("nan"))
"""Where a spectrum has no power, or the model that it belongs to ran away."""


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
        With L - 1 degrees of freedom (the totals are equal), less one for each component that is empty in both.
    """
    if not (_has_power(p) and _has_power(q)):
        return UNDEFINED
    p, q = p * (count / p.sum()), q * (count / q.sum())
    total = p + q
    filled = total > 0
    statistic = float(np.sum((p - q)[filled] ** 2 / total[filled]))
    dof = int(filled.sum()) - 1
    return SpectralTest(statistic, dof, float(scipy.stats.chi2.sf(statistic, dof)) if dof > 0 else float("nan"))


def log_ratio(p: Real, q: Real, n_trials: int, n_components: npt.NDArray[np.intp]) -> SpectralTest:
    """S = Σ_l (ln P_l/Q_l)², standardised, and its probability under equal true spectra.

    With K_l = trials × `effective_components`, ln(P_l/Q_l) has variance s_l = 2 ψ'(K_l), and its square has mean s_l
    and variance 2 s_l² + 2 ψ'''(K_l). S is referred to the gamma distribution with S's mean and variance (for large
    K it is exactly χ² with L degrees of freedom). Bins next to each other share windowed components; their
    covariance enters the variance. Series that are coherent with each other (a model and the network that drives
    it) have ratios closer to 1 than independent ones, so the test then rejects less often than it says.

    Parameters
    ----------
    p, q : array, (L,)
        Spectra averaged over trials and within bins, in the same unit; they are not normalised.
    n_trials : int
    n_components : array of int, (L,)
        Raw components merged in each bin.

    Returns
    -------
    SpectralTest
        Its statistic is (S - mean) / standard deviation; UNDEFINED unless every component has power.
    """
    if not (_has_power(p) and _has_power(q) and p.all() and q.all()):
        return UNDEFINED
    k = n_trials * effective_components(n_components)
    variance = 2 * scipy.special.polygamma(1, k)
    square_variance = 2 * variance**2 + 2 * scipy.special.polygamma(3, k)
    overlap = 2 * _neighbour_correlation(n_components) ** 2 * variance[:-1] * variance[1:]
    mean, spread = float(variance.sum()), float(square_variance.sum() + 2 * overlap.sum())
    total = float(np.sum(np.log(p / q) ** 2))
    pvalue = float(scipy.stats.gamma.sf(total, mean**2 / spread, scale=spread / mean))
    return SpectralTest((total - mean) / spread**0.5, -1, pvalue)


def _neighbour_correlation(n_components: npt.NDArray[np.intp]) -> Real:
    """Correlation of the mean powers of adjacent bins, from the components on either side of the edge, (L - 1,)."""
    m = np.asarray(n_components, dtype=np.float64)
    left, right = m[:-1], m[1:]
    near, far = window_correlation()
    two_apart = 1.0 * (left >= 2) + (right >= 2)  # pairs of components across the edge
    covariance = (near + far * two_apart) / (left * right)
    worth = effective_components(n_components)
    return np.asarray(covariance * np.sqrt(worth[:-1] * worth[1:]))


def _has_power(spectrum: Real) -> bool:
    return bool(np.all(np.isfinite(spectrum)) and spectrum.sum() > 0)
