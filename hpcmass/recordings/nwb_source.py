"""Sources that are NWB files: time series by their names, spikes and graph from the table of units.

An NWB file is HDF5, so that nothing else is needed to read it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hpcmass.errors import UserError
from hpcmass.recordings.arrays_source import kind_of, scale
from hpcmass.recordings.source import Index, Real, Source, Trains, layout, trains_of
from hpcmass.recordings.spikes import steps_within
from hpcmass.store.files import read_hdf5, reason
from hpcmass.store.schema import TRACES


def open_nwb(path: Path) -> Source:
    """A source from an NWB file, with a trial for each row of its table of trials, if it has one."""
    try:
        file = read_hdf5(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from None
    name = path.name
    series = _series(file)
    found = {trace: series[trace] for trace in TRACES if trace in series}
    if "mean_v" not in found:
        others = ", ".join(sorted(series)[:8]) or "no time series at all"
        raise UserError(f"{name} has no time series mean_v, the mean potential of the population; it has {others}")
    clocks = {trace: _clock(name, trace, group) for trace, group in found.items()}
    dt_ms, start_ms = clocks["mean_v"]
    for trace, clock in clocks.items():
        if clock != clocks["mean_v"]:
            raise UserError(f"{name}: {trace} has other times than mean_v; resample it to the same")
    starts_ms, n_steps = _trials(name, file, found["mean_v"]["data"], dt_ms, start_ms)
    shapes = {trace: tuple(group["data"].shape) for trace, group in found.items()}
    if len(shapes["mean_v"]) == 2:  # of some neurons, which are averaged
        shapes["mean_v"] = shapes["mean_v"][:1]
    layout(name, shapes, {})
    first = [round((start - start_ms) / dt_ms) for start in starts_ms]

    def reader(trace: str, group: h5py.Group) -> Callable[[Index], Real]:
        data = group["data"]
        factor = scale(name, trace, _text(data.attrs.get("unit")), kind_of(trace))
        factor *= float(data.attrs.get("conversion", 1.0))
        shift = float(data.attrs.get("offset", 0.0)) * scale(name, trace, _text(data.attrs.get("unit")), kind_of(trace))

        def read(index: Index) -> Real:
            begin = first[index[-1]]
            values = np.asarray(data[begin : begin + n_steps], dtype=np.float64) * factor + shift
            return values if values.ndim == 1 else np.asarray(values.mean(axis=1))

        return read

    return Source(
        name=name,
        dt_ms=dt_ms,
        axes={},
        units={},
        n_trials=len(starts_ms),
        n_steps=n_steps,
        traces={trace: reader(trace, group) for trace, group in found.items()},
        constants={},
        keys={},
        trains=_units(name, file, starts_ms, dt_ms, n_steps),
        close=file.close,
    )


def _series(file: h5py.File) -> dict[str, h5py.Group]:
    """Name → every group with data in it, the acquired ones before the processed."""
    found: dict[str, h5py.Group] = {}

    def note(path: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and isinstance(item.get("data"), h5py.Dataset):
            found.setdefault(path.rsplit("/", 1)[-1], item)

    for place in ("acquisition", "stimulus", "processing", "analysis"):
        if place in file:
            file[place].visititems(note)
    return found


def _clock(name: str, trace: str, group: h5py.Group) -> tuple[float, float]:
    """Time step and beginning (ms) of a time series."""
    if "starting_time" in group:
        start = group["starting_time"]
        return float(f"{1e3 / float(start.attrs['rate']):.9g}"), 1e3 * float(start[()])
    times = 1e3 * np.asarray(group["timestamps"][()], dtype=np.float64) if "timestamps" in group else np.zeros(0)
    steps = np.diff(times)
    dt = float(steps.mean()) if steps.size else 0.0
    if dt <= 0 or not np.all(np.abs(steps - dt) <= 1e-3 * dt):
        raise UserError(f"{name}: the times of {trace} are not equally spaced; resample it")
    return float(f"{dt:.9g}"), float(times[0])


def _trials(name: str, file: h5py.File, data: h5py.Dataset, dt_ms: float, start_ms: float) -> tuple[list[float], int]:
    """Beginnings (ms) of the trials, and their number of steps."""
    n_steps = int(data.shape[0])
    if "intervals/trials" not in file:
        return [start_ms], n_steps
    table = file["intervals/trials"]
    starts = 1e3 * np.asarray(table["start_time"][()], dtype=np.float64)
    lengths = np.round((1e3 * np.asarray(table["stop_time"][()], dtype=np.float64) - starts) / dt_ms).astype(np.int64)
    if len(set(lengths.tolist())) != 1:
        raise UserError(
            f"{name}: the trials are {lengths.min()} to {lengths.max()} steps long; give trials of one length"
        )
    first = np.round((starts - start_ms) / dt_ms)
    if (first < 0).any() or (first + lengths > n_steps).any():
        raise UserError(f"{name}: a trial is not within the time of mean_v; correct the table of trials")
    return starts.tolist(), int(lengths[0])


def _units(name: str, file: h5py.File, starts_ms: list[float], dt_ms: float, n_steps: int) -> Trains | None:
    """Spikes and graph from the table of units, if it has the columns `kind` and `out_degree`.

    The table has the spikes of the whole session: a trial has those that lie within it, if any do.
    """
    if "units" not in file or not {"kind", "out_degree", "spike_times", "spike_times_index"} <= set(file["units"]):
        return None
    table = file["units"]
    times = 1e3 * np.asarray(table["spike_times"][()], dtype=np.float64)
    ends = np.asarray(table["spike_times_index"][()], dtype=np.int64)
    counts = np.asarray(np.diff(ends, prepend=0), dtype=np.int64)
    unit = np.repeat(np.arange(counts.size), counts)

    def read(trial: int) -> tuple[Real, Any]:
        own = times - starts_ms[trial]
        here, _ = steps_within(own, dt_ms, n_steps)
        return own[here], unit[here]

    if times.size and not any(read(trial)[0].size for trial in range(len(starts_ms))):
        raise UserError(
            f"{name}: no spike lies within a trial: spike_times is from {times.min() / 1e3:g} to "
            f"{times.max() / 1e3:g} s, and mean_v begins at {starts_ms[0] / 1e3:g} s"
        )
    return trains_of(name, np.asarray(table["kind"][()]), np.asarray(table["out_degree"][()]), read)


def _text(value: Any) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else None if value is None else str(value)
