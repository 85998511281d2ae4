"""Statistics of one's own: values, errors, p-values, guards, and everything that shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.stats

from hpcmass import open_comparison, statistic
from hpcmass.cli import main
from hpcmass.compare import own
from hpcmass.compare.own import STATISTICS, statistics_of
from hpcmass.compare.pipeline import compare_sweep
from hpcmass.compare.recorded import compare_recording
from hpcmass.config import CompareParameters
from hpcmass.errors import UserError
from hpcmass.plots.sheets import SHEETS
from hpcmass.plots.view import open_view
from hpcmass.store.schema import TRACES

STATS = """
import numpy as np
from hpcmass import statistic

@statistic("rms_error", unit="mV", meaning="root-mean-square error")
def rms_error(network, model, dt_ms):
    return np.sqrt(np.mean((model - network) ** 2))

@statistic("roughness", unit="mV/ms")
def roughness(trace, dt_ms):
    return float(np.abs(np.diff(trace)).mean() / dt_ms)

@statistic("bias", unit="mV", pvalue=True)
def bias(network, model, dt_ms):
    difference = (model - network)[::200]
    return difference.mean(), float(np.exp(-np.abs(difference).mean()))
"""
ALL = ("my_stats.py:rms_error", "my_stats.py:roughness", "my_stats.py:bias")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a file of statistics; what a test registers is forgotten after it."""
    monkeypatch.setattr(STATISTICS, "entries", dict(STATISTICS.entries))
    (tmp_path / "my_stats.py").write_text(STATS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def with_own(make_sweep, tmp_path: Path) -> Path:
    """Give a comparison with three own statistics."""
    compare_sweep(make_sweep(), tmp_path / "own.h5", statistics=ALL)
    return tmp_path / "own.h5"


def test_they_are_means_over_the_trials(with_own: Path, compared) -> None:
    with h5py.File(with_own) as file, h5py.File(compared[0]) as sweep:
        point = (1, 0, 0)
        network = sweep["mean_v"][point][:, 1000:].astype("f8")  # three trials; in the third the models diverge
        own_values = np.abs(np.diff(network)).mean(axis=1) / 0.5
        np.testing.assert_allclose(file["roughness_lif_trial"][point], own_values)
        np.testing.assert_allclose(file["roughness_lif"][point], own_values.mean())
        np.testing.assert_allclose(file["roughness_lif_se"][point], own_values.std(ddof=1) / np.sqrt(3))
        assert np.isnan(file["rms_error"][point]).all(), "the models diverged in a trial"
        assert np.isfinite(file["rms_error_trial"][point][:2]).all()
        assert np.isnan(file["rms_error_trial"][point][2]).all()
        trials = file["rms_error_trial"][0, 0, 0]  # the second is pending
        np.testing.assert_allclose(file["rms_error"][0, 0, 0], np.nanmean(trials, axis=0))
        np.testing.assert_allclose(file["rms_error_se"][0, 0, 0], np.abs(trials[0] - trials[2]) / 2)
        assert file["rms_error"].attrs["units"] == "mV"
        assert file["rms_error"].attrs["long_name"] == "root-mean-square error"
        assert "rms_error_lif" not in file
        assert "rms_error_pvalue" not in file
        listed = json.loads(file.attrs["own_statistics"])
        assert [each["name"] for each in listed] == ["rms_error", "roughness", "bias"]
        assert set(json.loads(file.attrs["own_code"])) == {"rms_error", "roughness", "bias"}


def test_everything_else_is_as_without_them(with_own: Path, compared) -> None:
    with h5py.File(with_own) as file, h5py.File(compared[1]) as plain:
        for name in plain:
            np.testing.assert_array_equal(file[name][()], plain[name][()], err_msg=name)


def test_p_values_are_combined_and_adjusted_over_the_map(with_own: Path) -> None:
    with h5py.File(with_own) as file:
        p, q = file["bias_pvalue"][()], file["bias_qvalue"][()]
        assert np.isfinite(p).sum() > 4
        for m in range(2):
            defined = np.isfinite(p[..., m])
            expected = scipy.stats.false_discovery_control(p[defined, m])
            np.testing.assert_allclose(q[defined, m], expected)
        assert np.isnan(q[~np.isfinite(p)]).all()
    found = own._over_trials(np.array([1.0, np.nan, 2.0]), np.array([0.02, np.nan, 0.4]))
    assert found[0] == 1.5
    np.testing.assert_allclose(found[2], scipy.stats.combine_pvalues([0.02, 0.4]).pvalue)
    assert own._over_trials(np.array([1.0, 2.0]), np.array([0.0, 0.5]))[2] == 0


@pytest.mark.slow
def test_maps_tables_summary_and_page(with_own: Path, folder: Path) -> None:
    with open_comparison(with_own) as comparison:
        assert comparison.map("rms_error", model="MFM").attrs["units"] == "mV"
        assert comparison.line("roughness_lif", along="p", lam=0.7, tau_m_ms=10).dims == ("p",)
        assert {"rms_error", "bias_qvalue", "roughness_lif"} <= set(comparison.to_dataframe().columns)
        assert "rms_error (mV)" in comparison.summary()
        with pytest.raises(UserError, match="there is no variable 'rms_eror'; did you mean 'rms_error'"):
            comparison.map("rms_eror")
    with open_view(with_own) as view:
        titles = [panel.title for panel in SHEETS["own_statistics"][1](view)]
        assert titles == [
            "rms_error: CFM", "rms_error: MFM", "roughness: network", "roughness: CFM", "roughness: MFM",
            "bias: CFM", "bias: MFM",
        ]  # fmt: skip
    assert main(["plot", str(with_own), "-o", "maps"]) == 0
    assert (folder / "maps" / "own_statistics.png").exists()
    assert '"name":"rms_error"' in (folder / "maps" / "report.html").read_text()


@pytest.mark.process
def test_the_same_in_processes(with_own: Path, make_sweep, same_contents, folder: Path) -> None:
    assert main(["compare", "sweep.h5", "-o", "two.h5", "-j", "2", "--statistics", ",".join(ALL)]) == 0
    same_contents(with_own, folder / "two.h5")


def test_what_only_this_process_knows(make_sweep, folder: Path) -> None:
    @statistic("mine")
    def mine(network, model, dt_ms):
        return 1

    assert compare_sweep(make_sweep(), "c.h5", statistics=["mine"]).n_trials == 20
    with h5py.File("c.h5") as file:
        assert np.nanmax(file["mine"][()]) == np.nanmin(file["mine"][()]) == 1


@pytest.mark.process
def test_a_worker_that_does_not_know_it(make_sweep, folder: Path) -> None:
    statistic("mine")(lambda network, model, dt_ms: 1.0)
    with pytest.raises(UserError, match=r"does not know the statistic mine, .*FILE.py:mine, or compare with one job"):
        compare_sweep(make_sweep(), "c.h5", statistics=["mine"], jobs=2)


def test_of_arrays_and_trials(trial_values) -> None:
    traces = trial_values((0, 0, 0, 0))
    found = compare_recording(**{name: traces[name] for name in TRACES}, dt_ms=0.5, compare={"statistics": list(ALL)})
    data = found.to_xarray()
    assert data["rms_error"].dims == ("model",)
    assert np.isfinite(data["roughness_lif"])
    assert {"bias", "bias_pvalue"} <= set(found.to_dataframe().columns)


def test_the_configuration_lists_them(make_sweep, folder: Path, capsys) -> None:
    text = "grid: {p: 0.1, lam: 0.8}\ncompare: {statistics: ['my_stats.py:rms_error']}\n"
    (folder / "my.yml").write_text(text)
    assert main(["validate", "my.yml"]) == 0
    (folder / "my.yml").write_text(text.replace("rms_error", "rms_eror"))
    assert main(["validate", "my.yml"]) == 2
    said = capsys.readouterr().err
    assert "compare.statistics: my_stats.py has no statistic 'rms_eror'; did you mean 'rms_error'?" in said


# What a statistic may do -----------------------------------------------------------------------------------------


def in_place(network, model, dt_ms):
    model -= network
    return model.mean()


def writeable(network, model, dt_ms):
    network.setflags(write=True)
    return 1.0


@pytest.mark.parametrize("function", [in_place, writeable])
def test_its_arguments_are_read_only(function: Any, make_sweep) -> None:
    statistic("BAD")(function)
    with pytest.raises(UserError, match=r"^at p = .*: the statistic BAD of CFM failed, .*read-only: change a copy$"):
        compare_sweep(make_sweep(), "c.h5", statistics=["BAD"])


@pytest.mark.parametrize(
    ("returned", "printed"),
    [
        (None, r"nothing \(None\)"), ("1", "a str"), ([1.0], "a list"), (np.zeros(3), "a ndarray"), (1j, "a complex"),
        (True, "a bool"), ((1.0, 0.5), "a tuple"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused(returned: Any, printed: str, make_sweep) -> None:
    statistic("BAD", unit="ms")(lambda network, model, dt_ms: returned)
    with pytest.raises(UserError, match=rf"the statistic BAD returned {printed}; it must return a number \(ms\)$"):
        compare_sweep(make_sweep(), "c.h5", statistics=["BAD"])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (1.0, r"returned a float; it must return a number and a p-value"),
        ((1.0, 0.5, 0.2), r"returned a tuple; it must return a number and a p-value"),
        ((1.0, "0.5"), r"returned a str; it must return"),
        ((1.0, 1.5), r"returned the p-value 1.5; it must be from 0 to 1, or NaN"),
    ],
)
def test_a_wrong_p_value_is_refused(returned: Any, message: str, make_sweep) -> None:
    statistic("BAD", pvalue=True)(lambda network, model, dt_ms: returned)
    with pytest.raises(UserError, match=f"the statistic BAD {message}"):
        compare_sweep(make_sweep(), "c.h5", statistics=["BAD"])


def test_what_is_undefined_is_left_out(make_sweep) -> None:
    values = iter([1.0, np.nan, np.inf, np.int64(3)] * 10)
    statistic("some")(lambda network, model, dt_ms: next(values))
    compare_sweep(make_sweep(), "c.h5", statistics=["some"])
    with h5py.File("c.h5") as file:
        trials, mean = file["some_trial"][()], file["some"][()]
        assert np.nanmax(trials) == 3
        defined = np.isfinite(mean)
        np.testing.assert_array_equal(mean[defined], np.nanmean(trials, axis=-2)[defined])


def test_an_error_names_the_statistic_and_the_line(make_sweep) -> None:
    def failing(network, model, dt_ms):
        raise ArithmeticError("no root")

    statistic("BAD")(failing)
    with pytest.raises(
        UserError, match=r"statistic BAD of CFM failed, ArithmeticError: no root \(test_own.py, line \d+"
    ):
        compare_sweep(make_sweep(), "c.h5", statistics=["BAD"])


@pytest.mark.parametrize(
    "name", ["", "my statistic", "1st", "rho", "p", "trial", "tau_m_ms", "x_se", "x_lif", "x_qvalue", 3]
)
def test_a_name_that_cannot_be_used(name: Any) -> None:
    with pytest.raises(ValueError, match="statistic"):
        statistic(name)(lambda network, model, dt_ms: 1.0)


@pytest.mark.parametrize(
    "function", [lambda: 1, lambda x: 1, lambda network, model: 1, lambda a, b, c, dt_ms: 1, 3, dict], ids=range(6)
)
def test_a_function_that_takes_something_else(function: Any) -> None:
    with pytest.raises(ValueError, match=r"must (take \(network, model, dt_ms\) or \(trace, dt_ms\)|be a function)"):
        statistic("BAD")(function)


def test_given_twice_and_unknown() -> None:
    with pytest.raises(UserError, match=r"compare.statistics: 'bias' is given twice"):
        statistics_of(CompareParameters(statistics=("my_stats.py:bias", "./my_stats.py:bias")))
    with pytest.raises(
        UserError,
        match=r"there is no statistic 'bias'; known statistics: none; give one in a file, statistics\.py:bias$",
    ):
        statistics_of(CompareParameters(statistics=("bias",)))
