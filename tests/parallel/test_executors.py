"""A bounded number of tasks in flight, in this process, other processes of this machine, or ranks."""

import functools
import math
import operator
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hpcmass.errors import UserError
from hpcmass.parallel import executors
from hpcmass.parallel.executors import THIS_PROCESS, SerialExecutor, Workers, batches, processes
from hpcmass.parallel.processes import Pool

Run = Callable[..., Any]


class ByHand(Executor):
    """An executor whose tasks end when, and in the order in which, the test ends them.

    Attributes
    ----------
    waiting : list of (task, Future)
        Handed out and not ended.
    most : int
        Largest number that has been waiting at the same time.
    """

    def __init__(self) -> None:
        self.waiting: list[tuple[Any, Future[Any]]] = []
        self.most = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((functools.partial(fn, *args, **kwargs), future))
        self.most = max(self.most, len(self.waiting))
        return future

    def end(self, number: int) -> None:
        """End one of the waiting tasks, by its place among them."""
        task, future = self.waiting.pop(number)
        future.set_running_or_notify_cancel()
        try:
            future.set_result(task())
        except Exception as error:
            future.set_exception(error)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "WAKE_S", 0.001)


@pytest.mark.usefixtures("impatient")
def test_no_more_than_so_many_tasks_are_handed_out_at_a_time_and_all_are_done() -> None:
    by_hand = ByHand()
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    results: list[int] = []
    for batch in batches(by_hand, operator.neg, tasks(), in_flight=4):
        assert len(taken) <= len(results) + len(batch) + 4, "a task is taken only when it can be submitted"
        results += batch
        for _ in range(min(3, len(by_hand.waiting))):  # the last first
            by_hand.end(-1)
    assert by_hand.most == 4
    assert sorted(results) == sorted(-number for number in range(50))
    assert results != [-number for number in range(50)], "they come in the order in which they end"


@pytest.mark.usefixtures("impatient")
def test_while_nothing_ends_the_caller_is_woken_with_empty_batches() -> None:
    by_hand = ByHand()
    work = batches(by_hand, operator.neg, [1], in_flight=2)
    assert [next(work), next(work), next(work)] == [[], [], []]
    by_hand.end(0)
    assert next(work) == [-1]
    assert list(work) == []


@pytest.mark.usefixtures("impatient")
def test_a_stop_cancels_tasks_that_have_not_begun_and_waits_for_the_others() -> None:
    by_hand = ByHand()
    going = [True]
    work = batches(by_hand, operator.neg, range(100), in_flight=3, keep_going=lambda: going[0])
    assert next(work) == []
    begun = by_hand.waiting[1]
    begun[1].set_running_or_notify_cancel()
    going[0] = False
    assert next(work) == [], "the one that has begun is waited for"
    assert [future.cancelled() for _, future in by_hand.waiting] == [True, False, True]
    assert len(by_hand.waiting) == 3, "nothing more is submitted"
    begun[1].set_result(begun[0]())
    assert next(work) == [-1]
    assert list(work) == []


@pytest.mark.process
@pytest.mark.usefixtures("impatient")
def test_the_error_of_a_task_reaches_the_caller_and_the_others_are_taken_back() -> None:
    by_hand = ByHand()
    work = batches(by_hand, math.sqrt, [4.0, -1.0, 9.0, 16.0], in_flight=3)
    next(work)
    by_hand.end(1)
    with pytest.raises(ValueError, match="math domain error"):
        list(work)  # what other tasks have found comes first
    assert all(future.cancelled() for _, future in by_hand.waiting)


@pytest.mark.usefixtures("impatient")
def test_a_caller_that_leaves_cancels_everything() -> None:
    by_hand = ByHand()
    work = batches(by_hand, operator.neg, range(9), in_flight=3)
    next(work)
    work.close()  # type: ignore[attr-defined]
    assert [future.cancelled() for _, future in by_hand.waiting] == [True] * 3


@pytest.mark.parametrize("threads", [0, 4], ids=["this process", "4 threads"])
def test_thousands_of_tasks(threads: int) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        return number * number

    with ThreadPoolExecutor(threads) if threads else SerialExecutor() as pool:
        in_flight = Workers(pool, max(1, threads)).in_flight(2)
        assert in_flight == (8 if threads else 1)
        found = [result for batch in batches(pool, work, range(5000), in_flight=in_flight) for result in batch]
    assert sorted(found) == [number * number for number in range(5000)]
    assert most <= max(1, threads)


def test_in_one_process_a_result_is_there_before_the_next_task_begins() -> None:
    story: list[str] = []

    def work(number: int) -> int:
        story.append(f"begun {number}")
        return number

    for batch in batches(THIS_PROCESS.executor, work, range(3), in_flight=THIS_PROCESS.in_flight(9)):
        story += [f"got {number}" for number in batch]
    assert story == ["begun 0", "got 0", "begun 1", "got 1", "begun 2", "got 2"]


def test_no_tasks_are_no_batches() -> None:
    assert list(batches(SerialExecutor(), operator.neg, [], in_flight=1)) == []


def test_one_process_is_this_one() -> None:
    with processes(1) as workers:
        assert workers is THIS_PROCESS
        assert workers.executor.submit(os.getpid).result() == os.getpid()


@pytest.mark.process
def test_two_processes_give_the_same_results_on_a_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    with processes(2) as workers:
        assert (workers.n, workers.mpi_library, workers.in_flight(4)) == (2, "none", 8)
        work = batches(workers.executor, math.factorial, range(300), in_flight=workers.in_flight(4))
        found = [result for batch in work for result in batch]
        assert sorted(found) == [math.factorial(number) for number in range(300)]
        ids = {workers.executor.submit(os.getpid).result() for _ in range(20)}
        assert os.getpid() not in ids
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        assert [workers.executor.submit(os.getenv, name).result() for name in names] == ["1", "1", "3"]
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.process
def test_a_killed_process_is_one_sentence() -> None:
    with (
        pytest.raises(
            UserError, match="a worker process was killed, perhaps for lack of memory; ask for fewer processes"
        ),
        processes(2) as workers,
    ):
        list(batches(workers.executor, signal.raise_signal, [signal.SIGKILL], in_flight=2))


@pytest.mark.process
def test_tasks_may_be_cancelled_before_a_process_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after Ctrl-C: a thread of the pool would print a traceback and leave the other tasks waiting."""
    printed: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda about: printed.append(str(about.exc_value)))

    def cancel_and_kill(pool: Executor) -> list[Future[None]]:
        """The tasks that are left."""
        assert isinstance(pool, Pool)
        asleep = [pool.submit(time.sleep, 600) for _ in range(12)]
        while sum(future.running() for future in asleep) < 3:
            time.sleep(0.05)  # the pool's thread is waiting then: it forgets what was cancelled before
        left = [future for future in asleep if not future.cancel()]
        assert 0 < len(left) < 12
        pool.tell(signal.SIGKILL)
        return left

    with pytest.raises(UserError, match="a worker process was killed"), processes(2) as workers:
        list(map(Future.result, cancel_and_kill(workers.executor)))
    assert printed == []


@pytest.mark.process
def test_an_error_in_a_process_keeps_its_kind() -> None:
    with pytest.raises(ValueError, match="math domain error"), processes(2) as workers:
        list(batches(workers.executor, math.sqrt, [1.0, -1.0], in_flight=2))


RANKS = """
import math, os, sys
from hpcmass.errors import UserError
from hpcmass.parallel.communicator import communicator
from hpcmass.parallel.executors import batches, launched_ranks, ranks

def square(number):
    return number * number, os.getpid()

what = sys.argv[1]
try:
    with launched_ranks() as workers:
        if workers is not None:
            assert (workers.n, workers.in_flight(2)) == (2, 4)
            assert "MPI" in workers.mpi_library
            if what == "work":
                results = [r for b in batches(workers.executor, square, range(2000), in_flight=4) for r in b]
                assert sorted(number for number, _ in results) == [n * n for n in range(2000)]
                who = {pid for _, pid in results}
                print(len(who), os.getpid() in who, flush=True)
            elif what == "mistake":
                raise UserError("that is not possible")
            elif what == "bug in a task":
                list(batches(workers.executor, math.sqrt, [1.0, -1.0], in_flight=4))
            else:
                raise KeyError("a bug on rank 0")
        else:
            assert not communicator().is_root
            print("a worker has ended", flush=True)
except UserError as error:  # as the command line does
    sys.exit(f"hpcmass: {error}")
"""


@pytest.fixture
def ranks_script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(RANKS)
    return path


@pytest.mark.mpi
def test_ranks_do_thousands_of_tasks_and_rank_0_none(mpi_run: Run, ranks_script: Path) -> None:
    done = mpi_run(3, ranks_script, "work")
    assert "2 False" in done.stdout
    assert done.stdout.count("a worker has ended") == 2


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("what", "message"),
    [("mistake", "hpcmass: that is not possible"), ("bug in a task", "math domain error"), ("bug", "a bug on rank 0")],
)
def test_an_error_on_rank_0_ends_all_ranks(mpi_run: Run, ranks_script: Path, what: str, message: str) -> None:
    done = mpi_run(3, ranks_script, what, check=False, timeout=60)
    assert done.returncode != 0
    assert message in done.stderr
    if what == "mistake":  # the others leave silently, and no rank is killed
        assert "MPI_ABORT" not in done.stderr
        assert done.stderr.count(message) == 1
        assert "Traceback" not in done.stderr
    else:
        assert "rank 0 stops the job" in done.stderr
