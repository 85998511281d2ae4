"""Coherence of the network and a model: how much of each frequency they share linearly, whatever gain and lag.

The cross-spectrum is averaged like the spectra, over trials and over the components of a bin. Coherence of one
component of one trial is 1 for any two series, so it is undefined where no more is averaged.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hpcmass.compare.series import Real
from hpcmass.compare.spectra import Bins, merged_moments

Complex = npt.NDArray[np.complex128]

FEWEST: Final = 1.001
"""Independent components in a bin, over all trials, below which coherence is undefined."""


def independent_components(bins: Bins, n_trials: int) -> Real:
    """K of each bin: trials × components, reduced for the dependence that the Hamming window causes, (L,)."""
    return np.asarray(n_trials / merged_moments(bins.n_components)[0])


def coherence(cross: Complex, p: Real, q: Real, k: Real) -> Real:
    """Magnitude-squared coherence |S_xy|²/(S_xx S_yy).

    Parameters
    ----------
    cross, p, q : array, (L,)
        Averaged cross-spectrum and spectra.
    k : array, (L,)
        From `independent_components`.

    Returns
    -------
    array of float64, (L,)
        NaN where a spectrum has no power, or K is not above 1.
    """
    power = p * q
    defined = (power > 0) & (k >= FEWEST)
    squared = cross.real**2 + cross.imag**2
    return np.where(defined, np.minimum(squared / np.where(defined, power, 1.0), 1.0), np.nan)


def threshold(k: Real, alpha: float) -> Real:
    """Coherence that independent series exceed with probability `alpha`, 1 - α^(1/(K - 1)), (L,); NaN unless K > 1."""
    defined = k >= FEWEST
    return np.where(defined, 1 - alpha ** (1 / np.where(defined, k - 1, 1.0)), np.nan)


def unbiased(c: Real, k: Real) -> Real:
    """Coherence minus its bias for independent series averaged over K components, (K C - 1)/(K - 1), at least 0."""
    return np.maximum((k * c - 1) / np.where(k >= FEWEST, k - 1, np.nan), 0.0)


def weighted_mean(c: Real, weight: Real) -> float:
    """Mean of the defined values; NaN if there is none, or none with weight."""
    defined = np.isfinite(c)
    total = weight[defined].sum()
    return float(np.sum(weight[defined] * c[defined]) / total) if total > 0 else float("nan")
