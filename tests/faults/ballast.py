"""A file that fills a disk; without any import that another environment may lack."""

from __future__ import annotations

import shutil
from pathlib import Path


def ballast_of(disk: Path) -> Path:
    """The file that fills a disk."""
    return disk / "ballast"


def fill(disk: Path, leave: int) -> None:
    """Leave so many bytes of a disk, up to a page."""
    with ballast_of(disk).open("ab") as file:
        while (free := shutil.disk_usage(disk).free - leave) >= 4096:
            file.write(bytes(min(free, 65536)))
            file.flush()
