"""Opening a result file: one clear sentence for a damaged file, or one that is not from hpcmass."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote

import h5py
import numpy as np

from hpcmass.config import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.costs import parse_part
from hpcmass.errors import UserError
from hpcmass.nearest import missing_file
from hpcmass.store.files import read_hdf5, reason
from hpcmass.store.schema import (
    COMPARED_VARIABLES,
    COMPARISON_FILETYPE,
    COMPLETE,
    FORMAT_VERSION,
    KEEP_ATTRIBUTE,
    SWEEP_FILETYPE,
    SWEEP_VARIABLES_1,
    Variable,
    sweep_variables,
)

Path_ = str | os.PathLike[str]

ATTRIBUTES = {
    SWEEP_FILETYPE: ("config_yaml", "config_sha256", "title", "uuid", "driver"),
    COMPARISON_FILETYPE: ("config_yaml", "sweep_uuid"),
}
"""Root attributes without which a file cannot be identified, by its type."""

COORDINATES = {
    SWEEP_FILETYPE: {"trial": "i4", "time": "f8", "word": "i4"},
    COMPARISON_FILETYPE: {"trial": "i4", "model": "O", "frequency": "f8", "window": "f8"},
}
"""Dimensions that every file has beside its axes, with the type of their values, by the file's type."""

UNUSABLE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError)
"""Exceptions of h5py for invalid contents of a file."""

SHOWN_PARTS = 8
"""Most parts of a virtual file that the command to copy them lists one by one."""


def open_hdf5(path: Path_, filetype: str, *, checked: bool = False) -> h5py.File:
    """Open one of our files for reading.

    Parameters
    ----------
    path : path
    filetype : str
        The schema's file type that it must have.
    checked : bool
        It was opened before: skip the checks whose time grows with the number of trials.

    Raises
    ------
    UserError
        If the file is not there, not readable, not HDF5, cut off, of another file type or of a newer major version
        of the format, virtual, or damaged in its structure.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a directory; give an HDF5 file in it")
    if not path.exists():
        refuse_shards(path)
        raise UserError(f"there is no file {path}; {missing_file(path)}")
    if not path.is_file():  # a pipe would be waited for
        raise UserError(f"{path} is not a regular file; give an HDF5 file")
    try:
        file = read_hdf5(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {_why_unreadable(path, error)}") from None
    try:
        _check_filetype(file, filetype)
        _refuse_virtual(file)
        if not checked:
            fault = next(faults(file), None)
            if fault is not None:
                raise UserError(f"{path} is damaged: {fault}; restore a backup, if any")
            experiment_of(file)
    except UserError:
        file.close()
        raise
    except UNUSABLE as error:
        file.close()
        raise damaged(path, error) from None
    return file


def damaged(path: Path_, error: BaseException) -> UserError:
    """The error for a file with invalid contents."""
    return UserError(f"cannot read {path}: it is damaged ({reason(error)}); restore a backup, if any")


def refuse_shards(path: Path) -> None:
    """Refuse a sweep that an earlier version wrote into one file a rank and has not joined."""
    directory = path.with_name(f"{path.name}.parts")
    if not path.exists() and any(directory.glob("shard-*.h5")):
        raise UserError(
            f"an earlier version wrote {path} as several files; copy them into one with "
            f"`hpcmass merge --partial -o {quote(str(path))} {quote(str(directory))}/shard-*.h5`"
        )


def _refuse_virtual(file: h5py.File) -> None:
    parts = [str(part) for part in file.attrs.get("parts", ())]
    if not parts:
        return
    directory = Path(file.filename).parent
    folders = {os.path.dirname(part) for part in parts}
    if len(parts) > SHOWN_PARTS and len(folders) == 1:
        named = quote(str(directory / folders.pop())) + "/*.h5"
    else:
        named = " ".join(quote(str(directory / part)) for part in parts)
    raise UserError(
        f"{file.filename} is a virtual file of format 1, which refers to {len(parts)} others; copy them into one with "
        f"`hpcmass merge -o NEW.h5 {named}`"
    )


def _check_filetype(file: h5py.File, filetype: str) -> None:
    """Refuse an open HDF5 file of another file type or of a newer major version."""
    found = filetype_of(file)
    if found != filetype:
        what = "an HDF5 file of another program" if found is None else f"a file of type '{found}'"
        raise UserError(f"{file.filename} is {what}, not '{filetype}'; give another file")
    if major_version(file) > FORMAT_VERSION[0]:
        newest = "{}.{}".format(*FORMAT_VERSION)
        raise UserError(
            f"{file.filename} has format {file.attrs['format_version']}, this hpcmass reads up to {newest}; "
            "use a newer hpcmass"
        )


def filetype_of(file: h5py.File) -> str | None:
    """The file type of an open file; None if it is not from hpcmass."""
    found = file.attrs.get("filetype")
    return found.decode(errors="replace") if isinstance(found, bytes) else None if found is None else str(found)


def major_version(file: h5py.File) -> int:
    """Major version of an open file's format."""
    major = str(file.attrs.get("format_version", "")).split(".")[0]
    if not major.isdecimal():
        raise UserError(f"{file.filename} has no format version; it is damaged or not from hpcmass, give another file")
    return int(major)


def variables_of(file: h5py.File) -> Mapping[str, Variable]:
    """The variables of an open file, by its type and format version."""
    if filetype_of(file) == COMPARISON_FILETYPE:
        return COMPARED_VARIABLES
    if major_version(file) < 2:
        return SWEEP_VARIABLES_1
    return sweep_variables(str(file.attrs.get(KEEP_ATTRIBUTE, "all")))


def faults(file: h5py.File) -> Iterator[str]:
    """What an open file lacks or has in another shape; fast enough to check at every opening.

    A sweep of an older version may lack variables, and one of a newer minor version may have more. A comparison may
    lack any: code that needs one checks that it exists.
    """
    filetype = str(filetype_of(file))
    for name in ATTRIBUTES[filetype]:
        if name not in file.attrs:
            yield f"it has no attribute {name}"
    found = _datasets(file)
    for name in ("status", *COORDINATES[filetype]):
        if name not in found:
            yield f"it has no {name}"
            return
    room = os.stat(file.filename).st_size
    for name, dataset in found.items():
        if h5py.h5ds.is_scale(dataset) and math.prod(dataset.shape) * dataset.dtype.itemsize > room:
            yield f"{name} is longer than the file"
            return
    try:
        axes = tuple(axes_of(file))
    except UNUSABLE:
        yield "its status has no axes"
        return
    for name, kind in {**COORDINATES[filetype], **dict.fromkeys(axes, "f8")}.items():
        if found[name].rank != 1 or found[name].dtype != np.dtype(kind):
            yield f"{name} is not a list of values"
            return
    lengths = {name: dataset.shape[0] for name, dataset in found.items() if h5py.h5ds.is_scale(dataset)}
    may_lack = filetype == COMPARISON_FILETYPE or str(file.attrs["format_version"]) not in COMPLETE
    for variable in variables_of(file).values():
        if variable.name not in found:
            if not may_lack:
                yield f"it has no {variable.name}"
            continue
        dataset, dims = found[variable.name], variable.dimensions(axes)
        lacking = [dim for dim in dims if dim not in lengths]
        if lacking:
            yield f"it has no {lacking[0]}"
            continue
        shape = tuple(lengths[dim] for dim in dims)
        if dataset.shape != shape:
            yield f"{variable.name} has shape {dataset.shape}, not {shape}"
        elif dataset.dtype != np.dtype(variable.dtype):
            yield f"{variable.name} is of type {dataset.dtype}, not {np.dtype(variable.dtype)}"
    yield from _part_faults(file, found)


def _part_faults(file: h5py.File, found: Mapping[str, h5py.h5d.DatasetID]) -> Iterator[str]:
    """What is wrong with the part attributes of an open sweep file, if it is a part."""
    text = file.attrs.get("part")
    if text is None:
        return
    try:
        parse_part(str(text))
    except ValueError:
        yield f"its attribute 'part' is '{text}'"
        return
    shape = found["status"].shape
    if major_version(file) < 2:
        known = "part" in found and found["part"].shape == shape
    else:
        trials = np.asarray(file.attrs.get("part_trials", ()))
        known = trials.shape == (2,) and trials.dtype.kind in "iu"
        known = known and bool(0 <= trials[0] <= trials[1] <= math.prod(shape))
    if not known:
        yield f"it does not say which trials part {text} has"


def _datasets(file: h5py.File) -> dict[str, h5py.h5d.DatasetID]:
    """The datasets of an open file by name, as HDF5's own handles: h5py's objects would take ten times as long."""
    found = {name.decode(errors="replace"): h5py.h5o.open(file.id, name) for name in file.id}
    return {name: handle for name, handle in found.items() if isinstance(handle, h5py.h5d.DatasetID)}


def axes_of(file: h5py.File) -> dict[str, tuple[float, ...]]:
    """The swept axes of an open file, name → values, in the order of the dimensions."""
    status = file["status"]
    names = [status.dims[i][0].name.removeprefix("/") for i in range(status.ndim - 1)]
    return {name: tuple(file[name][()].tolist()) for name in names}


def experiment_of(file: h5py.File) -> Experiment:
    """The experiment of the configuration that an open file carries."""
    try:
        return _parsed(str(file.attrs["config_yaml"]))
    except UserError as error:
        why = " ".join(str(error).split())
        raise UserError(f"{file.filename} is damaged: {why}; restore a backup, if any") from None


@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> Experiment:
    """Parts by the thousand carry the same text."""
    return parse_experiment(text, "the configuration in it")


def _why_unreadable(path: Path, error: OSError) -> str:
    if not os.access(path, os.R_OK):
        return "no permission; ask its owner"
    if path.stat().st_size == 0:
        return "it is empty; give another file"
    if "truncated" in str(error):
        return "it is cut off, as by an incomplete copy; copy it again"
    if not h5py.is_hdf5(path):
        return "it is not an HDF5 file; give another file"
    return f"{reason(error)}; the file is damaged"
