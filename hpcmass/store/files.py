"""HDF5 files on a disk: checked in advance, created atomically, backed up, opened for reading, written in place.

A file is created under a temporary name and renamed when it is complete, so a half-created one is never taken for a
result, and what a killed job leaves is removed by the next one. What the disk may refuse (no space, a quota, the limit
on file sizes) is checked before HDF5 writes: HDF5 1.10 may crash when it closes a file that it could not write.
"""

from __future__ import annotations

import errno
import glob
import math
import os
import re
import resource
import shutil
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import h5py
import numpy as np
import numpy.typing as npt

from hpcmass.errors import UserError
from hpcmass.messages import logger

T = TypeVar("T")

START_OVER: Final = "give another name, or --force (in Python force=True) to start over and back up the old file"

METADATA_BYTES: Final = 2**18
"""Upper bound for the names, attributes and coordinates of a file (bytes)."""

MOUNTS: Final = Path("/proc/self/mounts")
"""Where Linux lists the mounted file systems: device, mount point, type, …."""

ONE_WRITER: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs"})
"""Types of file systems that do not keep the writes of several machines to one file apart: each machine caches it."""

NAME_BYTES: Final = 220
"""Most bytes of an output's name: file systems allow 255, and temporary files beside it have longer names."""

_OTHER_LOCKING: Final = "locking flag values don't match"
"""HDF5's message where this process has the file open with locks, as `xarray.open_dataset` opens it by default."""

sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter
"""Sync a file descriptor's data to the disk."""


def reason(error: BaseException) -> str:
    """The message of a system error in one line, without the internal calls of h5py and the MPI library."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    match = re.search(r"error message = '([^']*)'", str(error))
    text = " ".join((match[1] if match else str(error)).lower().split())
    refusals = (os.strerror(number).lower() for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
    return next((refusal for refusal in refusals if refusal in text), text)


def real_path(path: Path) -> Path:
    """The file that a link points to: lock and temporary files lie beside the file, not beside the link."""
    _require_short_name(path)
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def without_locks(open_file: Callable[[bool | None], T]) -> T:
    """Open a file for reading: with `locking` False, or None where this process has it open with locks."""
    try:
        return open_file(False)
    except OSError as error:
        if _OTHER_LOCKING not in str(error):
            raise
        return open_file(None)


def read_hdf5(path: Path) -> h5py.File:
    """An HDF5 file open for reading, without locks."""
    return without_locks(lambda locking: h5py.File(path, "r", locking=locking))


def require_output(path: Path, inputs: Sequence[Path] = ()) -> None:
    """Refuse an output path that cannot be written, or that is one of the inputs under another path or link."""
    directory = path.parent
    if not directory.is_dir():
        raise UserError(f"cannot write {path}: the directory {directory} does not exist; create it first")
    _require_short_name(path)
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a directory; give a file in it")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {path}: no permission to write into {directory}")
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise UserError(f"cannot write {path}: it is not a regular file; give another one")
    for given in inputs:
        if same_file(path, given):
            raise UserError(f"{path} is the same file as the input {given}; give another name for the output")


def _require_short_name(path: Path) -> None:
    if len(os.fsencode(path.name)) > NAME_BYTES:
        raise UserError(f"cannot write {path}: its name is too long; give one of at most {NAME_BYTES} bytes")


def same_file(a: Path, b: Path) -> bool:
    """Whether two paths lead to one file, by symbolic or hard links, or will when it is created."""
    with suppress(OSError):
        return os.path.samefile(a, b)
    return os.path.realpath(a) == os.path.realpath(b)


def _sync_directory(directory: Path) -> None:
    """Let new names survive a power failure, where the file system can do that."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def backup(path: Path) -> Path:
    """Rename an existing file to the first free of `name.1.h5`, `name.2.h5`, … and return the new path."""
    taken = [re.fullmatch(rf"{re.escape(path.stem)}\.(\d+){re.escape(path.suffix)}", other.name)
             for other in path.parent.iterdir()]  # fmt: skip
    number = max((int(match[1]) for match in taken if match), default=0) + 1
    new = path.with_name(f"{path.stem}.{number}{path.suffix}")
    os.rename(path, new)
    return new


@contextmanager
def creating(path: Path, *, size: int, filled: int, force: bool = False, replace: bool = False) -> Iterator[h5py.File]:
    """An HDF5 file open for writing that becomes `path` only when the block ends without an exception.

    The caller has the lock of `path`, so an existing temporary file was left by a killed job.

    Parameters
    ----------
    path : Path
    size : int
        Bytes of the whole file, for the limits on file sizes.
    filled : int
        Bytes that are written before it is closed, which must be free on the disk.
    force : bool
        Back up an existing file as `name.1.h5` (2, 3, …) instead of refusing it.
    replace : bool
        The new file has everything that the existing one has, and takes its place.

    Raises
    ------
    UserError
        If `path` exists without `force`, its directory does not exist, or the disk does not take it.
    """
    require_output(path)
    if path.exists() and not (force or replace):
        raise UserError(f"{path} exists; {START_OVER}")
    growing = path.with_name(f".{path.name}.{os.getpid()}.growing")
    try:
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.growing"):
            left.unlink(missing_ok=True)
        with open(growing, "wb") as probe:
            probe.truncate(size)  # limits on file sizes and quotas of apparent size
            probe.truncate(0)
            _allocate(probe.fileno(), 0, filled)
        with h5py.File(growing, "w", locking=False) as file:
            yield file
            file.flush()
            needed = file.id.get_filesize()
        with open(growing, "rb+") as complete:
            if os.fstat(complete.fileno()).st_size > needed:
                complete.truncate(needed)
            os.fsync(complete.fileno())  # the parts of a merged file may be deleted as soon as it exists
        if path.exists() and not replace:
            logger.info("backed up the old %s as %s", path.name, backup(path).name)
        os.replace(growing, path)
        _sync_directory(path.parent)
    except (OSError, RuntimeError) as error:  # h5py raises the latter when it flushes or closes
        raise cannot_write(path, error, "free some space or give another path") from error
    finally:
        growing.unlink(missing_ok=True)


def reserve(file: h5py.File, n_bytes: int) -> None:
    """Reserve disk space in an HDF5 file that is being created, so that HDF5's next writes cannot fail.

    Parameters
    ----------
    file : h5py.File
        From `creating`, which cuts off what was not needed.
    n_bytes : int
        The most that is written before the next call; some metadata are added.

    Raises
    ------
    OSError
        If the disk, a quota or the limit on file sizes does not allow it.
    """
    file.flush()  # into the space that was reserved before, and so that its size is known
    with open(file.filename, "rb+") as same:
        _allocate(same.fileno(), file.id.get_filesize(), n_bytes + METADATA_BYTES)


def _allocate(descriptor: int, start: int, n_bytes: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, start, n_bytes)


def cannot_write(path: Path, error: BaseException, what_to_do: str) -> UserError:
    """The sentence for a file that the disk refuses."""
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        what_to_do = "raise the limit on file sizes (ulimit -f), or give another path"
    return UserError(f"cannot write {path}: {reason(error)}; {what_to_do}")


def require_space(path: Path, n_bytes: int, *, will: str = "will", remedy: str) -> None:
    """Refuse to begin a file that cannot fit on the disk."""
    free = shutil.disk_usage(path.parent).free
    if n_bytes > free:
        raise UserError(
            f"{path} {will} take {n_bytes / 1e9:.3g} GB, but only {free / 1e9:.3g} GB are free there; free some space"
            f"{remedy}"
        )


def file_system(path: Path) -> str | None:
    """Type of the file system in which a path lies, for instance `"lustre"`; None if this machine does not say."""
    try:
        lines = MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    real = Path(os.path.realpath(path))
    found, kind = -1, None
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        # a space, tab, newline or backslash is written as three octal digits
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[1]))
        # of two mounts on one point the later one is seen
        if len(point.parts) >= found and real.is_relative_to(point):
            found, kind = len(point.parts), fields[2]
    return kind


def require_size_allowed(path: Path) -> None:
    """Refuse to write in place into a file that reaches beyond the limit on file sizes (`ulimit -f`)."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit != resource.RLIM_INFINITY and path.stat().st_size > limit:
        raise cannot_write(path, OSError(errno.EFBIG, ""), "")


@contextmanager
def changing_metadata(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file open for a change in place of something that has a fixed size, closed and synced afterwards."""
    try:
        require_size_allowed(path)
        with h5py.File(path, "r+", locking=False) as file:
            yield file
    except (OSError, RuntimeError) as error:
        raise cannot_write(path, error, "free some space and try again") from error


class Closing(ABC):
    """A context manager that is closed at the end of its block, with or without an error."""

    @abstractmethod
    def close(self) -> None:
        """Close what is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RawFile(Closing):
    """An existing HDF5 file, for raw writes into its contiguous variables; a context manager.

    Values go to their place in the file by the system's own `pwrite`, at the offsets that HDF5 gave the variables when
    it created them. So no metadata can change, nothing waits in a buffer, and an error of the disk is an `OSError`
    here and not a failure of HDF5.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        require_size_allowed(path)
        self._variables: dict[str, tuple[int, np.dtype[Any], tuple[int, ...]]] = {}
        with read_hdf5(path) as file:
            for name, dataset in file.items():
                if isinstance(dataset, h5py.Dataset):
                    offset = dataset.id.get_offset()
                    if offset is not None or dataset.size == 0:  # a variable without elements has no offset in the file
                        self._variables[name] = (offset or 0, dataset.dtype, dataset.shape)
        try:
            self._descriptor = os.open(path, os.O_RDWR)
        except OSError as error:
            raise UserError(f"cannot write {path}: {reason(error)}; give another name") from None

    def __contains__(self, name: str) -> bool:
        return name in self._variables

    def names(self) -> tuple[str, ...]:
        """Names of the variables that can be written."""
        return tuple(self._variables)

    def read(self, name: str) -> npt.NDArray[Any]:
        """A variable as it is now in the file."""
        offset, dtype, shape = self._variables[name]
        data = os.pread(self._descriptor, dtype.itemsize * math.prod(shape), offset)
        return np.frombuffer(data, dtype).reshape(shape)

    def put(self, name: str, index: tuple[int, ...], value: Any) -> None:
        """Write one element, or the slab that the first indices of a variable name; `()` is all of it.

        A value is broadcast to the slab's shape; bytes are padded with zeros.

        Raises
        ------
        OSError
            If the disk refuses it.
        ValueError
            If there is no such element, or the value does not fit the slab's shape.
        """
        offset, dtype, shape = self._variables[name]
        slab = shape[len(index) :]
        n_bytes = dtype.itemsize * math.prod(slab)
        position = int(np.ravel_multi_index(index, shape[: len(index)]))
        if isinstance(value, bytes):
            data = value[:n_bytes].ljust(n_bytes, b"\0")
        else:
            values = np.asarray(value, dtype)
            data = (values if values.shape == slab else np.broadcast_to(values, slab)).tobytes()
        view, place = memoryview(data), offset + position * n_bytes
        while view:
            written = os.pwrite(self._descriptor, view, place)
            if written == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            view, place = view[written:], place + written

    def sync(self) -> None:
        """Sync what has been written."""
        sync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
