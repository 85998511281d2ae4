"""Raw writes into a file that is there already: nothing waits in a buffer, and no metadata changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from hpcmass.errors import UserError
from hpcmass.store.layout import reason

sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter
"""Bring to the disk what a file descriptor's file has received."""


def open_in_place(path: Path) -> h5py.File:
    """An HDF5 file open for raw writes by one process.

    Without HDF5's sieve buffer a slab goes straight to the file: nothing of it waits for a flush, a neighbour is never
    written again, and a full disk is noticed here, not on closing.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_file_locking(False, False)
    access.set_sieve_buf_size(0)
    return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDWR, access))


@contextmanager
def changing(path: Path) -> Iterator[h5py.File]:
    """A file open for raw writes, closed afterwards.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    try:
        with open_in_place(path) as file:
            yield file
    except (OSError, RuntimeError) as error:  # h5py raises the latter when it flushes or closes
        raise UserError(f"cannot write {path}: {reason(error)}; free some space and try again") from error
