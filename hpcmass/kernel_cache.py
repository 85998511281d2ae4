"""Where compiled kernels are kept between processes.

The directory is local to the node (hundreds of ranks that start at once do not load a shared file system), private to
the user, and named after the sources of a whole package: a kernel also contains the code of the helpers that it calls.
`NUMBA_CACHE_DIR`, if set, replaces the node's temporary directory. `HPCMASS_KERNELS` names a directory that
`hpcmass kernels --into` has filled; it is read first and never written.

What is loaded from the cache is executed. So a file is loaded only if no other user could have written it, and if its
checksum shows that it is what was stored under its name. A cache that is damaged, cannot be used or cannot be written
costs time and one warning, never a result: kernels are compiled again.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import multiprocessing
import os
import stat
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from shlex import quote

import llvmlite
import numba
import numpy as np

from hpcmass.compile_lock import CompileLock
from hpcmass.messages import logger

SUFFIX = ".kernel"
_GROWING = ".growing"
_MAGIC = b"hpcmass kernel 1\n"
_DIGEST_BYTES = hashlib.sha256().digest_size

PROBE_BYTES = 2**20
"""Bytes written once per start to test whether the disk has room; all kernels take twice as much."""

LOCAL_RANKS = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "MV2_COMM_WORLD_LOCAL_RANK", "PALS_LOCAL_RANKID",
               "SLURM_LOCALID")  # fmt: skip
"""Environment variables by which mpiexec or srun numbers the processes of one node."""

_OPENED_BY = "HPCMASS_KERNEL_CACHE_OPENED_BY"
"""Environment variable that tells child processes that the cache was checked already."""

_reported: list[str] = []


SHARED_KERNELS = "HPCMASS_KERNELS"
"""Environment variable: a directory of kernels that were compiled in advance."""


class Unusable(Exception):
    """Why a directory or a file of the cache is not used."""


class KernelCache:
    """The kernels of one package, a directory of sources; `cache_of` gives the one of this process.

    Attributes
    ----------
    directory : Path or None
        Where the kernels are stored; None if they are not stored.
    shared : Path or None
        Where kernels that were compiled in advance are read.
    turns : CompileLock
        One process compiles a kernel, the others wait and load it.
    """

    def __init__(self, package: Path) -> None:
        # whoever can change the package can run code here anyway
        self._shared_owners = {*_own(), package.stat().st_uid}
        self.shared = self._shared_directory(package)
        self.directory: Path | None = None
        self._made: list[Path] = []
        try:
            self.directory = usable_directory(package, self._made)
        except Unusable as problem:
            _report(f"{problem}; kernels are compiled again at every start")
        self.turns = CompileLock(self.directory)
        if self.directory is None:
            return
        # one process checks before the others load, so that only one of them warns
        if _is_first_here():
            n_good = self._remove_damaged(self.directory)
            self._require_room(self.directory, n_good)

    def read(self, name: str) -> bytes | None:
        """What is stored under a name; None if there is nothing trustworthy."""
        if self.shared is not None:
            try:
                return _read(self.shared / name, self._shared_owners)
            except FileNotFoundError:
                pass  # of another kind of processor
            except (OSError, Unusable) as problem:
                _report(f"the kernel {self.shared / name} is not used: {_reason(problem)}")
        if self.directory is None:
            return None
        try:
            return _read(self.directory / name)
        except FileNotFoundError:
            return None
        except (OSError, Unusable) as problem:
            self.discard(name, problem)
            return None

    def _shared_directory(self, package: Path) -> Path | None:
        """The directory for these sources in `HPCMASS_KERNELS`, if it can be trusted."""
        chosen = os.environ.get(SHARED_KERNELS)
        if not chosen:
            return None
        directory = Path(chosen) / f"{package.name}-{source_key(package)}"
        try:
            for path in (Path(chosen), directory):
                _require_private(path, self._shared_owners)
        except FileNotFoundError:
            _report(
                f"{SHARED_KERNELS}={chosen} has no {package.name} kernels of this version; "
                f"run `hpcmass kernels --into {chosen}` on a node where the jobs run"
            )
            return None
        except (OSError, Unusable) as problem:
            _report(f"the kernels in {chosen}, which {SHARED_KERNELS} names, are not used: {_reason(problem)}")
            return None
        return directory

    def discard(self, name: str, problem: Exception) -> None:
        """Remove a damaged file and warn."""
        assert self.directory is not None  # something was read
        _remove(self.directory / name)
        _report(
            f"the kernel cache {self.directory} is damaged ({name}: {_reason(problem)}); this kernel is compiled again"
        )

    def write(self, name: str, content: bytes) -> None:
        """Store under a name, atomically."""
        if self.directory is None:
            return
        growing = None
        try:
            descriptor, growing = tempfile.mkstemp(dir=self.directory, prefix=".", suffix=_GROWING)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_MAGIC + _digest(name, content) + content)
            os.replace(growing, self.directory / name)
            self._made.append(self.directory / name)
        except OSError as error:
            if growing is not None:
                _remove(Path(growing))
            self._report_unwritable(self.directory, error)

    def report_unkept(self, name: str, problem: Exception) -> None:
        """Warn that a kernel cannot be stored."""
        _report(f"the kernel {name} cannot be cached: {_reason(problem)}; it is compiled again at every start")

    def share(self) -> int:
        """Let other users read the directories and kernels that this process has made; returns the number of all."""
        assert self.directory is not None  # asked before
        for path in self._made:
            with suppress(OSError):
                path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
        return len(self._stored())

    def unshared(self) -> list[str]:
        """Commands that let other users read what they cannot read yet; none if a group may read it."""
        assert self.directory is not None  # asked before
        base, commands = self.directory.parent, []
        if not _is_shared(base):
            commands.append(f"chmod go+rx {quote(str(base))}")
        if not all(_is_shared(path) for path in (self.directory, *self._stored())):
            commands.append(f"chmod -R go+rX {quote(str(self.directory))}")
        return commands

    def _stored(self) -> list[Path]:
        assert self.directory is not None
        return sorted(self.directory.glob(f"*{SUFFIX}"))

    def _remove_damaged(self, directory: Path) -> int:
        """Remove every damaged file; returns the number of good ones."""
        good, damaged = 0, []
        with suppress(OSError):
            for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
                if entry.name.endswith(_GROWING) and time.time() - entry.stat().st_mtime > 3600:
                    _remove(Path(entry.path))  # of a process that was killed
                if not entry.name.endswith(SUFFIX):
                    continue
                try:
                    _read(Path(entry.path))
                    good += 1
                except FileNotFoundError:
                    continue  # another process was quicker
                except (OSError, Unusable) as problem:
                    damaged.append(f"{entry.name}: {_reason(problem)}")
                    _remove(Path(entry.path))
        if damaged:
            count = "1 file" if len(damaged) == 1 else f"{len(damaged)} files, the first"
            _report(f"the kernel cache {directory} is damaged ({count} {damaged[0]}); these kernels are compiled again")
        return good

    def _require_room(self, directory: Path, n_good: int) -> None:
        try:
            with tempfile.TemporaryFile(dir=directory) as probe:
                probe.write(bytes(PROBE_BYTES))
        except OSError as error:
            # a read-only cache that was filled before, as in a container, is complete
            if not (n_good and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)):
                self._report_unwritable(directory, error)

    def _report_unwritable(self, directory: Path, error: OSError) -> None:
        _report(
            f"the kernel cache {directory} cannot be written: {_reason(error)}; kernels that are not in it yet are "
            "compiled again at every start"
        )


@functools.cache
def cache_of(package: Path) -> KernelCache:
    """The cache of a package's kernels, opened once per process (`package`: directory of its sources)."""
    cache = KernelCache(package)
    if _is_first_here():
        os.environ[_OPENED_BY] = str(os.getpid())
    return cache


def source_key(package: Path) -> str:
    """Hash of everything beside the processor that compiled code depends on: sources, compiler, Python."""
    versions = (numba.__version__, llvmlite.__version__, np.__version__, sys.implementation.cache_tag, sys.abiflags)
    digest = hashlib.sha256(repr(versions).encode())
    for path in sorted(package.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def usable_directory(package: Path, made: list[Path] | None = None) -> Path:
    """The directory for this user and these sources, created if necessary.

    Parameters
    ----------
    package : Path
        Directory of the sources.
    made : list of Path, optional
        What is created is appended.

    Raises
    ------
    Unusable
        If it cannot be made or read, or someone else could have written into it.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    try:
        base = Path(chosen) if chosen else Path(tempfile.gettempdir()) / f"hpcmass-{os.getuid()}"
    except OSError:
        raise Unusable("there is no temporary directory for a kernel cache (set TMPDIR or NUMBA_CACHE_DIR)") from None
    directory = base / f"{package.name}-{source_key(package)}"
    for path in (base, directory):
        try:
            if _make_private(path, may_be_sticky=path is base) and made is not None:
                made.append(path)
        except (OSError, Unusable) as problem:
            origin = "which NUMBA_CACHE_DIR names" if chosen else "which NUMBA_CACHE_DIR can replace"
            raise Unusable(f"the kernel cache {path}, {origin}, cannot be used: {_reason(problem)}") from None
    return directory


def _make_private(directory: Path, *, may_be_sticky: bool) -> bool:
    """Create a directory, or check that only its owner, this user or root, can write into the existing one.

    Others may write into a sticky directory such as /tmp, because they cannot change our files there.
    Returns whether it was created.
    """
    is_new = not os.path.lexists(directory)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise Unusable("it is a link to nothing" if directory.is_symlink() else "it is not a directory") from None
    _require_private(directory, _own(), may_be_sticky=may_be_sticky)
    return is_new


def _is_shared(path: Path) -> bool:
    """Whether a group or all users can read a file, or read and enter a directory."""
    needed = 0o5 if path.is_dir() else 0o4
    mode = path.stat().st_mode
    return any((mode >> shift) & needed == needed for shift in (3, 0))


def _require_private(directory: Path, owners: set[int], *, may_be_sticky: bool = False) -> None:
    for info in (directory.lstat(), directory.stat()):
        _require_owner(info, owners)
    if not directory.is_dir():
        raise Unusable("it is not a directory")
    mode = directory.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and not (may_be_sticky and mode & stat.S_ISVTX):
        raise Unusable("others may write into it (chmod go-w)")
    if not os.access(directory, os.R_OK | os.X_OK):
        raise Unusable("no permission to read it")


def _own() -> set[int]:
    """Who may have written what this user executes."""
    return {0, os.getuid()}


def _require_owner(info: os.stat_result, owners: set[int]) -> None:
    if info.st_uid not in owners:
        raise Unusable("it belongs to another user")


def _read(path: Path, owners: set[int] | None = None) -> bytes:
    """Contents of a file, if its checksum is right."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
        info = os.fstat(file.fileno())
        _require_owner(info, owners or _own())
        if not stat.S_ISREG(info.st_mode):
            raise Unusable("it is not a regular file")
        if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Unusable("others may write to it")
        whole = file.read()
    digest, content = whole[len(_MAGIC) :][:_DIGEST_BYTES], whole[len(_MAGIC) + _DIGEST_BYTES :]
    if not whole.startswith(_MAGIC) or digest != _digest(path.name, content):
        raise Unusable("it is not what was stored")
    return content


def _digest(name: str, content: bytes) -> bytes:
    """Checksum over contents and name, which identifies the function and the processor."""
    return hashlib.sha256(os.fsencode(name) + b"\n" + content).digest()


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


def _reason(problem: Exception) -> str:
    if isinstance(problem, OSError):
        return (problem.strerror or str(problem)).lower()
    return str(problem) if isinstance(problem, Unusable) else f"it does not load, {type(problem).__name__}"


def _is_first_here() -> bool:
    """Whether this process is the one of this command on this node that checks and warns."""
    parent = multiprocessing.parent_process()
    if parent is not None and os.environ.get(_OPENED_BY) == str(parent.pid):
        return False
    return next((os.environ[name] for name in LOCAL_RANKS if name in os.environ), "0") == "0"


def _report(sentence: str) -> None:
    """Warn once per process: further problems usually have the same cause."""
    if not _reported and _is_first_here():
        logger.warning(sentence)
    _reported.append(sentence)
