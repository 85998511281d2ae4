"""The viewer's own temporary directory, which a later viewer removes if this one is killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "hpcmass-view-"
"""Begin of the directories' names."""

LOCK: Final = "lock"
"""A file in each directory; its viewer holds an operating-system lock on it, which ends with the process."""


@contextmanager
def own_directory() -> Iterator[Path]:
    """A directory for the time of the block; those of viewers that were killed are removed first."""
    remove_abandoned(Path(tempfile.gettempdir()))
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    descriptor = os.open(directory / f"{LOCK}.new", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with suppress(OSError):  # a file system without locks: the directory has no lock, and no viewer removes it
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(directory / f"{LOCK}.new", directory / LOCK)  # so that a lock of that name is always locked
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(descriptor)


def remove_abandoned(parent: Path) -> None:
    """Remove this user's directories whose viewers live no longer."""
    for directory in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # it is gone, another user's, or locked by a viewer that lives
            if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
                continue
            descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(descriptor)


def redirect_page(directory: Path, link: str) -> str:
    """Write a page that leads to the link, for this user alone; returns its address.

    A browser gets the address on its command line, which all users of the machine can read. So it is not the link.
    """
    path = directory / "open.html"
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(
            '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>hpcmass view</title>\n'
            f'<meta http-equiv="refresh" content="0; url={link}">\n<a href="{link}">{link}</a></html>\n'
        )
    return path.as_uri()
