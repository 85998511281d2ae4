"""Opening a result file: with one clear sentence for whatever is not one of ours, or no longer whole."""

from __future__ import annotations

import functools
import os
from contextlib import suppress
from pathlib import Path

import h5py

from hpcmass.config import Experiment
from hpcmass.configfile import parse_experiment
from hpcmass.errors import UserError
from hpcmass.nearest import missing_file
from hpcmass.store.chain import configurations_of
from hpcmass.store.layout import reason
from hpcmass.store.locking import locking_of
from hpcmass.store.schema import FORMAT_VERSION, SWEEP_FILETYPE
from hpcmass.store.structure import axes_of as axes_of
from hpcmass.store.structure import faults

Path_ = str | os.PathLike[str]


def open_hdf5(path: Path_, filetype: str, *, checked: bool = False) -> h5py.File:
    """Open one of our files for reading.

    Parameters
    ----------
    path : path
    filetype : str
        The schema's file type that it must have.
    checked : bool
        It has been opened before: leave out what takes a time that grows with the number of trials.

    Raises
    ------
    UserError
        If the file is not there, not readable, not HDF5, cut off, of another file type or of a newer major version
        of the format, damaged in its structure, or if a part of it is missing.
    """
    path = Path(path)
    if not path.exists():
        if any(shard_directory(path).glob("shard-*.h5")):
            raise UserError(
                f"{path} is not put together yet, its shards in {shard_directory(path)} are there; "
                "start the same `hpcmass run` again to finish it"
            )
        raise UserError(f"there is no file {path}; {missing_file(path)}")
    if path.is_dir():
        raise UserError(f"{path} is a directory; name an HDF5 file in it")
    try:
        file = h5py.File(path, "r", locking=locking_of(path))
    except OSError as error:
        raise UserError(f"cannot read {path}: {_why_unreadable(path, error)}") from None
    try:
        check_filetype(file, filetype)
        if not checked:
            check_parts(file)
            if filetype == SWEEP_FILETYPE:
                _check_sweep(file)
    except UserError:
        file.close()
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:  # HDF5 met something that it cannot make sense of
        file.close()
        raise UserError(f"cannot read {path}: it is damaged ({reason(error)}); take a copy of it, if any") from None
    return file


def _check_sweep(file: h5py.File) -> None:
    """Refuse an open file that says it is a sweep but does not have what every sweep has.

    Raises
    ------
    UserError
    """
    problem = next(faults(file), None)
    if problem is not None:
        raise UserError(f"{file.filename} is damaged: {problem}; take a copy of it, if any")
    experiment_of(file)


def check_filetype(file: h5py.File, filetype: str) -> None:
    """Refuse an open HDF5 file of another file type or of a newer major version.

    Raises
    ------
    UserError
    """
    found = file.attrs.get("filetype")
    found = found.decode(errors="replace") if isinstance(found, bytes) else found
    if found != filetype:
        what = "an HDF5 file of another program" if found is None else f"a file of type '{found}'"
        raise UserError(f"{file.filename} is {what}, not '{filetype}'; name another file")
    version = str(file.attrs.get("format_version", ""))
    major = version.split(".")[0]
    if not major.isdigit():
        raise UserError(f"{file.filename} says no format version; it is damaged or foreign, name another file")
    if int(major) > FORMAT_VERSION[0]:
        newest = "{}.{}".format(*FORMAT_VERSION)
        raise UserError(f"{file.filename} has format {version}, this hpcmass reads up to {newest}; use a newer hpcmass")


def check_parts(file: h5py.File) -> None:
    """Refuse a file that refers to others, one of which is missing or another one now.

    HDF5 itself would read fill values, or the other file's, without a word.

    Raises
    ------
    UserError
        Naming the files.
    """
    parts = parts_of(file)
    missing = [str(part) for part in parts if not part.is_file()]
    if missing:
        raise UserError(
            f"{file.filename} refers to {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} missing; "
            "bring the file back to where it was, beside the sweep"
        )
    known = file.attrs.get("part_uuids", ())
    replaced = [str(part) for part, uuid in zip(parts, known, strict=False) if _identity(part) != str(uuid)]
    if replaced:
        names, were = ", ".join(replaced), "was" if len(replaced) == 1 else "were"
        raise UserError(
            f"{file.filename} refers to {names}, which {were} begun anew since; merge again, or bring the old file back"
        )


def parts_of(file: h5py.File) -> list[Path]:
    """The files that an open file refers to, through real directories; empty for one that holds its trials itself."""
    here = Path(os.path.realpath(file.filename)).parent
    return [here / str(part) for part in file.attrs.get("parts", ())]


def _identity(path: Path) -> str:
    found = path.stat()
    return _identity_of(path, found.st_ino, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=2**14)
def _identity_of(path: Path, *state: int) -> str:
    """The uuid of a file in some state; a view of a thousand parts is opened more than once in a run."""
    try:
        with h5py.File(path, "r", locking=locking_of(path)) as file:
            return str(file.attrs.get("uuid", ""))
    except OSError as error:
        raise UserError(f"cannot read {path}: {_why_unreadable(path, error)}") from None


def shard_directory(path: Path) -> Path:
    """Where the shards of a sweep lie: `sweep.h5.parts` beside `sweep.h5`, whatever link leads to it."""
    path = followed(path)
    return path.with_name(f"{path.name}.parts")


def followed(path: Path) -> Path:
    """The file that a link leads to: what belongs to a sweep lies beside the file, not beside a link to it."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _why_unreadable(path: Path, error: OSError) -> str:
    if not os.access(path, os.R_OK):
        return "no permission; ask its owner"
    if path.stat().st_size == 0:
        return "it is empty; name another file"
    if "truncated" in str(error):
        return "it is cut off, as by an incomplete copy; copy it again"
    if not h5py.is_hdf5(path):
        return "it is not an HDF5 file; name another file"
    return f"{reason(error)}; the file is damaged"


def stored_experiment(path: Path_) -> Experiment:
    """The experiment whose configuration a sweep file carries.

    Raises
    ------
    UserError
        See `open_hdf5`.
    """
    with open_hdf5(path, SWEEP_FILETYPE) as file:
        return experiment_of(file)


def experiment_of(file: h5py.File) -> Experiment:
    """The experiment that an open sweep file holds, by the latest of its configurations.

    Raises
    ------
    UserError
        If the configuration that it was made with is none.
    """
    try:
        first = _parsed(str(file.attrs["config_yaml"]))
    except UserError as error:
        why = " ".join(str(error).split())
        raise UserError(f"{file.filename} is damaged: {why}; take a copy of it, if any") from None
    for configuration in reversed(configurations_of(file)):
        with suppress(UserError):
            latest = _parsed(configuration.text)
            if latest.physics_sha256() == first.physics_sha256():
                return latest
    return first


@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> Experiment:
    """Parts by the thousand carry the same text."""
    return parse_experiment(text, "the configuration in it")
