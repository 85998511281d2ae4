"""How this process was started: by hand, by a launcher, or by a launcher of another MPI library."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpcmass.errors import UserError
from hpcmass.parallel import communicator as module
from hpcmass.parallel.communicator import Communicator, is_launched

Run = Callable[..., Any]
Complete = Callable[[Path], bool]

# What Slurm tells each of 3 tasks of a step of a job on one node.
STEP = {
    "SLURM_PROCID": "0",
    "SLURM_NTASKS": "3",
    "SLURM_TASKS_PER_NODE": "3",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_STEP_TASKS_PER_NODE": "3",
}
BATCH = {"SLURM_PROCID": "0", "SLURM_NTASKS": "3", "SLURM_TASKS_PER_NODE": "3"}

SEVERAL = {
    "srun": STEP,
    "srun over nodes": STEP | {"SLURM_TASKS_PER_NODE": "1(x3)", "SLURM_STEP_TASKS_PER_NODE": "1(x3)"},
    "Open MPI": {"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "0"},
    "Hydra": {"PMI_SIZE": "3", "PMI_RANK": "0"},
    "PALS": {"PMI_SIZE": "3", "PMI_RANK": "0", "PALS_RANKID": "0"},
    "MVAPICH": {"MV2_COMM_WORLD_SIZE": "3", "MV2_COMM_WORLD_RANK": "0"},
}
ONE = {
    "by hand": {},
    "batch script": BATCH,
    "step of one task": STEP | {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"},
    "batch script submitted from within a step": STEP | {"SLURM_TASKS_PER_NODE": "1"},
    "mpiexec -n 1 in a step": STEP | {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"},
}
RANKS = ("OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")

ALONE = Communicator(None, 0, 1, "none")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Give `told(variables)`: no launcher but this one has started this process, which has no terminal."""
    for name in list(os.environ):
        if name.startswith("SLURM_") or name in {*module.LAUNCHERS, *module.SIZES, *RANKS}:
            monkeypatch.delenv(name)
    monkeypatch.setattr(os, "isatty", lambda stream: False)

    def tell(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return tell


@pytest.mark.parametrize("launcher", SEVERAL)
def test_processes_that_do_not_see_each_other_are_refused_by_the_first_alone(
    told: Callable[[dict[str, str]], None], launcher: str
) -> None:
    told(SEVERAL[launcher])
    assert is_launched()
    with pytest.raises(UserError, match="the launcher started 3 processes that do not see each other; use `srun"):
        ALONE.require_peers()
    told({name: "2" for name in SEVERAL[launcher] if name in RANKS})
    with pytest.raises(SystemExit) as ended:
        ALONE.require_peers()
    assert ended.value.code == 2


@pytest.mark.parametrize("launcher", SEVERAL)
def test_processes_that_see_each_other_are_not(told: Callable[[dict[str, str]], None], launcher: str) -> None:
    told(SEVERAL[launcher])
    Communicator(None, 0, 3, "an MPI").require_peers()


@pytest.mark.parametrize("start", ONE)
def test_one_process_is_one_process(told: Callable[[dict[str, str]], None], start: str) -> None:
    told(ONE[start])
    assert is_launched() == (start == "mpiexec -n 1 in a step")
    ALONE.require_peers()


@pytest.mark.parametrize("command", ["run", "compare"])
def test_the_sentence_comes_before_anything_is_written(
    python_run: Run, config: Path, sweep: Path, tmp_path: Path, command: str
) -> None:
    given = config if command == "run" else sweep
    done = python_run("-m", "hpcmass", command, given, "-o", tmp_path / "new.h5", check=False, env=STEP)
    assert done.returncode == 2
    assert done.stderr.startswith("hpcmass: the launcher started 3 processes that do not see each other")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_shell_in_a_step_starts_one_process(
    mpi_env: dict[str, str], config: Path, is_complete: Complete, tmp_path: Path
) -> None:
    """As after `srun -n 3 --pty bash`."""
    sweep = tmp_path / "sweep.h5"
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "hpcmass", "run", str(config), "-o", str(sweep)]
    try:
        done = subprocess.run(command, env=mpi_env | STEP, stdin=theirs, capture_output=True, text=True, timeout=120)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert is_complete(sweep)


@pytest.mark.parametrize("number", [1, 3])
def test_a_part_each_is_a_job_each(python_run: Run, config: Path, tmp_path: Path, number: int) -> None:
    """As `srun --mpi=none -n 3 bash -c 'hpcmass run … --part $((SLURM_PROCID + 1))/3'` starts them."""
    env = STEP | {"SLURM_PROCID": f"{number - 1}"}
    part = f"{number}/3"
    done = python_run("-m", "hpcmass", "run", config, "-o", tmp_path / "part.h5", "--part", part, env=env)
    assert f"trials of part {part} to do, by this process" in done.stderr


@pytest.mark.mpi
def test_ranks_that_see_each_other_are_one_job_inside_a_step(
    mpi_run: Run, config: Path, is_complete: Complete, tmp_path: Path
) -> None:
    sweep = tmp_path / "sweep.h5"
    done = mpi_run(2, "-m", "hpcmass", "run", config, "-o", sweep, env=STEP | {"OMPI_MCA_plm": "rsh"})
    assert "by 1 worker" in done.stderr
    assert is_complete(sweep)
