"""Counts, reasons, rate and time left, from the file or its shards; and the lock that tells whether it runs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial, expected_cost
from hpcmass.store import lock as lock_module
from hpcmass.store.lock import SweepLock, is_locked, lock_path
from hpcmass.store.status import Failure, sweep_status

Write = Callable[..., Path]


def test_counts_and_reasons(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> None:
    path = write_sweep(tmp_path / "sweep.h5", all_trials[:4], (all_trials[11],))
    status = sweep_status(path)
    assert (status.total, status.done, status.failed, status.pending) == (12, 4, 1, 7)
    assert status.failures == (Failure({"p": 1.0, "lam": 0.8}, 1, "did not like p=1 lam=0.8 trial 1"),)
    assert not status.running


def test_rate_and_time_left_go_by_expected_cost(
    tmp_path: Path, write_sweep: Write, all_trials: list[Trial], experiment: Experiment
) -> None:
    done = all_trials[:3]
    status = sweep_status(write_sweep(tmp_path / "sweep.h5", done))
    assert status.mean_wall_s == 1.5
    assert status.workers == 1
    assert status.rate_per_hour == pytest.approx(2400)

    def cost(trials: list[Trial]) -> float:
        return sum(expected_cost(experiment.network, t.values["p"], t.values["lam"]) for t in trials)

    assert status.eta_s == pytest.approx(4.5 * cost(all_trials[3:]) / cost(done))


def test_ranks_share_the_work(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> None:
    (tmp_path / "sweep.h5.parts").mkdir()
    for rank in (1, 2):
        trials = all_trials[3 * rank : 3 * rank + 3]
        write_sweep(tmp_path / "sweep.h5.parts" / f"shard-0000{rank}.h5", trials, rank=rank)
    status = sweep_status(tmp_path / "sweep.h5")  # which is not there yet
    assert (status.done, status.workers, status.driver) == (6, 2, "shards")
    assert status.rate_per_hour == pytest.approx(4800)


def test_before_the_first_trial_nothing_is_pretended(tmp_path: Path, write_sweep: Write) -> None:
    status = sweep_status(write_sweep(tmp_path / "sweep.h5", []))
    plain = json.loads(json.dumps(status.as_dict(), allow_nan=False))
    assert plain["eta_s"] is None
    assert plain["rate_per_hour"] is None
    assert plain["pending"] == 12


def test_only_one_job_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "PATIENCE_S", 0.1)
    first, second = SweepLock(tmp_path / "sweep.h5"), SweepLock(tmp_path / "sweep.h5")
    first.acquire()
    assert is_locked(tmp_path / "sweep.h5")
    with pytest.raises(UserError, match=r"another job is writing .*sweep\.h5"):
        second.acquire()
    SweepLock(tmp_path / "other.h5").acquire()
    first.release()
    assert not is_locked(tmp_path / "sweep.h5")
    second.acquire()
    second.release()
    assert not lock_path(tmp_path / "sweep.h5").exists()


def test_a_file_left_by_a_crash_is_no_lock(tmp_path: Path) -> None:
    lock_path(tmp_path / "sweep.h5").touch()
    assert not is_locked(tmp_path / "sweep.h5")
    lock = SweepLock(tmp_path / "sweep.h5")
    lock.acquire()
    lock.release()
