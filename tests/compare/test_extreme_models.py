"""Models of any size within the physical range: statistics are exact or undefined, never overflowed silently."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import signal

from hpcmass.compare.point import compare_point
from hpcmass.compare.series import LEAST_MV, centred
from hpcmass.config import CompareParameters, MassParameters, NetworkParameters
from hpcmass.mass import Traces, mass_model, models_named, registry
from hpcmass.mass.traces import V_BOUND_MV

NETWORK = NetworkParameters(dt_ms=0.5, duration_ms=700.0, transient_ms=100.0)
COMPARE = CompareParameters(max_lag_ms=30.0, bin_hz=5.0, band_hz=(0.0, 200.0))
N = NETWORK.n_steps
QUIET = np.zeros(N)


def network_v(seed: int) -> np.ndarray:
    return -60 + signal.lfilter([0.3], [1, -0.95], np.random.default_rng(seed).standard_normal(N))


RECORDINGS = [(k, Traces(network_v(k), QUIET, QUIET, QUIET)) for k in range(2)]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give `compared(model)`: the statistics of a model; a warning of NumPy's is an error."""
    models_named(("CFM",))
    monkeypatch.setattr(registry.MODELS, "entries", dict(registry.MODELS.entries))

    def compare(model: Any) -> dict[str, Any]:
        registry.MODELS.entries.pop("M", None)
        mass_model("M")(model)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            return compare_point(RECORDINGS, 2, NETWORK, MassParameters(models=("M",)), COMPARE)

    return compare


FREE_OF_SCALE = ("rho", "rho_pvalue", "n_eff", "lag", "chi2", "chi2_pvalue", "log_ratio", "spectral_distance",
                 "coherence_mean", "median_frequency", "peak_frequency")  # fmt: skip


def following(size: float) -> Any:
    """A model that is the network's potential, later and with another spectrum, of this size (mV)."""
    return lambda traces, network, mass: size * np.tanh(np.roll(traces.mean_v + 60, 7))


@pytest.mark.parametrize("size", [V_BOUND_MV, 1e-3, 1e-12, 1e-20, 10 * LEAST_MV])
def test_statistics_do_not_depend_on_the_size(size, compared):
    here, usual = compared(following(size)), compared(following(1.0))
    assert usual["rho"][0] > 0.8
    for name in FREE_OF_SCALE:
        np.testing.assert_allclose(here[name], usual[name], rtol=1e-6, err_msg=name)
    assert here["log_variance_ratio"][0] == pytest.approx(usual["log_variance_ratio"][0] + 2 * np.log(size), rel=1e-6)


@pytest.mark.parametrize("size", [0.1 * LEAST_MV, 1e-160, 1e-200, 5e-324, 0.0])
def test_what_varies_by_less_is_constant(size, compared):
    found = compared(following(size))
    assert found["n_diverged"].tolist() == [0]
    assert found["sd_v_model"].tolist() == [0]
    for name in (*FREE_OF_SCALE, "log_variance_ratio"):
        assert np.isnan(found[name]).all(), name
    assert not centred(size * np.arange(5.0)).any()


def spike(v: np.ndarray) -> np.ndarray:
    v[N // 2] = V_BOUND_MV
    return v


@pytest.mark.parametrize(
    "model",
    [
        lambda traces, network, mass: np.where(np.arange(N) % 2, V_BOUND_MV, -V_BOUND_MV),
        lambda traces, network, mass: spike(np.zeros(N)),
        lambda traces, network, mass: spike(np.full(N, -60.0)),
        lambda traces, network, mass: V_BOUND_MV * np.sin(np.arange(N)),
    ],
    ids=["from end to end", "a spike from nothing", "a spike", "one line"],
)
def test_the_ends_of_the_physical_range_have_finite_statistics(model, compared):
    found = compared(model)
    assert found["n_diverged"].tolist() == [0]
    for name in FREE_OF_SCALE:
        assert np.isfinite(found[name]).all(), name
    assert not np.isinf([v for name in found for v in np.ravel(found[name])]).any()
