"""How sure is a statistic over the trials of a point: standard errors, by the spread and by the jackknife."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def standard_error(values: Sequence[Any] | npt.NDArray[Any]) -> Any:
    """Standard error of the mean over the first dimension (trials), sd/√R; NaN for a single trial.

    Parameters
    ----------
    values : array, (R, …)

    Returns
    -------
    float or array, (…)
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return np.full(array.shape[1:], np.nan)[()]
    return array.std(axis=0, ddof=1) / np.sqrt(len(array))


def leave_one_out(values: Sequence[Any] | npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Means over all trials but one, for each trial of `values`, (R, …); NaN for a single trial."""
    array = np.asarray(values)
    if len(array) < 2:
        return np.full_like(array, np.nan)
    return np.asarray((array.sum(axis=0) - array) / (len(array) - 1))


def jackknife_error(statistic: Callable[[int], Any], n_trials: int) -> Any:
    """Standard error of a statistic that is no mean over trials (Efron & Stein 1981); NaN for a single trial.

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
