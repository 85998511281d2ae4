"""Many tests at once: p-values of a whole map, adjusted for the false discovery rate (Benjamini & Hochberg 1995)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from hpcmass.compare.series import Real


def adjusted(pvalues: npt.NDArray[Any]) -> Real:
    """Adjusted p-values; rejecting where they are at most α keeps the false discovery rate at α.

    Parameters
    ----------
    pvalues : array, (axes…, models)
        The defined ones of one model are one family; NaN where a test was not made.

    Returns
    -------
    array of float64, (axes…, models)
        NaN where the p-value is.
    """
    result = np.full(pvalues.shape, np.nan)
    for m in range(pvalues.shape[-1]):
        defined = np.isfinite(pvalues[..., m])
        if defined.any():
            result[defined, m] = scipy.stats.false_discovery_control(pvalues[defined, m], method="bh")
    return result
