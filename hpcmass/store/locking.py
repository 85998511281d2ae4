"""Reading without locks, beside whoever has the file open already."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import h5py

_OTHERWISE: Final = "locking flag values don't match"
"""What HDF5 says where this process has the file open with locks, as `xarray.open_dataset` opens it by default."""


def locking_of(path: Path) -> bool | None:
    """What to pass as `locking` to open a file for reading: False, or None where this process has it open with locks.

    Raises
    ------
    OSError
        If it cannot be opened at all.
    """
    try:
        h5py.File(path, "r", locking=False).close()
    except OSError as error:
        if _OTHERWISE not in str(error):
            raise
        return None
    return False
