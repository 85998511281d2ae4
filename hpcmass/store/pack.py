"""A sweep as one compact file: chunked, compressed, checksummed, and independent of the files it was made from."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from hpcmass.errors import UserError
from hpcmass.store.chain import united, write_chain
from hpcmass.store.join import (
    coordinates_of,
    gathered,
    joint_attributes,
    oldest_version,
    shared_variables,
)
from hpcmass.store.layout import METADATA_BYTES, creating, define
from hpcmass.store.reader import axes_of
from hpcmass.store.schema import CONFIG_CHAIN, DONE, SWEEP_FILETYPE, TRACES, Variable
from hpcmass.store.sources import States, open_all, states_of

BLOCK_BYTES = 2**26
"""Most that is held in memory at a time."""


def pack(parts: Sequence[Path], output: Path) -> None:
    """Copy the trials of one sweep that are done into one packed file.

    Parameters
    ----------
    parts : sequence of Path
        Files that hold the trials, of the same physics, axes and trials.
    output : Path

    Raises
    ------
    UserError
        If a part is not readable or `output` cannot be written.
    """
    with open_all(parts) as files:
        states = states_of(files)
        _require_space(files[0], int((states.status == DONE).sum()), output)
        attributes = joint_attributes(files, None, "merged and packed", merged=True)
        for name in ("parts", "part_uuids"):
            attributes.pop(name, None)
        with creating(output) as file:
            variables = shared_variables(files)
            define(
                file,
                filetype=SWEEP_FILETYPE,
                axes=tuple(axes_of(files[0])),
                coordinates=coordinates_of(files[0]),
                variables=[*variables, CONFIG_CHAIN],
                attributes={**attributes, "driver": "packed"},
                packed=True,
            )
            file.attrs["format_version"] = oldest_version(files)
            write_chain(file, united(files))
            for variable in variables:
                if variable.role == "trace":
                    _copy_traces(variable, files, states, file)
                else:
                    file[variable.name][...] = gathered(variable, files, states)


def _require_space(file: h5py.File, done: int, output: Path) -> None:
    """Refuse to begin a copy that may not fit: how well it compresses is not known before.

    HDF5 may crash on closing a file that it could not write, so a full disk is to be met before.
    """
    a_trial = sum(v.dtype.itemsize * v.shape[-1] for name in TRACES if (v := file.get(name)) is not None)
    need = done * a_trial + METADATA_BYTES
    free = shutil.disk_usage(output.parent).free
    if need > free:
        raise UserError(
            f"{output} may take {need / 1e9:.3g} GB, but only {free / 1e9:.3g} GB are free there; "
            "free some space or name another place"
        )


def _copy_traces(variable: Variable, files: Sequence[h5py.File], states: States, output: h5py.File) -> None:
    """Copy point by point, runs of trials in one part at once."""
    target = output[variable.name]
    at_once = max(1, BLOCK_BYTES // (target.shape[-1] * target.dtype.itemsize))
    owner = np.where(states.status == DONE, states.owner, -1)
    for point in np.ndindex(owner.shape[:-1]):
        trials = owner[point]
        cuts = {*np.flatnonzero(np.diff(trials)) + 1, *range(0, len(trials), at_once)}
        for begin, end in zip(sorted(cuts), [*sorted(cuts)[1:], len(trials)], strict=True):
            if trials[begin] >= 0:
                run = (*point, slice(int(begin), int(end)))
                target[run] = files[trials[begin]][variable.name][run]
