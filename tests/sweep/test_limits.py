"""Time limits: what fits is begun, what does not is left, a hung trial fails with its reason."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hpcmass.sweep.clock import Clock, Limits

from hpcmass.config import NetworkParameters
from hpcmass.errors import TrialTimeout
from hpcmass.network import simulate
from hpcmass.store.status import sweep_status

Run = Callable[..., Any]


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


def test_a_hung_trial_fails_and_is_retried_on_request_only(
    config: Path, python_run: Run, fingerprint: Callable[[Path], dict[str, str]], reference: Path, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    hung = python_run("-m", "hpcmass", "run", config, "-o", path, "--trial-timeout", "0.000001s", check=False)
    assert hung.returncode == 3
    status = sweep_status(path)
    assert status.failed == 12
    assert "took longer than --trial-timeout, 1e-06 s; stopped at 0 ms of 200 ms" in status.failures[0].message
    again = python_run("-m", "hpcmass", "run", config, "-o", path, check=False)
    assert again.returncode == 3
    assert "12 failed before and are left alone" in again.stderr
    python_run("-m", "hpcmass", "run", config, "-o", path, "--retry-failed")
    assert fingerprint(path) == fingerprint(reference)


def test_a_limit_too_short_for_anything_stops_with_75(config: Path, python_run: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    done = python_run("-m", "hpcmass", "run", config, "-o", path, "--time-limit", "0.01s", check=False)
    assert done.returncode == 75
    assert "stopped at the time limit, 12 trials are left; the same command goes on" in done.stderr
    assert sweep_status(path).failed == 0
