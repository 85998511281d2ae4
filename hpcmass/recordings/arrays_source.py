"""Sources that are named arrays: `.npz` files and HDF5, also as xarray writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from hpcmass.errors import UserError
from hpcmass.nearest import nearest
from hpcmass.recordings.source import (
    DIMENSIONS,
    KEYS,
    PHI,
    READ,
    SPIKES,
    Real,
    Source,
    Trains,
    layout,
    require_axis,
    trace_reader,
    trains_of,
)
from hpcmass.recordings.spikes import listed, spike_units
from hpcmass.store.files import read_hdf5, reason
from hpcmass.store.schema import NUMBERS, TRACES

SCALES: Final[Mapping[str, Mapping[str, float]]] = {
    "potential": {"mV": 1.0, "V": 1e3, "uV": 1e-3, "µV": 1e-3, "millivolt": 1.0, "volt": 1e3, "volts": 1e3},
    "rate": {"1/ms": 1.0, "kHz": 1.0, "1/s": 1e-3, "Hz": 1e-3, "ms^-1": 1.0, "s^-1": 1e-3, "ms-1": 1.0, "s-1": 1e-3},
    "time": {"ms": 1.0, "s": 1e3, "us": 1e-3, "µs": 1e-3, "millisecond": 1.0, "second": 1e3, "seconds": 1e3},
}
"""Unit → factor to mV, 1/ms or ms."""

NO_UNIT: Final = (None, "", "unknown")
"""What stands for a unit where none is given: it is that of a sweep file."""


ALIKE: Final = 0.75
"""Similarity, of 1, from which an attribute of a file seems to be a misspelt name: it may have any others."""


def scale(source: str, name: str, unit: str | None, kind: str) -> float:
    """The factor from a unit to that of a sweep file; none given: it is the file's own.

    Raises
    ------
    UserError
        If it is the unit of something else.
    """
    if unit in NO_UNIT:
        return 1.0
    factors = SCALES[kind]
    if unit not in factors:
        wanted = next(iter(factors))
        raise UserError(f"{source}: {name} is in '{unit}'; convert it to {wanted}")
    return factors[str(unit)]


def kind_of(trace: str) -> str:
    """Which quantity a trace is, for its unit."""
    return "rate" if trace in PHI else "potential"


def open_npz(path: Path) -> Source:
    """A source from `numpy.savez`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        why = "it holds Python objects; give plain arrays" if "pickle" in str(error) else reason(error)
        raise UserError(f"cannot read {path}: {why}") from None
    return _source(path.name, arrays, {}, {}, lambda: None, others=list(arrays))


def open_hdf5_arrays(path: Path) -> Source:
    """A source from an HDF5 file with its arrays at the root; small ones may be attributes of the file."""
    try:
        file = read_hdf5(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from None
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in file.attrs.items() if name in (*KEYS, "dt_ms")}
    arrays |= {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
    others = [name for name, item in file.items() if not (isinstance(item, h5py.Dataset) and item.is_scale)]
    others += [name for name in file.attrs if nearest(name, READ, cutoff=ALIKE)]  # any others are allowed
    units = {name: _text(item.attrs["units"]) for name, item in file.items() if "units" in item.attrs}
    dims = {name: _dimensions(item) for name, item in arrays.items() if isinstance(item, h5py.Dataset)}
    named = {name: found for name, found in dims.items() if found}
    return _source(path.name, arrays, units, named, file.close, others=others)


def _dimensions(dataset: h5py.Dataset) -> tuple[str, ...] | None:
    """Names of a dataset's dimensions by its scales; None unless all have one."""
    if dataset.is_scale or not all(len(dimension) for dimension in dataset.dims):
        return None
    return tuple(str(dimension[0].name).rsplit("/", 1)[-1] for dimension in dataset.dims)


def _source(
    name: str,
    arrays: Mapping[str, Any],
    units: Mapping[str, str],
    dims: Mapping[str, tuple[str, ...]],
    close: Callable[[], None],
    *,
    others: Sequence[str],
) -> Source:
    """`others` are the names that should be known."""
    axes = {axis: require_axis(name, axis, _values(name, arrays, axis)) for axis in _axis_names(name, arrays, dims)}
    found = {trace: arrays[trace] for trace in TRACES if trace in arrays}
    shaped = {trace: array for trace, array in found.items() if array.shape != ()}
    for trace, array in found.items():
        if array.dtype.kind not in "iuf":
            raise UserError(f"{name}: {trace} must be an array of real numbers")
    has_trials, n_trials, n_steps = layout(name, {trace: array.shape for trace, array in shaped.items()}, axes)
    factors = {trace: scale(name, trace, units.get(trace), kind_of(trace)) for trace in found}
    lengths = (*(len(values) for values in axes.values()), n_trials)
    return Source(
        name=name,
        dt_ms=_dt_ms(name, arrays, units, n_steps),
        axes=axes,
        units={axis: units[axis] for axis in axes if axis in units},
        n_trials=n_trials,
        n_steps=n_steps,
        traces={t: trace_reader(a, has_trials=has_trials, scale=factors[t]) for t, a in shaped.items()},
        constants={t: factors[t] * float(a[()]) for t, a in found.items() if t not in shaped},
        keys={key: _plain(name, key, arrays[key]) for key in KEYS if key in arrays and key not in axes},
        numbers={key: _number(name, key, arrays[key], lengths) for key in NUMBERS if key in arrays},
        trains=_trains(name, arrays, units, bool(axes), n_trials),
        unread=tuple(key for key in others if key not in READ and key not in axes),
        close=close,
    )


def _axis_names(name: str, arrays: Mapping[str, Any], dims: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The axes that the source names, or that the dimensions of its `mean_v` have."""
    if "axes" in arrays:
        return [_text(axis) for axis in np.atleast_1d(np.asarray(arrays["axes"])[()]).tolist()]
    named = dims.get("mean_v")
    if named is None:
        return []
    if named[-1] == "trial" or "trial" in named[:-2]:
        raise UserError(f"{name}: mean_v has the dimensions {', '.join(named)}; give them in the order …, trial, time")
    return [axis for axis in named[:-1] if axis not in DIMENSIONS]


def _values(name: str, arrays: Mapping[str, Any], axis: str) -> Any:
    if axis not in arrays:
        raise UserError(f"{name}: there are no values of the axis {axis}; add an array of that name")
    return arrays[axis][()]


def _dt_ms(name: str, arrays: Mapping[str, Any], units: Mapping[str, str], n_steps: int) -> float | None:
    """The time step, from `dt_ms` or from equidistant times."""
    if "dt_ms" in arrays:
        return float(_plain(name, "dt_ms", arrays["dt_ms"]))
    for key in ("time_ms", "time", "t"):
        if key in arrays and arrays[key].shape == (n_steps,):
            if key != "time_ms" and key not in units:
                raise UserError(f"{name}: {key} has no unit; give the time step (ms) as dt_ms")
            times = np.asarray(arrays[key][()], dtype=np.float64) * scale(name, key, units.get(key), "time")
            steps = np.diff(times)
            dt = float((times[-1] - times[0]) / (n_steps - 1))
            if not np.all(np.abs(steps - dt) <= 1e-3 * abs(dt)) or dt <= 0:
                raise UserError(f"{name}: the values of {key} are not equally spaced; resample the traces")
            return float(f"{dt:.9g}")
    return None


def _trains(
    name: str, arrays: Mapping[str, Any], units: Mapping[str, str], has_axes: bool, n_trials: int
) -> Trains | None:
    given = [key for key in SPIKES if key in arrays]
    if "spike_time" not in given:
        return None
    if lacking := [key for key in SPIKES if key not in given]:
        raise UserError(f"{name} has spike_time, and no {' and no '.join(lacking)}; Φ needs all of {', '.join(SPIKES)}")
    if has_axes:
        raise UserError(f"{name} has spikes and axes; give one source for each point, and its place with --axis")
    if "spike_trial" not in arrays and n_trials > 1:
        raise UserError(f"{name}: mean_v has {n_trials} trials; give spike_trial, the trial of each spike, from 0")
    kinds, degrees = np.asarray(arrays["kind"][()]), np.asarray(arrays["out_degree"][()])
    try:
        times = listed("spike_time", arrays["spike_time"][()])
        unit = spike_units("spike_neuron", arrays["spike_neuron"][()], "kind", kinds.size)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    unit_given = units.get("spike_time")
    times = times * scale(name, "spike_time", unit_given, "time")
    trial = np.asarray(arrays["spike_trial"][()]) if "spike_trial" in arrays else np.zeros(times.shape, np.int64)
    for key, values in (("spike_neuron", unit), ("spike_trial", trial)):
        if values.shape != times.shape:
            raise UserError(f"{name}: {key} has shape {values.shape} and spike_time {times.shape}; give one a spike")
    if trial.size and not (trial.min() >= 0 and trial.max() < n_trials):
        raise UserError(f"{name}: spike_trial is from {trial.min()} to {trial.max()}, and mean_v has {n_trials} trials")
    order = np.argsort(trial, kind="stable")
    ends = np.searchsorted(trial[order], np.arange(n_trials + 1))

    def read(number: int) -> tuple[Real, Any]:
        mine = order[ends[number] : ends[number + 1]]
        return times[mine], unit[mine]

    return trains_of(name, kinds, degrees, read, unit_known=unit_given not in NO_UNIT)


def _plain(name: str, key: str, array: Any) -> int | float:
    """One number."""
    values = np.asarray(array[()] if isinstance(array, h5py.Dataset) else array)
    if values.size != 1 or values.dtype.kind not in "iuf":
        raise UserError(f"{name}: {key} must be one number; what differs from point to point is an axis")
    number: int | float = values.reshape(()).item()
    return number


def _number(name: str, key: str, array: Any, lengths: tuple[int, ...]) -> Real:
    values = np.asarray(array[()], dtype=np.float64)
    if values.shape not in (lengths, lengths[:-1]) or (values.shape == lengths[:-1] and lengths[-1] != 1):
        raise UserError(f"{name}: {key} has shape {values.shape}; give one number for each trial, {lengths}")
    return values.reshape(lengths)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
