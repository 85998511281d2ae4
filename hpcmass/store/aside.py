"""Keeping a sweep that makes way for a new one: its file, its shards, and what it says of both."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path

import h5py

from hpcmass.errors import UserError
from hpcmass.store.join import join
from hpcmass.store.layout import free_name, set_aside
from hpcmass.store.locking import locking_of
from hpcmass.store.opening import check_parts, parts_of, shard_directory
from hpcmass.store.sources import is_joined, shard_paths


def sweep_exists(sweep: Path) -> bool:
    """True if there is a sweep's file, or a directory for its shards."""
    return sweep.exists() or shard_directory(sweep).is_dir()


def set_sweep_aside(sweep: Path) -> list[Path]:
    """Keep a sweep, shards and all, under the first free of `sweep.1.h5`, `sweep.2.h5`, ….

    A view goes with the shards that it refers to, and refers to them under their new name. A file with trials of its
    own and shards beside it, which should not be, get a name each. Nothing needs to be sound.

    Returns
    -------
    list of Path
        The new names.
    """
    directory, kept = shard_directory(sweep), []
    with ExitStack() as stack:
        view = _opened_view(sweep, stack) if shard_paths(sweep) else None
        if sweep.exists() and view is None:
            kept.append(set_aside(sweep))
        if not directory.is_dir():
            return kept
        if not any(directory.iterdir()):
            directory.rmdir()
            return kept
        new = free_name(sweep)
        outside = [] if view is None else [p for p in parts_of(view) if p.parent.resolve() != directory.resolve()]
        sound = view is None or _is_sound(view)
        os.rename(directory, shard_directory(new))
        if view is not None:
            os.rename(sweep, new)
        if sound:  # else the view stays as it is: its numbers may be the last of their kind
            with suppress(UserError):
                parts = [*outside, *shard_paths(new)]
                join(parts, new, what=f"{sweep.name} set aside", replace=True, earlier=view)
    return [*kept, new]


def _is_sound(view: h5py.File) -> bool:
    try:
        check_parts(view)
    except UserError:
        return False
    return True


def _opened_view(sweep: Path, stack: ExitStack) -> h5py.File | None:
    """The open file if it only refers to others; None if it holds trials, is not there or cannot be read."""
    with suppress(OSError):
        file = stack.enter_context(h5py.File(sweep, "r", locking=locking_of(sweep)))
        if is_joined(file):
            return file
    return None
