"""A recording in memory is compared as one in a sweep file is; what is wrong with it is one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcmass import Experiment, compare_recording, simulate
from hpcmass.errors import UserError
from hpcmass.mass import Traces
from hpcmass.store.labelled import comparison_dataset
from hpcmass.store.schema import COMPARISON_VARIABLES

TRACES = ("mean_v", "phi_E", "phi_I", "phi_ext")
MODELS = ("CFM", "MFM")


@pytest.fixture
def trials(trial_values: Callable[[tuple[int, ...]], dict[str, Any]]) -> dict[str, np.ndarray]:
    """Two trials of one point of the synthetic sweep, (trial, time): all that are done there."""
    values = [trial_values((0, 0, 0, trial)) for trial in (0, 2)]
    return {name: np.array([each[name] for each in values]) for name in (*TRACES, "mean_i_syn")}


SETTINGS: dict[str, Any] = {
    "dt_ms": 0.5,
    "transient_ms": 500.0,
    "network": {"tau_m_ms": 10.0},
    "compare": {"max_lag_ms": 40.0, "band_hz": [0.0, 200.0]},
}


def test_it_is_the_comparison_of_a_sweep(trials: dict[str, np.ndarray], compared: tuple[Path, ...]) -> None:
    found = compare_recording(*(trials[name] for name in TRACES), models=MODELS, **SETTINGS)
    with comparison_dataset(compared[1]) as data:
        point = data.isel(p=0, lam=0, tau_m_ms=0)
        for name, values in found.to_xarray().drop_dims("trial").data_vars.items():
            np.testing.assert_allclose(values, point[name], rtol=1e-6, atol=1e-9, equal_nan=True, err_msg=str(name))
            assert values.attrs["units"] == COMPARISON_VARIABLES[str(name)].unit
        assert found["MFM"].rho == pytest.approx(float(point["rho"].sel(model="MFM")))
        assert found["MFM"].lag == pytest.approx(float(point["lag"].sel(model="MFM")))
        np.testing.assert_allclose(found["MFM"].spectrum, point["spectrum"].sel(model="MFM"), rtol=1e-6)
    assert list(found) == list(MODELS)
    assert "MFM" in found
    assert len(found) == 2
    table = found.to_dataframe()
    assert list(table.index) == list(MODELS)
    assert table.loc["CFM", "chi2"] == found["CFM"].chi2
    assert found.spectra.columns.tolist() == ["recording", *MODELS]
    assert found.spectra.index.tolist() == found.frequency_hz.tolist()


def test_one_trial_and_constant_input(trials: dict[str, np.ndarray]) -> None:
    found = compare_recording(trials["mean_v"][0], trials["phi_E"][0], 5, 0.0, models="MFM", **SETTINGS)
    assert list(found) == ["MFM"]
    assert isinstance(found["MFM"].rho_agrees, bool)
    assert isinstance(found["MFM"].n_diverged, int)
    assert "1 mass model against 1 trial of 3 s" in repr(found)
    assert "mean_error (mV)" in repr(found)
    assert "<table" in found._repr_html_()
    assert np.isnan(found.to_dataframe()["rho_se_trials"]).all()


def test_a_model_that_diverges_has_no_statistics(trials: dict[str, np.ndarray]) -> None:
    found = compare_recording(trials["mean_v"], 1e8, trials["phi_I"], trials["phi_ext"], models=MODELS, **SETTINGS)
    assert found["CFM"].n_diverged == 2
    assert np.isnan(found["CFM"].rho)
    (cfm,) = [line for line in repr(found).splitlines() if line.startswith("CFM")]
    assert set(cfm.split()[1:]) == {"diverged"}
    assert "NaN" not in found._repr_html_()
    assert found.to_dataframe()["rho"].dtype == np.float64


def test_wrong_units_are_noticed(trials: dict[str, np.ndarray], caplog: pytest.LogCaptureFixture) -> None:
    arrays = {name: trials[name] for name in TRACES}
    with pytest.raises(UserError, match=r"^mean_v is from .* mean_v seems to be in V; multiply it by 1000$"):
        compare_recording(**arrays | {"mean_v": arrays["mean_v"] / 1e3}, models=MODELS, **SETTINGS)
    compare_recording(**arrays, models=MODELS, **SETTINGS)
    assert not caplog.records
    settled = {"mean_v": arrays["mean_v"] - arrays["mean_v"].mean() - 70}
    per_s = {name: np.full_like(arrays[name], 1e3) for name in TRACES[1:]}
    compare_recording(**settled | per_s, models=MODELS, **SETTINGS)
    assert "the input seems to be in spikes per s" in caplog.text


def test_a_trace_that_a_model_needs_is_asked_for(trials: dict[str, np.ndarray]) -> None:
    arrays = [trials[name] for name in TRACES]
    with pytest.raises(UserError, match=r"^CLO needs mean_i_syn; give it by that name, or leave CLO out of models$"):
        compare_recording(*arrays, models=["MFM", "CLO"], **SETTINGS)
    found = compare_recording(*arrays, models=["MFM", "CLO"], mean_i_syn=trials["mean_i_syn"], **SETTINGS)
    assert np.isfinite(found["CLO"].rho)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phi_E": np.zeros((2, 6999))}, r"phi_E has shape \(2, 6999\) and mean_v \(2, 7000\)"),
        ({"phi_E": np.full((2, 7000), np.inf)}, r"phi_E\[0, 0\] is inf"),
        ({"phi_ext": None}, "phi_ext must be an array of real numbers"),
        ({"mean_v": 5.0}, r"mean_v has shape \(\)"),
        ({"mean_v": np.zeros((7000, 3))}, "mean_v has 3 steps"),
        ({"dt_ms": 0}, "dt_ms = 0"),
        ({"transient_ms": 1e6}, r"network\.transient_ms: must be shorter"),
        ({"network": {"tau_e_ms": 5}}, r"network\.tau_e_ms: unknown key; did you mean 'tau_E_ms'"),
        ({"network": {"tau_E_ms": 0.6}}, r"network\.tau_E_ms: must be at least two steps"),
        ({"models": ["MFN"]}, "^models: there is no mass model 'MFN'.*did you mean 'MFM'"),
        ({"models": []}, r"mass\.models"),
        ({"tau_s_ms": -1}, r"mass\.tau_s_ms"),
        ({"compare": {"alfa": 0.1}}, r"compare\.alfa: unknown key; did you mean 'alpha'"),
        ({"compare": {"max_lag_ms": 1e5}}, "max_lag_ms"),
    ],
)
def test_a_wrong_argument_is_one_sentence(trials: dict[str, np.ndarray], changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {name: trials[name] for name in TRACES} | SETTINGS | changes
    with pytest.raises(UserError, match=message) as caught:
        compare_recording(**arguments)
    assert "\n" not in str(caught.value)


def test_an_unknown_model_in_the_result(trials: dict[str, np.ndarray]) -> None:
    found = compare_recording(*(trials[name] for name in TRACES), models=MODELS, **SETTINGS)
    with pytest.raises(UserError, match="there is no model 'MFN' in this comparison; did you mean 'MFM'"):
        found["MFN"]


def test_a_simulated_trial_is_a_recording() -> None:
    network: Any = {"n_neurons": 100, "n_external": 100, "duration_ms": 600.0, "transient_ms": 100.0,
                    "external_rate_hz": 60.0, "w_ext": 0.5, "w_E": 0.02}  # fmt: skip
    trial = simulate(Experiment(grid={"p": 0.2, "lam": 0.8}, network=network), 0.2, 0.8)
    found = trial.compare(["MFM", "CLO"], compare={"max_lag_ms": 20})
    traces = {name: getattr(trial.recording, name) for name in Traces.__dataclass_fields__}
    again = compare_recording(
        **traces, dt_ms=0.1, transient_ms=100, network=network, models=["MFM", "CLO"], compare={"max_lag_ms": 20}
    )
    assert found["MFM"].rho == pytest.approx(again["MFM"].rho)
    assert found["CLO"].chi2 == pytest.approx(again["CLO"].chi2)
    assert list(trial.compare()) == list(trial.experiment.mass.models)
    with pytest.raises(UserError, match=r"compare\.max_lag: unknown key; did you mean 'max_lag_ms'"):
        trial.compare(compare={"max_lag": 20})
