"""Where a sweep's trials lie: in its file, in the shards beside it, or in the parts that a merged file refers to."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from hpcmass.errors import UserError
from hpcmass.messages import warn
from hpcmass.store.lock import is_locked
from hpcmass.store.opening import check_parts, open_hdf5, parts_of, shard_directory
from hpcmass.store.schema import DONE, FAILED, PENDING, SWEEP_FILETYPE

FILES_TO_SPARE = 64
"""Open files that a process needs beside the parts of a sweep."""


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


def outside_parts(sweep: Path) -> list[Path]:
    """The files that a sweep refers to and that are not its own shards: not empty for a merged file."""
    if not sweep.exists():
        return []
    with open_hdf5(sweep, SWEEP_FILETYPE, checked=True) as file:
        check_parts(file)
        parts = parts_of(file)
    own = os.path.realpath(shard_directory(sweep))
    found: dict[Path, None] = {}
    for part in parts:
        if os.path.realpath(part.parent) != own:
            found |= dict.fromkeys([located(part), *_siblings(part)])
    return list(found)


def _siblings(part: Path) -> list[Path]:
    """Shards beside a part that is one: those that came after the merge belong to it, too."""
    is_shard = part.parent.suffix == ".parts" and part.name.startswith("shard-")
    return [located(path) for path in sorted(part.parent.glob("shard-*.h5"))] if is_shard else []


def located(path: Path) -> Path:
    """An absolute path through real directories, whose own name may be a link's."""
    return Path(os.path.realpath(path.parent)) / path.name


def sources_of(sweep: Path) -> list[Path]:
    """The files that hold a sweep's trials themselves: parts it was merged from, its shards, else its own file.

    Empty if there is nothing yet.

    Raises
    ------
    UserError
        If the file is there but not a readable sweep, or a part of it is missing.
    """
    sources = [*outside_parts(sweep), *shard_paths(sweep)]
    if sweep.exists():
        with open_hdf5(sweep, SWEEP_FILETYPE, checked=True) as file:  # to be checked where its trials are read
            if not is_joined(file):  # trials of its own
                sources.append(sweep)
    return sources


def left_behind(sweep: Path) -> int:
    """How many trials a joined file lacks that are done in the files that it was joined from; 0 for any other."""
    with open_hdf5(sweep, SWEEP_FILETYPE, checked=True) as joint:
        if not is_joined(joint):
            return 0
        with open_all(sources_of(sweep)) as files:
            return int(np.sum((states_of(files).status == DONE) & (joint["status"][()] != DONE)))


def being_written(sweep: Path) -> bool:
    """True while a job writes the sweep, or one of the files that it was joined from (as far as can be seen)."""
    sources = sources_of(sweep)
    sweeps = {source.parent.with_suffix("") for source in sources if source.parent.suffix == ".parts"}
    return any(is_locked(path) for path in (sweep, *sources, *sweeps))


def require_current(sweep: Path) -> None:
    """Refuse a joined file that is behind what it was joined from; while that is being written, only warn.

    Raises
    ------
    UserError
    """
    lacking = left_behind(sweep)
    if not lacking:
        return
    what = f"{lacking} trials that are done" if lacking > 1 else "a trial that is done"
    if being_written(sweep):
        warn(f"{sweep} is as it was last joined and lacks {what} by now")
        return
    remedy = "start the same `hpcmass run` again, which joins them" if shard_paths(sweep) else "merge them again"
    raise UserError(f"{sweep} is behind the files that it was joined from, it lacks {what}; {remedy}")


@contextmanager
def open_all(paths: Sequence[Path]) -> Iterator[list[h5py.File]]:
    """Open many sweep files for reading, more than a shell's usual limit allows if need be.

    Raises
    ------
    UserError
        See `open_hdf5`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if len(paths) + FILES_TO_SPARE > soft != resource.RLIM_INFINITY:
        wanted = len(paths) + FILES_TO_SPARE
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard < 0 else min(hard, wanted), hard))
    with ExitStack() as stack:
        yield [stack.enter_context(open_hdf5(path, SWEEP_FILETYPE)) for path in paths]


def states_of(files: Sequence[h5py.File]) -> States:
    """States of all trials over open parts of one sweep: done in any part is done, else failed, else pending."""
    status = np.full(files[0]["status"].shape, PENDING, "i1")
    owner = np.full(status.shape, -1, np.intp)
    found = [file["status"][()] for file in files]
    for wanted, unless in ((DONE, (DONE,)), (FAILED, (DONE, FAILED))):
        for i, theirs in enumerate(found):
            mine = (theirs == wanted) & ~np.isin(status, unless)
            status[mine], owner[mine] = wanted, i
    return States(status, owner)


def is_joined(file: h5py.File) -> bool:
    """True for an open file that refers to others for its trials."""
    return "parts" in file.attrs


def is_packed(file: h5py.File) -> bool:
    """True for an open file that is compressed: it is complete in itself and never written again."""
    return str(file.attrs.get("driver", "")) == "packed"
