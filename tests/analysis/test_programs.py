"""The programs and the notebook of analysis/, run on a small sweep and its comparison."""

from __future__ import annotations

import importlib
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import nbformat
import numpy as np
import pytest
import xarray as xr
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from hpcmass.cli import main
from hpcmass.compare.pipeline import compare_sweep
from hpcmass.errors import UserError
from hpcmass.plots.view import open_view
from hpcmass.store.parts import SweepParts
from hpcmass.store.sweep_file import SweepFile
from hpcmass.sweep.run import run_sweep

ANALYSIS = Path(__file__).resolve().parents[2] / "analysis"
SHEETS = {
    "synchrony": ["rates", "synchrony"],
    "frequencies": ["median_frequency", "median_frequency_difference", "peak_frequency"],
    "spectra": ["chi_squared", "spectral_shape"],
    "correlations": ["coherence", "correlation", "lag"],
    "potentials": ["mean_error", "variance_error"],
}
CONFIG = """\
title: for the programs
trials: 2
root_seed: 5
network: {n_neurons: 100, n_external: 100, duration_ms: 400.0, transient_ms: 100.0,
  external_rate_hz: 60.0, w_ext: 0.5, w_E: 0.02, w_I: 0.1}
grid: {p: [0.0, 0.4, 1.0], lam: [0.5, 0.7]}
mass: {models: [CFM, MFM]}
compare: {max_lag_ms: 20.0, bin_hz: 20.0}
"""

Load = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def sweep(shared: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    def make(folder: Path) -> None:
        (folder / "config.yml").write_text(CONFIG)
        run_sweep(folder / "config.yml", folder / "sweep.h5")
        compare_sweep(folder / "sweep.h5", folder / "cmp.h5")

    return shared("analysis", make) / "sweep.h5"


@pytest.fixture(scope="module")
def comparison(sweep: Path) -> Path:
    return sweep.with_name("cmp.h5")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Give `load(name)`: a program as a module, as Python finds it when it is started."""
    monkeypatch.syspath_prepend(str(ANALYSIS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ANALYSIS)):
            del sys.modules[name]


def test_every_program_is_known_here():
    others = {"program", "points", "reduce", "refinement", "regions"}
    assert {p.stem for p in ANALYSIS.glob("*.py")} - others == set(SHEETS)


def test_a_program_from_the_shell(comparison: Path, tmp_path: Path, python_run: Callable[..., Any]):
    done = python_run(ANALYSIS / "potentials.py", comparison, "-o", tmp_path / "figures", "--formats", "png,pdf")
    names = [f"{name}.{kind}" for name in SHEETS["potentials"] for kind in ("png", "pdf")]
    assert done.stdout.split() == [str(tmp_path / "figures" / name) for name in names]
    assert all((tmp_path / "figures" / name).stat().st_size > 5000 for name in names)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(SHEETS))
def test_what_each_program_draws(name: str, comparison: Path, tmp_path: Path, load: Load, monkeypatch, capsys):
    load("program")
    monkeypatch.setattr(sys, "argv", [f"{name}.py", str(comparison), "-o", str(tmp_path / "f"), "--formats", "svg"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ANALYSIS / f"{name}.py"), run_name="__main__")
    assert end.value.code == 0
    assert sorted(Path(line).stem for line in capsys.readouterr().out.split()) == SHEETS[name]


def test_regions_are_printed_as_tables(comparison: Path, load: Load, monkeypatch, capsys):
    regions = load("regions")
    monkeypatch.setattr(sys, "argv", ["regions.py", str(comparison)])
    assert regions.main() == 0
    first, second = capsys.readouterr().out.strip().split("\n\n")
    for table in (first, second):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert first.splitlines()[2].startswith("| network | de-synchronised | ")
    assert "| CFM | the paper's χ² test finds no difference (p-value > 0.01) | " in first
    assert len(second.splitlines()) == 2 + 4 * 2
    monkeypatch.setattr(sys, "argv", ["regions.py", "none.h5"])
    assert regions.main() == 2
    assert "there is no file none.h5" in capsys.readouterr().err


def test_a_reduced_comparison(comparison: Path, tmp_path: Path, load: Load, capsys):
    """Numbers of maps and claims stay, curves stay where they are asked for, and the file is still a comparison."""
    reduce, small = load("reduce"), tmp_path / "small.h5"
    assert reduce.main([str(comparison), "-o", str(small), "--curves", "0.4,0.7"]) == 0
    assert capsys.readouterr().out.endswith("MB, curves of 1 point\n")
    with open_view(comparison) as whole, open_view(small) as view:
        assert view.data.attrs == whole.data.attrs
        assert view.data.variables.keys() == whole.data.variables.keys()
        for name, variable in whole.data.variables.items():
            kept = view.data[name]
            assert kept.dtype == variable.dtype
            if {"frequency", "window"} & set(variable.dims) and "p" in variable.dims:
                xr.testing.assert_identical(kept[1, 1].variable, variable[1, 1])
                assert bool(kept[:, 0].isnull().all())
            else:
                xr.testing.assert_identical(kept.variable, variable)
    tables = []
    for path in (comparison, small):
        assert main(["claims", str(path), "--csv", "--label", "x"]) == 0
        tables.append(capsys.readouterr().out.replace(str(path), ""))
    assert tables[0] == tables[1]
    assert reduce.main([str(comparison), "-o", str(small)]) == 2
    assert "exists; move it or name another output" in capsys.readouterr().err
    assert reduce.main([str(comparison), "-o", str(tmp_path / "o.h5"), "--curves", "0.3,0.7"]) == 2
    assert "p = 0.3 is not on the grid" in capsys.readouterr().err


@pytest.mark.long
def test_points_with_their_rasters(comparison: Path, sweep: Path, tmp_path: Path, load: Load):
    """The trial simulated again is the recorded one, so raster and traces belong together."""
    points = load("points")
    parser = points.parser_of("x")
    parser.add_argument("--point", type=points.pair, action="append", default=[])
    parser.add_argument("--no-rasters", action="store_true")
    shown = {}

    def make(view: Any, swept: Any, options: Any) -> dict[str, Any]:
        examples = points.choose(view, options.point)
        shown["spikes"] = points.rasters(view, swept, examples)
        figures = points.make(view, swept, options)
        shown["rows"] = len(figures["points"].axes) // len(examples)
        return figures

    arguments = [str(comparison), "-o", str(tmp_path), "--formats", "png", "--point", "0.4,0.7", "--point", "1,0.5"]
    assert points.run(make, parser, arguments) == 0
    assert (tmp_path / "points.png").stat().st_size > 20_000
    assert shown["rows"] == 4  # raster, potentials, inputs, spectra
    with SweepFile(sweep) as file:
        rate = {(0.4, 0.7): file.variable("rate_E")[1, 1, 0], (1.0, 0.5): file.variable("rate_E")[2, 0, 0]}
    for (row, column), spikes in shown["spikes"].items():
        p, lam = (0.0, 0.4, 1.0)[column], (0.5, 0.7)[row]
        counted = (spikes.time_ms >= 100.0) & (spikes.neuron < spikes.n_excitatory)
        assert counted.sum() / spikes.n_excitatory / 0.3 == pytest.approx(rate[p, lam], rel=0.01)


def test_a_raster_of_another_course_is_announced(comparison: Path, sweep: Path, tmp_path: Path, load: Load, capsys):
    points = load("points")
    other = tmp_path / "sweep.h5"
    shutil.copy(sweep, other)
    with h5py.File(other, "r+") as file:
        file["mean_v"][1, 1, 0, 200] += 1
    with open_view(comparison) as view, SweepParts([other]) as swept:
        points.rasters(view, swept, points.choose(view, [(0.4, 0.7), (1.0, 0.5)]))
    printed = capsys.readouterr().err
    assert printed.count("differ") == 1
    assert "p = 0.4, λ = 0.7" in printed


def test_mistakes_are_one_sentence(comparison: Path, tmp_path: Path, load: Load, capsys):
    program = load("program")
    make = program.sheets_of("lag")
    for arguments, message in (
        ([str(tmp_path / "none.h5")], "there is no file"),
        ([str(comparison), "--formats", "gif"], "unknown figure format 'gif'"),
        ([str(comparison), "--axes", "p"], "--axes p: give two axes"),
        ([str(comparison), "--axes", "p,w_I"], "'w_I' is not an axis"),
        ([str(comparison), "-o", str(comparison)], "it is a file; give a directory"),
    ):
        assert program.run(make, program.parser_of("x"), arguments) == 2
        printed = capsys.readouterr().err
        assert message in printed
        assert printed.count("\n") == 1
    with (
        open_view(comparison) as view,
        pytest.raises(UserError, match=r"p = 0\.3 is not on the grid; choose from 0"),
    ):
        load("points").choose(view, [(0.3, 0.5)])


# The notebook --------------------------------------------------------------------------------------------------------


def execute(sweep: Path, comparison: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(ANALYSIS / "walkthrough.ipynb", as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = (
        f'sweep_path, comparison_path, wanted = r"{sweep}", r"{comparison}", {{"p": 0.4, "lam": 0.7}}'
    )  # fmt: skip
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(sweep.parent)}}).execute()
    return notebook


@pytest.mark.slow
@pytest.mark.process
def test_the_notebook_runs(sweep: Path, comparison: Path):
    """Its own assertions compare what it computes by hand with the comparison file."""
    notebook = execute(sweep, comparison)
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert sum("image/png" in o.get("data", {}) for o in outputs) == 7
    assert any("CFM: rho" in o.get("text", "") for o in outputs)


@pytest.mark.slow
@pytest.mark.process
def test_the_notebook_would_see_a_wrong_comparison(sweep: Path, comparison: Path, tmp_path: Path):
    wrong = tmp_path / "cmp.h5"
    shutil.copy(comparison, wrong)
    with h5py.File(wrong, "r+") as file:
        file["rho_trial"][...] = np.asarray(file["rho_trial"]) + 0.01
    with pytest.raises(CellExecutionError, match="AssertionError"):
        execute(sweep, wrong)
