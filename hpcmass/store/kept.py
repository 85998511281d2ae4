"""What a sweep file keeps of a trial's traces: every step, means over windows, those of the first trial, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment
from hpcmass.store.schema import TRACES


def kept(values: Mapping[str, Any], place: int, experiment: Experiment) -> dict[str, Any]:
    """A trial's values as the file of an experiment keeps them.

    Parameters
    ----------
    values : mapping of str to value
        Numbers, and traces of every step.
    place : int
        Of the trial at its point, from 0.
    experiment : Experiment
    """
    traces = experiment.traces
    if place >= traces.n_trials(experiment.trials):
        return {name: value for name, value in values.items() if name not in TRACES}
    n_averaged = traces.n_averaged(experiment.network.dt_ms)
    return {name: window_means(value, n_averaged) if name in TRACES else value for name, value in values.items()}


def window_means(trace: npt.NDArray[np.float32], n_steps: int) -> npt.NDArray[np.float32]:
    """Means over windows of so many steps, in single precision; a shorter window at the end is left out."""
    if n_steps == 1:
        return trace
    whole = np.asarray(trace[: trace.size // n_steps * n_steps], dtype=np.float64)
    return np.asarray(whole.reshape(-1, n_steps).mean(axis=1), dtype=np.float32)
