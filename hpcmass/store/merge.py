"""Many files of one sweep → one: per-trial variables are copied, traces stay where they are and are referred to.

The joined file is an ordinary sweep file to every reader. Its traces are HDF5 virtual datasets with paths relative
to the file; its `parts` attribute lists them, because HDF5 reads a missing part as fill values without a word.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcmass.errors import UserError
from hpcmass.store.identity import require_same_sweep
from hpcmass.store.layout import Coordinate, creating, define, describe, free_name, set_aside
from hpcmass.store.provenance import history_line, history_of, history_value
from hpcmass.store.reader import axes_of, experiment_of, open_hdf5, shard_directory
from hpcmass.store.schema import DONE, FAILED, PENDING, SWEEP_FILETYPE, SWEEP_VARIABLES


@dataclass(frozen=True)
class States:
    """Which trial is in which state, and in which part.

    Attributes
    ----------
    status : array of int8, (axes…, trial)
    owner : array of int, (axes…, trial)
        Index of the part that holds the trial, -1 where none does.
    """

    status: npt.NDArray[np.int8]
    owner: npt.NDArray[np.intp]


def shard_paths(sweep: Path) -> list[Path]:
    """The shards of a sweep, in the order of their names; empty if it has none."""
    return sorted(shard_directory(sweep).glob("shard-*.h5"))


def states_of(files: Sequence[h5py.File]) -> States:
    """States of all trials over open parts of one sweep: done in any part is done, else failed, else pending."""
    status = np.full(files[0]["status"].shape, PENDING, "i1")
    owner = np.full(status.shape, -1, np.intp)
    for wanted, unless in ((DONE, (DONE,)), (FAILED, (DONE, FAILED))):
        for i, file in enumerate(files):
            mine = (file["status"][()] == wanted) & ~np.isin(status, unless)
            status[mine], owner[mine] = wanted, i
    return States(status, owner)


def join(parts: Sequence[Path], output: Path, *, what: str = "merged", replace: bool = False) -> States:
    """Put the parts of one sweep together as one virtual file.

    Parameters
    ----------
    parts : sequence of Path
        Sweep files of the same physics, axes and trials; at least one.
    output : Path
    what : str
        For the line of history.
    replace : bool
        Replace `output`, which must be an earlier joint of the same parts.

    Raises
    ------
    UserError
        If a part is missing, unreadable or of another sweep, or `output` exists without `replace`.
    """
    if not parts:
        raise UserError(f"there is nothing to put into {output}; name the parts")
    with ExitStack() as stack:
        files = [stack.enter_context(open_hdf5(part, SWEEP_FILETYPE)) for part in parts]
        first = files[0]
        experiment = experiment_of(first)
        for file in files[1:]:
            require_same_sweep(file, experiment, f"it cannot be joined with {parts[0]}")
        states = states_of(files)
        axes = tuple(axes_of(first))
        # parts may come from different minor versions of the format
        variables = [v for v in SWEEP_VARIABLES.values() if all(v.name in file for file in files)]
        with creating(output, replace=replace) as file:
            define(
                file,
                filetype=SWEEP_FILETYPE,
                axes=axes,
                coordinates=_coordinates(first, axes),
                variables=[v for v in variables if v.role != "trace"],
                attributes=_attributes(files, parts, output, what),
            )
            for variable in variables:
                if variable.role == "trace":
                    layout = _trace_layout(variable.name, first, parts, output, states)
                    describe(file.create_virtual_dataset(variable.name, layout, fillvalue=np.nan), variable, axes)
                else:
                    _copy(variable.name, files, states, file)
    return states


def is_joint_of(output: Path, parts: Sequence[Path]) -> bool:
    """True if `output` is these parts put together, as they are now."""
    if not output.exists():
        return False
    with ExitStack() as stack:
        joint = stack.enter_context(open_hdf5(output, SWEEP_FILETYPE))
        files = [stack.enter_context(open_hdf5(part, SWEEP_FILETYPE)) for part in parts]
        return (
            list(joint.attrs.get("parts", ())) == _relative(parts, output)
            and str(joint.attrs["config_yaml"]) == str(files[0].attrs["config_yaml"])
            and np.array_equal(joint["status"][()], states_of(files).status)
        )


def _relative(parts: Sequence[Path], output: Path) -> list[str]:
    return [os.path.relpath(part, output.parent) for part in parts]


def set_sweep_aside(sweep: Path) -> Path:
    """Keep a sweep, shards and all, under the first free of `sweep.1.h5`, `sweep.2.h5`, …; returns that path."""
    if not shard_directory(sweep).is_dir():
        return set_aside(sweep)
    new = free_name(sweep)
    os.rename(shard_directory(sweep), shard_directory(new))
    if shard_paths(new):
        join(shard_paths(new), new, what=f"shards of {sweep.name} set aside")
    sweep.unlink(missing_ok=True)
    return new


def _coordinates(file: h5py.File, axes: tuple[str, ...]) -> list[Coordinate]:
    def coordinate(name: str) -> Coordinate:
        attributes = file[name].attrs
        return Coordinate(name, file[name][()], str(attributes["units"]), str(attributes["long_name"]))

    return [coordinate(name) for name in (*axes, "trial", "time", "word")]


_OF_THE_FILE = {"filetype", "format_version", "Conventions"}
"""Attributes that `define` sets itself."""


def _attributes(files: Sequence[h5py.File], parts: Sequence[Path], output: Path, what: str) -> dict[str, Any]:
    attributes = {name: value for name, value in files[0].attrs.items() if name not in _OF_THE_FILE}
    history = sorted({line for file in files for line in history_of(file)})
    chain = {str(text): None for file in files for text in file.attrs["config_chain"]}
    return {
        **attributes,
        "driver": "shards",
        "parts": _relative(parts, output),
        "config_chain": list(chain),
        "history": history_value([*history, history_line(f"{what}, {len(parts)} files")]),
    }


def _copy(name: str, files: Sequence[h5py.File], states: States, output: h5py.File) -> None:
    """Each trial's value from the part that holds the trial; the seeds are the same in all."""
    values = files[0][name][()] if name == "seed" else output[name][()]
    for i, file in enumerate(files):
        mine = states.owner == i
        values[mine] = file[name][()][mine]
    output[name][...] = values


def _trace_layout(
    name: str, first: h5py.File, parts: Sequence[Path], output: Path, states: States
) -> h5py.VirtualLayout:
    """Where each trial that is done has its trace; runs of trials in one part become one mapping."""
    shape, dtype = first[name].shape, first[name].dtype
    layout = h5py.VirtualLayout(shape, dtype)
    sources = [h5py.VirtualSource(path, name, shape, dtype) for path in _relative(parts, output)]
    owner = np.where(states.status == DONE, states.owner, -1)
    for point in np.ndindex(owner.shape[:-1]):
        trials = owner[point]
        starts = np.flatnonzero(np.diff(trials, prepend=-2))
        for start, stop in zip(starts, [*starts[1:], len(trials)], strict=True):
            if trials[start] >= 0:
                run = (*point, slice(start, stop))
                layout[run] = sources[trials[start]][run]
    return layout
