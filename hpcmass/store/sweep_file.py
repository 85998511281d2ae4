"""One sweep file: its contents, and whether it belongs to an experiment.

No reader locks a file or needs MPI, so all of this works while a sweep is being written: the sweep changes no
metadata, and a trial's data are on the disk before its status is `done`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment
from hpcmass.costs import Part, PartAssignment, parse_part
from hpcmass.errors import UserError
from hpcmass.grid import Seed, Trial, requested, trial_label, trial_seeds, values_at
from hpcmass.store.files import Closing, reason
from hpcmass.store.opening import Path_, axes_of, experiment_of, open_hdf5
from hpcmass.store.provenance import history_of
from hpcmass.store.schema import DONE, NUMBERS, SWEEP_FILETYPE, SWEEP_VARIABLES, TRACES
from hpcmass.store.slabs import read_at

Index = tuple[int, ...]
"""A trial's place: one index per axis, then the trial."""


class SweepFile(Closing):
    """A sweep file open for reading; a context manager.

    Parameters
    ----------
    path : path
    checked : bool
        It was opened before in this job: skip the checks whose time grows with the number of trials.

    Attributes
    ----------
    path : Path
    axes : dict of str to tuple of float
        The swept axes, in the order of the dimensions.
    status : array of int8, (axes…, trial)
        The schema's PENDING, DONE or FAILED, as it was on opening.
    uuid, physics_sha256, title, driver : str
        Identity of the file, hash of what fixes its results, title, how it was written.
    hdf5 : h5py.File
        The open file itself.

    Raises
    ------
    UserError
        See `opening.open_hdf5`.
    """

    def __init__(self, path: Path_, *, checked: bool = False) -> None:
        self.path = Path(path)
        self.hdf5 = open_hdf5(path, SWEEP_FILETYPE, checked=checked)
        try:
            with self._reading("the attributes"):
                attributes = self.hdf5.attrs
                self.uuid, self.physics_sha256 = str(attributes["uuid"]), str(attributes["config_sha256"])
                self.title, self.driver = str(attributes["title"]), str(attributes["driver"])
                self.axes: dict[str, tuple[float, ...]] = axes_of(self.hdf5)
            self.status: npt.NDArray[np.int8] = self.variable("status")
        except UserError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self.hdf5.close()

    # ------------------------------------------------------------------------------------ what it describes

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment of the configuration that the file was made with."""
        return experiment_of(self.hdf5)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """All root attributes."""
        return dict(self.hdf5.attrs)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes, then the number of trials."""
        return tuple(self.status.shape)

    @cached_property
    def time_ms(self) -> npt.NDArray[np.float64]:
        """Time stamps of the traces (ms), (time,)."""
        return np.asarray(self.hdf5["time"][()])

    @cached_property
    def trial_numbers(self) -> npt.NDArray[np.int32]:
        """Numbers of the trials at each point, (trial,)."""
        return np.asarray(self.hdf5["trial"][()])

    @property
    def history(self) -> list[str]:
        """A line for each start, resume and merge."""
        return history_of(self.hdf5)

    @property
    def is_packed(self) -> bool:
        """True for a compressed file, which is never written again."""
        return self.driver == "packed"

    @cached_property
    def part(self) -> Part | None:
        """The part that is assigned to the file, None where it may contain every trial."""
        text = self.hdf5.attrs.get("part")
        return None if text is None else parse_part(str(text))

    @cached_property
    def assigned(self) -> npt.NDArray[np.bool_]:
        """True for every trial that is requested and assigned to the file, (axes…, trial).

        Raises
        ------
        UserError
            If it is damaged.
        """
        requested = self.requested
        return self._in_part if requested is None else self._in_part & requested[..., None]

    @cached_property
    def requested(self) -> npt.NDArray[np.bool_] | None:
        """True for every point that the configuration requests, (axes…); None where it requests all."""
        return None if self.experiment.points is None else requested(self.experiment)

    @property
    def _in_part(self) -> npt.NDArray[np.bool_]:
        part = self.part
        if part is None:
            return np.ones(self.shape, bool)
        if "part_trials" in self.hdf5.attrs:
            start, stop = (int(n) for n in self.hdf5.attrs["part_trials"])
            return PartAssignment(part, start, stop).mask(self.shape)
        return np.asarray(self.variable("part") == part.number)  # format 1

    def values_at(self, index: Sequence[int]) -> dict[str, float]:
        """Axis name → value at a trial's or a point's place."""
        return values_at(self.axes, index)

    def trial(self, index: Index) -> Trial:
        """A trial by its place, with the seed that the file has for it."""
        return Trial(index, self.values_at(index), self.seed(index))

    def label(self, index: Sequence[int]) -> str:
        """A trial for messages: `p=0.2 lam=0.8 trial 3`."""
        return trial_label(self.values_at(index), int(self.trial_numbers[index[-1]]))

    # ------------------------------------------------------------------------------------ contents

    def __contains__(self, name: str) -> bool:
        return name in self.hdf5

    @cached_property
    def trace_names(self) -> tuple[str, ...]:
        """Names of the traces that its trials have, kept or not.

        An import, or a file of an earlier version of the format, may lack some.
        """
        imported = self.experiment.imported
        lacks = () if imported is None else imported.lacks
        kept = self.experiment.traces.keep != "none"
        return tuple(name for name in TRACES if (name in self.hdf5 or not kept) and name not in lacks)

    def traces_of(self, index: Index) -> tuple[str, ...]:
        """Names of the traces that the file keeps of a trial."""
        kept = index[-1] < self.experiment.traces.n_trials(self.shape[-1])
        return tuple(name for name in TRACES if name in self.hdf5) if kept else ()

    def done_trials(self, point: tuple[int, ...]) -> list[int]:
        """Indices of the trials that are done at one point (`point`: one index per axis)."""
        return [int(k) for k in np.flatnonzero(self.status[point] == DONE)]

    def variable(self, name: str) -> npt.NDArray[Any]:
        """Any variable but the traces, whole, as stored in the file; errors as bytes strings.

        Raises
        ------
        UserError
            If its data cannot be read.
        """
        with self._reading(name):
            values: npt.NDArray[Any] = self.hdf5[name][()]
        if name == "error" and values.dtype == "S1":
            values = np.ascontiguousarray(values).view(f"S{values.shape[-1]}")[..., 0]
        return values

    def value(self, name: str, index: Index) -> Any:
        """A variable's value for one trial: a number, a trace (time,), a seed (word,) or an error's bytes.

        Raises
        ------
        UserError
            If its data cannot be read.
        """
        with self._reading(self.label(index)):
            value = self.hdf5[name][index]
        return value.tobytes().rstrip(b"\0") if name == "error" else value

    def values(self, name: str, indices: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """A variable's values for some trials, (trial, …), whose indices are (trial, axes + 1): see `value`."""
        with self._reading(name):
            return read_at(self.hdf5[name], indices)

    def error(self, index: Index) -> str:
        """Why a trial failed."""
        text: bytes = self.value("error", index)
        return text.decode(errors="replace")

    def seed(self, index: Index) -> Seed:
        """The words that seed a trial's random streams."""
        a, b, c, d = self.value("seed", index).tolist()
        return a, b, c, d

    def numbers(self) -> dict[str, npt.NDArray[Any]]:
        """Name → per-trial number, (axes…, trial), with the fill value wherever a trial is not done."""
        waiting = self.status != DONE
        numbers = {name: self.variable(name) for name in NUMBERS if name in self.hdf5}
        for name, values in numbers.items():
            values[waiting] = SWEEP_VARIABLES[name].fill
        return numbers

    def traces(self, point: tuple[int, ...], trial: int) -> dict[str, npt.NDArray[np.float32]]:
        """The traces of one trial that is done, those that its file keeps.

        Parameters
        ----------
        point : tuple of int
            One index per axis.
        trial : int

        Returns
        -------
        dict of str to array of float32, (time,)
            `mean_v` (mV), `phi_E`, `phi_I`, `phi_ext` (1/ms), `mean_i_syn` (mV); means over windows, where the sweep
            keeps these.

        Raises
        ------
        ValueError
            If the trial is not done.
        UserError
            If its data cannot be read.
        """
        index = (*point, trial)
        if self.status[index] != DONE:
            raise ValueError(f"{self.label(index)} is not done")
        return {name: self.value(name, index) for name in self.traces_of(index) if name in self.trace_names}

    def window(self, name: str, point: tuple[int, ...], trial: int, steps: slice) -> npt.NDArray[np.float32]:
        """Some steps of one trace of a trial that is done; arguments and errors as of `traces`.

        Where the sweep keeps means, each step has the mean over its window, NaN after the last one; all are NaN where
        it does not keep the trial's traces.

        Parameters
        ----------
        steps : slice
            From a step to another, both given.
        """
        index = (*point, trial)
        if self.status[index] != DONE:
            raise ValueError(f"{self.label(index)} is not done")
        length = max(0, min(steps.stop, self.experiment.network.n_steps) - steps.start)
        if name not in self.traces_of(index):
            return np.full(length, np.nan, np.float32)
        n_averaged = self.experiment.traces.n_averaged(self.experiment.network.dt_ms)
        first, last = steps.start // n_averaged, -(-steps.stop // n_averaged)
        with self._reading(self.label(index)):
            values = np.asarray(self.hdf5[name][(*index, slice(first, last))])
        found = np.repeat(values, n_averaged)[steps.start - first * n_averaged :][:length]
        return np.append(found, np.full(length - found.size, np.nan, np.float32))

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Turn an error of the disk, of a checksum, or of an impossible size, into a UserError."""
        try:
            yield
        except (OSError, RuntimeError, MemoryError) as error:
            raise UserError(f"cannot read {what} in {self.path}: {reason(error)}; restore a backup, if any") from error

    # ------------------------------------------------------------------------------------ where it belongs

    def require_same_sweep(self, experiment: Experiment, what_to_do: str, if_same_physics: str = "") -> None:
        """Refuse the file where its physics, axes, trials or requested points are not the experiment's.

        Parameters
        ----------
        experiment : Experiment
        what_to_do : str
            End of the message.
        if_same_physics : str
            Put before it where only axes, trials or points differ.

        Raises
        ------
        UserError
            Listing each differing key with both values.
        """
        differences = self._physics_differences(experiment)
        advice = what_to_do if differences else if_same_physics + what_to_do
        for name, values in experiment.axes().items():
            if self.axes.get(name, values) != values:
                differences.append(f"grid.{name} has {_axis(self.axes[name])} there and {_axis(values)} here")
        if self.shape[-1] != experiment.trials:
            differences.append(f"trials is {self.shape[-1]} there and {experiment.trials} here")
        if not differences and self.experiment.points != experiment.points and self._requests_other_points(experiment):
            theirs, ours = (int(requested(each).sum()) for each in (self.experiment, experiment))
            differences.append(f"points has {theirs} points there and {ours} here, not the same ones")
        if differences:
            raise UserError(f"{self.path} holds another sweep ({'; '.join(differences)}); {advice}")

    def require_same_physics(self, experiment: Experiment, what_to_do: str) -> None:
        """Refuse the file where its trials would not be the experiment's, whatever its axes and trials.

        Raises
        ------
        UserError
            Listing each differing key with both values.
        """
        differences = self._physics_differences(experiment)
        if differences:
            raise UserError(f"{self.path} has other physics ({'; '.join(differences)}); {what_to_do}")

    def require_same_seeds(self, experiment: Experiment, what_to_do: str) -> None:
        """Refuse the file where its trials' seeds are not the experiment's.

        Raises
        ------
        UserError
        """
        seeds = trial_seeds(experiment)
        if not np.array_equal(self.variable("seed").reshape(seeds.shape), seeds):
            raise UserError(f"{self.path} holds another sweep (its trials have other seeds); {what_to_do}")

    def require_same_part(self, part: Part | None, what_to_do: str) -> None:
        """Refuse the file where it holds another part.

        Raises
        ------
        UserError
        """
        if self.part != part:
            theirs = f"holds part {self.part}" if self.part else "is not a part"
            wanted = f"part {part} is asked for" if part else "no --part is given"
            raise UserError(f"{self.path} {theirs}, but {wanted}; {what_to_do}")

    def _requests_other_points(self, experiment: Experiment) -> bool:
        return not np.array_equal(requested(self.experiment), requested(experiment))

    def _physics_differences(self, experiment: Experiment) -> list[str]:
        if self.physics_sha256 == experiment.physics_sha256():
            return []
        theirs, ours = self.experiment.physics(), experiment.physics()
        return [
            f"{key} is {_shown(theirs, key)} there and {_shown(ours, key)} here"
            for key in sorted(theirs.keys() | ours.keys())
            if theirs.get(key) != ours.get(key)
        ] or ["its physics hash differs"]


def _shown(physics: Mapping[str, object], key: str) -> str:
    return str(physics[key]) if key in physics else "absent"


def _axis(values: tuple[float, ...]) -> str:
    if len(values) <= 4:
        return "[" + ", ".join(f"{v:g}" for v in values) + "]"
    return f"{len(values)} values from {values[0]:g} to {values[-1]:g}"
