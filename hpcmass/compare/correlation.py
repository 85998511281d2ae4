"""Lagged Pearson correlation of two series, and their autocorrelations, by fast Fourier transform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import scipy.fft

from hpcmass.compare.series import Real, sum_of_squares
from hpcmass.compare.significance import (
    EffectiveSamples,
    PooledCorrelation,
    effective_samples,
    outlasting,
    pool,
    tapered,
)

LAG_SHARE: Final = 5
"""Autocorrelations are used up to lag n / 5 (Pyper & Peterman 1998)."""

TIE: Final = 1e-12
"""Correlations closer than this are equal: the transform rounds at 1e-15."""


@dataclass(frozen=True)
class Transformed:
    """A centred series with its zero-padded transform, shared by all statistics of lags.

    Attributes
    ----------
    series : array, (n,)
        From `centred`: all zero if constant.
    n_padding : int
        Zeros behind the series, at least the largest lag asked for.
    """

    series: Real
    n_padding: int

    @property
    def n_lags(self) -> int:
        """Lags 0 … n_lags that the padding keeps free of wrap-around and the series supports."""
        return min(self.n_padding, self.series.size - 1)

    @cached_property
    def length(self) -> int:
        return int(scipy.fft.next_fast_len(self.series.size + self.n_padding, real=True))

    @cached_property
    def transform(self) -> np.ndarray[tuple[int], np.dtype[np.complex128]]:
        return np.asarray(scipy.fft.rfft(self.series, self.length))

    @cached_property
    def autocorrelation(self) -> Real:
        """r(j) = Σ_t x(t) x(t + j) / Σ_t x(t)², j = 0 … `n_lags`; NaN if constant."""
        power = self.transform.real**2 + self.transform.imag**2
        products = scipy.fft.irfft(power, self.length)[: self.n_lags + 1]
        if not self.series.any():
            return np.full(self.n_lags + 1, np.nan)
        return np.asarray(products / products[0])

    @cached_property
    def tapered(self) -> Real:
        """The autocorrelation as far as the series remembers."""
        return tapered(self.autocorrelation)


def transformed(series: Real, max_lag: int) -> Transformed:
    """`series` (centred) made ready for lags up to `max_lag` and for its own autocorrelation."""
    return Transformed(series, max(max_lag, series.size // LAG_SHARE + 1))


def lagged_correlation(x: Transformed, y: Transformed, max_lag: int) -> Real:
    """Pearson correlation of x(t) and y(t + lag), exact on the samples that overlap.

    Parameters
    ----------
    x, y : Transformed
        Of equal length n and padding ≥ `max_lag`.
    max_lag : int
        In samples, below n - 1.

    Returns
    -------
    array of float64, (2 max_lag + 1,)
        For lags -max_lag … max_lag; a maximum at a positive lag says that y is late. NaN where one of the
        overlapping parts is constant.
    """
    lags = np.arange(max_lag + 1)
    overlap = (x.series.size - lags).astype(np.float64)
    product = scipy.fft.irfft(np.conj(x.transform) * y.transform, x.length)
    ahead = _pearson(product[: max_lag + 1], *_head(x.series, max_lag), *_tail(y.series, max_lag), overlap)
    behind = _pearson(
        product[np.concatenate(([0], -lags[1:]))], *_tail(x.series, max_lag), *_head(y.series, max_lag), overlap
    )
    return np.concatenate((behind[:0:-1], ahead))


def _head(series: Real, max_lag: int) -> tuple[Real, Real]:
    """Sums of series[: n - lag] and of its squares for lag = 0 … max_lag."""
    return _without(series, series[: -max_lag - 1 : -1])


def _tail(series: Real, max_lag: int) -> tuple[Real, Real]:
    """Sums of series[lag:] and of its squares for lag = 0 … max_lag."""
    return _without(series, series[:max_lag])


def _without(series: Real, edge: Real) -> tuple[Real, Real]:
    lost, lost_square = (np.concatenate(([0.0], np.cumsum(part))) for part in (edge, edge**2))
    return series.sum() - lost, sum_of_squares(series) - lost_square


def _pearson(product: Real, sum_x: Real, square_x: Real, sum_y: Real, square_y: Real, n: Real) -> Real:
    variance_x, variance_y = square_x - sum_x**2 / n, square_y - sum_y**2 / n
    # What a subtraction leaves of a constant part is rounding, not variance.
    constant = (variance_x <= 1e-14 * square_x[0]) | (variance_y <= 1e-14 * square_y[0])
    scale = np.sqrt(np.where(constant, np.nan, variance_x * variance_y))
    return np.asarray(np.clip((product - sum_x * sum_y / n) / scale, -1.0, 1.0))


def best_lag(correlation: Real) -> tuple[int, float]:
    """The lag (samples) that maximises the correlation, and the maximum.

    Of equal maxima the one nearest to lag 0 counts, the positive one if two are as near.

    Parameters
    ----------
    correlation : array, (2 max_lag + 1,)
        From `lagged_correlation`.

    Returns
    -------
    lag : int
        0 if no correlation is defined.
    rho : float
        NaN if no correlation is defined.
    """
    if np.isnan(correlation).all():
        return 0, float("nan")
    max_lag = correlation.size // 2
    equal = np.flatnonzero(correlation >= np.nanmax(correlation) - TIE) - max_lag
    lag = int(equal[np.lexsort((-equal, np.abs(equal)))[0]])
    return lag, float(correlation[lag + max_lag])


@dataclass(frozen=True)
class Correlated:
    """How two series correlate over the lags.

    Attributes
    ----------
    curve : array, (2 max_lag + 1,)
        From `lagged_correlation`.
    lag : float
        In samples, from `best_lag`; NaN if no correlation is defined.
    rho : float
        The correlation there.
    samples : EffectiveSamples
    """

    curve: Real
    lag: float
    rho: float
    samples: EffectiveSamples


def correlated(x: Transformed, y: Transformed, max_lag: int) -> Correlated:
    """Correlate two series of equal length at lags up to `max_lag` (samples)."""
    curve = lagged_correlation(x, y, max_lag)
    lag, rho = best_lag(curve)
    least = outlasting(x.autocorrelation, y.autocorrelation)
    samples = effective_samples(x.tapered, y.tapered, x.series.size, least)
    return Correlated(curve, float("nan") if np.isnan(rho) else lag, rho, samples)


def pooled(found: Sequence[Correlated]) -> PooledCorrelation:
    """What the trials' correlations say together, see `significance.pool`."""
    return pool([each.curve for each in found], [each.samples for each in found])
