"""Writing a sweep: everything is created first, then the raw data of the trials are written into it.

Each trial's status comes after its data have reached the disk, and nothing but raw data is ever written. So at whatever
moment a job is killed, the file opens and every trial marked as done is complete.

    who                                           writes                               through
    the rank that ran a trial (parallel HDF5)     its traces, one sync                 MPI-IO (`ParallelTraceWriter`)
    rank 0                                        numbers, sync, status, sync,         `pwrite` (`SweepWriter`)
                                                  of many trials at once;
                                                  all traces with a serial h5py
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment
from hpcmass.costs import PartAssignment
from hpcmass.errors import UserError
from hpcmass.grid import Trial, trial_seeds
from hpcmass.store.files import Closing, RawFile, cannot_write, reason, sync
from hpcmass.store.layout import creating_sweep
from hpcmass.store.provenance import history_line, history_value
from hpcmass.store.schema import DONE, ERROR_LENGTH, FAILED, PENDING, SWEEP_VARIABLES, TRACES

Driver = Literal["mpio", "gather", "serial"]
"""How a sweep that is simulated is written: by all ranks through MPI-IO, by rank 0 for all, by a single process."""

Values = Mapping[str, Any]
"""Variable → value of one trial: `Recording.variables()`."""


def create_sweep_file(
    path: Path,
    experiment: Experiment,
    *,
    driver: Driver,
    provenance: Mapping[str, Any],
    started: str = "started",
    trial_numbers: Sequence[int] | None = None,
    n_spikes: int | None = None,
    assignment: PartAssignment | None = None,
    force: bool = False,
) -> None:
    """Create a sweep file with all its variables, none of its trials done; it appears under its name when complete.

    Parameters
    ----------
    path : Path
    experiment : Experiment
    driver : str
        How it will be written; an attribute.
    provenance : mapping
        Further root attributes, `uuid` among them.
    started : str
        First line of the history.
    trial_numbers : sequence of int, optional
        The trials at each point, if not 0 … `experiment.trials` - 1.
    n_spikes : int, optional
        Adds space for that many spikes (one-trial files).
    assignment : PartAssignment, optional
        The part of the sweep that is assigned to the file.
    force : bool
        Back up an existing file instead of refusing it.
    """
    attributes = {
        "title": experiment.title,
        "config_yaml": experiment.text,
        "config_sha256": experiment.physics_sha256(),
        **provenance,
        "driver": driver,
        "history": history_value([history_line(started)]),
    }
    if assignment is not None:
        attributes["part"] = str(assignment.part)
        attributes["part_trials"] = np.array([assignment.start, assignment.stop])
    with creating_sweep(
        path, experiment, attributes, trial_numbers=trial_numbers, n_spikes=n_spikes, force=force
    ) as file:
        seeds = file["seed"]
        seeds[...] = trial_seeds(experiment, trial_numbers).reshape(seeds.shape)


@dataclass(frozen=True)
class Ended:
    """A trial that has ended, for the writer.

    Attributes
    ----------
    trial : Trial
    values : mapping of str to value
        Its numbers and bookkeeping, `rank` and `wall_s` among them; its traces unless they are in the file already.
    error : str or None
        Why it failed.
    """

    trial: Trial
    values: Values = field(repr=False)
    error: str | None = None


class SweepWriter(Closing):
    """Stores trials in a sweep file that is there already and not packed; a context manager, for one process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = RawFile(path)
        self._failed: npt.NDArray[np.bool_] = self._file.read("status") == FAILED

    def store(self, ended: Iterable[Ended]) -> None:
        """Store trials that have ended: their data first, then, when these are on the disk, their status."""
        ended = list(ended)
        if not ended:
            return
        try:
            again = [one.trial.index for one in ended if self._failed[one.trial.index]]
            for index in again:  # a kill while they are replaced must not leave a failed one without a reason
                self._file.put("status", index, PENDING)
            if again:
                self._file.sync()
            for one in ended:
                values = {**one.values, "error": _cut(one.error or "")}
                for name, value in values.items():
                    if name in self._file and name in SWEEP_VARIABLES:  # a file of an older version may lack some
                        self._file.put(name, one.trial.index, value)
            self._file.sync()
            for one in ended:
                self._file.put("status", one.trial.index, DONE if one.error is None else FAILED)
                self._failed[one.trial.index] = one.error is not None
            self._file.sync()
        except OSError as error:
            raise unwritable(self.path, ended[0].trial, error) from error

    def store_spikes(self, spikes: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Store the spikes of a one-trial file that has space for them (`spike_neuron`, `spike_time`)."""
        try:
            for name, values in spikes.items():
                self._file.put(name, (), values)
        except OSError as error:
            raise cannot_write(self.path, error, "free some space or give another path") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ParallelTraceWriter:
    """Writes traces into one file from all processes of a communicator.

    Opening and closing are collective, everything between is not: a trial's slab goes straight to the file through
    MPI-IO, without a buffer of HDF5's, and no call here may touch metadata, or the job hangs.

    Parameters
    ----------
    path : Path
    comm : mpi4py.MPI.Intracomm
        All of its processes construct the writer collectively.
    """

    def __init__(self, path: Path, comm: Any) -> None:
        self.path = path
        self._file = h5py.File(path, "r+", driver="mpio", comm=comm)
        self._traces = {name: self._file[name] for name in TRACES if name in self._file}
        self._descriptor = os.open(path, os.O_RDWR)
        self._failed = False

    def write(self, trial: Trial, values: Values) -> None:
        """Write a trial's traces; they are on the disk when this returns."""
        try:
            for name, dataset in self._traces.items():
                if name in values:  # not every trial's traces are kept
                    dataset[trial.index] = values[name]
            sync(self._descriptor)
        except (OSError, RuntimeError) as error:
            self._failed = True
            raise unwritable(self.path, trial, error) from error

    def close(self) -> None:
        """Close the file; collective.

        Raises
        ------
        UserError
            If something cannot be written any more, unless `write` has raised this error already.
        """
        try:
            self._file.close()
        except (OSError, RuntimeError) as error:
            if not self._failed:
                raise UserError(f"cannot close {self.path}: {reason(error)}; start the same command again") from error
        finally:
            os.close(self._descriptor)


def unwritable(path: Path, trial: Trial, error: BaseException) -> UserError:
    """The sentence for a trial that the disk refuses."""
    return UserError(
        f"cannot write {trial.label()} into {path}: {reason(error)}; free some space and start the same command again, "
        "what is done is kept"
    )


def _cut(text: str) -> bytes:
    """A text as bytes of the error variable's length, cut between two letters."""
    return text.encode(errors="backslashreplace")[:ERROR_LENGTH].decode(errors="ignore").encode()
