"""A Slurm and its jobs, as the tests see them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import pytest

from hpcmass.store.schema import PENDING
from processes import ROOT, ranks_of
from sweep_contents import n_done

ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}


def until(condition: Callable[[], bool], what: Callable[[], str], *, timeout: float) -> None:
    """Wait until the condition holds; fail with `what()` if it does not in time."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"after {timeout:.0f} s: {what()}")
        time.sleep(0.05)


def has_pending(pid: int, number: signal.Signals) -> bool:
    """Whether a stopped process was sent the signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return any(int(line.split()[1], 16) >> (number - 1) & 1 for line in lines if line.startswith(("SigPnd", "ShdPnd")))


@contextmanager
def halfway(job: Job, sweep: Path, n_ranks: int, *, more_than: int = 5) -> Iterator[list[int]]:
    """Stop the ranks in the middle of a sweep, and let them continue after the block, which gets their process ids.

    So the block acts in the middle of the job on a machine of any speed.
    """
    until(lambda: n_done(sweep) > more_than and len(ranks_of(sweep)) == n_ranks, job.story, timeout=300)
    ranks = list(ranks_of(sweep))
    for pid in ranks:
        os.kill(pid, signal.SIGSTOP)
    try:
        with h5py.File(sweep, "r", locking=False) as file:
            assert (file["status"][()] == PENDING).any(), "the sweep is too short for this machine"
        yield ranks
    finally:
        for pid in ranks:
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGCONT)


def until_signalled(job: Job, ranks: list[int]) -> None:
    """Wait until SIGUSR1 has come to every one of the stopped ranks."""
    until(lambda: all(has_pending(pid, signal.SIGUSR1) for pid in ranks), job.story, timeout=120)


@dataclass
class Job:
    """A job in the queue.

    Attributes
    ----------
    slurm : Slurm
    number : str
    log : Path
        What it printed.
    hurried : set of str
        The restarts that `start_soon` has hurried.
    """

    slurm: Slurm
    number: str
    log: Path
    hurried: set[str] = field(default_factory=set)

    def fields(self) -> dict[str, str]:
        text = self.slurm.call("scontrol", "show", "job", self.number)
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def state(self) -> str:
        return self.fields()["JobState"]

    def story(self) -> str:
        log = self.log.read_text() if self.log.exists() else "(no log)"
        return f"job {self.number} is {self.state()} ({self.fields()['Reason']})\n{log}"

    def reaches(self, *states: str, timeout: float = 300) -> None:
        """Wait for one of the states; a job that has ended will not come to another."""

        def what() -> str:
            return f"not {' or '.join(states)}: {self.story()}"

        until(lambda: self.state() in {*states, *ENDED}, what, timeout=timeout)
        assert self.state() in states, what()

    def ends(self, *, timeout: float = 300) -> str:
        """Wait for its end, skipping the two minutes for which Slurm delays a requeued job; return the state."""

        def ended() -> bool:
            fields = self.fields()
            if fields["JobState"] == "PENDING" and fields["Reason"] == "BeginTime":
                self.start_soon()
            return fields["JobState"] in ENDED

        until(ended, lambda: f"not ended: {self.story()}", timeout=timeout)
        return self.state()

    def start_soon(self) -> None:
        """Shorten the two minutes, once for each requeue; with zero Slurm mistakes the start for the old one."""
        restarts = self.fields()["Restarts"]
        if restarts not in self.hurried:
            self.slurm.call("scontrol", "update", f"job={self.number}", "StartTime=now+3")
            self.hurried.add(restarts)

    def limit(self, *, minutes_from_now: int) -> None:
        """Move the time limit."""
        days, _, clock = self.fields()["RunTime"].rpartition("-")
        hours, minutes, _ = map(int, clock.split(":"))
        limit = int(days or 0) * 1440 + hours * 60 + minutes + minutes_from_now
        self.slurm.call("scontrol", "update", f"job={self.number}", f"TimeLimit={limit}")

    def completes(self, *, timeout: float = 300) -> None:
        state = self.ends(timeout=timeout)
        assert state == "COMPLETED", self.story()


@dataclass
class Slurm:
    """The cluster.

    Attributes
    ----------
    environment : dict
        Environment variables of its users.
    directory : Path
        For logs.
    """

    environment: dict[str, str]
    directory: Path

    def call(self, *command: str, check: bool = True, **variables: object) -> str:
        """Run a command in the repository's root; return its standard output."""
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment | {name: str(value) for name, value in variables.items()},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def submit(self, template: str, *options: str, **variables: object) -> Job:
        """Submit a template of jobs/slurm as it is; options and variables override its own."""
        number = self.call(
            "sbatch", "--parsable", f"--output={self.directory}/%j.log", *options, f"jobs/slurm/{template}", **variables
        ).strip()
        return Job(self, number, self.directory / f"{number}.log")


def chain(slurm: Slurm, directory: Path, *arguments: object, **variables: object) -> dict[str, Job]:
    """Submit by jobs/slurm/chain.sh; return its jobs by their role."""
    variables |= {"SBATCH_OUTPUT": f"{directory}/%j.log"}
    lines = slurm.call("jobs/slurm/chain.sh", *map(str, arguments), **variables).splitlines()
    pairs = (line.split() for line in lines)
    return {what: Job(slurm, number, directory / f"{number}.log") for what, number in pairs}
