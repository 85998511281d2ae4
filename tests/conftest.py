"""What all tests share: real MPI jobs as subprocesses, and the limits they live within."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import mpi4py
import pytest
from hypothesis import HealthCheck, settings

# An initialised MPI in this process makes Open MPI's children fail without a word, and a library that is only
# imported as an oracle (elephant) imports mpi4py.MPI.
mpi4py.rc.initialize = False
mpi4py.rc.finalize = False

settings.register_profile("hpcmass", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hpcmass")

ROOT = Path(__file__).resolve().parent.parent
VENV = Path(sys.prefix)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def mpi_environment() -> dict[str, str]:
    """Return the environment that `scripts/mpi_env.sh` makes, MPIEXEC among it."""
    listing = subprocess.run(
        ["bash", "-c", '. "$1" && env -0', "bash", str(ROOT / "scripts" / "mpi_env.sh")],
        env=os.environ | {"VENV": str(VENV)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return dict(entry.split("=", 1) for entry in listing.split("\0") if "=" in entry)


def run(command: list[str], *, timeout: float, check: bool, env: dict[str, str], cwd: Path | None) -> object:
    """Run a command; past the time limit, end it and all that it started.

    Ranks live in process groups of their own, so mpiexec is asked first (it ends them), then its group is killed.
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


@pytest.fixture(scope="session")
def mpi_env() -> dict[str, str]:
    """Give the environment for MPI jobs on this machine."""
    return mpi_environment()


@pytest.fixture(scope="session")
def mpi_run(mpi_env: dict[str, str]) -> Run:
    """Give `mpi_run(n, *args, timeout=120, check=True, env=None, cwd=None)`: Python with args under mpiexec.

    The args are Python's own: `mpi_run(2, "-m", "hpcmass", "run", …)` or `mpi_run(4, script, …)`. The result is
    a `CompletedProcess` with text output; unless `check` is false, another exit code than 0 fails the test.
    """

    def launch(
        n: int,
        *args: object,
        timeout: float = 120,
        check: bool = True,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> object:
        command = [mpi_env["MPIEXEC"], "-n", str(n), sys.executable, *map(str, args)]
        return run(command, timeout=timeout, check=check, env=mpi_env | (env or {}), cwd=cwd)

    return launch


@pytest.fixture(scope="session")
def python_run(mpi_env: dict[str, str]) -> Run:
    """Give `python_run(*args, timeout=120, check=True, env=None, cwd=None)`: Python with args, no mpiexec."""

    def launch(
        *args: object,
        timeout: float = 120,
        check: bool = True,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> object:
        command = [sys.executable, *map(str, args)]
        return run(command, timeout=timeout, check=check, env=mpi_env | (env or {}), cwd=cwd)

    return launch


@pytest.fixture(scope="session")
def serial_h5py() -> dict[str, str]:
    """Give the environment variables under which `import h5py` finds the serial build (for `env=` above)."""
    if not h5py.get_config().mpi:
        return {}
    beside = VENV / "serial-h5py"
    if not (beside / "h5py").is_dir():
        pytest.fail(f"there is no serial h5py in {beside}; run `make env`")
    return {"PYTHONPATH": str(beside)}
