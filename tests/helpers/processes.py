"""Programs in separate processes: the environment of MPI jobs, a time limit, the ranks of a sweep by its file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
"""Where launchers tell a process its rank."""


def mpi_environment(venv: Path | None = None) -> dict[str, str]:
    """The environment that `scripts/mpi_env.sh` makes, MPIEXEC among it.

    Parameters
    ----------
    venv : Path, optional
        A virtual environment; this process's own by default. MPIEXEC, where it is set already, belongs to this
        process's own and is not passed on to another.
    """
    own = Path(sys.prefix)
    inherited = {name: value for name, value in os.environ.items() if name != "MPIEXEC" or venv in (None, own)}
    listing = subprocess.run(
        ["bash", "-c", '. "$1" && env -0', "bash", str(ROOT / "scripts" / "mpi_env.sh")],
        env=inherited | {"VENV": str(venv or own)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return dict(entry.split("=", 1) for entry in listing.split("\0") if "=" in entry)


def run_limited(
    command: list[str], *, timeout: float, check: bool, env: dict[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command; past the time limit, end it and all that it started.

    Ranks have their own process groups, so mpiexec is stopped first (it ends them), then its group is killed.
    """
    process = subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except BaseException as stop:
        process.terminate()
        try:
            stdout, stderr = process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
        if isinstance(stop, subprocess.TimeoutExpired):
            pytest.fail(f"{' '.join(command)}\nstill ran after {timeout} s\n{stdout}\n{stderr}")
        raise
    done = subprocess.CompletedProcess(command, process.returncode, stdout, stderr)
    if check and done.returncode != 0:
        pytest.fail(f"{' '.join(command)}\nended with {done.returncode}\n{stdout}\n{stderr}")
    return done


def ranks_of(output: Path, python: str | None = None) -> dict[int, int]:
    """Process id → rank of the Python processes that have `output` on their command line; launchers are not counted.

    Parameters
    ----------
    output : Path
        A sweep file.
    python : str, optional
        The interpreter of the ranks, as it stands on their command line; any by default.
    """
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # ended in the meantime, or another user's
            continue
        program = os.fsdecode(words[0])
        is_python = Path(program).name.startswith("python") if python is None else program == python
        if not is_python or os.fsencode(output) not in words:
            continue
        environment = dict(entry.split("=", 1) for entry in map(os.fsdecode, variables) if "=" in entry)
        found[int(entry.name)] = next((int(environment[name]) for name in RANK_VARIABLES if name in environment), 0)
    return found


def worker_processes_of(parent: int) -> list[int]:
    """Process ids of the worker processes that a process has started, in their order."""
    return [pid for pid, (above, _) in _worker_processes().items() if above == parent]


def worker_processes_in(session: int) -> list[int]:
    """Those of a session, also where the process that started them has ended."""
    return [pid for pid, (_, theirs) in _worker_processes().items() if theirs == session]


def _worker_processes() -> dict[int, tuple[int, int]]:
    """Process id → parent and session of every process that `multiprocessing` has started."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and b"spawn_main" in (entry / "cmdline").read_bytes():
                words = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                found[int(entry.name)] = int(words[1]), int(words[3])
        except OSError:  # ended in the meantime
            continue
    return dict(sorted(found.items()))
