"""The statistics as functions of arrays: the numbers of NumPy, SciPy and elephant, and those of a comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import signal, stats

from hpcmass import Experiment, simulate, statistics
from hpcmass.compare.point import compare_point
from hpcmass.config import CompareParameters, MassParameters, NetworkParameters
from hpcmass.errors import UserError
from hpcmass.mass import Traces, mass_model, models_named

DT_MS = 0.5


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Four trials of 2 s: a slow series, and one that follows it by 3 ms, with noise."""
    rng = np.random.default_rng(5)
    x = signal.lfilter([0.3], [1, -0.95], rng.standard_normal((4, 4000)), axis=1)
    return x, 0.5 * np.roll(x, 6, axis=1) + 0.1 * rng.standard_normal(x.shape) + 2


def test_spike_contrast_is_elephants() -> None:
    neo, pq = pytest.importorskip("neo"), pytest.importorskip("quantities")
    elephant = pytest.importorskip("elephant.spike_train_synchrony")
    raster = np.random.default_rng(2).random((3001, 30)) < 0.004
    steps, neurons = np.nonzero(raster)
    mixed = np.random.default_rng(3).permutation(steps.size)
    found = statistics.spike_contrast(0.125 * steps[mixed], neurons[mixed], 30, 3001 * 0.125, dt_ms=0.125)
    trains = [neo.SpikeTrain(np.flatnonzero(train) * 0.125 * pq.ms, t_stop=3001 * 0.125 * pq.ms) for train in raster.T]
    assert found.value == pytest.approx(float(elephant.spike_contrast(trains)), rel=1e-9)


def test_spike_contrast_is_the_trials() -> None:
    network: Any = {"n_neurons": 100, "n_external": 100, "duration_ms": 400.0, "transient_ms": 50.0,
                    "external_rate_hz": 60.0, "w_ext": 0.5, "w_E": 0.02}  # fmt: skip
    trial = simulate(Experiment(grid={"p": 0.2, "lam": 0.8}, network=network), 0.2, 0.8).recording
    assert trial.spike_time is not None
    assert trial.spike_neuron is not None
    after = trial.spike_time > 49.99
    found = statistics.spike_contrast(trial.spike_time[after] - 50, trial.spike_neuron[after], 100, 350)
    assert found == (trial.spike_contrast, trial.spike_contrast_bin)


def test_spike_contrast_without_spikes_is_undefined() -> None:
    assert np.isnan(statistics.spike_contrast([], [], 5, 200)).all()
    assert np.isnan(statistics.spike_contrast([3.0, 200.0], [0, 1], 5, 200)).all()


def test_lagged_correlation_is_pearsons(pair: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = pair
    found = statistics.lagged_correlation(x, y, DT_MS, max_lag_ms=20)
    assert found.lag_ms == 3.0
    assert found.lags_ms[[0, 40, -1]].tolist() == [-20, 0, 20]
    at_best = [np.corrcoef(a[:-6], b[6:])[0, 1] for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(found.curve[:, 46], at_best, atol=1e-9)
    assert found.rho == pytest.approx(np.tanh(np.arctanh(at_best).mean()))
    assert found.pvalue < 1e-10
    one = statistics.lagged_correlation(x[0], y[0], DT_MS, max_lag_ms=20)
    assert one.curve.shape == one.lags_ms.shape
    assert one.rho == pytest.approx(at_best[0])


def test_effective_samples_are_bartletts() -> None:
    """Of two autoregressive series with coefficient a: n (1 - a²)/(1 + a²)."""
    series = signal.lfilter([1.0], [1, -0.8], np.random.default_rng(7).standard_normal((2, 20, 20_000)), axis=-1)
    assert statistics.effective_samples(*series) == pytest.approx(20_000 * 0.36 / 1.64, rel=0.05)


def test_chi_squared_is_that_of_scipys_spectra(pair: tuple[np.ndarray, np.ndarray]) -> None:
    window = signal.windows.hamming(4000, sym=False)
    p, q = (
        signal.periodogram(z, 2000.0, window=window, detrend="constant")[1][:, 1:401].mean(0).reshape(100, 4).mean(1)
        for z in pair
    )
    p, q = 400 * p / p.sum(), 400 * q / q.sum()
    expected = float(np.sum((p - q) ** 2 / (p + q)))
    found = statistics.chi_squared(*pair, DT_MS, band_hz=(0, 200))
    assert found.statistic == pytest.approx(expected)
    assert (found.dof, found.pvalue) == (99, pytest.approx(stats.chi2.sf(expected, 99)))
    assert statistics.chi_squared(*pair, DT_MS, band_hz=(0, 200), count=800).statistic == pytest.approx(2 * expected)


def test_coherence_is_the_cross_spectrum_squared(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Of trials alone: bins of one component."""
    window = signal.windows.hamming(4000, sym=False)
    x, y = (np.fft.rfft((z - z.mean(axis=1, keepdims=True)) * window)[:, 1:201] for z in pair)
    cross, powers = (x.conj() * y).mean(0), (np.abs(x) ** 2).mean(0) * (np.abs(y) ** 2).mean(0)
    found = statistics.coherence(*pair, DT_MS, band_hz=(0, 100), bin_hz=0.5, alpha=0.05)
    np.testing.assert_allclose(found.coherence, np.abs(cross) ** 2 / powers, rtol=1e-9)
    np.testing.assert_allclose(found.threshold, 1 - 0.05 ** (1 / 3))
    np.testing.assert_allclose(found.frequency_hz, 0.5 * np.arange(1, 201) - 0.25)
    assert np.isnan(statistics.coherence(pair[0][0], pair[1][0], DT_MS, bin_hz=0.5).coherence).all()


def test_they_are_the_numbers_of_a_comparison(
    pair: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = pair
    models_named(("CFM",))
    from hpcmass.mass import registry

    monkeypatch.setattr(registry.MODELS, "entries", dict(registry.MODELS.entries))
    network = NetworkParameters(dt_ms=DT_MS, duration_ms=2000.0, transient_ms=0.0)
    flat = np.zeros(4000)
    trials = [(k, Traces(x[k], flat, np.full(4000, float(k)), flat)) for k in range(4)]
    mass_model("the other")(lambda traces, network, mass: y[int(traces.phi_I[0])])
    expected = compare_point(trials, 4, network, MassParameters(models=("the other",)), CompareParameters())

    def of(name: str) -> Any:
        return np.asarray(expected[name])[0]

    correlation, ratio = statistics.lagged_correlation(x, y, DT_MS), statistics.log_ratio(x, y, DT_MS)
    assert correlation[:4] == (of("rho"), of("lag"), of("rho_pvalue"), of("n_eff"))
    assert ratio == (of("log_ratio"), of("log_ratio_pvalue"), of("log_ratio_se"), of("spectral_distance"))
    assert statistics.effective_samples(x, y) == of("n_eff")
    chi2 = statistics.chi_squared(x, y, DT_MS)
    assert chi2 == (of("chi2"), of("chi2_dof"), of("chi2_pvalue"), of("chi2_se"))
    coherence = statistics.coherence(x, y, DT_MS)
    np.testing.assert_array_equal(coherence.coherence, of("coherence"))
    np.testing.assert_array_equal(coherence.threshold, expected["coherence_threshold"])
    assert coherence.mean == of("coherence_mean")


X = np.random.default_rng(0).standard_normal(400)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.spike_contrast([1.0], [0, 1], 5, 100), r"shape \(1,\) and neurons \(2,\)"),
        (lambda s: s.spike_contrast([1.0, 101.0], [0, 1], 5, 100), "from 0 to duration_ms = 100"),
        (lambda s: s.spike_contrast([1.0, 2.0], [0, 5], 5, 100), "from 0 to 4"),
        (lambda s: s.spike_contrast([1.0, 2.0], [0, 1.5], 5, 100), "whole numbers"),
        (lambda s: s.spike_contrast([1.0, 1.04], [3, 3], 5, 100), "neuron 3 has two spikes at 1 ms"),
        (lambda s: s.spike_contrast([1.0, np.nan], [0, 1], 5, 100), r"times_ms\[1\] is nan"),
        (lambda s: s.spike_contrast([1.0], [0], 1, 100), "2 to 65535 neurons"),
        (lambda s: s.spike_contrast([1.0], [0], "many", 100), "n_neurons must be a number, not 'many'"),
        (lambda s: s.spike_contrast([1.0], [0], 5, 100, dt_ms=0), "dt_ms = 0: give a number above 0"),
        (lambda s: s.spike_contrast([1.0], [0], 5, 1e300), "steps of dt_ms"),
        (lambda s: s.lagged_correlation(X, X[1:], 0.5), r"shape \(400,\) and y \(399,\)"),
        (lambda s: s.lagged_correlation(X, X, 0.5, max_lag_ms=60), "^max_lag_ms = 60 .* 200 ms; give at most 50"),
        (lambda s: s.lagged_correlation(X, X, -1), "dt_ms = -1"),
        (lambda s: s.lagged_correlation(X, X + 1j, 0.5), "y must be an array of real numbers"),
        (lambda s: s.lagged_correlation([X, X[1:]], X, 0.5), "x must be an array of real numbers"),
        (lambda s: s.effective_samples(X[:10], X[:10]), "at least 16"),
        (lambda s: s.effective_samples(X[0], X[0]), r"give \(n,\) or \(n_trials, n\)"),
        (lambda s: s.chi_squared(X, X, 0.5, band_hz=(5, 2)), "^band_hz: "),
        (lambda s: s.chi_squared(X, X, 0.5, band_hz=(0, 2000)), "1000"),
        (lambda s: s.chi_squared(X, X, 0.5, band_hz=5), "band_hz must be"),
        (lambda s: s.chi_squared(X, X, 0.5, count=1e20), "^count"),
        (lambda s: s.log_ratio(X, X, 0.5, bin_hz=1e-3), "^bin_hz = 0.001 "),
        (lambda s: s.coherence(X, X, 0.5, alpha=2), "^alpha: "),
    ],
)
def test_a_wrong_argument_is_one_sentence(call: Callable[[Any], object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        call(statistics)
    assert "\n" not in str(caught.value)
