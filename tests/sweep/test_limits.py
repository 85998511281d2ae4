"""Time limits: what fits is begun, what does not is left, a trial that hangs fails with its reason."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sweep_state import science

from hpcmass.config import NetworkParameters
from hpcmass.errors import TrialTimeout
from hpcmass.network import simulate
from hpcmass.store.status import sweep_status
from hpcmass.sweep import limits
from hpcmass.sweep.limits import CLOSING_S, CLOSING_SHARE, Clock, Limits, stop_requested, stopping_on_signals, watched

Run = Callable[..., Any]

pytestmark = pytest.mark.timeout(method="thread")  # by default pytest uses the alarm that is tested here


def test_without_limits_everything_fits() -> None:
    clock = Clock(Limits())
    clock.note(1.0, 1e9)
    assert clock.fits(1e9)
    assert not clock.is_up()
    assert clock.deadline() is None


def test_the_pace_decides_what_fits() -> None:
    clock = Clock(Limits(job_s=100.0))
    assert clock.fits(1e9), "nothing is known yet"
    for seconds in (0.5, 1.0, 2.0):
        clock.note(10.0, seconds)
    assert clock.expected_s(10.0) == 1.0
    assert clock.fits(900.0)
    assert not clock.fits(1000.0), "100 s, and some time to close is kept"


def test_comparing_needs_time_too() -> None:
    clock = Clock(Limits(job_s=100.0))
    assert clock.fits(0.0, 10**9), "nothing is known yet"
    clock.note(10.0, 1.0)
    clock.note_comparison(0, 5.0)
    assert clock.best_comparison == 0, "no trial was compared"
    for seconds in (10.0, 5.0, 100.0):
        clock.note_comparison(5, seconds)
    assert clock.expected_s(10.0, 3) == 1.0 + 3 * 2.0
    assert clock.best_comparison == 1.0
    assert clock.fits(0.0, 48)
    assert not clock.fits(30.0, 48)
    unlimited = Clock(Limits())
    unlimited.note_comparison(1, 1e9)
    assert unlimited.fits(0.0, 10**9)


def test_when_time_is_up_nothing_fits() -> None:
    clock = Clock(Limits(job_s=10.0), started=time.monotonic() - 11)
    assert clock.is_up()
    assert not clock.fits(0.0)


def test_the_earlier_deadline_counts() -> None:
    now = time.monotonic()
    deadline = Clock(Limits(job_s=1000.0, trial_s=5.0)).deadline()
    assert deadline is not None
    assert deadline < now + 10
    deadline = Clock(Limits(job_s=10.0, trial_s=500.0)).deadline()
    assert deadline is not None
    assert deadline < now + 11


def test_a_trial_past_its_deadline_is_given_up() -> None:
    network = NetworkParameters(n_neurons=64, n_external=8, duration_ms=100.0, transient_ms=10.0)
    with pytest.raises(TrialTimeout, match="stopped at 0 ms of 100 ms"):
        simulate(network, 0.1, 0.5, (1, 2, 3, 4), deadline=time.monotonic() - 1)
    simulate(network, 0.1, 0.5, (1, 2, 3, 4), deadline=time.monotonic() + 1000)


def test_some_of_the_time_is_kept_for_closing_files() -> None:
    for job_s, kept in ((100.0, CLOSING_SHARE * 100), (1e6, CLOSING_S)):
        assert Clock(Limits(job_s=job_s), started=7.0).end == 7.0 + job_s - kept


def test_what_waits_beyond_its_deadline_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """For any blocking call; the alarm is off again afterwards."""
    monkeypatch.setattr(limits, "ALARM_AFTER_S", 0.01)
    before = signal.getsignal(signal.SIGALRM)
    waiting = threading.Event()
    with pytest.raises(TrialTimeout, match="interrupted"), watched(time.monotonic() + 0.01, 1000.0):
        waiting.wait(60)
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_alarm_that_is_swallowed_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ALARM_AFTER_S", 0.01)
    waiting, swallowed = threading.Event(), []

    def swallow_one() -> None:
        try:
            waiting.wait(60)
        except TrialTimeout as alarm:
            swallowed.append(alarm)
        waiting.wait(60)

    with pytest.raises(TrialTimeout), watched(time.monotonic(), 1000.0):
        swallow_one()
    assert len(swallowed) == 1


def test_without_a_deadline_or_in_a_thread_nothing_is_watched() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with watched(None, None):
        assert signal.getsignal(signal.SIGALRM) == before
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with watched(time.monotonic(), 1.0):
                assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_asks_for_a_stop_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stopping_on_signals():
        assert not stop_requested()
        os.kill(os.getpid(), number)
        assert stop_requested()
    assert signal.getsignal(number) == before
    with stopping_on_signals():
        assert not stop_requested(), "of the last sweep in this process"


def test_a_hang_up_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop_requested()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


# ------------------------------------------------------------------------------------------ of a sweep


def test_a_trial_that_takes_too_long_fails_and_is_retried_on_request_only(
    config: Path, command: Run, reference: Path, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    slow = command("run", config, "-o", path, "--trial-timeout", "0.000001s", check=False)
    assert slow.returncode == 3
    status = sweep_status(path)
    assert status.failed == 12
    assert "took longer than --trial-timeout, 1e-06 s; stopped at 0 ms of 200 ms" in status.failures[0].message
    again = command("run", config, "-o", path, check=False)
    assert again.returncode == 3
    assert "12 failed before and are left alone" in again.stderr
    command("run", config, "-o", path, "--retry-failed")
    assert science(path) == science(reference)
    assert sweep_status(path).failures == ()


def test_a_limit_too_short_for_anything_stops_with_75(config: Path, command: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    done = command("run", config, "-o", path, "--time-limit", "0.000001s", check=False)
    assert done.returncode == 75
    assert "stopped at the time limit, 12 trials are left; the same command continues" in done.stderr
    assert sweep_status(path).pending == 12


def test_a_trial_that_runs_when_the_time_is_up_is_dropped_and_not_failed(
    config: Path, command: Run, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sweep.h5"
    begun: list[float] = []

    def fits(clock: Clock, cost: float, n_compared: int) -> bool:
        begun.append(cost)
        return len(begun) <= 10

    def deadline(clock: Clock) -> float:
        clock.started -= 10**6 if len(begun) == 10 else 0  # the time is up in the middle of the fifth trial
        return clock.end

    monkeypatch.setattr(Clock, "fits", fits)
    monkeypatch.setattr(Clock, "deadline", deadline)
    done = command("run", config, "-o", path, "--time-limit", "10h", check=False)
    assert done.returncode == 75
    status = sweep_status(path)
    assert (status.done, status.failed, status.pending) == (4, 0, 8)
    monkeypatch.undo()
    assert command("run", config, "-o", path, "--time-limit", "10h").returncode == 0
    assert science(path) == science(reference)


def test_cheaper_trials_are_run_where_the_costliest_do_not_fit(
    uneven_config: Path, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def fits(clock: Clock, cost: float, n_compared: int) -> bool:
        asked.append(cost)
        return cost < max(asked)

    monkeypatch.setattr(Clock, "fits", fits)
    path = tmp_path / "sweep.h5"
    done = command("run", uneven_config, "-o", path, "--time-limit", "10h", check=False)
    assert done.returncode == 75
    assert asked[0] == max(asked), "the costliest point is the first"
    status = sweep_status(path)
    assert (status.done, status.failed, status.pending) == (10, 0, 2)
