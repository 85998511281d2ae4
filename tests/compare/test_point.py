"""The statistics of a point, recomputed from the traces with NumPy and SciPy alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal, stats

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

    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))

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

    window_ms = slice(first, first + 1000)
    np.testing.assert_array_equal(result["example_v_lif"], recordings[0][1].mean_v[window_ms])
    np.testing.assert_array_equal(result["example_v"][0], model(recordings[0][1], NETWORK, MassParameters())[window_ms])


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
