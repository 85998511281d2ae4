"""A trace as a lazy array for xarray, in which only trials that are done can be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from xarray.backends import BackendArray
from xarray.core import indexing

from hpcmass.store.holders import Holders
from hpcmass.store.locking import locking_of
from hpcmass.store.schema import DONE, SOURCE


class DoneOnly(BackendArray):
    """A trace that reads as NaN wherever its trial is not done; opens the file anew for every access."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path, self.name, self.shape, self.dtype = path, name, shape, dtype

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER_1VECTOR, self._get)

    def _get(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        # NumPy and h5py disagree about a number and a list in one key, so a number becomes a slice of length 1.
        numbers = tuple(i for i, k in enumerate(key) if isinstance(k, int | np.integer))
        key = tuple(slice(k % n, k % n + 1) if i in numbers else k
                    for i, (k, n) in enumerate(zip(key, self.shape, strict=True)))  # fmt: skip
        with h5py.File(self.path, "r", locking=locking_of(self.path)) as file:
            done = file["status"][()][key[:-1]] == DONE
            if SOURCE.name not in file and np.any(done):
                values = np.asarray(file[self.name][key])
                values[~done] = np.nan
            else:  # trial by trial; none of a file of terabytes that has just begun
                values = np.full((*done.shape, len(np.arange(self.shape[-1])[key[-1]])), np.nan, self.dtype)
                places = [np.arange(n)[k] for k, n in zip(key[:-1], self.shape, strict=False)]
                with Holders(file) as holders:
                    for position in map(tuple, np.argwhere(done)):
                        index = tuple(int(place[i]) for place, i in zip(places, position, strict=True))
                        values[position] = holders.of(index)[self.name][(*index, key[-1])]
        return values.squeeze(numbers)

    def lazy(self) -> indexing.LazilyIndexedArray:
        """For the data of an `xarray.Variable`."""
        return indexing.LazilyIndexedArray(self)
