"""Shared by all tests: jobs in separate processes, results computed once, and the marks of the test commands."""

from __future__ import annotations

import fcntl
import multiprocessing.process
import os
import re
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import h5py
import mpi4py
import pytest
from hypothesis import HealthCheck, settings

from hpcmass import messages
from processes import mpi_environment, run_limited

# An initialised MPI in this process makes Open MPI's children fail silently, and a library that is only imported as
# an oracle (elephant) imports mpi4py.MPI.
mpi4py.rc.initialize = False
mpi4py.rc.finalize = False

settings.register_profile("hpcmass", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hpcmass")


@pytest.fixture(autouse=True)
def as_many_messages_as_before() -> Generator[None]:
    """`--quiet` of a command that a test calls in this process must not affect the next test."""
    yield
    messages.logger.setLevel("INFO")


Run = Callable[..., "subprocess.CompletedProcess[str]"]
Shared = Callable[[str, Callable[[Path], object]], Path]


# Lanes ---------------------------------------------------------------------------------------------------------------

MARKS = {"mpi_run": "mpi", "mpi_env": "process"}
"""Fixture → the mark of every test that uses it, itself or through another fixture."""

PROGRAMS = r"python[\d.]*|mpi(exec|run)|hpcmass|bash|sh|make"
"""Programs that an unmarked test must not start. Libraries may start others (git, fc-list)."""


def marked(item: pytest.Item, *names: str) -> bool:
    return any(item.get_closest_marker(name) for name in names)


@pytest.hookimpl(tryfirst=True)  # before -m chooses by the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their fixtures. The campaign of faults starts jobs for minutes."""
    for item in items:
        if item.path.parent.name == "faults":
            item.add_marker("process")
            item.add_marker("slow")
        for fixture, mark in MARKS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    """An unmarked test that starts a process fails, so that `make test-fast` stays fast."""
    if marked(item, "mpi", "process", "browser"):
        return (yield)

    class Watched(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, args: str | Sequence[Any], *more: Any, **options: Any) -> None:
            program = Path(os.fsdecode(args if isinstance(args, str | bytes | Path) else args[0])).name
            if re.fullmatch(PROGRAMS, program):
                pytest.fail(f"a test that starts {program} is to be marked: @pytest.mark.process")
            super().__init__(args, *more, **options)

    def start(self: object) -> None:
        pytest.fail("a test that starts worker processes is to be marked: @pytest.mark.process")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", Watched)
        patch.setattr(multiprocessing.process.BaseProcess, "start", start)
        return (yield)


# Results computed once ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Give `shared(name, make)`: a directory that `make(directory)` fills once a run, for all workers.

    Its files are to be read and copied, never written.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # every worker has its own folder below the run's

    def directory(name: str, make: Callable[[Path], object]) -> Path:
        final = base / f"shared-{name}"
        with (base / f"shared-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the first makes it, the others wait
            if not final.exists():
                growing = tmp_path_factory.mktemp(name)
                make(growing)
                growing.rename(final)
        return final

    return directory


# Processes -----------------------------------------------------------------------------------------------------------


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
        return run_limited(command, timeout=timeout, check=check, env=mpi_env | (env or {}), cwd=cwd)

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
        return run_limited(command, timeout=timeout, check=check, env=mpi_env | (env or {}), cwd=cwd)

    return launch


@pytest.fixture(scope="session")
def serial_h5py() -> dict[str, str]:
    """Give the environment variables under which `import h5py` finds the serial build (for `env=` above)."""
    if not h5py.get_config().mpi:
        return {}
    beside = Path(sys.prefix) / "serial-h5py"
    if not (beside / "h5py").is_dir():
        pytest.fail(f"there is no serial h5py in {beside}; run `make env`")
    return {"PYTHONPATH": str(beside)}
