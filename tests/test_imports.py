"""Import rules: imports point one way, and every part imports only its own libraries."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parent.parent


def lint(cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_contracts_hold():
    outcome = lint(ROOT)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("grid.py", "import hpcmass.store", "Imports follow the data, one way"),
        ("network/__init__.py", "import hpcmass.store", "Imports follow the data, one way"),
        ("compare/__init__.py", "import hpcmass.plots", "Imports follow the data, one way"),
        ("compare/__init__.py", "import mpi4py.futures", "Only hpcmass.parallel uses MPI"),
        ("network/__init__.py", "import h5py", "A trial knows neither MPI nor HDF5"),
        ("store/__init__.py", "import numba", "The file does not need the simulator"),
        ("sweep/__init__.py", "import hpcmass.mass", "The sweep needs no mass model"),
        ("compare/__init__.py", "import hpcmass.network", "A comparison needs no network"),
        ("plots/__init__.py", "import hpcmass.mass", "A plot only reads files"),
    ],
)
def test_a_breach_is_noticed(tmp_path, module, line, contract):
    shutil.copytree(ROOT / "hpcmass", tmp_path / "hpcmass", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "hpcmass" / module).open("a") as source:
        source.write(f"\n{line}\n")
    outcome = lint(tmp_path)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert f"{contract} BROKEN" in outcome.stdout


def test_reading_does_not_touch_mpi(python_run):
    """Commands that only read run on login nodes, where MPI may not be initialised."""
    python_run(
        "-c",
        "import sys, hpcmass.store, hpcmass.compare, hpcmass.plots; assert 'mpi4py.MPI' not in sys.modules",
    )
