"""The traces of a file that is put together from others, read where they lie.

Two reasons not to read them through the view. HDF5 looks at all pieces of a view for every access, and there may be a
piece for every trial. And it reads as missing, without a word, what it cannot open: on a file system without locks, or
while this process has a part open in another way.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import h5py
import numpy as np
import numpy.typing as npt

from hpcmass.store.locking import locking_of
from hpcmass.store.opening import parts_of
from hpcmass.store.schema import DONE, SOURCE


class Holders(ExitStack):
    """Finds the file that holds a trial itself; opens each once, until the block ends.

    Parameters
    ----------
    sweep : h5py.File
        An open sweep file, put together from others or not.
    parts : sequence of Path, optional
        `parts_of` it, where the working directory may have changed since it was opened.
    """

    def __init__(self, sweep: h5py.File, parts: Sequence[Path] | None = None) -> None:
        super().__init__()
        self._sweep = sweep
        self._parts = parts_of(sweep) if parts is None else parts
        self._open: dict[int, h5py.File] = {}
        self._sources: npt.NDArray[np.int32] | None = sweep[SOURCE.name][()] if SOURCE.name in sweep else None

    def __enter__(self) -> Self:
        return self

    def of(self, index: tuple[int, ...]) -> h5py.File:
        """The file of one trial that is done.

        Parameters
        ----------
        index : tuple of int
            One per axis, then the trial.

        Raises
        ------
        OSError
            If it cannot be opened, or does not hold the trial any more.
        """
        if self._sources is None:
            return self._sweep
        number = int(self._sources[index])
        if number not in self._open:
            path = self._parts[number]
            self._open[number] = self.enter_context(h5py.File(path, "r", locking=locking_of(path)))
        holder = self._open[number]
        if holder["status"][index] != DONE:
            raise OSError(errno.ESTALE, f"{holder.filename} does not hold the trial any more")
        return holder
