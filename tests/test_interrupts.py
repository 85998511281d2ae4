"""Ctrl-C anywhere, once or twice: one line, exit code 130, what is done is kept, and nothing is left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hpcmass.store.lock import is_locked
from hpcmass.store.schema import DONE
from hpcmass.store.status import sweep_status
from processes import worker_processes_of
from slow_cases import slow_except

Run = Callable[..., Any]

CONFIG = """\
title: to be interrupted
trials: 2
root_seed: 3
network: {n_neurons: 200, n_external: 200, duration_ms: 8000.0, transient_ms: 100.0, p_ext: 0.5, w_ext: 0.2}
grid:
  p: [0.1, 0.5, 1.0]
  lam: [0.5, 0.8, 1.0]
compare: {max_lag_ms: 10.0}
"""

ONE_LINE = "hpcmass: interrupted; what is done is kept, the same command continues\n"
PROGRESS = re.compile(r"\d+/\d+ (trial|point)s|hpcmass: (.* trials to do|calibrating)")
PATIENCE_S = 120.0


class Command:
    """`hpcmass …` in the background, in its own process group, like a terminal's foreground job."""

    def __init__(self, env: dict[str, str], cwd: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments], env=env, cwd=cwd, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            # also where the tests run in the background
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def wait_until(self, state: Callable[[], object]) -> None:
        """Wait until a condition holds."""
        end = time.monotonic() + PATIENCE_S
        while not state():
            if self.process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"it was never seen\n{self.process.communicate()}")
            time.sleep(0.002)

    def interrupt(self, times: int = 1) -> tuple[int, str]:
        """Press Ctrl-C; returns the exit code and the messages on standard error."""
        for _ in range(times):
            os.killpg(self.process.pid, signal.SIGINT)
        return self.end()

    def end(self) -> tuple[int, str]:
        """Wait for its end; returns the exit code and its standard error, without lines of progress."""
        _, err = self.process.communicate(timeout=PATIENCE_S)
        lines = [line for line in err.splitlines(keepends=True) if not PROGRESS.match(line)]
        return self.process.returncode, "".join(lines)

    def children(self) -> list[int]:
        """Process ids of its worker processes that run Python's main loop already."""
        return worker_processes_of(self.process.pid)


@pytest.fixture
def start(tmp_path: Path, mpi_env: dict[str, str]) -> Iterator[Callable[..., Command]]:
    """Give `start("run", "config.yml", …, env={})`; what still runs when the test ends is killed."""
    (tmp_path / "config.yml").write_text(CONFIG)
    started: list[Command] = []

    def launch(*arguments: str, env: dict[str, str] | None = None) -> Command:
        started.append(Command(mpi_env | (env or {}), tmp_path, "-m", "hpcmass", *arguments))
        return started[-1]

    yield launch
    for command in started:
        if command.process.poll() is None:
            os.killpg(command.process.pid, signal.SIGKILL)
            command.process.wait()


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, python_run: Run) -> Path:
    directory = tmp_path_factory.mktemp("finished")
    (directory / "config.yml").write_text(CONFIG)
    python_run("-m", "hpcmass", "run", directory / "config.yml", "-o", directory / "sweep.h5")
    return directory / "sweep.h5"


def n_compared(path: Path) -> int:
    try:
        with h5py.File(path, "r", locking=False) as file:
            return int(np.sum(file["compared"][()] == DONE))
    except (OSError, KeyError):
        return 0


def ended(pids: list[int]) -> bool:
    """True if none of them runs any more; one that was not yet waited for has ended."""
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            return False
    return True


def wait_for_the_end_of(pids: list[int]) -> None:
    end = time.monotonic() + 30
    while not ended(pids):
        assert time.monotonic() < end, "a worker process outlives its parent"
        time.sleep(0.01)


def hidden(directory: Path) -> list[str]:
    """Locks and temporary files."""
    return sorted(path.name for path in directory.rglob(".*"))


@pytest.mark.parametrize("times", [1, 2])
def test_run(times: int, start: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    job = start("run", "config.yml", "-o", "sweep.h5")
    job.wait_until(lambda: path.exists() and sweep_status(path).done)
    before = sweep_status(path).done
    assert job.interrupt(times) == (130, ONE_LINE)
    status = sweep_status(path)
    assert before <= status.done < 18
    assert status.failed == 0
    assert hidden(tmp_path) == []
    again = start("run", "config.yml", "-o", "sweep.h5")
    again.wait_until(lambda: sweep_status(path).done > status.done)
    assert again.interrupt()[0] == 130


@pytest.mark.parametrize("jobs", [pytest.param("1", marks=pytest.mark.slow), "2"])
@pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_compare(jobs: str, times: int, start: Run, sweep: Path, tmp_path: Path) -> None:
    path = tmp_path / "cmp.h5"
    job = start("compare", str(sweep), "-o", "cmp.h5", "-j", jobs)
    job.wait_until(lambda: n_compared(path))
    workers, before = job.children(), n_compared(path)
    assert len(workers) == (0 if jobs == "1" else 2)
    assert job.interrupt(times) == (130, ONE_LINE)
    assert before <= n_compared(path) < 9
    wait_for_the_end_of(workers)
    assert hidden(tmp_path) == []


def test_workers_that_have_just_been_started(start: Run, sweep: Path) -> None:
    """They import still, and would print a traceback each."""
    job = start("compare", str(sweep), "-o", "cmp.h5", "-j", "2")
    job.wait_until(job.children)
    workers = job.children()
    assert all(signals_of(pid, "SigBlk") >> (signal.SIGINT - 1) & 1 for pid in workers)
    assert job.interrupt() == (130, ONE_LINE)
    wait_for_the_end_of(workers)


def signals_of(pid: int, which: str) -> int:
    """A process's mask of signals, such as those that it blocks."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(which)), 16)


def test_plan(start: Run, tmp_path: Path) -> None:
    job = start("plan", "config.yml", "--seconds", "1000", "-j", "2")
    job.wait_until(lambda: len(job.children()) == 2)
    workers = job.children()
    assert job.interrupt(2) == (130, "hpcmass: interrupted\n")
    wait_for_the_end_of(workers)


def test_watching(start: Run, sweep: Path, tmp_path: Path) -> None:
    start("run", "config.yml", "-o", "sweep.h5", "--time-limit", "0.001s").end()
    job = start("status", "sweep.h5", "--watch", "1000")
    assert job.process.stdout.readline().startswith("sweep.h5: ")
    assert job.interrupt() == (130, "hpcmass: interrupted\n")


def test_a_trial_leaves_nothing_behind(start: Run, tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(CONFIG.replace("8000.0", "800000.0"))
    job = start("trial", "config.yml", "--p", "0.5", "--lam", "0.8", "-o", "trial.h5", "--plot")
    job.wait_until(lambda: is_locked(tmp_path / "trial.h5"))
    assert job.interrupt(2) == (130, "hpcmass: interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["config.yml"]


def test_while_the_kernels_are_compiled(start: Run, tmp_path: Path) -> None:
    cache = tmp_path / "kernels"
    job = start("trial", "config.yml", "--p", "0.5", "--lam", "0.8", env={"NUMBA_CACHE_DIR": str(cache)})
    job.wait_until(lambda: cache.exists() and any(cache.rglob("*.kernel")))
    assert job.interrupt() == (130, "hpcmass: interrupted\n")


@pytest.mark.slow
def test_pictures(start: Run, sweep: Path, tmp_path: Path) -> None:
    start("compare", str(sweep), "-o", "cmp.h5").end()
    job = start("plot", "cmp.h5", "-o", "maps")
    job.wait_until(lambda: any((tmp_path / "maps").glob(".*.growing")))
    assert job.interrupt() == (130, "hpcmass: interrupted\n")
    assert hidden(tmp_path) == []


EVERYWHERE = {
    "config": "config --defaults",
    "validate": "validate config.yml",
    "plan": "plan config.yml",
    "go": "go config.yml",
    "run": "run config.yml -o sweep.h5",
    "status": "status sweep.h5",
    "check": "check sweep.h5",
    "merge": "merge sweep.h5 -o merged.h5",
    "compare": "compare sweep.h5 -o cmp.h5",
    "plot": "plot cmp.h5 -o maps",
    "trial": "trial config.yml --p 0.5 --lam 0.8",
}

PRESS = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\n"
HARDSHIPS = {
    "an import": PRESS,
    "an import that raises another error instead": f"""
try:
    exec({PRESS!r})
except BaseException:
    raise ImportError("initialisation failed") from None
""",
    "a destructor, which cannot raise": f"""
class Thing:
    def __del__(self):
        exec({PRESS!r})
thing = Thing()
del thing
import time
time.sleep(1000)
""",
}
"""Modules within which Ctrl-C is pressed."""


@pytest.mark.parametrize("command", EVERYWHERE)
def test_during_the_imports(command: str, start: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "numpy.py").write_text(PRESS)  # all of them need it
    job = start(*EVERYWHERE[command].split(), env={"PYTHONPATH": str(tmp_path / "modules")})
    line = ONE_LINE if command in ("go", "run", "compare", "merge") else "hpcmass: interrupted\n"
    assert job.end() == (130, line)


@pytest.mark.parametrize("hardship", HARDSHIPS)
def test_where_it_is_hard_to_hear(hardship: str, start: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "numpy.py").write_text(HARDSHIPS[hardship])
    job = start("validate", "config.yml", env={"PYTHONPATH": str(tmp_path / "modules")})
    assert job.end() == (130, "hpcmass: interrupted\n")


def test_a_second_one_does_not_disturb_the_cleaning_up(start: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "numpy.py").write_text(
        f"try:\n    exec({PRESS!r})\nfinally:\n    exec({PRESS!r})\n    open('cleaned-up', 'w').close()\n"
    )
    job = start("validate", "config.yml", env={"PYTHONPATH": str(tmp_path / "modules")})
    assert job.end() == (130, "hpcmass: interrupted\n")
    assert (tmp_path / "cleaned-up").exists()


def test_a_third_one_ends_what_does_not_unwind(start: Run, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "numpy.py").write_text(
        "import time\ntry:\n    print('there', flush=True)\n    time.sleep(60)\nfinally:\n"
        "    print('unwinding', flush=True)\n    time.sleep(1000)\n"
    )
    job = start("validate", "config.yml", env={"PYTHONPATH": str(tmp_path / "modules")})
    for printed in ("there", "unwinding"):
        assert job.process.stdout.readline() == f"{printed}\n"
        os.killpg(job.process.pid, signal.SIGINT)
    while job.process.poll() is None:
        os.killpg(job.process.pid, signal.SIGINT)
        time.sleep(0.01)
    assert job.end() == (130, "")


@pytest.mark.parametrize("rank", ["0", "1"])
def test_of_many_ranks_one_speaks(rank: str, start: Run, tmp_path: Path) -> None:
    """Some launchers pass Ctrl-C to every rank."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "numpy.py").write_text(PRESS)
    env = {"PYTHONPATH": str(tmp_path / "modules"), "PMI_SIZE": "2", "PMI_RANK": rank}
    job = start("run", "config.yml", "-o", "sweep.h5", env=env)
    assert job.end() == (130, ONE_LINE if rank == "0" else "")


def test_ignored_where_it_was_ignored(sweep: Path, mpi_env: dict[str, str]) -> None:
    """A job that a script puts in the background."""
    code = (
        "import os, signal, sys; from hpcmass.cli import main; main(sys.argv[1:]); os.kill(os.getpid(), signal.SIGINT)"
    )
    command = [sys.executable, "-c", code, "status", str(sweep)]
    ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
    subprocess.run(command, env=mpi_env, preexec_fn=ignore, check=True, capture_output=True)


@pytest.mark.parametrize("number", [pytest.param(signal.SIGKILL, marks=pytest.mark.slow), signal.SIGTERM])
def test_workers_end_with_their_parent(number: signal.Signals, start: Run, sweep: Path, tmp_path: Path) -> None:
    job = start("compare", str(sweep), "-o", "cmp.h5", "-j", "2")
    job.wait_until(lambda: n_compared(tmp_path / "cmp.h5"))
    workers = job.children()
    assert len(workers) == 2
    job.process.send_signal(number)
    assert job.end()[0] == -number
    wait_for_the_end_of(workers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "sentence"),
    [(signal.SIGKILL, "perhaps for lack of memory"), (signal.SIGSEGV, "ended by SIGSEGV")],
)
def test_a_worker_that_dies_is_one_sentence(
    number: signal.Signals, sentence: str, start: Run, sweep: Path, tmp_path: Path
) -> None:
    job = start("compare", str(sweep), "-o", "cmp.h5", "-j", "2")
    job.wait_until(lambda: n_compared(tmp_path / "cmp.h5"))
    workers = job.children()
    os.kill(workers[0], number)
    code, err = job.end()
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err
    wait_for_the_end_of(workers)


CALLS = {
    "compare_sweep": "from hpcmass.compare.pipeline import compare_sweep\ncompare_sweep(sys.argv[1], 'cmp.h5', jobs=2)",
    "calibrate": (
        "from hpcmass.config.file import load_experiment\nfrom hpcmass.forecast import calibrate\n"
        "calibrate(load_experiment('config.yml'), processes=2, budget_s=0.1)"
    ),
}


@pytest.mark.parametrize("call", slow_except(CALLS, "calibrate"))
def test_a_script_without_its_guard_is_told_so(call: str, sweep: Path, tmp_path: Path, python_run: Run) -> None:
    (tmp_path / "config.yml").write_text(CONFIG)
    script = tmp_path / "script.py"
    script.write_text(f"import sys\n{CALLS[call]}\n")
    done = python_run(script, sweep, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1, "the script's own"
    assert done.stderr.splitlines()[-1].startswith("hpcmass.errors.LostWorker: a worker process imports the script")
    assert 'under `if __name__ == "__main__":`' in done.stderr
