"""until_done.sh, without a Slurm: which ends of a command, and which signals, bring the job back into the queue.

With a Slurm, tests/slurm lets one real signal and some real exit codes pass through it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
SLURM = ROOT / "jobs" / "slurm"

# A sweep that shows that it runs, and ends with the code as soon as it receives SIGUSR1.
POLITE = 'trap "echo heard; exit {code}" USR1; touch running; while :; do sleep 0.05; done'
# One that ignores the signal.
DEAF = 'trap "" USR1; touch running; until [ -e requeued ]; do sleep 0.05; done; exit 75'

Batch = Callable[..., tuple[int, int, str]]


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    """Give `batch(command, *signals, **variables)`: what becomes of a batch script that is sent signals.

    Returns its exit code, how often it had the job requeued, and what it printed.
    """
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text('#!/bin/sh\nif [ "$*" = "requeue 42" ]; then echo x >>requeued; else exit 1; fi\n')
    scontrol.chmod(0o755)
    script = tmp_path / "script"
    script.write_text(f'. "{SLURM}/until_done.sh"\nset -uo pipefail\nuntil_done bash -c "$1"\n')

    def run(command: str, *signals: signal.Signals, **variables: str) -> tuple[int, int, str]:
        path = f"{scontrol.parent}:{os.environ['PATH']}"
        # To a file, as in a job: what outlives the script (Slurm would end it) would keep a pipe open.
        log = tmp_path / "log"
        with log.open("w") as output:
            shell = subprocess.Popen(
                ["bash", str(script), command],
                cwd=tmp_path,
                env={"PATH": path, "SLURM_JOB_ID": "42", "GRACE_S": "100", **variables},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            if signals:
                end = time.monotonic() + 120
                while not (tmp_path / "running").exists():
                    assert time.monotonic() < end, "the command was not started"
                    time.sleep(0.02)
            for number in signals:
                shell.send_signal(number)
            code = shell.wait(timeout=120)
        finally:
            shell.kill()
        requeued = tmp_path / "requeued"
        return code, len(requeued.read_text().splitlines()) if requeued.exists() else 0, log.read_text()

    return run


@pytest.mark.parametrize("code", [75, 1, 137])
def test_near_the_limit_what_is_not_done_is_requeued(batch: Batch, code: int) -> None:
    got, requeues, output = batch(POLITE.format(code=code), signal.SIGUSR1)
    assert (got, requeues) == (code, 1)
    assert "heard" in output
    assert "time is up: requeued" in output


@pytest.mark.parametrize("code", [0, 2, 3])
def test_what_another_start_would_not_change_is_not_requeued(batch: Batch, code: int) -> None:
    """Done, bad input, done with failed trials: also near the limit."""
    got, requeues, output = batch(POLITE.format(code=code), signal.SIGUSR1)
    assert (got, requeues) == (code, 0)
    assert "heard" in output


def test_a_signal_in_the_first_moment_is_passed_on(batch: Batch, tmp_path: Path) -> None:
    """The command itself sends it, mostly before the shell knows the command's number."""
    for _ in range(10):
        (tmp_path / "requeued").unlink(missing_ok=True)
        got, requeues, output = batch('trap "echo heard; exit 75" USR1; kill -USR1 $PPID; while :; do sleep 0.05; done')
        assert (got, requeues) == (75, 1)
        assert "heard" in output


@pytest.mark.parametrize("code", [0, 1, 2, 3, 75])
def test_what_ends_by_itself_is_not_requeued(batch: Batch, code: int) -> None:
    assert batch(f"exit {code}")[:2] == (code, 0)


def test_cancelled_job_stops_in_order_and_is_not_requeued(batch: Batch) -> None:
    """SIGTERM is handed on as SIGUSR1, which mpirun and mpiexec pass to the ranks without killing them."""
    got, requeues, output = batch(POLITE.format(code=75), signal.SIGTERM)
    assert (got, requeues) == (75, 0)
    assert "heard" in output


def test_for_ranks_that_do_not_stop_the_job_is_requeued_once_without_waiting(
    batch: Batch,
) -> None:
    _, requeues, output = batch(DEAF, signal.SIGUSR1, GRACE_S="1")
    assert requeues == 1
    assert "too long to stop: requeued" in output


@pytest.mark.parametrize(("restarts", "requeues"), [("4", 1), ("5", 0)])
def test_a_job_that_gets_nowhere_ends(batch: Batch, restarts: str, requeues: int) -> None:
    got = batch(POLITE.format(code=75), signal.SIGUSR1, SLURM_RESTART_COUNT=restarts, MAX_RESTARTS="5")
    assert got[:2] == (75, requeues)


@pytest.mark.parametrize("name", ["requeue.sbatch", "array.sbatch"])
def test_template_has_slurm_send_what_until_done_listens_to(name: str) -> None:
    """To the batch shell alone, earlier than the ranks' grace ends; and the log is continued after a requeue."""
    template = (SLURM / name).read_text()
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)", template, re.MULTILINE))
    target, number, seconds = re.split("[:@]", options["signal"])
    assert target == "B"
    trap = re.search(r"trap '[^']*near_limit=yes[^']*' (\w+)", (SLURM / "until_done.sh").read_text())
    grace = re.search(r"GRACE_S:-(\d+)", (SLURM / "until_done.sh").read_text())
    assert trap is not None
    assert grace is not None
    assert number == trap[1] == "USR1"
    assert int(seconds) > int(grace[1])
    assert "requeue" in options
    assert options["open-mode"] == "append"
    assert re.search(r'^until_done "\$\{', template, re.MULTILINE)
