"""A sweep of real, small networks; and how to start, watch and kill a job of several ranks."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import pytest

from hpcmass.store.schema import NUMBERS, TRACES
from hpcmass.store.status import Status, sweep_status

sys.path.insert(0, str(Path(__file__).parent))  # for `looks`: pytest's importlib mode puts no folder on the path

NETWORK = "{n_neurons: 200, n_external: 150, duration_ms: 200.0, transient_ms: 50.0, w_ext: 0.3, w_E: 0.02, w_I: 0.1}"
CONFIG = f"""\
title: small
trials: 2
root_seed: 5
network: {NETWORK}
grid:
  p: [0.0, 0.1, 1.0]
  lam: [0.5, 0.9]
"""


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "small.yml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="session")
def slow_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with trials long enough (0.1 s) to be interrupted in the middle."""
    path = tmp_path_factory.mktemp("config") / "slow.yml"
    path.write_text(CONFIG.replace("duration_ms: 200.0", "duration_ms: 6000.0").replace("trials: 2", "trials: 3"))
    return path


def science(path: Path) -> dict[str, str]:
    """Hash of the bytes of every scientific dataset."""
    with h5py.File(path, "r", locking=False) as file:
        names = (*TRACES, *NUMBERS, "seed", "status", "p", "lam", "trial", "time")
        return {name: hashlib.sha256(file[name][()].tobytes()).hexdigest() for name in names}


@pytest.fixture(scope="session")
def reference(config: Path, python_run: Callable[..., object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep of `config`, run by one process without mpiexec."""
    path = tmp_path_factory.mktemp("reference") / "sweep.h5"
    python_run("-m", "hpcmass", "run", config, "-o", path)
    return path


class Job:
    """`mpiexec -n N hpcmass run …` in the background.

    Parameters
    ----------
    output : Path
        The sweep file, by whose name the ranks are found.
    """

    def __init__(self, env: dict[str, str], n: int, *args: object, output: Path) -> None:
        self.output = output
        command = [env["MPIEXEC"], "-n", str(n), sys.executable, "-m", "hpcmass", *map(str, args), "-o", str(output)]
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

    def wait_for(self, done: int, timeout_s: float = 90) -> Status:
        """Watch the file until so many trials are done."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and self.process.poll() is None:
            if self.output.exists() or self.output.with_name(f"{self.output.name}.parts").exists():
                status = self._look()
                if status is not None and status.done >= done:
                    return status
            time.sleep(0.01)
        self.kill()
        pytest.fail(f"{done} trials were never seen done\n{''.join(self.process.communicate())}")

    def _look(self) -> Status | None:
        from hpcmass.errors import UserError

        try:
            return sweep_status(self.output)
        except UserError:  # the shards' directory is there, the first shard not yet
            return None

    def end(self, timeout_s: float = 60) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        try:
            out, err = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the job hangs\n{''.join(self.process.communicate())}")
        return self.process.returncode, out, err

    def kill(self) -> None:
        """SIGKILL to every rank, then to mpiexec."""
        for pid in [*self.ranks(), self.process.pid]:
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


@pytest.fixture(scope="session")
def fingerprint() -> Callable[[Path], dict[str, str]]:
    return science
