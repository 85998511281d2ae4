"""Results of points in a comparison that is there, to be copied into another one, many points at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hpcmass.compare.comparison_file import Point
from hpcmass.store.files import Closing
from hpcmass.store.opening import open_hdf5
from hpcmass.store.schema import AXES, COMPARISON_FILETYPE, COMPARISON_VARIABLES, PENDING, own_statistics
from hpcmass.store.slabs import read_at

POINTS_AT_ONCE = 500
"""Points that are copied at a time: 42 MB of the paper's size."""

OVER_THE_MAP: Final = ("rho_agrees_bh", "synchronised", "compared")
"""Variables that `ComparisonFile` sets itself, beside the adjusted p-values."""


class Results(Closing):
    """A comparison open for reading, whose results `ComparisonFile.write_block` takes; a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = open_hdf5(path, COMPARISON_FILETYPE, checked=True)
        own = (variable for each in own_statistics(self._file.attrs) for variable in each.variables())
        self._datasets = {
            v.name: self._file[v.name]
            for v in (*COMPARISON_VARIABLES.values(), *own)
            if v.dims[0] == AXES and v.name not in OVER_THE_MAP and not v.name.endswith("_qvalue")
        }

    def states(self, points: Sequence[Point]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64]]:
        """State of each point, and the trials in its results, 0 where there are none yet."""
        places = self._places(points)
        state = read_at(self._file["compared"], places)
        return state, np.where(state == PENDING, 0, read_at(self._datasets["n_compared"], places))

    def at(self, points: Sequence[Point]) -> dict[str, npt.NDArray[Any]]:
        """Variable → its values at these points, (point, …)."""
        places = self._places(points)
        return {name: read_at(dataset, places) for name, dataset in self._datasets.items()}

    def _places(self, points: Sequence[Point]) -> npt.NDArray[np.int64]:
        return np.array(points, np.int64).reshape(len(points), self._file["compared"].ndim)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
