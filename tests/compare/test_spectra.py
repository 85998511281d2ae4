"""Spectra against SciPy's, Parseval's theorem, and spectra whose median is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import signal

from hpcmass.compare.series import centred
from hpcmass.compare.spectra import (
    component_frequencies_hz,
    effective_bin_fraction,
    median_frequency_hz,
    merged_moments,
    peak,
    spectral_bins,
    window_correlation,
)
from hpcmass.errors import UserError
from power import power_density

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("n", [1000, 1001, 997])
def test_power_density_is_scipys_periodogram(n):
    dt_ms = 0.2
    x = -60 + np.cumsum(RNG.standard_normal(n))
    window = signal.windows.hamming(n, sym=False)
    f, expected = signal.periodogram(x, 1e3 / dt_ms, window=window, detrend="constant", scaling="density")
    np.testing.assert_allclose(component_frequencies_hz(n, dt_ms), f[1:], rtol=1e-12)
    np.testing.assert_allclose(power_density(centred(x), dt_ms), expected[1:], rtol=1e-9)


def test_average_over_segments_is_welchs():
    segments = RNG.standard_normal((8, 512)) + 3.0
    mean = np.mean([power_density(centred(x), 1.0) for x in segments], axis=0)
    window = signal.windows.hamming(512, sym=False)
    _, expected = signal.welch(segments.ravel(), 1e3, window=window, nperseg=512, noverlap=0, detrend="constant")
    np.testing.assert_allclose(mean, expected[1:], rtol=1e-9)


@given(hnp.arrays(float, st.integers(8, 60), elements=st.floats(-10, 10)), st.floats(0.01, 5))
def test_parseval(x, dt_ms):
    series = centred(x)
    assume(series.any())
    n = series.size
    window = signal.windows.hamming(n, sym=False)
    windowed = series * window
    variance = (np.sum(windowed**2) - np.sum(windowed) ** 2 / n) / np.sum(window**2)  # zero frequency left out
    total = power_density(series, dt_ms).sum() * 1e3 / (n * dt_ms)
    assert total == pytest.approx(variance, rel=1e-9, abs=1e-12)


@given(st.floats(-1e3, 1e3), st.integers(20, 50))
def test_a_mean_leaves_no_trace(offset, n):
    x = np.random.default_rng(n).standard_normal(n)
    np.testing.assert_allclose(power_density(centred(x + offset), 1.0), power_density(centred(x), 1.0), atol=1e-12)


@pytest.mark.parametrize("value", [0.0, -63.2, np.float32(-59.987)])
def test_a_constant_has_no_power_at_all(value):
    x = np.full(1000, value)
    assert not centred(x).any()
    assert not centred(x + 1e-13).any()
    x[500] += 1e-3
    assert centred(x).any()


def test_a_sine_stands_at_its_frequency_with_its_power():
    n, dt_ms, k = 2000, 0.5, 40
    x = 3 * np.sin(2 * np.pi * k * np.arange(n) / n)
    power, f = power_density(centred(x), dt_ms), component_frequencies_hz(n, dt_ms)
    assert f[np.argmax(power)] == pytest.approx(40.0)
    assert power.sum() * f[0] == pytest.approx(9 / 2)
    assert power[k - 2 : k + 1].sum() == pytest.approx(power.sum(), rel=1e-12)  # the window spreads to neighbours only


@pytest.mark.parametrize("hz", [7.0, 25.0, 333.0])
def test_median_frequency_of_a_sine(hz):
    t = np.arange(4000) / 2e3
    power = power_density(centred(np.sin(2 * np.pi * hz * t)), 0.5)
    assert median_frequency_hz(power, component_frequencies_hz(4000, 0.5)) == pytest.approx(hz, abs=1e-6)


def test_median_frequency_of_known_shapes():
    f = np.arange(1, 10_001) * 0.05
    assert median_frequency_hz(np.ones_like(f), f) == pytest.approx(250.025, abs=1e-9)  # 0.025 … 500.025
    corner = 30.0  # ∫ 1/(1 + (f/c)²) = c atan(f/c)
    expected = corner * np.tan(np.arctan(500 / corner) / 2)
    assert median_frequency_hz(1 / (1 + (f / corner) ** 2), f) == pytest.approx(expected, abs=0.05)
    assert np.isnan(median_frequency_hz(np.zeros_like(f), f))
    assert np.isnan(median_frequency_hz(np.full_like(f, np.nan), f))


@given(hnp.arrays(float, st.integers(2, 40), elements=st.floats(0, 1e6)), st.floats(1e-3, 1e3))
def test_median_halves_the_power_and_ignores_scale(power, scale):
    assume(power.sum() > 1e-3)
    f = np.arange(1, power.size + 1) * 0.5
    median = median_frequency_hz(power, f)
    half = np.abs(np.cumsum(power) - power.sum() / 2).min() < 1e-9 * power.sum()
    # where components are empty, half of the power may lie below any of them
    if not (half and (power < 1e-9 * power.sum()).any()):
        assert median == pytest.approx(median_frequency_hz(power * scale, f), rel=1e-6, abs=1e-6)
    assert power[f < median - 0.2500001].sum() <= power.sum() / 2 * (1 + 1e-9)
    assert power[f > median + 0.2500001].sum() <= power.sum() / 2 * (1 + 1e-9)


def test_bins_of_whole_components():
    bins = spectral_bins(20_000, 0.1, (0.0, 500.0), 2.0)  # components at 0.5, 1, …
    np.testing.assert_array_equal(bins.frequency, np.arange(1, 500, 2))
    np.testing.assert_array_equal(bins.n_components, 4)
    power = RNG.random(10_000)
    np.testing.assert_allclose(bins.mean(power), power[:1000].reshape(250, 4).mean(axis=1))


def test_the_nyquist_component_is_in_no_bin():
    assert spectral_bins(1000, 1.0, (0.0, 500.0), 1.0).n_components.sum() == 499
    assert spectral_bins(1001, 1.0, (0.0, 500.0), 1.0).n_components.sum() == 500


@given(st.integers(40, 5000), st.floats(0.05, 2), st.floats(0, 50), st.floats(1, 600), st.floats(0.1, 40))
def test_every_component_of_the_band_is_in_the_right_bin(n, dt_ms, low, width, bin_hz):
    f = component_frequencies_hz(n, dt_ms)
    high = low + width
    nyquist = 500 / dt_ms
    margin = 1e-6 * f[0]
    inside = (f > low + margin) & (f <= high) & (f < nyquist - margin)
    try:
        bins = spectral_bins(n, dt_ms, (low, high), bin_hz)
    except UserError:
        assert not inside.any()
        return
    assert abs(bins.n_components.sum() - inside.sum()) <= 1  # one that lies on an edge to rounding
    means = bins.mean(f)
    assert (bins.n_components > 0).all()
    assert (np.abs(means - bins.frequency) <= bin_hz / 2 + 1e-3 * f[0]).all()
    assert (np.diff(bins.frequency) > 0).all()


def test_no_component_in_the_band():
    with pytest.raises(UserError, match=r"compare.band_hz = \[0, 5\].* beyond 10 Hz"):
        spectral_bins(1000, 0.1, (0.0, 5.0), 2.0)
    with pytest.raises(UserError, match="below 5000 Hz"):
        spectral_bins(1000, 0.1, (5000.0, 6000.0), 2.0)


@pytest.mark.parametrize("m", [1, 2, 3, 8, 50])
def test_merged_moments_are_traces_of_the_windows_covariance(m):
    c = np.zeros(max(m, 3))
    c[:3] = window_correlation()
    matrix = c[np.abs(np.subtract.outer(np.arange(m), np.arange(m)))]
    second, third = merged_moments(np.array([m]))
    assert second[0] == pytest.approx(np.trace(matrix @ matrix) / m**2)
    assert third[0] == pytest.approx(np.trace(matrix @ matrix @ matrix) / m**3)


def test_window_correlation_is_what_the_window_does():
    """Covariance of windowed components of white noise: the transform of the squared window."""
    squared = np.fft.fft(signal.windows.hamming(256, sym=False) ** 2).real
    np.testing.assert_allclose(window_correlation(), squared[:3] / squared[0], atol=1e-12)
    assert np.abs(squared[3:-2]).max() < 1e-10 * squared[0]


def test_peak_of_a_line_between_two_bins():
    f = np.arange(1.0, 101, 2)
    for centre in (20.0, 20.9, 33.3):
        found, density = peak(3 * np.exp(-(((f - centre) / 4) ** 2)), f)  # a Gaussian: its logarithm is a parabola
        assert found == pytest.approx(centre)
        assert density == pytest.approx(3.0)


def test_peak_at_an_end_or_nowhere():
    f = np.arange(1.0, 11, 2)
    assert peak(1 / f, f) == (1.0, 1.0)
    assert peak(f, f) == (9.0, 9.0)
    assert peak(np.array([1.0, 0, 0, 2, 0]), f) == (7.0, 2.0)
    for nothing in (np.zeros(5), np.full(5, np.nan)):
        assert np.isnan(peak(nothing, f)).all()


def test_effective_bin_fraction_counts_the_components_with_the_power():
    n, rng = 4000, np.random.default_rng(2)
    bins = spectral_bins(n, 1.0, (0.0, 400.0), 10.0)
    for trials in (1, 5):
        white = sum(power_density(centred(rng.standard_normal(n)), 1.0) for _ in range(2 * trials))
        assert np.mean(effective_bin_fraction(white, bins, trials)) == pytest.approx(1.0, abs=0.05)
        lines = np.full(n // 2, 1e-12)
        lines[20::40] = 1.0  # one component in each bin of 40
        k = effective_bin_fraction(lines, bins, trials) * trials / merged_moments(bins.n_components)[0]
        np.testing.assert_allclose(k, trials, rtol=0.15)
