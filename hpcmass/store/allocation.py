"""How a variable lies in the file: contiguous while a sweep runs, chunked, compressed and checksummed when packed."""

from __future__ import annotations

import math

import h5py
import numpy as np

from hpcmass.store.schema import Variable

CHUNK_BYTES = 2**20
"""About the size of a chunk of a packed file; what is read of a trace is at least that."""

GZIP_LEVEL = 4


def allocate(file: h5py.File, variable: Variable, shape: tuple[int, ...]) -> h5py.Dataset:
    """A contiguous dataset whose space exists from now on; filled, unless it is a trace.

    A process can write its own slab of it, in an open file, without touching any metadata.
    """
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    if variable.fill is None:
        creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    else:
        creation.set_fill_time(h5py.h5d.FILL_TIME_ALLOC)
        _set_fill(creation, variable)
    return _create(file, variable, shape, creation)


def allocate_packed(file: h5py.File, variable: Variable, shape: tuple[int, ...]) -> h5py.Dataset:
    """A chunked dataset, shuffled, compressed (gzip) and checksummed (Fletcher 32); what is never written is missing.

    A trace's chunk lies within one trial.
    """
    size = np.dtype(variable.dtype).itemsize
    if variable.role == "trace":
        pieces = math.ceil(shape[-1] * size / CHUNK_BYTES)
        chunk = (*(1 for _ in shape[:-1]), math.ceil(shape[-1] / pieces))
    else:
        chunk = _last_axes(shape, CHUNK_BYTES // size)
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk(chunk)
    creation.set_shuffle()
    creation.set_deflate(GZIP_LEVEL)
    creation.set_fletcher32()  # last: of what is on the disk
    _set_fill(creation, variable)
    return _create(file, variable, shape, creation)


def _last_axes(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Lengths of a block of at most `most` elements, as long as can be along the last axes."""
    chunk: list[int] = []
    for length in reversed(shape):
        chunk.insert(0, max(1, min(length, most)))
        most //= chunk[0]
    return tuple(chunk)


def _set_fill(creation: h5py.h5p.PropDCID, variable: Variable) -> None:
    dtype = np.dtype(variable.dtype)
    if dtype.kind != "S":  # of a text only the default, empty, arrives intact
        fill = np.nan if variable.fill is None else variable.fill
        creation.set_fill_value(np.array(fill, dtype=dtype))


def _create(file: h5py.File, variable: Variable, shape: tuple[int, ...], creation: h5py.h5p.PropDCID) -> h5py.Dataset:
    space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
    kind = h5py.h5t.py_create(np.dtype(variable.dtype), logical=True)
    return h5py.Dataset(h5py.h5d.create(file.id, variable.name.encode(), kind, space, creation))
