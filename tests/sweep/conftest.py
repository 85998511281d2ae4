"""A sweep of real, small networks; and how to start, watch and kill a job of several ranks."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from hpcmass.errors import UserError
from hpcmass.store.status import Status, sweep_status
from processes import worker_processes_of

sys.path.insert(0, str(Path(__file__).parent))  # for `sweep_state`: pytest's importlib mode puts no folder on the path

Run = Callable[..., Any]

NETWORK = "{n_neurons: 200, n_external: 150, duration_ms: 200.0, transient_ms: 50.0, w_ext: 0.3, w_E: 0.02, w_I: 0.1}"
CONFIG = f"""\
title: small
trials: 2
root_seed: 5
network: {NETWORK}
grid:
  p: [0.0, 0.1, 1.0]
  lam: [0.5, 0.9]
compare: {{max_lag_ms: 10.0}}
"""


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 trials of milliseconds."""
    path = tmp_path_factory.mktemp("config") / "small.yml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="session")
def uneven_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 trials that differ in their expected costs; the first at the largest rate are the costliest."""
    path = tmp_path_factory.mktemp("config") / "uneven.yml"
    grid = "grid:\n  p: [0.1, 1.0]\n  lam: [0.9]\n  external_rate_hz: [5.0, 2000.0, 4000.0]\n"
    path.write_text(CONFIG[: CONFIG.index("grid:")] + grid)
    return path


@pytest.fixture(scope="session")
def slow_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """18 trials that are long enough (0.1 s) to be interrupted in the middle."""
    path = tmp_path_factory.mktemp("config") / "slow.yml"
    path.write_text(CONFIG.replace("duration_ms: 200.0", "duration_ms: 6000.0").replace("trials: 2", "trials: 3"))
    return path


@pytest.fixture(scope="session")
def command() -> Run:
    """Give `command(*args, check=True)`: the command line in this process, which has its kernels loaded already.

    The result is a `CompletedProcess` with text output; unless `check` is false, another exit code than 0 fails the
    test.
    """
    from hpcmass.cli import main

    def call(*args: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in args]
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(words)
        done = subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
        assert code == 0 or not check, f"hpcmass {' '.join(words)} ended with {code}\n{done.stdout}\n{done.stderr}"
        return done

    return call


# --------------------------------------------------- sweeps that several tests read; to be copied, not changed


@pytest.fixture(scope="session")
def reference(config: Path, python_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep of `config`, run by one process without mpiexec."""
    path = tmp_path_factory.mktemp("reference") / "sweep.h5"
    python_run("-m", "hpcmass", "run", config, "-o", path)
    return path


@pytest.fixture(scope="session")
def slow_reference(slow_config: Path, command: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep of `slow_config`, run by one process."""
    path = tmp_path_factory.mktemp("reference") / "slow.h5"
    command("run", slow_config, "-o", path)
    return path


@pytest.fixture(scope="session")
def by_four(config: Path, mpi_run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The same, by four ranks with the installation's own h5py; and the finished process."""
    path = tmp_path_factory.mktemp("four") / "sweep.h5"
    return path, mpi_run(4, "-m", "hpcmass", "run", config, "-o", path)


@pytest.fixture(scope="session")
def parts(config: Path, command: Run, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same in three parts."""
    directory = tmp_path_factory.mktemp("parts")
    paths = [directory / f"part-{i}-of-3.h5" for i in (1, 2, 3)]
    for i, path in enumerate(paths, start=1):
        command("run", config, "-o", path, "--part", f"{i}/3")
    return paths


@pytest.fixture(scope="session")
def merged(parts: list[Path], command: Run) -> Path:
    """The parts merged into one file."""
    path = parts[0].with_name("merged.h5")
    command("merge", "-o", path, *parts)
    return path


@pytest.fixture(scope="session")
def packed(parts: list[Path], command: Run) -> Path:
    """The parts merged into a packed file."""
    path = parts[0].with_name("packed.h5")
    command("merge", "-o", path, "--pack", *parts)
    return path


# ------------------------------------------------------------------------------------------ jobs in the background


class Job:
    """`mpiexec -n N hpcmass run …` in the background.

    Parameters
    ----------
    n : int
        0: without mpiexec.
    output : Path
        The sweep file, by whose name the ranks are found.
    """

    def __init__(self, env: dict[str, str], n: int, *args: object, output: Path) -> None:
        self.output = output
        launcher = [env["MPIEXEC"], "-n", str(n)] if n else []
        command = [*launcher, sys.executable, "-m", "hpcmass", *map(str, args), "-o", str(output)]
        self.process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    def ranks(self) -> list[int]:
        """Process ids of the ranks."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdecimal() else []
            except OSError:
                continue
            if os.fsencode(self.output) in words and os.fsencode(sys.executable) == words[0]:
                found.append(int(entry.name))
        return found

    def workers(self) -> list[int]:
        """Process ids of the processes that `-j` has started."""
        return worker_processes_of(self.process.pid)

    def wait_for(self, done: int, timeout_s: float = 90) -> Status:
        """Watch the file until so many trials are done."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and self.process.poll() is None:
            if self.output.exists():
                status = sweep_status(self.output)
                if status.done >= done:
                    return status
            time.sleep(0.01)
        self.kill()
        pytest.fail(f"{done} trials were never seen done\n{''.join(self.process.communicate())}")

    def end(self, timeout_s: float = 90) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        try:
            out, err = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the job hangs\n{''.join(self.process.communicate())}")
        return self.process.returncode, out, err

    def kill(self) -> None:
        """SIGKILL to every rank and worker process, then to mpiexec."""
        for pid in [*self.ranks(), *self.workers(), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


@pytest.fixture
def start(mpi_env: dict[str, str]) -> Iterator[Callable[..., Job]]:
    """Give `start(n, *args, output=…, env={})`; what still runs when the test ends is killed."""
    jobs: list[Job] = []

    def launch(n: int, *args: object, output: Path, env: dict[str, str] | None = None) -> Job:
        jobs.append(Job(mpi_env | (env or {}), n, *args, output=output))
        return jobs[-1]

    yield launch
    for job in jobs:
        if job.process.poll() is None:
            job.kill()
            job.process.wait()


# ------------------------------------------------------------------------------------------ jobs that something spoils

PROLOGUE = """
import errno, os, signal, sys, time
import hpcmass.network
from pathlib import Path
from hpcmass.cli import main
from hpcmass.errors import UserError
from hpcmass.parallel.communicator import Communicator, communicator
from hpcmass.store.files import RawFile
from hpcmass.store.writer import ParallelTraceWriter, SweepWriter
from hpcmass.sweep import limits, prepare, run, scatter
rank = communicator().rank
"""


@pytest.fixture
def sabotage(tmp_path: Path, config: Path, mpi_run: Run, python_run: Run) -> Run:
    """Give `sabotage(n, code, *options)`: `hpcmass run` into `sweep.h5` after some code has spoiled it.

    On n ranks, 0 being a process without mpiexec. The code runs on every rank, and knows its `rank`; with `-j` it runs
    in every process.
    """

    def launch(n: int, code: str, *options: str, what: Path | None = None) -> Any:
        script = tmp_path / "script.py"
        script.write_text(f'{PROLOGUE}\n{code}\nif __name__ == "__main__":\n    sys.exit(main(sys.argv[1:]))\n')
        words = (script, "run", what or config, "-o", tmp_path / "sweep.h5", *options)
        return mpi_run(n, *words, check=False, timeout=90) if n else python_run(*words, check=False, timeout=90)

    return launch


def settled(path: Path) -> Status:
    """The status once the last rank has vanished, which mpiexec may do before."""
    end = time.monotonic() + 10
    while True:
        try:
            status = sweep_status(path)
        except UserError:
            pytest.fail(f"{path} cannot be read")
        if not status.running:
            return status
        assert time.monotonic() < end, "a killed job still holds the lock"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def status_after() -> Callable[[Path], Status]:
    """Give `status_after(path)`: the status of a sweep whose job has ended or was killed."""
    return settled


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Trials that a comparing sweep has simulated in this process, as they are."""
    from hpcmass.sweep.point_worker import ComparingWorker

    seen: list[tuple[int, ...]] = []
    original = ComparingWorker.simulate

    def noting(self: Any, task: Any) -> Any:
        seen.append(task.trial.index)
        return original(self, task)

    monkeypatch.setattr(ComparingWorker, "simulate", noting)
    return seen
