"""How a result file is laid out: dimension scales, attributes, fill values, and a creation that is all or nothing.

Both kinds of file, sweep and comparison, are made here. A file grows under a temporary name and is renamed when it
is complete, so a half-created one is never taken for a result. The attributes follow CF and the netCDF-4 data
model as far as xarray reads them: `units`, `long_name`, `_FillValue`, `flag_values`, `flag_meanings`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcmass.config import NetworkParameters
from hpcmass.errors import UserError
from hpcmass.store.allocation import allocate, allocate_packed
from hpcmass.store.schema import FORMAT_VERSION, Variable

CONVENTIONS = "CF-1.11"

METADATA_BYTES = 2**18
"""More than the names, attributes and coordinates of a file take."""

AXIS_NAMES = {"p": "connection probability", "lam": "fraction of excitatory neurons"}
"""Long names of the two axes that every sweep has."""


@dataclass(frozen=True)
class Coordinate:
    """A dimension with its values.

    Attributes
    ----------
    name : str
    values : array or sequence of str
        One-dimensional; strings are stored as HDF5 strings of variable length.
    unit, long_name : str
    """

    name: str
    values: npt.NDArray[Any] | Sequence[str]
    unit: str
    long_name: str


def axis_coordinates(axes: Mapping[str, Sequence[float]]) -> list[Coordinate]:
    """The swept axes as coordinates, with unit and long name (`axes`: name → values, in the file's order)."""
    coordinates = []
    for name, values in axes.items():
        field = NetworkParameters.model_fields.get(name)
        extra = field.json_schema_extra if field is not None else None
        unit = str(extra["unit"]) if isinstance(extra, dict) else "1"
        coordinates.append(Coordinate(name, np.asarray(values, "f8"), unit, AXIS_NAMES.get(name, f"swept {name}")))
    return coordinates


def set_aside(path: Path) -> Path:
    """Rename an existing file to the first free of `name.1.h5`, `name.2.h5`, … and return the new path."""
    new = free_name(path)
    os.rename(path, new)
    return new


def free_name(path: Path) -> Path:
    """The first free of `name.1.h5`, `name.2.h5`, …"""
    taken = [re.fullmatch(rf"{re.escape(path.stem)}\.(\d+){re.escape(path.suffix)}(\.parts)?", other.name)
             for other in path.parent.iterdir()]  # fmt: skip
    number = max((int(match[1]) for match in taken if match), default=0) + 1
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def require_directory(path: Path) -> None:
    """Refuse an output path whose directory is not there or not writable.

    Raises
    ------
    UserError
    """
    directory = path.parent
    if not directory.is_dir():
        raise UserError(f"cannot write {path}: the directory {directory} does not exist; create it first")
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a directory; name a file in it")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {path}: no permission to write into {directory}")


@contextmanager
def creating(
    path: Path, *, force: bool = False, replace: bool = False, space: int = METADATA_BYTES
) -> Iterator[h5py.File]:
    """An HDF5 file open for writing that becomes `path` only when the block ends without an exception.

    Parameters
    ----------
    path : Path
    force : bool
        An existing file is kept as `name.1.h5` (2, 3, …) instead of being refused.
    replace : bool
        An existing file is replaced: only for one that holds nothing of its own.
    space : int
        Bytes that must be free.

    Raises
    ------
    UserError
        If `path` exists without `force`, its directory does not exist, or the disk is full.
    """
    require_directory(path)
    if path.exists() and not (force or replace):
        raise UserError(f"{path} exists; give another name, or --force to start anew (the old file is kept aside)")
    growing = path.with_name(f".{path.name}.{os.getpid()}.growing")
    try:
        with open(growing, "wb") as probe:  # HDF5 1.10 may crash where it cannot write what it has promised to
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(probe.fileno(), 0, space)
        with h5py.File(growing, "w", locking=False) as file:
            yield file
        if path.exists() and not replace:
            set_aside(path)
        os.replace(growing, path)
    except (OSError, RuntimeError) as error:  # h5py raises the latter when it flushes or closes
        raise UserError(f"cannot write {path}: {reason(error)}; free some space or name another place") from error
    finally:
        growing.unlink(missing_ok=True)


def reason(error: Exception) -> str:
    """What an error of the system says, without h5py's chain of internal calls."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    match = re.search(r"error message = '([^']*)'", str(error))
    return (match[1] if match else str(error)).lower()


def filled_bytes(variables: Iterable[Variable], axes: tuple[str, ...], sizes: Mapping[str, int]) -> int:
    """Size of the variables that are filled on creation (`sizes`: dimension → length)."""
    return sum(
        np.dtype(v.dtype).itemsize * math.prod(sizes[d] for d in v.dimensions(axes))
        for v in variables
        if v.fill is not None
    )


def define(
    file: h5py.File,
    *,
    filetype: str,
    axes: tuple[str, ...],
    coordinates: Iterable[Coordinate],
    variables: Iterable[Variable],
    attributes: Mapping[str, Any],
    packed: bool = False,
) -> None:
    """Create everything in an empty file: attributes, dimension scales, and every variable with its fill value.

    Traces (`fill=None`) get their space at once but are never filled; unless packed they are contiguous, so that a
    process can write its own slab of the open file without touching any metadata.

    Parameters
    ----------
    file : h5py.File
    filetype : str
        One of the schema's file types.
    axes : tuple of str
        Names that `AXES` stands for in the variables' dimensions.
    coordinates : iterable of Coordinate
        All dimensions, the axes included.
    variables : iterable of Variable
    attributes : mapping
        Further root attributes.
    packed : bool
        Compressed and checksummed: not to be written by several processes, nor again.
    """
    file.attrs["filetype"] = filetype
    file.attrs["format_version"] = "{}.{}".format(*FORMAT_VERSION)
    file.attrs["Conventions"] = CONVENTIONS
    for name, value in attributes.items():
        file.attrs[name] = value
    scales: dict[str, h5py.Dataset] = {}
    for coordinate in coordinates:
        values = coordinate.values
        text = not isinstance(values, np.ndarray)
        data = np.array(list(values), dtype=object) if text else values
        scale = file.create_dataset(coordinate.name, data=data, dtype=h5py.string_dtype() if text else None)
        scale.make_scale(coordinate.name)
        _describe(scale, coordinate.unit if not text else "text", coordinate.long_name)
        scales[coordinate.name] = scale
    for variable in variables:
        dims = variable.dimensions(axes)
        shape = tuple(len(scales[d]) for d in dims)
        dataset = (allocate_packed if packed and shape else allocate)(file, variable, shape)
        describe(dataset, variable, axes)


def describe(dataset: h5py.Dataset, variable: Variable, axes: tuple[str, ...]) -> None:
    """Attach a variable's dimension scales and set its attributes: unit, long name, fill value, flags."""
    for i, dim in enumerate(variable.dimensions(axes)):
        dataset.dims[i].attach_scale(dataset.file[dim])
    _describe(dataset, variable.unit, variable.long_name)
    missing = missing_value(variable)
    if missing is not None:
        dataset.attrs["_FillValue"] = missing
    if variable.flag_meanings is not None:
        dataset.attrs["flag_values"] = np.arange(len(variable.flag_meanings.split()), dtype=variable.dtype)
        dataset.attrs["flag_meanings"] = variable.flag_meanings


def missing_value(variable: Variable) -> npt.NDArray[Any] | None:
    """What stands for "not there" in a variable, of its own type; None where every value means something.

    A fill that is itself a valid value (status 0, an empty text) must not be declared missing, else a reader
    would turn it into NaN.
    """
    dtype = np.dtype(variable.dtype)
    if dtype.kind == "f":
        return np.array(np.nan, dtype)
    if dtype.kind == "i" and isinstance(variable.fill, int) and variable.fill < 0:
        return np.array(variable.fill, dtype)
    return None


def _describe(dataset: h5py.Dataset, unit: str, long_name: str) -> None:
    dataset.attrs["long_name"] = long_name
    if unit not in ("flag", "text"):
        dataset.attrs["units"] = unit


def create_file(
    path: Path,
    *,
    filetype: str,
    axes: Mapping[str, Sequence[float]],
    coordinates: Iterable[Coordinate],
    variables: Iterable[Variable],
    attributes: Mapping[str, Any],
    data: Mapping[str, npt.ArrayLike] | None = None,
    force: bool = False,
) -> None:
    """Create a whole result file, all or nothing.

    Parameters
    ----------
    path : Path
    filetype : str
        One of the schema's file types.
    axes : mapping of str to sequence of float
        The swept axes, in the file's order.
    coordinates : iterable of Coordinate
        The dimensions beside the axes.
    variables : iterable of Variable
    attributes : mapping
        Root attributes beside `filetype`, `format_version` and `Conventions`.
    data : mapping of str to array, optional
        Name → contents; what is not named keeps its fill value.
    force : bool
        Keep an existing file as `name.1.h5` instead of refusing.

    Raises
    ------
    UserError
        See `creating`.
    """
    coordinates = [*axis_coordinates(axes), *coordinates]
    variables = list(variables)
    sizes = {coordinate.name: len(coordinate.values) for coordinate in coordinates}
    with creating(path, force=force, space=METADATA_BYTES + filled_bytes(variables, tuple(axes), sizes)) as file:
        define(
            file,
            filetype=filetype,
            axes=tuple(axes),
            coordinates=coordinates,
            variables=variables,
            attributes=attributes,
        )
        for name, values in (data or {}).items():
            file[name][...] = values
