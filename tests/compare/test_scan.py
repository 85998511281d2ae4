"""A scanned parameter of the mass models is one more axis of the comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hpcmass import open_comparison
from hpcmass.cli import main
from hpcmass.compare.pipeline import compare_sweep
from hpcmass.config import MassParameters
from hpcmass.errors import UserError
from hpcmass.plots.figures import all_figures
from hpcmass.plots.requested import requested
from hpcmass.plots.sheets import SHEETS, sheet
from hpcmass.plots.view import open_view
from hpcmass.report.plane_variables import plane_variables
from hpcmass.summary import summarise

MODELS = """
from hpcmass import Parameter, mass_model

def late(traces, network, mass, steps):
    import numpy as np
    return np.roll(traces.mean_v.astype("f8"), int(steps))

def kept(traces, network, mass, share, rho=0.0):
    return share * traces.mean_v.astype("f8") + 0.1 * traces.phi_E

mass_model("LATE", parameters={"steps": Parameter(0.0, "1", "delay", ge=0, le=100)})(late)
mass_model("LATER", parameters={"steps": Parameter(0.0)})(late)
mass_model("KEPT", parameters={"share": Parameter(0.5, "1", ge=0), "rho": Parameter(0.0)})(kept)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def scanned(compared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scanned") / "scan.h5"
    summary = compare_sweep(compared[0], path, scan={"tau_s_ms": [2, 5, 10]})
    assert (summary.n_points, summary.n_points_compared, summary.n_points_new, summary.n_values) == (24, 24, 24, 3)
    assert summary.n_diverged == {"CFM": 6, "MFM": 6}
    return path


def test_each_value_is_the_comparison_with_that_value(scanned: Path, compared, tmp_path: Path) -> None:
    compare_sweep(compared[0], tmp_path / "ten.h5", mass=MassParameters(tau_s_ms=10.0))
    with h5py.File(scanned) as scan:
        assert scan["tau_s_ms"][()].tolist() == [2, 5, 10]
        assert scan["tau_s_ms"].attrs["units"] == "ms"
        assert dict(scan.attrs)["scan"] == "mass.tau_s_ms"
        for i, path in ((1, compared[1]), (2, tmp_path / "ten.h5")):
            with h5py.File(path) as alone:
                for name in alone:
                    values = scan[name][()]
                    if (
                        alone[name].ndim
                        and "p" in [d[0].name[1:] for d in alone[name].dims if len(d)][:1]
                        and name != "p"
                    ):
                        values = values[:, :, :, i]
                    np.testing.assert_array_equal(values, alone[name][()], err_msg=name)


def test_the_same_command_continues_and_another_scan_is_refused(scanned: Path, compared) -> None:
    assert compare_sweep(compared[0], scanned, scan={"tau_s_ms": [2, 5, 10]}).n_points_new == 0
    for other in ({"tau_s_ms": [2, 5, 11]}, {"tau_s_ms": [2, 5]}, None):
        with pytest.raises(UserError, match="was made with another scan of a parameter"):
            compare_sweep(compared[0], scanned, scan=other)


@pytest.mark.slow
def test_maps_lines_and_the_best_value(scanned: Path, tmp_path: Path) -> None:
    with open_comparison(scanned) as comparison:
        assert comparison.axes["tau_s_ms"] == (2.0, 5.0, 10.0)
        assert comparison.map("rho", model="MFM").dims == ("tau_m_ms", "tau_s_ms", "lam", "p")
        line = comparison.line("rho", along="tau_s_ms", model="MFM", p=0.1, lam=0.7, tau_m_ms=10)
        best = comparison.best(model="MFM")
        assert best.dims == ("tau_m_ms", "lam", "p")
        assert best.attrs["units"] == "ms"
        assert best.sel(p=0.1, lam=0.7, tau_m_ms=10) == line.idxmax("tau_s_ms")
        assert np.isnan(best.sel(p=0.2, lam=0.7)).all(), "diverged at every value"
        table = comparison.summary()
        assert "best tau_s_ms (ms)" in table
        assert "each at the tau_s_ms of the largest ρ" in " ".join(table.split())
    with open_view(scanned, fixed={"tau_s_ms": 5}) as view:
        panels = SHEETS["best_value"][1](view)
        assert [panel.title for panel in panels] == ["CFM", "MFM"]
        np.testing.assert_array_equal(panels[1].values, best.isel(tau_m_ms=0))
        assert panels[0].dimmed is not None
    with open_view(scanned, axes=("p", "tau_s_ms")) as view:
        assert SHEETS["best_value"][1](view) == []
    assert main(["plot", str(scanned), "-o", str(tmp_path / "maps"), "--at", "tau_s_ms=5"]) == 0
    assert (tmp_path / "maps" / "best_value.png").exists()
    assert '"name":"best_tau_s_ms"' in (tmp_path / "maps" / "report.html").read_text()


@pytest.fixture(scope="module")
def steps(compared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a scan of a parameter that only one of two models has."""
    directory = tmp_path_factory.mktemp("steps")
    (directory / "my.py").write_text(MODELS)
    models = ["MFM", f"{directory}/my.py:LATE"]
    compare_sweep(compared[0], directory / "scan.h5", models=models, scan={"LATE.steps": [0, 20]})
    return directory / "scan.h5"


def test_a_model_without_the_parameter_has_no_best_value(steps: Path) -> None:
    with open_view(steps) as view:
        shown = SHEETS["best_value"][1](view)
        assert [(panel.title, panel.scale.label) for panel in shown] == [("LATE", "best LATE.steps")]
        figure = sheet(view, "best_value")
        assert figure is not None
        (legend,) = figure.legends
        assert legend.get_title().get_text().endswith("at tau_m_ms = 10")  # not at a value of the parameter
        (figure,) = (figure for name, figure in all_figures(view, None, ["lag"]))
        assert figure.legends[0].get_title().get_text().endswith("at tau_m_ms = 10, LATE.steps = 0")
        assert view.of_models(["MFM"]).models == ("MFM",)
        assert SHEETS["best_value"][1](view.of_models(["MFM"])) == []
        assert [each.source for each in requested(view, ["best"])] == ["LATE"]
        with pytest.raises(UserError, match="best has no 'MFM'; it has LATE"):
            requested(view, ["best:MFM"])
        best = next(v for v in plane_variables(view.data) if v.name == "best_steps")
        assert list(best.sources) == ["LATE"]
    with open_view(steps, axes=("p", "steps")) as view:
        assert view.plane.up_label == "LATE.steps"
    with open_comparison(steps) as comparison:
        assert comparison.best()["model"].values.tolist() == ["LATE"]
        with pytest.raises(UserError, match=r"LATE\.steps is not a parameter of MFM; leave model out"):
            comparison.best(model="MFM")
    mfm, late = summarise(steps).models
    assert (mfm.best, list(late.best)) == ({}, ["steps"])
    assert "steps" in late.ranges
    assert "steps" not in mfm.ranges
    assert summarise(steps).criterion.endswith("0.01, each at the LATE.steps of the largest ρ")
    assert max(map(len, summarise(steps).text().splitlines())) <= 100


def test_without_a_scan_there_is_no_best_value(compared) -> None:
    with (
        open_comparison(compared[1]) as comparison,
        pytest.raises(UserError, match="has no scanned parameter; compare"),
    ):
        comparison.best()


@pytest.mark.slow
@pytest.mark.process
def test_a_parameter_of_an_own_model(make_sweep, folder: Path, same_contents) -> None:
    sweep = str(make_sweep())
    command = ["compare", sweep, "--models", "MFM,my.py:LATE", "--scan", "LATE.steps=0:20:3"]
    assert main([*command, "-o", "one.h5"]) == 0
    assert main([*command, "-o", "two.h5", "-j", "2"]) == 0
    same_contents(folder / "one.h5", folder / "two.h5")
    with open_comparison("one.h5") as comparison:
        lag = comparison.map("lag", model="LATE").sel(p=0.1, lam=0.7).isel(tau_m_ms=0)
        np.testing.assert_allclose(lag, [0, 5, 10])
        constant = comparison.map("rho", model="MFM")
        np.testing.assert_array_equal(constant.isel(steps=0), constant.isel(steps=2))


@pytest.mark.parametrize(
    ("models", "scan", "message"),
    [
        ([], {"tau_s_m": [1, 2]}, "scan: there is no parameter 'tau_s_m' of the mass models; did you mean 'tau_s_ms'?"),
        ([], {"tau_s_ms": [0, 2]}, "scan: tau_s_ms: 0 is outside the allowed range, > 0"),
        ([], {"tau_s_ms": [2, 1]}, "values must increase strictly"),
        ([], {"tau_s_ms": [2]}, "give at least two values"),
        ([], {"tau_s_ms": "2"}, "give a number, a list of numbers"),
        ([], {"tau_s_ms": [1, 2], "x": [1]}, "give one parameter and its values"),
        (["my.py:LATE", "my.py:LATER"], {"steps": [1, 2]}, "several models have a parameter steps; give LATE.steps or"),
        (["my.py:LATE"], {"LATE.step": [1, 2]}, "did you mean 'LATE.steps'?"),
        (["my.py:LATE"], {"steps": [1, 200]}, r"steps: 200 is outside the allowed range, \[0, 100\]"),
        (["my.py:KEPT"], {"rho": [1, 2]}, "rho has another meaning in this comparison; give the parameter of KEPT"),
    ],
)
def test_a_wrong_scan_is_one_sentence(models: list[str], scan: dict[str, Any], message: str, compared, folder) -> None:
    with pytest.raises(UserError, match=message):
        compare_sweep(compared[0], "c.h5", models=models or None, scan=scan)
    assert not Path("c.h5").exists()


@pytest.mark.parametrize("text", ["tau_s_ms", "tau_s_ms=2:10", "tau_s_ms=a,b", "=2:10:9", "tau_s_ms=2:10:x"])
def test_a_scan_on_the_command_line(text: str, compared, folder: Path, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(["compare", str(compared[0]), "-o", "c.h5", "--scan", text])
    assert end.value.code == 2
    assert "give NAME=FIRST:LAST:N or NAME=VALUE,VALUE,…, such as tau_s_ms=2:10:9" in capsys.readouterr().err
