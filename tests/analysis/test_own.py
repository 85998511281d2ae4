"""The notebook with a model and a statistic of one's own: it runs, and its numbers are those of the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from hpcmass import Experiment, run_sweep
from hpcmass.cli import main
from hpcmass.errors import UserError
from programs import ROOT

NOTEBOOK = ROOT / "analysis" / "own.ipynb"
SETTINGS = (
    "n_neurons=300", "n_external=300", "w_E=0.055", "w_I=0.32", "w_ext=0.22", "duration_ms=1500",
    "transient_ms=500", "trials=2", "p=[0.1, 0.2, 0.4]", "lam=[0.7, 0.8]",
)  # fmt: skip


def test_it_is_short() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [line for cell in notebook.cells if cell.cell_type == "code" for line in cell.source.splitlines()]
    assert len([line for line in code if line.strip()]) < 40
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")


def test_jobs_are_counted_from_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="jobs = 0: give at least one process"):
        run_sweep(Experiment(grid={"p": 0.1, "lam": 0.8}), tmp_path / "s.h5", jobs=0)


@pytest.mark.slow
@pytest.mark.process
def test_its_numbers_are_those_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    shutil.copy(ROOT / "configs" / "quickstart.yml", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(tmp_path))
    assert Path("own.html").stat().st_size > 100_000

    (source,) = (cell.source for cell in notebook.cells if "@mass_model" in cell.source)
    Path("own.py").write_text(f"import numpy as np\nfrom hpcmass import Parameter, mass_model, statistic\n\n{source}\n")
    settings = [word for text in SETTINGS for word in ("--set", text)]
    assert main(["run", "configs/quickstart.yml", "-o", "line.h5", "-j", "2", *settings]) == 0
    own = ["--models", "MFM,own.py:GAIN", "--statistics", "own.py:rms_error"]
    assert main(["compare", "line.h5", "-o", "line-cmp.h5", "-j", "2", *own]) == 0
    for notebooks, lines in (("own.h5", "line.h5"), ("own-cmp.h5", "line-cmp.h5")):
        with h5py.File(notebooks) as one, h5py.File(lines) as other:
            assert set(one) == set(other)
            for name in set(one) - {"wall_s", "kernel_s", "rank"}:
                np.testing.assert_array_equal(one[name][()], other[name][()], err_msg=name)
