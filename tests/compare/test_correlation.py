"""Lagged correlation against NumPy, lag by lag, and lags that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import signal

from hpcmass.compare.correlation import best_lag, lagged_correlation, transformed
from hpcmass.compare.series import centred

MAX_LAG = 40


def curve(x: np.ndarray, y: np.ndarray, max_lag: int = MAX_LAG) -> np.ndarray:
    return lagged_correlation(transformed(centred(x), max_lag), transformed(centred(y), max_lag), max_lag)


def one_by_one(x: np.ndarray, y: np.ndarray, max_lag: int) -> list[float]:
    """Pearson's correlation of the overlapping samples at each lag."""
    found = []
    for lag in range(-max_lag, max_lag + 1):
        a, b = (x[: x.size - lag], y[lag:]) if lag >= 0 else (x[-lag:], y[: y.size + lag])
        found.append(np.corrcoef(a, b)[0, 1])
    return found


@pytest.mark.parametrize("n", [200, 1013])
def test_every_lag_is_numpys_corrcoef(n):
    rng = np.random.default_rng(n)
    x = -60 + np.cumsum(rng.standard_normal(n))
    y = 5 + 0.3 * np.roll(x, 7) + rng.standard_normal(n)
    np.testing.assert_allclose(curve(x, y), one_by_one(x, y, MAX_LAG), atol=1e-12)


@given(hnp.arrays(np.float32, 30, elements=st.floats(-80, -50, width=32)), st.integers(0, 2**31), st.integers(1, 7))
def test_every_lag_is_numpys_corrcoef_for_any_series(x, seed, max_lag):
    y = x + np.random.default_rng(seed).standard_normal(30)
    if np.ptp(x[max_lag:-max_lag]) > 1e-3:  # else some overlap is constant
        np.testing.assert_allclose(curve(x, y, max_lag), one_by_one(x.astype(float), y, max_lag), atol=1e-7)


@given(st.integers(-MAX_LAG, MAX_LAG), st.integers(0, 1000), st.floats(0.0, 0.5))
def test_a_late_model_has_a_positive_lag(shift, seed, noise):
    rng = np.random.default_rng(seed)
    source = signal.lfilter([1], [1, -0.8], rng.standard_normal(1000))
    start = 100
    network = source[start : start + 600]
    model = source[start - shift : start - shift + 600]  # shift > 0: the model does later what the network did
    model = -3 + 0.2 * model + noise * 0.2 * model.std() * rng.standard_normal(600)
    lag, rho = best_lag(curve(network, model))
    assert lag == shift
    assert rho > 0.8
    if noise == 0:
        assert rho == pytest.approx(1.0, abs=1e-12)


def test_swapping_the_series_turns_the_lags_around():
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((2, 300)).cumsum(axis=1)
    np.testing.assert_allclose(curve(x, y), curve(y, x)[::-1], atol=1e-12)


def test_scale_and_offset_do_not_matter_but_sign_does():
    rng = np.random.default_rng(9)
    x, y = rng.standard_normal((2, 300)).cumsum(axis=1)
    np.testing.assert_allclose(curve(x, 1e-4 * y - 70), curve(x, y), atol=1e-9)
    np.testing.assert_allclose(curve(x, -y), -curve(x, y), atol=1e-12)


def test_the_largest_correlation_counts_not_the_largest_size():
    x = np.random.default_rng(10).standard_normal(500)
    y = -x
    y[5:] += 0.5 * x[:-5]
    assert best_lag(curve(x, y))[0] == 5


@pytest.mark.parametrize(
    ("values", "lag"),
    [
        ([0.5, 0.9, 0.1, 0.9, 0.2], 1),  # -1 and 1 are as good and as near: the positive one
        ([0.9, 0.1, 0.9, 0.1, 0.9], 0),
        ([0.9, 0.1, 0.2, 0.9 - 1e-14, 0.1], 1),  # equal to rounding
        ([0.9, 0.1, 0.2, 0.9 - 1e-9, 0.1], -2),
        ([np.nan, 0.3, np.nan, 0.2, np.nan], -1),
    ],
)
def test_ties(values, lag):
    found, rho = best_lag(np.array(values))
    assert found == lag
    assert rho == values[lag + 2]


def test_a_constant_series_has_no_correlation():
    x = np.random.default_rng(12).standard_normal(300)
    for y in (np.full(300, -74.0), np.full(300, -74.0) + 1e-13 * x):
        assert np.isnan(curve(x, y)).all()
        assert np.isnan(best_lag(curve(x, y))[1])
        assert np.isnan(transformed(centred(y), MAX_LAG).autocorrelation).all()


def test_lags_whose_overlap_is_constant_are_undefined():
    x = np.random.default_rng(13).standard_normal(100)
    y = np.zeros(100)
    y[-3:] = [1.0, 2.0, 4.0]
    found = curve(x, y, 10)
    assert np.isnan(found[:8]).all()  # lags -10 … -3: the last three samples of y have no partner
    assert np.isfinite(found[8:]).all()
    np.testing.assert_array_equal(np.isnan(curve(y, x, 10)), np.isnan(found)[::-1])


def test_autocorrelation_is_the_sum_of_products():
    x = np.random.default_rng(14).standard_normal(500).cumsum()
    series = centred(x)
    r = transformed(series, 10).autocorrelation
    assert r.size == 102  # a fifth of the series and one more
    expected = [np.dot(series[: 500 - j], series[j:]) / np.dot(series, series) for j in range(r.size)]
    np.testing.assert_allclose(r, expected, atol=1e-12)
