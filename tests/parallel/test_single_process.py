"""A process that no launcher started does not touch MPI: it works on a login node, and where the MPI is broken."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
Complete = Callable[[Path], bool]

NO_MPI = """
import os

with open(os.environ["TOUCHED"], "a") as file:
    print(os.getpid(), file=file)
raise RuntimeError("cannot load MPI library")
"""

COMMANDS = """
import sys
from hpcmass.cli import main

if __name__ == "__main__":  # the processes of `compare -j` import this, too
    config, directory = sys.argv[1:]
    parts = [f"{directory}/part-{number}.h5" for number in (1, 2)]
    for line in (
        ["validate", config],
        ["run", config, "-o", f"{directory}/sweep.h5"],
        *(["run", config, "-o", part, "--part", f"{number}/2"] for number, part in enumerate(parts, start=1)),
        ["merge", "-o", f"{directory}/all.h5", *parts],
        ["status", *parts],
        ["compare", *parts, "-o", f"{directory}/cmp.h5", "-j", "2"],
        ["check", f"{directory}/sweep.h5", "--resimulate", "1"],
        ["plot", f"{directory}/cmp.h5", "-o", f"{directory}/maps"],
        ["trial", config, "--p", "0.1", "--lam", "0.9", "-o", f"{directory}/trial.h5"],
    ):
        code = main(line)
        assert code == 0, line
        assert "mpi4py.MPI" not in sys.modules, line
"""


@pytest.fixture(scope="module")
def no_mpi(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process whose mpi4py has no MPI library, and leaves a note when it is asked for one."""
    directory = tmp_path_factory.mktemp("no_mpi")
    package = directory / "mpi4py"
    package.mkdir()
    (package / "__init__.py").write_text("class rc:\n    pass\n")
    (package / "MPI.py").write_text(NO_MPI)
    return {"PYTHONPATH": str(directory), "TOUCHED": str(directory / "touched")}


@pytest.mark.slow
def test_no_command_of_one_process_asks_for_mpi(
    python_run: Run, config: Path, no_mpi: dict[str, str], is_complete: Complete, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(COMMANDS)
    (tmp_path / "out").mkdir()
    python_run(script, config, tmp_path / "out", env=no_mpi, timeout=300)
    assert not Path(no_mpi["TOUCHED"]).exists()
    assert is_complete(tmp_path / "out" / "all.h5")


@pytest.mark.parametrize("command", ["run", "compare"])
def test_under_a_launcher_a_library_that_cannot_be_loaded_is_one_sentence(
    python_run: Run, config: Path, sweep: Path, no_mpi: dict[str, str], tmp_path: Path, command: str
) -> None:
    given = config if command == "run" else sweep
    launched = no_mpi | {"OMPI_COMM_WORLD_SIZE": "2", "TOUCHED": str(tmp_path / "touched")}
    done = python_run("-m", "hpcmass", command, given, "-o", tmp_path / "new.h5", env=launched, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "hpcmass: cannot load the MPI library that mpiexec belongs to (cannot load MPI library); load the module"
    )
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["touched"], "this environment notices"


def test_one_process_works_beside_a_broken_mpi(
    python_run: Run, config: Path, is_complete: Complete, tmp_path: Path
) -> None:
    broken = {"OPAL_PREFIX": "/nowhere", "PRTE_PREFIX": "/nowhere", "MPI4PY_LIBMPI": "/nowhere/libmpi.so"}
    if python_run("-c", "from mpi4py import MPI", env=broken, check=False).returncode == 0:
        pytest.skip("this MPI cannot be broken by variables of the environment")
    path = tmp_path / "sweep.h5"
    done = python_run("-m", "hpcmass", "run", config, "-o", path, env=broken)
    assert "4 of 4 trials to do, by this process" in done.stderr
    assert is_complete(path)
