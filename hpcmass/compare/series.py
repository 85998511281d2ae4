"""A series prepared for statistics: float64, its mean removed."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Real = npt.NDArray[np.float64]

ROUNDING: Final = 1e-11
"""A series that varies by less than this fraction of its size counts as constant: the rest is rounding."""

LEAST_MV: Final = 1e-30
"""A series that varies by less than this counts as constant: products of its powers would underflow."""


def centred(series: npt.NDArray[Any]) -> Real:
    """`series` minus its temporal mean; exactly zero everywhere if the series is constant."""
    values = np.asarray(series, dtype=np.float64)
    low, high = values.min(), values.max()
    if high - low <= max(ROUNDING * max(abs(low), abs(high)), LEAST_MV):
        return np.zeros_like(values)
    mean: float = values.mean()
    return values - mean


def sum_of_products(x: Real, y: Real) -> float:
    """Σ x y, without a BLAS: its rounding depends on how many threads it takes."""
    return float(np.einsum("i,i", x, y))


def sum_of_squares(series: Real) -> float:
    """Σ x²."""
    return sum_of_products(series, series)
