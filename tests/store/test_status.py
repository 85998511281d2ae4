"""Counts, reasons, rate and time left; and the lock that tells whether a sweep runs."""

import errno
import json
import logging
from pathlib import Path

import pytest
from store_examples import Write, ended

from hpcmass.commands.status import describe, describe_all
from hpcmass.config import Experiment
from hpcmass.costs import expected_cost
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.store import lock as lock_module
from hpcmass.store.check import check_sweep
from hpcmass.store.lock import SweepLock, is_locked, lock_path
from hpcmass.store.status import Failure, sweep_status
from hpcmass.store.writer import SweepWriter
from hpcmass.sweep.reuse import copy_reusable


def test_counts_and_reasons(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> None:
    path = write_sweep(tmp_path / "sweep.h5", all_trials[:4], (all_trials[11],))
    status = sweep_status(path)
    assert (status.total, status.done, status.failed, status.pending) == (12, 4, 1, 7)
    assert status.failures == (
        Failure({"p": 1.0, "lam": 0.8}, 1, "did not converge at p=1 lam=0.8 trial 1, λ too large"),
    )
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
    path = write_sweep(tmp_path / "sweep.h5", all_trials[:3], rank=1)
    with SweepWriter(path) as writer:
        writer.store(ended(all_trials[3:6], rank=2))
    status = sweep_status(path)
    assert (status.done, status.workers, status.driver) == (6, 2, "serial")
    assert status.rate_per_hour == pytest.approx(4800)


def test_a_part_counts_its_own_trials(parts: list[Path]) -> None:
    found = [sweep_status(path) for path in parts]
    assert [status.part for status in found] == ["1/3", "2/3", "3/3"]
    assert sum(status.total for status in found) == 12
    assert all(status.pending == 0 for status in found)
    text = describe_all(found)
    assert "12 of 12 trials done" in text
    assert "no file of part" not in text
    assert "no file of part 2 of 3" in describe_all([found[0], found[2]])


def test_who_works_now_counts_not_who_has_worked(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> None:
    path = write_sweep(tmp_path / "sweep.h5", all_trials[:3])
    lock = SweepLock(path)
    lock.acquire()
    assert sweep_status(path).workers == 1, "nothing was announced yet"
    lock.announce(5)
    status = sweep_status(path)
    assert (status.workers, status.running) == (5, True)
    assert status.rate_per_hour == pytest.approx(5 * 2400)
    lock.release()
    assert sweep_status(path).workers == 1


def test_copied_trials_were_not_computed_here(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> None:
    old, new = write_sweep(tmp_path / "old.h5", all_trials[:6]), write_sweep(tmp_path / "new.h5", all_trials[6:8])
    assert len(copy_reusable(old, new, all_trials)) == 6
    status = sweep_status(new)
    assert (status.done, status.workers) == (8, 1)
    assert status.core_hours_used == pytest.approx(2 * 1.5 / 3600)
    assert not any("rank" in problem for problem in check_sweep(new))
    whole = write_sweep(tmp_path / "whole.h5", [])
    copy_reusable(old, whole, all_trials)
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


def test_without_locks_it_continues_with_a_warning(
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
