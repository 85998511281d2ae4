"""`run -j N`: other processes simulate, the first one writes; the same bytes and the same promises as with ranks."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_state import attribute, history, require_true, science, wall_times
from test_trouble import ROOT_FULL, require_refused_and_continued

from hpcmass.parallel.communicator import Communicator
from hpcmass.store.status import Status, sweep_status
from hpcmass.store.sweep_file import SweepFile
from hpcmass.sweep import run

Run = Callable[..., Any]
StatusAfter = Callable[[Path], Status]

pytestmark = pytest.mark.process

DIED = "a worker process was killed, perhaps for lack of memory; ask for fewer processes (-j)"
KEPT = "; what is done is kept, the same command continues\n"


def require_ended(pids: list[int]) -> None:
    end = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end, "a worker process outlives its parent"
        time.sleep(0.01)


def require_continued(path: Path, config: Path, reference: Path, command: Run, *options: str) -> None:
    """What was done is true and is kept; the rest is done."""
    before = wall_times(path)
    assert len(require_true(path, reference)) == len(before) < 18
    assert "18 of 18 trials done" in command("run", config, "-o", path, *options).stdout
    assert {k: v for k, v in wall_times(path).items() if k in before} == before
    assert science(path) == science(reference)


@pytest.mark.slow
def test_a_signal_stops_it_and_it_is_continued(
    slow_config: Path, slow_reference: Path, start: Run, command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    job = start(0, "run", slow_config, "-j", "2", output=path)
    state = job.wait_for(2)
    assert (state.running, state.workers, state.driver) == (True, 2, "gather")
    workers = job.workers()
    assert len(workers) == 2
    os.kill(job.process.pid, signal.SIGTERM)  # the workers learn of it from the first process
    code, out, err = job.end()
    status = sweep_status(path)
    assert code == 75, err
    assert out == f"{path}: {status.done} of 18 trials done\n"
    assert "by 2 workers, into" in err
    assert f"stopped by a signal, {status.pending} trials are left; the same command continues" in err
    require_ended(workers)
    assert [file.name for file in tmp_path.iterdir()] == ["sweep.h5"]
    require_continued(path, slow_config, slow_reference, command)


def test_a_worker_that_dies_is_one_sentence_and_nothing_is_lost(
    slow_config: Path, slow_reference: Path, start: Run, command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    job = start(0, "run", slow_config, "-j", "2", output=path)
    job.wait_for(2)
    workers = job.workers()
    os.kill(workers[1], signal.SIGKILL)
    code, _, err = job.end()
    assert code == 2
    assert err.endswith(f"hpcmass: {DIED}{KEPT}")
    assert "Traceback" not in err
    require_ended(workers)
    require_continued(path, slow_config, slow_reference, command, "-j", "2")
    assert (attribute(path, "driver"), attribute(path, "n_ranks")) == ("gather", 3)
    with SweepFile(path) as file:
        assert set(np.unique(file.variable("rank"))) == {1, 2}
    assert history(path)[0].endswith("started, 2 worker processes, gather")
    assert "resumed, 2 worker processes, gather" in history(path)[1]


def test_under_mpiexec_it_is_refused(
    config: Path, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Comm:
        def bcast(self, value: Any, root: int) -> Any:
            return value

        def Abort(self, code: int) -> None:
            raise AssertionError("the other ranks end by themselves")

    monkeypatch.setattr(run, "communicator", lambda: Communicator(Comm(), 0, 2, "an MPI library"))
    done = command("run", config, "-o", tmp_path / "sweep.h5", "-j", "2", check=False)
    assert done.returncode == 2
    assert done.stderr == "hpcmass: give either -j or mpiexec: the ranks are the processes\n"
    assert not list(tmp_path.iterdir())


def test_one_process_is_this_one(config: Path, reference: Path, command: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    done = command("run", config, "-o", path, "-j", "1")
    assert "by this process" in done.stderr
    assert (attribute(path, "driver"), attribute(path, "n_ranks")) == ("serial", 1)
    assert science(path) == science(reference)


# ------------------------------------------------------------------------------------------ rarer


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--gather",)])
def test_parts_by_processes_are_those_by_one(
    options: tuple[str, ...], config: Path, parts: list[Path], command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "part.h5"
    command("run", config, "-o", path, "--part", "2/3", "-j", "3", *options)
    assert science(path) == science(parts[1])
    assert "3 worker processes, gather, part 2/3" in history(path)[0]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
@pytest.mark.parametrize("who", ["all", "a worker", "all, while the workers start"])
def test_a_signal_to_all_processes_or_a_worker_is_a_stop(
    who: str, number: signal.Signals, slow_config: Path, slow_reference: Path, start: Run, command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    job = start(0, "run", slow_config, "-j", "2", output=path)
    if who == "all, while the workers start":
        while not job.workers():
            time.sleep(0.001)
    else:
        job.wait_for(2)
    if who == "a worker":
        os.kill(job.workers()[0], number)
    else:
        os.killpg(job.process.pid, number)
    code, _, err = job.end()
    assert code == 75, err
    assert "stopped by a signal" in err
    require_continued(path, slow_config, slow_reference, command)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_or_its_death_ends_all_processes(
    number: signal.Signals, slow_config: Path, slow_reference: Path, start: Run, status_after: StatusAfter,
    command: Run, tmp_path: Path
) -> None:  # fmt: skip
    path = tmp_path / "sweep.h5"
    job = start(0, "run", slow_config, "-j", "2", output=path)
    job.wait_for(2)
    workers = job.workers()
    os.kill(job.process.pid, number)
    code, _, err = job.end()
    assert code == (130 if number == signal.SIGINT else -9)
    assert err.endswith("interrupted; what is done is kept, the same command continues\n") or code == -9
    require_ended(workers)
    assert not status_after(path).running
    require_continued(path, slow_config, slow_reference, command)


@pytest.mark.slow
def test_failed_trials_are_marked(sabotage: Run, reference: Path, tmp_path: Path) -> None:
    done = sabotage(
        0,
        """
simulate = hpcmass.network.simulate
def broken(network, p, lam, seed, **options):
    if p == 1.0 and network.n_neurons == 200:
        raise IndexError("out of bounds")
    return simulate(network, p, lam, seed, **options)
hpcmass.network.simulate = broken
""",
        "-j", "2",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    status = sweep_status(tmp_path / "sweep.h5")
    assert (status.done, status.failed) == (8, 4)
    assert status.failures[0].message.startswith("IndexError: out of bounds (script.py:")
    require_true(tmp_path / "sweep.h5", reference)


@pytest.mark.slow
def test_a_disk_that_refuses_is_one_sentence(sabotage: Run, reference: Path, tmp_path: Path) -> None:
    done = sabotage(0, ROOT_FULL, "-j", "2")
    require_refused_and_continued(done, sabotage, reference, tmp_path / "sweep.h5", "-j", "2")


@pytest.mark.slow
def test_a_trial_stuck_outside_python_ends_the_sweep_and_nothing_is_lost(
    sabotage: Run, reference: Path, tmp_path: Path
) -> None:
    done = sabotage(
        0,
        """
import ctypes
limits.END_AFTER_S = 0.5
simulate, sleep = hpcmass.network.simulate, ctypes.PyDLL(None).sleep  # which keeps the interpreter's lock
begun = []
def stuck(network, p, lam, seed, **options):
    begun.append(seed)
    if len(begun) == 6:
        sleep(1000)
    return simulate(network, p, lam, seed, **options)
if __name__ != "__main__":
    hpcmass.network.simulate = stuck
""",
        "--trial-timeout", "2s", "-j", "2",
    )  # fmt: skip
    assert done.returncode == 2
    assert "in stuck" in done.stderr
    assert done.stderr.endswith(KEPT)
    assert 2 <= len(require_true(tmp_path / "sweep.h5", reference)) < 12


@pytest.mark.slow
def test_time_limits_stop_it(slow_config: Path, slow_reference: Path, command: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    done = command("run", slow_config, "-o", path, "-j", "2", "--time-limit", "0.000001s", check=False)
    assert done.returncode == 75
    assert "stopped at the time limit, 18 trials are left" in done.stderr
    failed = command("run", slow_config, "-o", path, "-j", "2", "--trial-timeout", "0.000001s", check=False)
    assert failed.returncode == 3
    assert "took longer than --trial-timeout" in sweep_status(path).failures[0].message
    command("run", slow_config, "-o", path, "-j", "2", "--retry-failed")
    assert science(path) == science(slow_reference)


DYING = """
import os, signal, sys, time
from multiprocessing.connection import Connection
from hpcmass.parallel.processes import worker_processes
send = Connection._send

def dying(self, buffer, *more):
    if len(buffer) > 10**5:
        send(self, buffer[:1000], *more)
        os.kill(os.getpid(), signal.SIGKILL)
    send(self, buffer, *more)

def work():
    Connection._send = dying
    return bytes(10**6)

if __name__ == "__main__":
    with worker_processes(2) as pool:
        pool.submit(work).result()
"""


@pytest.mark.slow
def test_a_death_in_the_middle_of_a_result_is_noticed(python_run: Run, tmp_path: Path) -> None:
    """Otherwise the pool waits for the rest of it."""
    script = tmp_path / "script.py"
    script.write_text(DYING)
    done = python_run(script, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("hpcmass.errors.LostWorker: a worker process was killed")
