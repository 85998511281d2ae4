"""The environment that `make env` sets up."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent

WRITE_SLABS = """
import sys
import h5py
from mpi4py import MPI
comm = MPI.COMM_WORLD
if h5py.get_config().mpi:
    with h5py.File(sys.argv[1], "w", driver="mpio", comm=comm) as file:
        file.create_dataset("rank", (comm.size,), "i4")[comm.rank] = comm.rank
    with h5py.File(sys.argv[1], "r", driver="mpio", comm=comm) as file:
        ranks = file["rank"][:].tolist()
else:
    ranks = comm.allgather(comm.rank)
assert ranks == list(range(int(sys.argv[2]))), ranks
"""


@pytest.mark.parametrize("n", [1, 2, 4])
def test_ranks_form_one_job_and_write_one_file(mpi_run, tmp_path, n):
    mpi_run(n, "-c", WRITE_SLABS, tmp_path / "slabs.h5", n)


def test_a_serial_h5py_is_available(python_run, serial_h5py):
    answer = python_run("-c", "import h5py; print(h5py.get_config().mpi)", env=serial_h5py)
    assert answer.stdout == "False\n"


def test_hooks_use_the_tools_of_the_environment_alone():
    """Nothing comes from a remote repository, and a tool that the set-up does not install would fail every commit."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        assert hook["language"] == "system"
        program = Path(hook["entry"].split()[0])
        assert program.parent == Path(".venv/bin")
        assert (Path(sys.prefix) / "bin" / program.name).is_file()


@pytest.mark.process
@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("PYTHON", "no-such-python", "there is no 'no-such-python' on PATH"),
        ("HPCMASS_HDF5", "perhaps", "HPCMASS_HDF5 is 'perhaps'; it must be auto, parallel or serial."),
        ("HPCMASS_APT", "perhaps", "HPCMASS_APT is 'perhaps'; it must be auto or never."),
        ("VENV", "hpcmass", "hpcmass exists and is not a virtual environment"),
    ],
)
def test_set_up_reports_what_is_wrong(variable, value, sentence):
    outcome = subprocess.run(
        [ROOT / "scripts" / "setup_env.sh"],
        env=os.environ | {"HPCMASS_APT": "never", "HPCMASS_HDF5": "serial"} | {variable: value},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"make env: {sentence}")
    assert outcome.stderr.count("\n") == 1
