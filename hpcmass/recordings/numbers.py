"""The numbers of an imported trial: those that its source has, and those that follow from its spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.recordings.collect import Recordings
from hpcmass.recordings.source import Index, Real, Source, Trains
from hpcmass.statistics import spike_contrast


def numbers_of(
    recordings: Recordings, source: Source, index: Index, experiment: Experiment, traces: Mapping[str, Real]
) -> dict[str, Any]:
    """Number → value of one trial; those that are unknown are left out."""
    stated = {name: values[index].item() for name, values in source.numbers.items()}
    found = {} if source.trains is None else _from_spikes(source.trains, index[-1], recordings, experiment)
    known = {**found, **stated}
    if "silent" not in known and np.isfinite(known.get("spike_contrast", np.nan)):
        known["silent"] = 0
    return known


def _from_spikes(trains: Trains, trial: int, recordings: Recordings, experiment: Experiment) -> dict[str, Any]:
    """Rates, synchrony and sizes, of the trains that were recorded."""
    network = experiment.network
    times, units = trains.read(trial)
    begin, end = network.n_transient * network.dt_ms, recordings.n_steps * recordings.dt_ms
    inner = np.isin(trains.kinds, ("E", "I"))
    numbers = np.cumsum(inner) - 1
    units = np.asarray(units, dtype=np.int64)
    analysed = (times >= begin) & (times < end) & inner[units]
    times, units = times[analysed] - begin, units[analysed]
    degrees = trains.degrees if trains.degrees.ndim == 1 else trains.degrees[trial]
    seconds = (end - begin) / 1e3
    counts = np.bincount(units, minlength=trains.kinds.size)
    result: dict[str, Any] = {
        "n_spikes": int(times.size),
        "n_edges": int(degrees[inner].sum()),
        "n_edges_ext": int(degrees[~inner].sum()),
        "cv_isi": _cv_isi(times, units),
    }
    for kind in ("E", "I"):
        mine = trains.kinds == kind
        if mine.any():
            result[f"rate_{kind}"] = float(counts[mine].mean()) / seconds
    if int(inner.sum()) < 2:
        return result
    try:
        contrast = spike_contrast(times, numbers[units], int(inner.sum()), end - begin, dt_ms=min(0.01, network.dt_ms))
    except UserError:  # two spikes of one neuron at one time, or too many neurons
        return result
    silent = int(not np.isfinite(contrast.value))
    return {**result, "spike_contrast": contrast.value, "spike_contrast_bin": contrast.bin_ms, "silent": silent}


def _cv_isi(times: Real, units: Any) -> float:
    """Mean over units with two intervals or more of the coefficient of variation of their intervals."""
    order = np.lexsort((times, units))
    ordered = times[order]
    ends = np.flatnonzero(np.diff(units[order])) + 1
    variations = [
        float(intervals.std() / intervals.mean())
        for train in np.split(ordered, ends)
        if train.size >= 3 and (intervals := np.diff(train)).mean() > 0
    ]
    return float(np.mean(variations)) if variations else float("nan")
