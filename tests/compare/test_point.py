"""The statistics of a point, recomputed from the traces with NumPy and SciPy alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal, special, stats

from hpcmass.compare.point import compare_point
from hpcmass.config import CompareParameters, MassParameters, NetworkParameters
from hpcmass.mass import Traces
from hpcmass.mass.registry import MassModel, mass_model, models_named
from hpcmass.store.schema import COMPARISON_VARIABLES

NETWORK = NetworkParameters(dt_ms=0.5, duration_ms=2500.0, transient_ms=500.0)
COMPARE = CompareParameters(max_lag_ms=30.0, band_hz=(0.0, 100.0))
LATE = {0: 4, 1: 4, 2: 11}  # samples by which the model is late in each trial


@pytest.fixture
def late_model(monkeypatch: pytest.MonkeyPatch) -> str:
    """A registered model that repeats the network later, more slowly and with an offset, by LATE samples."""
    models_named(("CFM",))
    from hpcmass.mass import registry

    monkeypatch.setattr(registry.MODELS, "entries", dict(registry.MODELS.entries))

    @mass_model("late")
    def late(traces: Traces, network: NetworkParameters, mass: MassParameters) -> np.ndarray:
        noise = np.random.default_rng(int(traces.phi_I[0])).standard_normal(network.n_steps)
        return 5.0 + 0.5 * np.roll(traces.mean_v.astype(float), LATE[int(traces.phi_I[0])]) + 0.05 * noise

    return "late"


@pytest.fixture
def recordings() -> list[tuple[int, Traces]]:
    listed = []
    for k in LATE:
        rng = np.random.default_rng(100 + k)
        v = signal.lfilter([0.3], [1, -0.95], rng.standard_normal(NETWORK.n_steps))
        v[: NETWORK.n_transient] += 20  # a transient that must not be seen
        zero = np.zeros(NETWORK.n_steps, "f4")
        listed.append((k, Traces((v - 60).astype("f4"), zero, np.full_like(zero, k), zero)))
    return listed


def test_every_statistic(late_model, recordings):
    result = compare_point(recordings, 5, NETWORK, MassParameters(models=(late_model,)), COMPARE)
    model: MassModel = models_named((late_model,))[late_model]
    first = NETWORK.n_transient
    lif = np.array([traces.mean_v[first:].astype(float) for _, traces in recordings])
    late = np.array([model(traces, NETWORK, MassParameters())[first:] for _, traces in recordings])

    window = signal.windows.hamming(lif.shape[1], sym=False)
    f, s_lif = signal.periodogram(lif, 2000.0, window=window, detrend="constant")
    s_late = signal.periodogram(late, 2000.0, window=window, detrend="constant")[1]
    for spectrum, found, median in (
        (s_lif, result["spectrum_lif"], result["median_frequency_lif"]),
        (s_late, result["spectrum"][0], result["median_frequency"][0]),
    ):
        mean = spectrum.mean(axis=0)[1:]
        np.testing.assert_allclose(found, mean[:200].reshape(50, 4).mean(axis=1), rtol=1e-6)
        half = f[1:][np.searchsorted(np.cumsum(mean), mean.sum() / 2)]
        assert median == pytest.approx(half, abs=f[1])
    count = 3 * 50
    p, q = (spectrum / spectrum.sum() * count for spectrum in (result["spectrum_lif"], result["spectrum"][0]))
    assert result["histogram_count"] == count
    assert result["chi2"][0] == pytest.approx(np.sum((p - q) ** 2 / (p + q)))
    assert result["chi2_dof"][0] == 49
    assert result["chi2_pvalue"][0] == pytest.approx(stats.chi2.sf(result["chi2"][0], 49))

    assert result["mean_v_lif"] == pytest.approx(lif.mean())
    assert result["sd_v_lif"] == pytest.approx(np.sqrt(lif.var(axis=1).mean()))
    assert result["mean_v_model"][0] == pytest.approx(late.mean())
    assert result["sd_v_model"][0] == pytest.approx(np.sqrt(late.var(axis=1).mean()))

    rho = [np.corrcoef(a[:-d], b[d:])[0, 1] for a, b, d in zip(lif, late, LATE.values(), strict=True)]
    np.testing.assert_allclose(result["rho_trial"][:3, 0], rho, atol=1e-9)
    assert np.isnan(result["rho_trial"][3:]).all()
    np.testing.assert_allclose(result["lag_trial"][:3, 0], [2.0, 2.0, 5.5])  # ms; positive: the model is late
    assert result["lag"][0] == 2.0  # the median
    assert result["rho_z"][0] == pytest.approx(np.arctanh(rho).mean())
    assert result["rho_se_trials"][0] == pytest.approx(stats.sem(np.arctanh(rho)))
    assert result["rho_agrees"][0] == (result["rho"][0] > 0.9)
    assert (result["n_compared"], result["n_diverged"][0]) == (3, 0)

    errors(result, lif, late, count)

    window_ms = slice(first, first + 1000)
    np.testing.assert_array_equal(result["example_v_lif"], recordings[0][1].mean_v[window_ms])
    np.testing.assert_array_equal(result["example_v"][0], model(recordings[0][1], NETWORK, MassParameters())[window_ms])


def errors(result: dict, lif: np.ndarray, late: np.ndarray, count: int) -> None:
    """Every uncertainty, peak, coherence and error of the moments, from the definitions."""
    window = signal.windows.hamming(lif.shape[1], sym=False)
    f, x, y = (signal.csd(a, b, 2000.0, window, nperseg=lif.shape[1], detrend="constant")[i]
               for i, a, b in ((0, lif, lif), (1, lif, lif), (1, late, late)))  # fmt: skip
    cross = signal.csd(lif, late, 2000.0, window, nperseg=lif.shape[1], detrend="constant")[1]
    p, q, c = (s[:, 1:201].reshape(3, 50, 4).mean(axis=2) for s in (x.real, y.real, cross))
    np.testing.assert_allclose(result["spectrum_lif_se"], stats.sem(p, axis=0), rtol=1e-6)
    np.testing.assert_allclose(result["spectrum_se"][0], stats.sem(q, axis=0), rtol=1e-6)
    medians = [f[np.searchsorted(np.cumsum(s), s.sum() / 2)] for s in x.real]
    np.testing.assert_allclose(result["median_frequency_lif_trial"][:3], medians, atol=f[1])
    assert np.isnan(result["median_frequency_lif_trial"][3:]).all()
    assert result["median_frequency_lif_se"] == pytest.approx(stats.sem(medians), abs=f[1])
    assert result["peak_power"][0] == pytest.approx(q.mean(axis=0).max(), rel=0.05)
    assert abs(result["peak_frequency"][0] - (2 * np.argmax(q.mean(axis=0)) + 1)) <= 1.0

    def jackknife(statistic):
        each = [statistic(np.delete(np.arange(3), i)) for i in range(3)]
        return np.sqrt(2 / 3 * np.sum((np.array(each) - np.mean(each, axis=0)) ** 2, axis=0))

    def chi2(trials):
        a, b = (s[trials].mean(axis=0) / s[trials].mean(axis=0).sum() * count for s in (p, q))
        return np.sum((a - b) ** 2 / (a + b))

    def coherence(trials):
        return np.abs(c[trials].mean(axis=0)) ** 2 / p[trials].mean(axis=0) / q[trials].mean(axis=0)

    assert result["chi2_se"][0] == pytest.approx(jackknife(chi2))
    without = [chi2(np.delete(np.arange(3), i)) for i in range(3)]
    np.testing.assert_allclose(result["chi2_without_trial"][:3, 0], without)
    assert np.isnan(result["chi2_without_trial"][3:]).all()
    np.testing.assert_allclose(result["coherence"][0], coherence(np.arange(3)), rtol=1e-6)
    np.testing.assert_allclose(result["coherence_se"][0], jackknife(coherence), rtol=1e-5, atol=1e-9)
    k = 3 * 4 / (1 + 2 * (3 / 4 * (0.23 * 1.08 / 0.3974) ** 2 + 2 / 4 * (0.23**2 / 0.3974) ** 2))
    np.testing.assert_allclose(result["coherence_threshold"], 1 - 0.01 ** (1 / (k - 1)), rtol=1e-3)
    shared = (k * coherence(np.arange(3)) - 1) / (k - 1)
    assert result["coherence_mean"][0] == pytest.approx(np.average(shared, weights=p.mean(axis=0)), rel=1e-3)
    assert 0 < result["coherence_mean_se"][0] < 0.1
    d = np.log(p.mean(axis=0) / q.mean(axis=0))
    beyond = np.mean((d - d.mean()) ** 2) - np.mean(2 * special.polygamma(1, k) * (1 - np.maximum(shared, 0)))
    assert result["spectral_distance"][0] == pytest.approx(10 / np.log(10) * np.sqrt(max(beyond, 0)), abs=0.02)
    assert 0 <= result["spectral_distance_se"][0] < 5

    difference = late.mean(axis=1) - lif.mean(axis=1)
    assert result["mean_error"][0] == pytest.approx(difference.mean())
    assert result["mean_error_se"][0] == pytest.approx(stats.sem(difference))
    ratio = np.log(late.var(axis=1) / lif.var(axis=1))
    assert result["log_variance_ratio"][0] == pytest.approx(ratio.mean())
    assert result["log_variance_ratio_se"][0] == pytest.approx(stats.sem(ratio))
    assert result["mean_v_lif_se"] == pytest.approx(stats.sem(lif.mean(axis=1)))
    sd = np.sqrt(lif.var(axis=1).mean())
    assert result["sd_v_lif_se"] == pytest.approx(stats.sem(lif.var(axis=1)) / (2 * sd))
    assert result["lag_se"][0] == pytest.approx(stats.sem([2.0, 2.0, 5.5]))


def test_a_fitted_model_predicts_each_trial_from_the_others(recordings):
    """V that follows Φ in two trials and not in the third: the third's prediction follows, the others' do not."""
    rng = np.random.default_rng(8)
    listed = []
    for k, (_, traces) in enumerate(recordings):
        phi = rng.gamma(4.0, 5.0, NETWORK.n_steps)
        v = -60 + signal.lfilter([0.02], [1, -0.98], phi) if k < 2 else traces.mean_v.astype(float)
        listed.append((k, Traces(v + 0.01 * rng.standard_normal(v.size), phi, np.zeros(v.size), np.zeros(v.size))))
    found = compare_point(listed, 3, NETWORK, MassParameters(models=("CFM", "LIN")), COMPARE)
    rho = found["rho_trial"][:, 1]
    assert rho[2] < 0.3  # its own V was not used
    assert (rho[:2] > 0.6).all()
    assert (found["n_diverged"] == 0).all()


def test_one_trial_has_statistics_but_no_errors(recordings):
    result = compare_point(recordings[:1], 3, NETWORK, MassParameters(), COMPARE)
    for name, values in result.items():
        if name.endswith(("_se", "_se_trials")) and name != "rho_se":
            assert np.isnan(values).all(), name
    for name in ("coherence_mean", "spectral_distance", "mean_error", "chi2", "peak_frequency"):
        assert np.size(result[name]) == 2, name
    assert np.isnan(result["spectrum"]).sum() == 0


def test_results_have_the_schemas_names_and_shapes(recordings):
    result = compare_point(recordings, 3, NETWORK, MassParameters(), COMPARE)
    lengths = {"model": 2, "frequency": 50, "trial": 3, "window": 1000}
    for name, values in result.items():
        expected = tuple(lengths[dim] for dim in COMPARISON_VARIABLES[name].dimensions(()))
        assert np.shape(values) == expected, name


def test_given_count_replaces_trials_times_components(recordings):
    settings = COMPARE.model_copy(update={"histogram_count": 1e4})
    default = compare_point(recordings, 3, NETWORK, MassParameters(), COMPARE)
    given = compare_point(recordings, 3, NETWORK, MassParameters(), settings)
    assert given["histogram_count"] == 1e4
    np.testing.assert_allclose(given["chi2"], default["chi2"] * 1e4 / 150)


def test_no_trial_is_a_result():
    assert compare_point([], 3, NETWORK, MassParameters(), COMPARE) == {"n_compared": 0}
