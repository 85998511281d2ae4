"""Coherence against SciPy and against mixtures of known coherence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from hpcmass.compare.coherence import coherence, independent_components, threshold, unbiased, weighted_mean
from hpcmass.compare.series import centred
from hpcmass.compare.spectra import Bins, cross_density, density, spectral_bins, windowed_transform

N, DT_MS = 2000, 1.0


def averaged(xs: np.ndarray, ys: np.ndarray, bins: Bins) -> np.ndarray:
    """Coherence of trials (R, N) in bins."""
    x, y = ([windowed_transform(centred(row)) for row in rows] for rows in (xs, ys))
    p, q = (np.mean([bins.mean(density(t, N, DT_MS)) for t in rows], axis=0) for rows in (x, y))
    pairs = zip(x, y, strict=True)
    cross = np.mean([bins.mean(cross_density(a[: bins.stop], b[: bins.stop], N, DT_MS)) for a, b in pairs], axis=0)
    return coherence(cross, p, q, independent_components(bins, len(xs)))


def test_single_components_over_trials_are_scipys_coherence():
    rng = np.random.default_rng(1)
    xs = rng.standard_normal((6, N))
    ys = 0.5 * xs + rng.standard_normal((6, N))
    bins = spectral_bins(N, DT_MS, (0.0, 400.0), 0.5)
    assert (bins.n_components == 1).all()
    _, expected = signal.coherence(
        xs.ravel(), ys.ravel(), 1e3 / DT_MS, window=signal.windows.hamming(N, sym=False), nperseg=N, noverlap=0
    )
    np.testing.assert_allclose(averaged(xs, ys, bins), expected[1:801], rtol=1e-9)


@pytest.mark.parametrize("true", [0.0, 0.2, 0.8, 1.0])
def test_mixtures_have_the_coherence_they_were_given(true):
    """y = x late by 3 ms + noise: whatever gain and lag, C = S_x/(S_x + S_noise)."""
    rng = np.random.default_rng(2)
    xs = rng.standard_normal((5, N))
    noise = np.sqrt((1 - true) / true) if true else 0.0
    ys = 0.1 * (np.roll(xs, 3, axis=1) + noise * rng.standard_normal((5, N)) if true else rng.standard_normal((5, N)))
    bins = spectral_bins(N, DT_MS, (0.0, 400.0), 4.0)
    k = independent_components(bins, 5)
    c = averaged(xs, ys, bins)
    assert np.mean(unbiased(c, k)) == pytest.approx(true, abs=0.03)
    if true == 0.0:
        assert np.mean(c > threshold(k, 0.01)) <= 0.03


def test_nothing_averaged_is_undefined():
    rng = np.random.default_rng(3)
    bins = spectral_bins(N, DT_MS, (0.0, 400.0), 0.5)
    assert np.isnan(averaged(rng.standard_normal((1, N)), rng.standard_normal((1, N)), bins)).all()
    assert np.isnan(threshold(independent_components(bins, 1), 0.01)).all()
    assert np.isnan(averaged(rng.standard_normal((2, N)), np.zeros((2, N)), bins)).all()


def test_weighted_mean_leaves_out_what_is_undefined():
    c, weight = np.array([0.5, np.nan, 1.0]), np.array([3.0, 100.0, 1.0])
    assert weighted_mean(c, weight) == pytest.approx(0.625)
    assert np.isnan(weighted_mean(np.full(3, np.nan), weight))
