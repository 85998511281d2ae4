"""An error on one rank ends the job with its message and never hangs it; what is done is kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
from sweep_state import require_true, science, trials_done

from hpcmass.store.status import Status, sweep_status

Run = Callable[..., Any]
StatusAfter = Callable[[Path], Status]

pytestmark = pytest.mark.mpi

parallel = pytest.mark.skipif(
    not h5py.get_config().mpi, reason="only ranks with a parallel HDF5 write traces themselves"
)


@pytest.mark.parametrize("culprit", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_an_unforeseen_error_before_a_barrier_aborts_with_its_message(sabotage: Run, culprit: int) -> None:
    done = sabotage(
        3,
        f"""
def broken(*args):
    raise RuntimeError("no such kernel")
if rank == {culprit}:
    run._warm_up = broken
""",
    )
    assert done.returncode not in (0, 2)
    assert "RuntimeError: no such kernel" in done.stderr
    assert f"rank {culprit} stops the job" in done.stderr


def test_an_unforeseen_error_on_rank_0_aborts(sabotage: Run) -> None:
    done = sabotage(
        3,
        """
def broken(*args):
    raise ZeroDivisionError("on rank 0")
scatter.in_order = broken
""",
    )
    assert done.returncode not in (0, 2)
    assert "ZeroDivisionError: on rank 0" in done.stderr


@parallel
@pytest.mark.parametrize("first", [1, pytest.param(4, marks=pytest.mark.slow)], ids=["with a next trial", "with none"])
def test_an_unforeseen_error_in_the_writing_thread_aborts(
    sabotage: Run, first: int, status_after: StatusAfter, reference: Path, tmp_path: Path
) -> None:
    """Whether the worker asks for its result before its next report or, at the end, after its last."""
    done = sabotage(
        2,
        f"""
written = []
write = ParallelTraceWriter.write
def broken(self, trial, values):
    written.append(trial)
    if len(written) == {3 * first}:
        raise KeyError("a bug in the writer")
    write(self, trial, values)
if rank == 1:
    ParallelTraceWriter.write = broken
""",
    )
    assert done.returncode not in (0, 2, 3)
    assert "a bug in the writer" in done.stderr
    status = status_after(tmp_path / "sweep.h5")
    assert (status.failed, status.pending > 0) == (0, True)
    require_true(tmp_path / "sweep.h5", reference)


def test_an_unforeseen_error_in_one_trial_is_that_trials_failure(sabotage: Run, tmp_path: Path) -> None:
    done = sabotage(
        3,
        """
simulate = hpcmass.network.simulate
def broken(network, p, lam, seed, **options):
    if p == 1.0 and network.n_neurons == 200:
        raise IndexError("out of bounds")
    return simulate(network, p, lam, seed, **options)
hpcmass.network.simulate = broken
""",
    )
    assert done.returncode == 3
    status = sweep_status(tmp_path / "sweep.h5")
    assert (status.done, status.failed) == (8, 4)
    assert status.failures[0].message.startswith("IndexError: out of bounds (script.py:")


@pytest.mark.slow
def test_a_trial_that_waits_for_ever_is_interrupted(sabotage: Run, tmp_path: Path) -> None:
    done = sabotage(
        3,
        """
limits.ALARM_AFTER_S = 0.2
simulate = hpcmass.network.simulate
def waiting(network, p, lam, seed, **options):
    if (p, lam) == (1.0, 0.9) and network.n_neurons == 200:
        time.sleep(1000)
    return simulate(network, p, lam, seed, **options)
hpcmass.network.simulate = waiting
""",
        "--trial-timeout", "3s",
    )  # fmt: skip
    assert done.returncode == 3
    status = sweep_status(tmp_path / "sweep.h5")
    assert (status.done, status.failed) == (10, 2)
    assert status.failures[0].message.startswith("took longer than --trial-timeout, 3 s; interrupted")


@pytest.mark.slow
def test_a_trial_stuck_outside_python_ends_the_job_with_its_stack_and_nothing_is_lost(
    sabotage: Run, status_after: StatusAfter, reference: Path, tmp_path: Path
) -> None:
    done = sabotage(
        3,
        """
import ctypes
limits.END_AFTER_S = 0.5
simulate, sleep = hpcmass.network.simulate, ctypes.PyDLL(None).sleep  # which keeps the interpreter's lock
begun = []
def stuck(network, p, lam, seed, **options):
    begun.append(seed)
    if rank == 2 and len(begun) == 3:
        sleep(1000)
    return simulate(network, p, lam, seed, **options)
hpcmass.network.simulate = stuck
""",
        "--trial-timeout", "2s",
    )  # fmt: skip
    assert done.returncode not in (0, 2, 3, 75)
    assert "in stuck" in done.stderr
    status = status_after(tmp_path / "sweep.h5")
    assert status.failed == 0
    assert 2 <= len(require_true(tmp_path / "sweep.h5", reference)) < 12


@pytest.mark.slow
def test_a_rank_that_is_slow_to_leave_does_not_spoil_the_exit_code(sabotage: Run, tmp_path: Path) -> None:
    """mpiexec sends SIGTERM to the others when rank 0 has ended with 75."""
    done = sabotage(
        3,
        """
def main(arguments, work=main):
    code = work(arguments)
    os.kill(os.getpid(), signal.SIGTERM)
    return code
""",
        "--time-limit", "0.001s",
    )  # fmt: skip
    assert done.returncode == 75, done.stderr


@pytest.mark.slow
def test_a_signal_before_the_first_trial_is_a_stop_and_no_death(sabotage: Run, tmp_path: Path) -> None:
    done = sabotage(3, "run._warm_up = lambda *args: os.kill(os.getpid(), signal.SIGUSR1) if rank == 0 else None\n")
    assert done.returncode == 75, done.stderr
    assert "stopped by a signal, 12 trials are left" in done.stderr
    assert sweep_status(tmp_path / "sweep.h5").pending == 12


# ------------------------------------------------------------------------------------------ a disk that refuses

WORKER_FULL = """
from hpcmass.store import writer
write, sync, written = ParallelTraceWriter.write, writer.sync, []
def noting(self, trial, values):
    written.append(trial)
    write(self, trial, values)
def full(descriptor):
    if rank == 2 and len(written) == 3:
        with open("{note}", "w") as file:
            print(*written[-1].index, file=file)
        raise OSError(errno.ENOSPC, "No space left on device")
    sync(descriptor)
ParallelTraceWriter.write, writer.sync = noting, full
"""

ROOT_FULL = """
sync, synced = RawFile.sync, []
def full(self):
    synced.append(1)
    if len(synced) > 4:
        raise OSError(errno.ENOSPC, "No space left on device")
    sync(self)
RawFile.sync = full
"""


def require_refused_and_continued(done: Any, sabotage: Run, reference: Path, path: Path, *options: str) -> None:
    assert done.returncode == 2
    assert done.stderr.count("no space left on device; free some space and start the same command again") == 1
    assert "Traceback" not in done.stderr
    status = sweep_status(path)
    assert (status.failed, status.running) == (0, False)
    assert 2 <= len(require_true(path, reference)) < 12
    again = sabotage(0, "", *options)
    assert again.returncode == 0, again.stderr
    assert science(path) == science(reference)


@parallel
def test_traces_that_one_worker_cannot_write_stop_the_sweep_with_a_sentence(
    sabotage: Run, reference: Path, tmp_path: Path
) -> None:
    """Its trial stays pending; all that the others have done, and what it had done before, is stored."""
    path = tmp_path / "sweep.h5"
    done = sabotage(3, WORKER_FULL.format(note=tmp_path / "refused"))
    refused = tuple(map(int, (tmp_path / "refused").read_text().split()))
    assert refused not in trials_done(path)
    require_refused_and_continued(done, sabotage, reference, path)


@pytest.mark.parametrize(
    "options", [(), pytest.param(("--gather",), marks=pytest.mark.slow)], ids=["all write", "rank 0 writes"]
)
def test_numbers_that_rank_0_cannot_write_do_so_too(
    options: tuple[str, ...], sabotage: Run, reference: Path, tmp_path: Path
) -> None:
    done = sabotage(3, ROOT_FULL, *options)
    require_refused_and_continued(done, sabotage, reference, tmp_path / "sweep.h5", *options)


@pytest.mark.slow
@parallel
def test_a_file_that_cannot_be_closed_is_a_sentence_and_what_is_done_is_true(
    sabotage: Run, reference: Path, tmp_path: Path
) -> None:
    done = sabotage(
        3,
        """
close = ParallelTraceWriter.close
class Refusing:
    def close(self):
        raise OSError(errno.EIO, "Input/output error")
def broken(self):
    file, self._file = self._file, Refusing()
    try:
        close(self)
    finally:
        file.close()
if rank == 1:
    ParallelTraceWriter.close = broken
""",
    )
    assert done.returncode == 2
    assert done.stderr.count("sweep.h5: input/output error; start the same command again") == 1
    assert "Traceback" not in done.stderr
    assert len(require_true(tmp_path / "sweep.h5", reference)) == 12
