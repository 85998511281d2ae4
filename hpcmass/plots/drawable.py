"""What a picture can show: numbers of a size that colour scales, axes and the page's script can reckon with.

A statistic is any finite number, and matplotlib takes squares and differences of what it draws. Where the size of a
number is beyond these bounds it is drawn, and listed, as the bound; the file keeps the number itself.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

LARGEST: Final = 1e100
LEAST: Final = 1e-100
"""Size of the largest number that is drawn, and of the least that is not drawn as 0."""


def drawable(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """`values` within ±`LARGEST`, 0 where they are below `LEAST`, NaN where they are infinite.

    Parameters
    ----------
    values : array
        Whole numbers and single precision cannot be beyond these bounds.
    """
    array = np.asarray(values)
    if array.dtype.kind != "f":
        return array
    size = np.abs(array)
    infinite = np.isinf(size)
    if array.dtype.itemsize > 4 and ((size > LARGEST) | ((size < LEAST) & (size > 0))).any():
        array = np.where(size < LEAST, 0.0, np.clip(array, -LARGEST, LARGEST))
    return np.where(infinite, np.nan, array) if infinite.any() else array
