"""Uncertainty of a statistic: jackknife errors over the trials of a point, p-values adjusted over a map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from hpcmass.compare.series import Real


def leave_one_out(values: Sequence[Any] | npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Means over all trials but one, for each trial of `values`, (R, …); NaN for a single trial."""
    array = np.asarray(values)
    if len(array) < 2:
        return np.full_like(array, np.nan)
    return np.asarray((array.sum(axis=0) - array) / (len(array) - 1))


def jackknife_error(statistic: Callable[[int], Any], n_trials: int) -> Any:
    """Jackknife standard error of a statistic that is not a mean (Efron & Stein 1981); NaN for a single trial.

    Parameters
    ----------
    statistic : callable
        Number of a trial, 0 … R - 1 → the statistic of all the others, a number or an array.
    n_trials : int
        R.
    """
    replicates = np.array([statistic(trial) for trial in range(n_trials)], dtype=np.float64)
    if n_trials < 2:
        return np.full(replicates.shape[1:], np.nan)[()]
    return np.sqrt((n_trials - 1) * replicates.var(axis=0))


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
