"""Many files of one sweep seen as one: per-trial variables are copied, traces stay where they are.

The joined file is an ordinary sweep file to every reader. Its traces are HDF5 virtual datasets with paths relative
to the file; its `parts` attribute lists them, because HDF5 reads a missing part as fill values without a word.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcmass.errors import UserError
from hpcmass.store.chain import (
    chain_value,
    configurations_in,
    configurations_of,
    from_now_on,
    united,
    write_chain,
)
from hpcmass.store.identity import require_same_sweep
from hpcmass.store.layout import (
    METADATA_BYTES,
    Coordinate,
    creating,
    define,
    describe,
    filled_bytes,
)
from hpcmass.store.parts import PART_VARIABLE
from hpcmass.store.provenance import history_line, history_of, history_value
from hpcmass.store.reader import axes_of, experiment_of, open_hdf5, shard_directory
from hpcmass.store.schema import CONFIG_CHAIN, DONE, SOURCE, SWEEP_FILETYPE, SWEEP_VARIABLES, Variable
from hpcmass.store.sources import States, located, open_all, states_of

MAPPING_BYTES = 256
"""More than one mapping of a virtual dataset takes in the file."""


def join(
    parts: Sequence[Path],
    output: Path,
    *,
    what: str = "merged",
    configuration: str | None = None,
    replace: bool = False,
    earlier: h5py.File | None = None,
) -> States:
    """Put the parts of one sweep together as one virtual file.

    Parameters
    ----------
    parts : sequence of Path
        Sweep files of the same physics, axes and trials; at least one.
    output : Path
    what : str
        For the line of history.
    configuration : str, optional
        The text of one with which the sweep goes on.
    replace : bool
        Replace `output`, which must be an earlier joint of such parts.
    earlier : h5py.File, optional
        The joint that is replaced, where it cannot be opened as a sound one.

    Raises
    ------
    UserError
        If a part is missing, unreadable or of another sweep, or `output` exists without `replace`.
    """
    if not parts:
        raise UserError(f"there is nothing to put into {output}; name the parts")
    with open_all(parts) as files, ExitStack() as stack:
        first = files[0]
        for file in files[1:]:
            require_same_sweep(file, experiment_of(first), f"it cannot be joined with {parts[0]}")
        if replace and earlier is None and output.exists():
            earlier = stack.enter_context(open_hdf5(output, SWEEP_FILETYPE))
        own = os.path.realpath(shard_directory(output))
        merged = any(os.path.realpath(part.parent) != own for part in parts)
        attributes = joint_attributes(files, earlier if merged else None, what, merged=merged)
        identities = [str(file.attrs["uuid"]) for file in files]
        attributes |= {"driver": "shards", "parts": _relative(parts, output), "part_uuids": identities}
        chain = united([*([earlier] if earlier is not None else []), *files])
        if configuration is not None:
            chain = [*(c for c in chain if c.text != configuration), from_now_on(configuration)]
        states = states_of(files)
        axes = tuple(axes_of(first))
        variables = shared_variables(files)
        sizes = {name: len(first[name]) for name in (*axes, "trial", "time", "word")}
        n_traces = sum(v.role == "trace" for v in variables)
        n_boxes = sum(1 for _ in boxes(np.where(states.status == DONE, states.owner, -1)))
        space = METADATA_BYTES + 8 * sum(sizes.values()) + filled_bytes([*variables, SOURCE], axes, sizes)
        with creating(output, replace=replace, space=space + n_traces * n_boxes * MAPPING_BYTES) as file:
            define(
                file,
                filetype=SWEEP_FILETYPE,
                axes=axes,
                coordinates=coordinates_of(first),
                variables=[*(v for v in variables if v.role != "trace"), CONFIG_CHAIN, SOURCE],
                attributes=attributes,
            )
            file.attrs["format_version"] = oldest_version(files)
            write_chain(file, chain)
            file[SOURCE.name][...] = states.owner
            for variable in variables:
                if variable.role == "trace":
                    layout = _trace_layout(variable.name, first, parts, output, states)
                    describe(file.create_virtual_dataset(variable.name, layout, fillvalue=np.nan), variable, axes)
                else:
                    file[variable.name][...] = gathered(variable, files, states)
    return states


def is_joint_of(output: Path, parts: Sequence[Path]) -> bool:
    """True if `output` is these parts put together, as they are now."""
    if not output.exists():
        return False
    with open_hdf5(output, SWEEP_FILETYPE) as joint, open_all(parts) as files:
        chain = configurations_of(joint)
        whole = united([joint, *files])
        return (
            list(joint.attrs.get("parts", ())) == _relative(parts, output)
            and chain == configurations_in(chain_value(whole))
            and np.array_equal(joint["status"][()], states_of(files).status)
        )


def shared_variables(files: Sequence[h5py.File]) -> list[Variable]:
    """The schema's variables that all open files have: they may come from different minor versions of the format."""
    return [v for v in SWEEP_VARIABLES.values() if all(v.name in file for file in files)]


def oldest_version(files: Sequence[h5py.File]) -> str:
    """Format version of what has the variables that all open files share."""
    versions = [str(file.attrs["format_version"]) for file in files]
    return min(versions, key=lambda version: [int(number) for number in version.split(".") if number.isdigit()])


def coordinates_of(file: h5py.File) -> list[Coordinate]:
    """All dimensions of an open sweep file."""

    def coordinate(name: str) -> Coordinate:
        attributes = file[name].attrs
        return Coordinate(name, file[name][()], str(attributes["units"]), str(attributes["long_name"]))

    return [coordinate(name) for name in (*axes_of(file), "trial", "time", "word")]


_NOT_INHERITED = {"filetype", "format_version", "Conventions"}
"""Attributes that `define` sets itself."""


def joint_attributes(
    files: Sequence[h5py.File],
    earlier: h5py.File | None,
    what: str,
    *,
    merged: bool,
) -> dict[str, Any]:
    """Root attributes of files put together, those of an `earlier` merged file before the parts'.

    What is `merged`, unlike the shards of a part, is no part any more.
    """
    oldest_first = sorted(files, key=lambda file: str(file.attrs.get("date", "")))
    known = [*([earlier] if earlier is not None else []), *oldest_first]
    attributes = {name: value for name, value in known[0].attrs.items() if name not in _NOT_INHERITED}
    history = sorted({line for file in known for line in history_of(file)})
    if merged:  # even if of one part alone
        attributes.pop("part", None)
    identities = sorted({str(file.attrs["uuid"]) for file in files})
    if earlier is None and len(identities) > 1:  # the same parts make the same sweep again
        attributes["uuid"] = str(uuid.uuid5(uuid.NAMESPACE_OID, " ".join(identities)))
    return {
        **attributes,
        "history": history_value([*history, history_line(f"{what}, {len(files)} files")]),
    }


def gathered(variable: Variable, files: Sequence[h5py.File], states: States) -> npt.NDArray[Any]:
    """A per-trial variable, each trial's value from the part that holds the trial; seeds are the same in all."""
    name = variable.name
    values: npt.NDArray[Any] = files[0][name][()]
    if name == "seed" or (name == PART_VARIABLE and all(np.array_equal(values, f[name][()]) for f in files[1:])):
        return values
    values[states.owner < 0] = variable.fill
    for i, file in enumerate(files):
        mine = states.owner == i
        values[mine] = file[name][()][mine]
    return values


def _relative(parts: Sequence[Path], output: Path) -> list[str]:
    here = os.path.realpath(output.parent)
    return [os.path.relpath(located(part), here) for part in parts]


def _trace_layout(
    name: str, first: h5py.File, parts: Sequence[Path], output: Path, states: States
) -> h5py.VirtualLayout:
    """Where each trial that is done has its trace; a box of trials in one part becomes one mapping."""
    shape, dtype = first[name].shape, first[name].dtype
    layout = h5py.VirtualLayout(shape, dtype)
    sources = [h5py.VirtualSource(path, name, shape, dtype) for path in _relative(parts, output)]
    for owner, box in boxes(np.where(states.status == DONE, states.owner, -1)):
        if owner >= 0:
            layout[box] = sources[owner][box]
    return layout


def boxes(owner: npt.NDArray[np.intp]) -> Iterator[tuple[int, tuple[slice, ...]]]:
    """Cut an array into boxes of one value each, as large as can be along the first axes.

    Yields
    ------
    value : int
    box : tuple of slice
        One for each axis.
    """
    length = len(owner)
    rows = owner.reshape(length, -1)
    uniform = (rows == rows[:, :1]).all(axis=1)
    value = np.where(uniform, rows[:, 0], -2)
    begin = 0
    while begin < length:
        end = begin + 1
        if uniform[begin]:
            while end < length and value[end] == value[begin]:
                end += 1
            yield int(value[begin]), (slice(begin, end), *(slice(0, n) for n in owner.shape[1:]))
        else:
            for inner, box in boxes(owner[begin]):
                yield inner, (slice(begin, end), *box)
        begin = end
