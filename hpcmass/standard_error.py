"""Standard errors over the trials of a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def standard_error(values: Sequence[Any] | npt.NDArray[Any], *, skip_missing: bool = False) -> Any:
    """Standard error of the mean over the first dimension (trials), sd/√R; NaN for a single trial.

    Parameters
    ----------
    values : array, (R, …)
    skip_missing : bool
        Use the trials that have a value; without it the error is NaN where a trial has none.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return np.full(array.shape[1:], np.nan)[()]
    if not skip_missing or np.isfinite(array).all():
        return array.std(axis=0, ddof=1) / np.sqrt(len(array))
    array = np.where(np.isfinite(array), array, np.nan)
    count = np.isfinite(array).sum(axis=0)
    mean = np.nansum(array, axis=0) / np.maximum(count, 1)
    squares = np.nansum((array - mean) ** 2, axis=0)
    return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1) / np.maximum(count, 1)), np.nan)
