"""Counts, reasons, rate and time left, from the file or its shards; and the lock that tells whether it runs."""

import errno
import json
import logging
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from hpcmass.store.reuse import take_over

from hpcmass.commands.status import describe
from hpcmass.config import Experiment
from hpcmass.costs import expected_cost
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.store import lock as lock_module
from hpcmass.store.check import check_sweep
from hpcmass.store.lock import SweepLock, is_locked, lock_path
from hpcmass.store.merge import merge
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


def test_who_works_now_counts_not_who_has_worked(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> None:
    path = write_sweep(tmp_path / "sweep.h5", all_trials[:3])
    lock = SweepLock(path)
    lock.acquire()
    assert sweep_status(path).workers == 1, "nobody has said anything yet"
    lock.announce(5)
    status = sweep_status(path)
    assert (status.workers, status.running) == (5, True)
    assert status.rate_per_hour == pytest.approx(5 * 2400)
    lock.release()
    assert sweep_status(path).workers == 1


def test_parts_are_worked_on_by_ranks_of_their_own(
    tmp_path: Path, experiment: Experiment, all_trials: list[Trial], write_sweep: Write
) -> None:
    paths = [write_sweep(tmp_path / f"{i}.h5", all_trials[6 * i : 6 * i + 6]) for i in range(2)]
    with h5py.File(paths[1], "r+") as file:
        file.attrs["uuid"] = "another job"
    merge(paths, tmp_path / "all.h5")
    assert sweep_status(tmp_path / "all.h5").workers == 2


def test_what_is_taken_over_was_not_computed_here(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> None:
    old, new = write_sweep(tmp_path / "old.h5", all_trials[:6]), write_sweep(tmp_path / "new.h5", all_trials[6:8])
    assert len(take_over(old, new, all_trials)) == 6
    status = sweep_status(new)
    assert (status.done, status.workers) == (8, 1)
    assert status.core_hours_used == pytest.approx(2 * 1.5 / 3600)
    assert not any("rank" in problem for problem in check_sweep(new))
    whole = write_sweep(tmp_path / "whole.h5", [])
    take_over(old, whole, all_trials)
    assert sweep_status(whole).as_dict()["eta_s"] is None
    assert "12 trials done" in describe(sweep_status(whole))


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


def test_without_locks_it_goes_on_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(lock_module.fcntl, "flock", refuse)
    monkeypatch.setattr(logging.getLogger("hpcmass"), "propagate", True)
    lock = SweepLock(tmp_path / "sweep.h5")
    lock.acquire()
    assert "has no locks; take care that no other job writes this file" in caplog.text
    lock.release()
