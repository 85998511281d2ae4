"""Is a sweep file what it claims to be: structure, configuration, seeds, and what its trials hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment
from hpcmass.grid import trial_seed
from hpcmass.store.layout import reason
from hpcmass.store.opening import parts_of
from hpcmass.store.parts import part_of, share_of
from hpcmass.store.reader import axes_of, experiment_of, open_hdf5
from hpcmass.store.schema import DONE, FAILED, PENDING, SOURCE, SWEEP_FILETYPE, SWEEP_VARIABLES
from hpcmass.store.sources import being_written, is_joined, left_behind, open_all, sources_of
from hpcmass.store.structure import descriptions, label

NAMED = 5
"""Trials that a problem names before it counts the rest."""

MAY_BE_NAN = ("spike_contrast", "spike_contrast_bin", "cv_isi", "rate_E", "rate_I")
"""Numbers that some networks leave undefined: silent ones, and those of one kind of neurons only."""

BLOCK_BYTES = 2**26
"""Most that is read at a time."""


def check_sweep(path: Path) -> list[str]:
    """Look at everything that can be checked without a simulation.

    Parameters
    ----------
    path : Path
        A sweep file; also one of shards or parts, which are looked at one by one.

    Returns
    -------
    list of str
        Problems, one sentence each; empty if there is none.

    Raises
    ------
    UserError
        If it cannot be opened as a sweep file at all.
    """
    files = [path, *(p for p in sources_of(path) if p != path)] if path.exists() else sources_of(path)
    problems = []
    for name in files or [path]:
        with open_hdf5(name, SWEEP_FILETYPE) as file:  # which refuses a wrong structure
            found = [*_problems(file), *_against_parts(file)]
        problems += found if len(files) <= 1 else [f"{name.name}: {problem}" for problem in found]
    return problems


def _problems(file: h5py.File) -> Iterator[str]:
    experiment = experiment_of(file)
    yield from descriptions(file)
    yield from _configuration(file, experiment)
    try:
        yield from _seeds(file, experiment)
        yield from _states(file)
        yield from _numbers(file, experiment)
        yield from _traces(file)
    except (OSError, RuntimeError) as error:  # a checksum, a cut-off block
        yield f"its data cannot be read: {reason(error)}"


def _configuration(file: h5py.File, experiment: Experiment) -> Iterator[str]:
    if str(file.attrs["config_sha256"]) != experiment.physics_sha256():
        yield "config_sha256 is not the hash of its configuration's physics"
    if axes_of(file) != experiment.grid.axes():
        yield "its axes are not those of its configuration"
    network = experiment.network
    if not np.array_equal(file["time"][()], np.arange(network.n_steps) * network.dt_ms):
        yield "its time is not that of its configuration"
    numbers = file["trial"][()]
    if len(numbers) != experiment.trials or len(set(numbers.tolist())) != len(numbers):
        yield "its trials are not those of its configuration"


def _seeds(file: h5py.File, experiment: Experiment) -> Iterator[str]:
    axes, numbers, seeds = axes_of(file), file["trial"][()], file["seed"][()]
    wrong = np.zeros(seeds.shape[:-1], bool)
    for index in np.ndindex(wrong.shape):
        values = {name: axes[name][i] for name, i in zip(axes, index, strict=False)}
        wrong[index] = tuple(seeds[index].tolist()) != trial_seed(experiment.root_seed, values, int(numbers[index[-1]]))
    yield from _named(file, wrong, "the seed does not follow from the values")


def _states(file: h5py.File) -> Iterator[str]:
    status = file["status"][()]
    yield from _named(file, ~np.isin(status, (PENDING, DONE, FAILED)), "status is none of pending, done, failed")
    silent_failure = (status == FAILED) & (file["error"][()] == b"")
    yield from _named(file, silent_failure, "it failed without a reason")
    yield from _named(file, (status == DONE) & (file["error"][()] != b""), "it is done and has an error")
    if part_of(file) is not None:
        yield from _named(file, (status != PENDING) & ~share_of(file), "it belongs to another part")


def _numbers(file: h5py.File, experiment: Experiment) -> Iterator[str]:
    """A trial that is done has all its numbers, and they agree with each other."""
    done = file["status"][()] == DONE
    values = {name: file[name][()] for name, v in SWEEP_VARIABLES.items() if v.role != "trace" and name in file}
    for name in ("wall_s", "kernel_s", *(n for n, v in SWEEP_VARIABLES.items() if v.role == "number")):
        if name not in values:
            continue
        array = values[name]
        if name not in MAY_BE_NAN and array.dtype.kind == "f":
            yield from _named(file, done & ~np.isfinite(array), f"it is done, but {name} is not finite")
        yield from _named(file, done & (array < 0), f"it is done, but {name} is negative")
    defined = np.isfinite(values["spike_contrast"])
    yield from _named(file, done & (defined != (values["silent"] == 0)), "silent contradicts spike_contrast")
    network = experiment.network
    if "n_neurons" in axes_of(file):
        return
    lam = np.array(axes_of(file)["lam"]).reshape((1, -1) + (1,) * (done.ndim - 2))
    n_exc = np.round(lam * network.n_neurons)
    seconds = (network.n_steps - network.n_transient) * network.dt_ms / 1e3
    spikes = (np.nan_to_num(values["rate_E"]) * n_exc
              + np.nan_to_num(values["rate_I"]) * (network.n_neurons - n_exc)) * seconds  # fmt: skip
    wrong = np.abs(spikes - values["n_spikes"]) > 0.5
    yield from _named(file, done & wrong, "n_spikes contradicts the rates")


def _against_parts(file: h5py.File) -> Iterator[str]:
    """A joined file copies from the files that it refers to everything but the traces."""
    if not is_joined(file) or SOURCE.name not in file:
        return
    sweep = Path(file.filename)
    lacking = left_behind(sweep)
    if lacking and not being_written(sweep):
        yield f"it is behind the files that it was joined from, it lacks {lacking} trials that are done"
    source, status = file[SOURCE.name][()], file["status"][()]
    with open_all(parts_of(file)) as parts:
        for name, variable in SWEEP_VARIABLES.items():
            if variable.role == "trace" or name in ("part", "seed") or name not in file:
                continue
            values, wrong = file[name][()], np.zeros(source.shape, bool)
            for number, part in enumerate(parts):
                mine = (source == number) & (status == DONE)
                wrong[mine] = _differ(values[mine], part[name][()][mine])
            yield from _named(file, wrong, f"its part has another {name}")


def _differ(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    both_nan = (a != a) & (b != b)
    return np.asarray((a != b) & ~both_nan, np.bool_)


def _traces(file: h5py.File) -> Iterator[str]:
    """A trial that is done has no NaN; what arrives is not negative."""
    done = file["status"][()] == DONE
    for name, variable in SWEEP_VARIABLES.items():
        if variable.role != "trace" or name not in file:
            continue
        dataset = file[name]
        at_once = max(1, BLOCK_BYTES // (dataset.shape[-1] * dataset.dtype.itemsize))
        gaps, negative = np.zeros(done.shape, bool), np.zeros(done.shape, bool)
        for point in np.ndindex(done.shape[:-1]):
            for begin in range(0, done.shape[-1], at_once):
                block = (*point, slice(begin, begin + at_once))
                if done[block].any():
                    data = dataset[block]
                    gaps[block] = done[block] & ~np.isfinite(data).all(axis=-1)
                    negative[block] = done[block] & (data < 0).any(axis=-1)
        yield from _named(file, gaps, f"it is done, but {name} has values that are not finite")
        if name.startswith("phi"):
            yield from _named(file, negative, f"it is done, but {name} has negative values")


def _named(file: h5py.File, wrong: npt.NDArray[np.bool_], what: str) -> Iterator[str]:
    """One sentence for all trials that have a problem."""
    if not wrong.any():
        return
    where: Sequence[tuple[int, ...]] = [tuple(map(int, index)) for index in np.argwhere(wrong)]
    labels = ", ".join(label(file, index) for index in where[:NAMED])
    rest = f" and {len(where) - NAMED} more" if len(where) > NAMED else ""
    yield f"{labels}{rest}: {what}"
