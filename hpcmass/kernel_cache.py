"""Where compiled kernels are kept between processes.

numba keeps what it compiled in a directory. Ours is local to the node (hundreds of ranks that start at once do not
meet on a shared file system), private to the user, and named after the kernels' source: numba itself notices only a
change of the very file that holds a function, not of the helpers that were inlined into it. `NUMBA_CACHE_DIR`, if
set, replaces the node's temporary directory.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

import numba


def source_key() -> str:
    """Hash of every source file whose functions are compiled together."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted((Path(__file__).parent / "network").glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_directory() -> Path | None:
    """The directory for this user and this source; None if there is no safe place for one."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    base = Path(chosen) if chosen else Path(tempfile.gettempdir()) / f"hpcmass-{os.getuid()}"
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = base.stat()
    except OSError:
        return None
    # what lies in the cache is executed, so a directory that others may write to will not do
    if not chosen and (info.st_uid != os.getuid() or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        return None
    return base / source_key()


def use_cache() -> None:
    """Point numba at `cache_directory`; without one it falls back to its own choice."""
    directory = cache_directory()
    if directory is not None:
        numba.config.CACHE_DIR = str(directory)  # type: ignore[attr-defined]
