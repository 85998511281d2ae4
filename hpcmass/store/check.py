"""Consistency of a sweep file: structure, configuration, seeds, and the data of its trials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcmass.errors import UserError
from hpcmass.grid import trial_seed
from hpcmass.store.files import reason
from hpcmass.store.layout import trace_times_ms
from hpcmass.store.opening import UNUSABLE, variables_of
from hpcmass.store.schema import DONE, FAILED, PENDING, SWEEP_VARIABLES
from hpcmass.store.sweep_file import SweepFile

NAMED = 5
"""Most trials that a problem lists; the rest is counted."""

MAY_BE_NAN = ("spike_contrast", "spike_contrast_bin", "cv_isi", "rate_E", "rate_I")
"""Numbers that some networks leave undefined: silent ones, and those of one kind of neurons only."""

BLOCK_BYTES = 2**26
"""Most that is read at a time."""


def check_sweep(path: Path) -> list[str]:
    """Check everything that needs no simulation; a sentence for each problem."""
    with SweepFile(path) as file:  # which refuses a wrong structure
        return list(_problems(file))


def _problems(file: SweepFile) -> Iterator[str]:
    try:
        yield from _descriptions(file)
        yield from _configuration(file)
        yield from _states(file)
        if file.experiment.imported is None:  # an import has no seeds, and its numbers may be unknown
            yield from _seeds(file)
            yield from _numbers(file)
        yield from _traces(file)
    except (UserError, *UNUSABLE) as error:  # a checksum, a cut-off block, invalid metadata
        yield f"its data cannot be read: {reason(error.__cause__ or error)}"


def _descriptions(file: SweepFile) -> Iterator[str]:
    """What is wrong with dimension scales and units."""
    for variable in variables_of(file.hdf5).values():
        if variable.name in file:
            dataset, dims = file.hdf5[variable.name], variable.dimensions(tuple(file.axes))
            if [_scale(dimension) for dimension in dataset.dims] != list(dims):
                yield f"{variable.name} does not have the dimensions {', '.join(dims)}"
            elif variable.unit not in ("flag", "text") and str(dataset.attrs.get("units")) != variable.unit:
                yield f"{variable.name} does not have the unit {variable.unit}"


def _scale(dimension: Any) -> str:
    return str(dimension[0].name).removeprefix("/") if len(dimension) else ""


def _configuration(file: SweepFile) -> Iterator[str]:
    experiment = file.experiment
    if file.physics_sha256 != experiment.physics_sha256():
        yield "config_sha256 is not the hash of its configuration's physics"
    if file.axes != experiment.axes():
        yield "its axes are not those of its configuration"
    numbers = file.trial_numbers
    if not np.array_equal(file.time_ms, trace_times_ms(experiment)):
        yield "its time is not that of its configuration"
    if len(numbers) != experiment.trials or len(set(numbers.tolist())) != len(numbers):
        yield "its trials are not those of its configuration"


def _seeds(file: SweepFile) -> Iterator[str]:
    numbers, seeds, root = file.trial_numbers, file.variable("seed"), file.experiment.root_seed
    wrong = np.zeros(file.shape, bool)
    for index in np.ndindex(wrong.shape):
        expected = trial_seed(root, file.values_at(index), int(numbers[index[-1]]))
        wrong[index] = tuple(seeds[index].tolist()) != expected
    yield from _named(file, wrong, "the seed does not follow from the values")


def _states(file: SweepFile) -> Iterator[str]:
    status, has_error = file.status, file.variable("error") != b""
    yield from _named(file, ~np.isin(status, (PENDING, DONE, FAILED)), "status is not one of pending, done, failed")
    yield from _named(file, (status == FAILED) & ~has_error, "it failed without a reason")
    yield from _named(file, (status == DONE) & has_error, "it is done and has an error")
    stray = (status != PENDING) & ~file.assigned
    unasked = np.zeros(stray.shape, bool) if file.requested is None else stray & ~file.requested[..., None]
    yield from _named(file, unasked, "its point is not requested")
    yield from _named(file, stray & ~unasked, "it belongs to another part")


def _numbers(file: SweepFile) -> Iterator[str]:
    """Check that trials that are done have all numbers, and that these are consistent."""
    done = file.status == DONE
    numbers = [name for name, v in SWEEP_VARIABLES.items() if v.role == "number"]
    values = {name: file.variable(name) for name in ("wall_s", "kernel_s", *numbers) if name in file}
    for name, array in values.items():
        if name not in MAY_BE_NAN and array.dtype.kind == "f":
            yield from _named(file, done & ~np.isfinite(array), f"it is done, but {name} is not finite")
        yield from _named(file, done & (array < 0), f"it is done, but {name} is negative")
    defined = np.isfinite(values["spike_contrast"])
    yield from _named(file, done & (defined != (values["silent"] == 0)), "silent contradicts spike_contrast")
    network = file.experiment.network
    if "n_neurons" in file.axes:
        return
    lam = np.array(file.axes["lam"]).reshape((1, -1) + (1,) * (done.ndim - 2))
    n_exc = np.round(lam * network.n_neurons)
    seconds = (network.n_steps - network.n_transient) * network.dt_ms / 1e3
    spikes = (np.nan_to_num(values["rate_E"]) * n_exc
              + np.nan_to_num(values["rate_I"]) * (network.n_neurons - n_exc)) * seconds  # fmt: skip
    wrong = np.abs(spikes - values["n_spikes"]) > 0.5
    yield from _named(file, done & wrong, "n_spikes contradicts the rates")


def _traces(file: SweepFile) -> Iterator[str]:
    """Check that traces of trials that are done have no NaN, and that inputs are not negative."""
    done = (file.status == DONE)[..., : file.experiment.traces.n_trials(file.shape[-1])]
    at_once = max(1, BLOCK_BYTES // (4 * len(file.time_ms)))
    for name in (name for name in file.trace_names if name in file):
        gaps, negative = np.zeros(done.shape, bool), np.zeros(done.shape, bool)
        for point in np.ndindex(done.shape[:-1]):
            for begin in range(0, done.shape[-1], at_once):
                block = (*point, slice(begin, begin + at_once))
                if done[block].any():
                    data = file.hdf5[name][block]
                    gaps[block] = done[block] & ~np.isfinite(data).all(axis=-1)
                    negative[block] = done[block] & (data < 0).any(axis=-1)
        yield from _named(file, gaps, f"it is done, but {name} has values that are not finite")
        if name.startswith("phi"):
            yield from _named(file, negative, f"it is done, but {name} has negative values")


def _named(file: SweepFile, wrong: npt.NDArray[np.bool_], what: str) -> Iterator[str]:
    """One sentence for all trials that have a problem."""
    if not wrong.any():
        return
    where = np.argwhere(wrong)
    labels = ", ".join(file.label(index) for index in where[:NAMED])
    rest = f" and {len(where) - NAMED} more" if len(where) > NAMED else ""
    yield f"{labels}{rest}: {what}"
