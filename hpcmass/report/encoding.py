"""Numbers as text that a page can hold: base64 of 64-bit values, or of 16-bit ones with a scale for each series."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hpcmass.jsontext import json_text

MISSING: Final = -32768
"""Stands for NaN among the 16-bit numbers."""
STEPS: Final = 65_000
"""Steps from the least to the greatest value of a series of 16-bit numbers."""
BYTES_A_NUMBER: Final = 8 / 3
"""16 bits in base64."""


def script_json(data: Mapping[str, Any]) -> str:
    """JSON that can stand within a script element."""
    text = json_text(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def exact(values: npt.ArrayLike) -> str:
    """64-bit numbers, little-endian, as base64: nothing is lost."""
    return base64.b64encode(np.asarray(values, dtype="<f8").tobytes()).decode("ascii")


def packed(series: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int16]]:
    """Series as 16-bit numbers: value = offset + scale × whole number.

    Parameters
    ----------
    series : array, (n_series, n)
        NaN where there is no value.

    Returns
    -------
    scales : array, (n_series, 2)
        Offset and scale of each series.
    whole : array of int16, (n_series, n)
        `MISSING` where there is no value.
    """
    values = np.asarray(series, dtype=np.float64)
    there = np.isfinite(values)
    low = np.min(values, axis=1, initial=np.inf, where=there)
    high = np.max(values, axis=1, initial=-np.inf, where=there)
    some = high >= low
    low, high = np.where(some, low, 0.0), np.where(some, high, 0.0)
    scale = np.where(high > low, (high - low) / STEPS, 1.0)
    offset = (high + low) / 2
    whole = np.round((np.where(there, values, offset[:, None]) - offset[:, None]) / scale[:, None])
    return np.stack([offset, scale], axis=1), np.where(there, whole, MISSING).astype("<i2")


def line(whole: npt.NDArray[np.int16]) -> str:
    """16-bit numbers, little-endian, as one line of base64: lines of equal shapes have equal lengths."""
    return base64.b64encode(np.asarray(whole, dtype="<i2").tobytes()).decode("ascii")
