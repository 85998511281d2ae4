"""Arrays and numbers that a caller gives, checked: what is wrong with one is a sentence with its name."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hpcmass.compare.series import Real
from hpcmass.errors import UserError

FEWEST: Final = 16
"""Samples of a series, at least."""


def real_array(name: str, values: npt.ArrayLike) -> Real:
    """A copy in double precision; refuses what is not real and finite."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        array = np.array(None)
    if array.size == 0:
        return np.zeros(array.shape)
    if array.dtype.kind not in "iuf":
        raise UserError(f"{name} must be an array of real numbers")
    finite = np.isfinite(array)
    if not finite.all():
        first = tuple(np.argwhere(~finite)[0].tolist())
        place = f"[{', '.join(map(str, first))}]" if first else ""
        raise UserError(f"{name}{place} is {array[first]}; give finite numbers")
    return array.astype(np.float64)


def real_number(name: str, value: Any) -> float:
    """A finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number):
        raise UserError(f"{name} must be a number, not {value!r}")
    return number


def positive(name: str, value: Any) -> float:
    """A number above 0."""
    number = real_number(name, value)
    if number <= 0:
        raise UserError(f"{name} = {number:g}: give a number above 0")
    return number
