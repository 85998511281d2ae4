"""Processes that a launcher started together but that do not see each other are no job, and say so."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from hpcmass.store.schema import DONE

Run = Callable[..., Any]

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


def is_complete(path: Path) -> bool:
    with h5py.File(path, "r", locking=False) as file:
        return bool((file["status"][()] == DONE).all())


@pytest.mark.parametrize(
    "told",
    [
        STEP,
        STEP | {"SLURM_TASKS_PER_NODE": "1(x3)", "SLURM_STEP_TASKS_PER_NODE": "1(x3)"},
        {"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "0"},
        {"PMI_SIZE": "3", "PMI_RANK": "0"},
        {"PMI_SIZE": "3", "PMI_RANK": "0", "PALS_RANKID": "0"},
        {"MV2_COMM_WORLD_SIZE": "3", "MV2_COMM_WORLD_RANK": "0"},
    ],
    ids=["srun", "srun over nodes", "Open MPI", "Hydra", "PALS", "MVAPICH"],
)
def test_several_worlds_of_one_are_refused(python_run: Run, config: Path, tmp_path: Path, told: dict[str, str]) -> None:
    sweep = tmp_path / "sweep.h5"
    done = python_run("-m", "hpcmass", "run", config, "-o", sweep, check=False, env=told)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith(
        "hpcmass: the launcher started 3 processes that do not see each other"
    )
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_the_first_alone_says_so(python_run: Run, config: Path, tmp_path: Path) -> None:
    env = STEP | {"SLURM_PROCID": "2"}
    done = python_run("-m", "hpcmass", "run", config, "-o", tmp_path / "sweep.h5", check=False, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_a_comparison_is_refused_likewise(python_run: Run, reference: Path, tmp_path: Path) -> None:
    done = python_run("-m", "hpcmass", "compare", reference, "-o", tmp_path / "cmp.h5", check=False, env=STEP)
    assert done.returncode == 2
    assert "do not see each other" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "told",
    [
        BATCH,
        STEP | {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"},
        STEP | {"SLURM_TASKS_PER_NODE": "1"},
        STEP | {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"},
    ],
    ids=["batch script", "step of one task", "batch script submitted from within a step", "mpiexec -n 1 in a step"],
)
def test_one_process_is_one_process(python_run: Run, config: Path, tmp_path: Path, told: dict[str, str]) -> None:
    sweep = tmp_path / "sweep.h5"
    python_run("-m", "hpcmass", "run", config, "-o", sweep, env=told)
    assert is_complete(sweep)


def test_a_shell_in_a_step_starts_one_process(mpi_env: dict[str, str], config: Path, tmp_path: Path) -> None:
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


def test_a_part_each_is_a_job_each(python_run: Run, config: Path, tmp_path: Path) -> None:
    """As `srun --mpi=none -n 3 bash -c 'hpcmass run … --part $((SLURM_PROCID + 1))/3'` starts them."""
    for number in range(3):
        env = STEP | {"SLURM_PROCID": f"{number}"}
        path = tmp_path / f"part-{number + 1}.h5"
        done = python_run("-m", "hpcmass", "run", config, "-o", path, "--part", f"{number + 1}/3", env=env)
        assert "4 of 4 trials of part" in done.stderr


@pytest.mark.mpi
def test_ranks_that_see_each_other_are_one_job_inside_a_step(mpi_run: Run, config: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.h5"
    done = mpi_run(2, "-m", "hpcmass", "run", config, "-o", sweep, env=STEP | {"OMPI_MCA_plm": "rsh"})
    assert "by 1 rank and a master" in done.stderr
    assert is_complete(sweep)
