"""Several files of one sweep, such as the parts of a job array, read side by side as one sweep."""

from __future__ import annotations

import os
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.grid import places, requested
from hpcmass.store.files import Closing
from hpcmass.store.schema import DONE, FAILED, NUMBERS, PENDING, SWEEP_VARIABLES, TRACES
from hpcmass.store.sweep_file import Index, SweepFile

OPEN_AT_ONCE = 16
"""Most files that are open at a time: the usual limit is 1024, and each takes memory."""

SHOWN = 8
"""Most missing parts or trials that are listed; the rest is counted."""


class SweepParts(Closing):
    """One or more sweep files as one sweep; a context manager.

    A trial that is done in any of the files is done, else failed in any, else pending.

    Parameters
    ----------
    paths : sequence of Path
        Files of the same physics, axes and trials; one that is named twice counts once.

    Attributes
    ----------
    paths : list of Path
    status : array of int8, (axes…, trial)
    owner : array of int, (axes…, trial)
        Which of `paths` has the trial, -1 where none does.
    assigned : array of bool, (axes…, trial)
        Trials that are assigned to the files.
    overlapping : int
        Trials that are done in several files.
    uuids : list of str
        Identity of each file.
    experiment : Experiment
        Of the first file's configuration.
    physics_sha256 : str
        Hash of what fixes the results.
    trial_numbers : array of int32, (trial,)
        Numbers of the trials at each point.

    Raises
    ------
    UserError
        If a file is not a readable sweep, or of another sweep than the first.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list({os.path.realpath(path): Path(path) for path in paths}.values())
        self._open: OrderedDict[int, SweepFile] = OrderedDict()
        try:
            self._read_states()
        except BaseException:
            self.close()
            raise

    def _read_states(self) -> None:
        first = self.file(0, checked=False)
        self.experiment: Experiment = first.experiment
        self.physics_sha256, self.trial_numbers = first.physics_sha256, first.trial_numbers
        seeds = first.variable("seed") if len(self.paths) > 1 else np.empty(0)
        self.axes, self.shape = first.axes, first.shape
        self.status = np.full(first.shape, PENDING, "i1")
        self.owner = np.full(first.shape, -1, np.int32)
        self.assigned = np.zeros(first.shape, bool)
        self.uuids: list[str] = []
        n_done = np.zeros(first.shape, np.int32)
        for i, path in enumerate(self.paths):
            file = self.file(i, checked=False)
            if i:
                what_to_do = f"leave it out, or leave out {self.paths[0]}"
                file.require_same_sweep(self.experiment, what_to_do)
                if not np.array_equal(file.variable("seed"), seeds):
                    raise UserError(f"{path} has other seeds than {self.paths[0]}; {what_to_do}")
            done = file.status == DONE
            news = (done & (self.status != DONE)) | ((file.status == FAILED) & (self.status == PENDING))
            self.status[news] = file.status[news]
            self.owner[news] = i
            self.assigned |= file.assigned
            n_done += done
            self.uuids.append(file.uuid)
        self.overlapping = int((n_done > 1).sum())

    def file(self, i: int, *, checked: bool = True) -> SweepFile:
        """One of the files, opened when needed."""
        if i in self._open:
            self._open.move_to_end(i)
            return self._open[i]
        while len(self._open) >= OPEN_AT_ONCE:
            self._open.popitem(last=False)[1].close()
        self._open[i] = SweepFile(self.paths[i], checked=checked)
        return self._open[i]

    def close(self) -> None:
        """Close all files."""
        while self._open:
            self._open.popitem()[1].close()

    # ------------------------------------------------------------------------------------ as one sweep

    @property
    def name(self) -> str:
        """For messages: the file, or the first of several."""
        rest = len(self.paths) - 1
        return str(self.paths[0]) + (f" and {rest} more" if rest else "")

    @property
    def uuid(self) -> str:
        """Identity of the sweep: the file's, or one that follows from those of all files."""
        distinct = sorted(set(self.uuids))
        return distinct[0] if len(distinct) == 1 else str(uuid.uuid5(uuid.NAMESPACE_OID, " ".join(distinct)))

    @cached_property
    def requested(self) -> npt.NDArray[np.bool_]:
        """True for every trial that the configuration requests, (axes…, trial)."""
        return np.broadcast_to(requested(self.experiment)[..., None], self.shape)

    @cached_property
    def trace_names(self) -> tuple[str, ...]:
        """Traces that all files have."""
        stored = [set(self.file(i).trace_names) for i in self.indices]
        return tuple(name for name in TRACES if all(name in names for names in stored))

    @property
    def indices(self) -> range:
        """Of the files."""
        return range(len(self.paths))

    def label(self, index: Sequence[int]) -> str:
        """A trial for messages: `p=0.2 lam=0.8 trial 3`."""
        return self.file(0).label(index)

    def done_trials(self, point: tuple[int, ...]) -> list[int]:
        """Indices of the trials that are done at one point (`point`: one index per axis)."""
        return [int(k) for k in np.flatnonzero(self.status[point] == DONE)]

    def traces(self, point: tuple[int, ...], trial: int) -> dict[str, npt.NDArray[np.float32]]:
        """The traces of one trial that is done: see `SweepFile.traces`."""
        return self._holder((*point, trial)).traces(point, trial)

    def traces_of(self, index: Index) -> tuple[str, ...]:
        """Names of the traces that are kept of a trial: see `SweepFile.traces_of`."""
        return self._holder(index).traces_of(index)

    def window(self, name: str, point: tuple[int, ...], trial: int, steps: slice) -> npt.NDArray[np.float32]:
        """Some steps of one trace of a trial that is done: see `SweepFile.window`."""
        return self._holder((*point, trial)).window(name, point, trial, steps)

    def value(self, name: str, index: Index) -> Any:
        """A variable's value for one trial: see `SweepFile.value`."""
        return self._holder(index).value(name, index)

    def values(self, name: str, indices: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """A variable's values for some trials, at least one: see `SweepFile.values`."""
        holders = np.maximum(self.owner[tuple(indices.T)], 0)
        read = {i: self.file(i).values(name, indices[holders == i]) for i in set(holders.tolist())}
        first = next(iter(read.values()))
        found = np.empty((len(indices), *first.shape[1:]), first.dtype)
        for i, values in read.items():
            found[holders == i] = values
        return found

    def error(self, index: Index) -> str:
        """Why a trial failed."""
        return self._holder(index).error(index)

    def _holder(self, index: Index) -> SweepFile:
        return self.file(max(0, int(self.owner[index])))

    def gathered(self, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """Per-trial variables, each trial's value from the file that has it, the fill value where none does.

        Names that a file lacks are left out.
        """
        names = [name for name in names if all(name in self.file(i) for i in self.indices)]
        found: dict[str, npt.NDArray[Any]] = {}
        for i in self.indices:
            mine = self.owner == i
            if i and not mine.any():
                continue
            for name in names:
                values = self.file(i).variable(name)
                if i == 0:
                    found[name] = values
                    if name != "seed":
                        values[self.owner != 0] = SWEEP_VARIABLES[name].fill
                else:
                    found[name][mine] = values[mine]
        return found

    def each_number(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """`numbers` one after the other, all fill values where a file lacks one.

        All are read at once where the files cannot all be open; of a large sweep each takes 40 MB.
        """
        for names in [NUMBERS] if len(self.paths) > OPEN_AT_ONCE else [(name,) for name in NUMBERS]:
            found = self.numbers(names)
            for name in names:
                yield name, found.pop(name) if name in found else np.full(self.shape, SWEEP_VARIABLES[name].fill)

    def numbers(self, names: Sequence[str] = NUMBERS) -> dict[str, npt.NDArray[Any]]:
        """Name → per-trial number, (axes…, trial), with the fill value wherever a trial is not done."""
        numbers, waiting = self.gathered(names), self.status != DONE
        for name, values in numbers.items():
            values[waiting] = SWEEP_VARIABLES[name].fill
        return numbers

    # ------------------------------------------------------------------------------------ whether it is whole

    def require_complete(self) -> None:
        """Refuse an incomplete sweep; the error lists the parts that are missing or not finished.

        Raises
        ------
        UserError
        """
        wanted = self.requested
        pending = (self.status == PENDING) & wanted
        if not pending.any():
            return
        what = f"{int(pending.sum())} of {int(wanted.sum())} trials are not done"
        remedy = "run them, or accept what is there with --partial"
        parts = [self.file(i).part for i in self.indices]
        counts = {part.count for part in parts if part}
        if all(parts) and len(counts) == 1:
            count = counts.pop()
            absent = sorted(set(range(1, count + 1)) - {part.number for part in parts if part})
            unfinished = sorted({part.number for i, part in enumerate(parts)
                                 if part and (pending & self.file(i).assigned).any()})  # fmt: skip
            clauses = [_parts(absent, count, "missing")] if absent else []
            clauses += [_parts(unfinished, count, "not finished")] if unfinished else []
            if clauses:
                raise UserError(f"{' and '.join(clauses)} ({what}); {remedy}")
        named = [self.label(index) for index in np.argwhere(pending)[:SHOWN]]
        more = ", …" if pending.sum() > SHOWN else ""
        raise UserError(f"{what}: {', '.join(named)}{more}; {remedy}")

    def require_consistent(self) -> None:
        """Refuse files that have different results for the same trial.

        Raises
        ------
        UserError
            Naming the trial and the files that contradict each other.
        """
        for i in self.indices:
            self.require_same_results(self.file(i), self.owner != i)

    def require_same_results(self, file: SweepFile, where: npt.NDArray[np.bool_] | bool = True) -> None:
        """Refuse a file that has other results for a trial than these files.

        Parameters
        ----------
        file : SweepFile
            Of the same sweep.
        where : array of bool, (axes…, trial)
            The trials to compare.

        Raises
        ------
        UserError
            Naming the trial and the files that contradict each other.
        """
        for index in places((file.status == DONE) & (self.status == DONE) & where):
            other = self._holder(index)
            same_traces = file.experiment.traces.every_ms == other.experiment.traces.every_ms
            traces = set(file.traces_of(index)) & set(other.traces_of(index)) if same_traces else set()
            for name in (*NUMBERS, *sorted(traces)):
                if name in file and name in other and _bytes(file, name, index) != _bytes(other, name, index):
                    raise UserError(
                        f"{other.path} and {file.path} contradict each other in {name} of {self.label(index)}; "
                        "find out which is right with `hpcmass check --resimulate`"
                    )


def _bytes(file: SweepFile, name: str, index: Index) -> bytes:
    return np.asarray(file.value(name, index)).tobytes()


def _parts(numbers: Sequence[int], count: int, how: str) -> str:
    shown = ", ".join(str(n) for n in numbers[:SHOWN])
    rest = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    one = len(numbers) == 1
    return f"{'part' if one else 'parts'} {shown}{rest} of {count} {'is' if one else 'are'} {how}"
