"""A rank that dies at the worst moment: the file opens, what is done is true, and the same command does the rest."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
from sweep_state import make_pending, require_true, science, wall_times

from hpcmass.store.status import Status
from slow_cases import slow_except

Run = Callable[..., Any]
StatusAfter = Callable[[Path], Status]

parallel = pytest.mark.skipif(
    not h5py.get_config().mpi, reason="only ranks with a parallel HDF5 write traces themselves"
)


@pytest.fixture
def require_continued(
    command: Run, config: Path, reference: Path, status_after: StatusAfter, tmp_path: Path
) -> Callable[[], set[tuple[int, ...]]]:
    """Give `require_continued()`: what was done after a death was true, is kept, and the rest is done now.

    Returns the trials that were done after the death.
    """

    def require_true_and_continued() -> set[tuple[int, ...]]:
        path = tmp_path / "sweep.h5"
        status = status_after(path)
        assert status.failed == 0
        command("check", path)
        done, before = require_true(path, reference), wall_times(path)
        assert len(done) == status.done < 12
        command("run", config, "-o", path)
        assert {k: v for k, v in wall_times(path).items() if k in before} == before, "what was done is not done again"
        assert science(path) == science(reference)
        return done

    return require_true_and_continued


def nth(what: str, n: int, then: str) -> str:
    """Code that replaces the method `what` on rank 0 by one that ends the process at its nth call."""
    owner, name = what.split(".")
    return f"""
before, calls = {what}, []
def dying(self, *args):
    calls.append(args)
    if rank == 0 and sum({then} for args in calls) == {n}:
        os._exit(9)
    return before(self, *args)
{owner}.{name} = dying
"""


RANK_0 = {
    "a report has come, nothing of it is stored": (3, nth("SweepWriter.store", 4, "len(list(args[0])) > 0"), ()),
    "some of its numbers are stored": (3, nth("RawFile.put", 5, "args[0] == 'rate_I'"), ()),
    "the numbers are on the disk, not the status": (3, nth("RawFile.put", 5, "args[0] == 'status'"), ()),
    "the status is written and not synced": (3, nth("RawFile.sync", 4, "True"), ()),
    "rank 0 writes, some traces are stored": (3, nth("RawFile.put", 5, "args[0] == 'phi_I'"), ("--gather",)),
    "one process, some traces are stored": (0, nth("RawFile.put", 5, "args[0] == 'phi_I'"), ()),
    "one process, the numbers are on the disk": (0, nth("RawFile.put", 5, "args[0] == 'status'"), ()),
}


@pytest.mark.mpi
@pytest.mark.parametrize("moment", slow_except(RANK_0, "the numbers are on the disk, not the status"))
def test_rank_0_dies_while_it_stores(
    moment: str, sabotage: Run, require_continued: Callable[[], set[tuple[int, ...]]]
) -> None:
    n, code, options = RANK_0[moment]
    if "nothing of it" in moment:  # the trials come as an iterator, which can be read only once
        code = code.replace("def dying(self, *args):", "def dying(self, ended):\n    args = (list(ended),)")
    died = sabotage(n, code, *options)
    assert died.returncode == 9, died.stderr
    done = require_continued()
    if n == 0:
        assert len(done) == 4, "the current trial was not marked"


NOTE = """
def note(trial):
    with open({path!r}, "w") as file:
        print(*trial.index, file=file, flush=True)
"""

WORKER = {
    "its traces are on the disk, not reported": """
write, written = ParallelTraceWriter.write, []
def dying(self, trial, values):
    write(self, trial, values)
    written.append(trial)
    if rank == 2 and len(written) == 2:
        note(trial)
        os.kill(os.getpid(), signal.SIGKILL)
ParallelTraceWriter.write = dying
""",
    "in the writing thread, some traces are written": """
import threading
write, written = ParallelTraceWriter.write, []
def dying(self, trial, values):
    written.append(trial)
    if rank == 2 and len(written) == 2:
        assert threading.current_thread() is not threading.main_thread()
        self._traces = dict(list(self._traces.items())[:2])
        write(self, trial, values)
        note(trial)
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, trial, values)
ParallelTraceWriter.write = dying
""",
    "in a trial, the one before is on the disk and not reported": """
simulate, begun = hpcmass.network.simulate, []
def dying(network, *args, **options):
    begun.append(args)
    if rank == 2 and len(begun) == 3:
        last, = [outcome.result() for outcome in [scatter._worker._writing]]
        assert last.unwritable is None
        note(last.task.trial)
        os.kill(os.getpid(), signal.SIGKILL)
    return simulate(network, *args, **options)
hpcmass.network.simulate = dying
""",
}


@parallel
@pytest.mark.mpi
@pytest.mark.parametrize("moment", slow_except(WORKER, "its traces are on the disk, not reported"))
def test_a_worker_dies_between_its_traces_and_its_report(
    moment: str, sabotage: Run, require_continued: Callable[[], set[tuple[int, ...]]], tmp_path: Path
) -> None:
    code = NOTE.format(path=str(tmp_path / "dying")) + WORKER[moment]
    died = sabotage(3, code)
    assert died.returncode not in (0, 2, 3, 75)
    last = tuple(map(int, (tmp_path / "dying").read_text().split()))
    assert last not in require_continued(), "a trial that was not reported is not marked"


@pytest.mark.slow
@pytest.mark.mpi
def test_a_worker_dies_where_rank_0_writes(
    sabotage: Run, require_continued: Callable[[], set[tuple[int, ...]]]
) -> None:
    died = sabotage(
        3,
        """
simulate, begun = hpcmass.network.simulate, []
def dying(*args, **options):
    begun.append(args)
    if rank == 2 and len(begun) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return simulate(*args, **options)
hpcmass.network.simulate = dying
""",
        "--gather",
    )
    assert died.returncode not in (0, 2, 3, 75)
    require_continued()


# ------------------------------------------------------------------------------------------ at the beginning

BEGINNING = {
    "the file is about to appear": ("nothing is there", "files.os.replace = die"),
    "the old file is backed up, the new one is about to appear": ("started over", "files.os.replace = die"),
    "a line of history is about to be written": ("continued", "prepare.append_history = die"),
    "a line of history is written, no trial has begun": ("continued", "run.scatter = die"),
}


@pytest.mark.parametrize("moment", BEGINNING)
def test_death_before_the_first_trial_loses_nothing(
    moment: str, sabotage: Run, command: Run, config: Path, reference: Path, tmp_path: Path
) -> None:
    start, spoiled = BEGINNING[moment]
    path, backup = tmp_path / "sweep.h5", tmp_path / "sweep.1.h5"
    if start != "nothing is there":
        shutil.copy(reference, path)
        make_pending(path, [(1, 0, 0), (2, 1, 1)])
    before = path.read_bytes() if path.exists() else b""
    die = "from hpcmass.store import files\ndef die(*args, **options):\n    os._exit(9)\n"
    died = sabotage(0, die + spoiled, *(["--force"] if start == "started over" else []))
    assert died.returncode == 9
    if start == "continued":
        assert len(require_true(path, reference)) == 10
    else:
        assert not path.exists()
    command("run", config, "-o", path)
    assert science(path) == science(reference)
    if start == "started over":
        assert backup.read_bytes() == before


# ------------------------------------------------------------------------------------------ the last trials

SIMULATED = """
simulate = hpcmass.network.simulate
ended = []
def noting(network, p, lam, seed, **options):
    recording = simulate(network, p, lam, seed, **options)
    ended.append(seed)
    with open({path!r} + str(rank), "a") as file:
        print(*seed, file=file, flush=True)
    after(recording)
    return recording
hpcmass.network.simulate = noting
def after(recording):
    pass
"""

ENDS = {
    "when all are done": (0, "", ()),
    "told to stop": (
        75,
        "def after(recording):\n    if rank == 1 and len(ended) == 2:\n        os.kill(os.getpid(), signal.SIGUSR1)\n",
        (),
    ),
    "at the time limit": (
        75,
        "fits, asked = limits.Clock.fits, []\n"
        "def fits_some(self, cost, n_compared):\n"
        "    asked.append(cost)\n"
        "    return rank > 0 or len(asked) <= 7\n"
        "limits.Clock.fits = fits_some\n",
        ("--time-limit", "10h"),
    ),
}


@parallel
@pytest.mark.mpi
@pytest.mark.parametrize("end", slow_except(ENDS, "told to stop"))
def test_the_last_trial_of_each_worker_is_stored_however_the_sweep_ends(
    end: str, sabotage: Run, reference: Path, tmp_path: Path
) -> None:
    """Its traces are still being written when the worker has nothing more to simulate; here they take their time."""
    code, spoiled, options = ENDS[end]
    slow = """
write = ParallelTraceWriter.write
def slow(self, trial, values):
    time.sleep(0.3)
    write(self, trial, values)
ParallelTraceWriter.write = slow
"""
    done = sabotage(3, SIMULATED.format(path=str(tmp_path / "seeds-")) + slow + spoiled, *options)
    assert done.returncode == code, done.stderr
    path = tmp_path / "sweep.h5"
    lines = [line for file in tmp_path.glob("seeds-*") for line in file.read_text().splitlines()]
    with h5py.File(path, "r", locking=False) as file:
        stored = {" ".join(map(str, file["seed"][index])) for index in require_true(path, reference)}
    assert len(lines) == len(set(lines))
    assert stored == set(lines)
    assert len(stored) == 12 if code == 0 else 2 <= len(stored) < 12
    assert f"{path}: {len(stored)} of 12 trials done" in done.stdout
