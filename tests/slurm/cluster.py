"""A Slurm and its jobs, as the tests see them, and what a sweep file holds."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import pytest

from hpcmass.store.schema import DONE, NUMBERS, TRACES

ROOT = Path(__file__).resolve().parents[2]
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}


def science(path: Path) -> dict[str, str]:
    """Hash of the bytes of every scientific dataset."""
    with h5py.File(path, "r", locking=False) as file:
        names = (*TRACES, *NUMBERS, "seed", "status", "p", "lam", "trial", "time")
        return {name: hashlib.sha256(file[name][()].tobytes()).hexdigest() for name in names}


def n_done(path: Path) -> int:
    """Trials marked done; 0 while there is no file."""
    if not path.exists():
        return 0
    with h5py.File(path, "r", locking=False) as file:
        return int((file["status"][()] == DONE).sum())


def until(condition: Callable[[], bool], what: Callable[[], str], *, timeout: float) -> None:
    """Wait until the condition holds; fail with `what()` if it does not in time."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"after {timeout:.0f} s: {what()}")
        time.sleep(0.3)


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
        The restarts that `start_soon` has seen to.
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

    def reaches(self, *states: str, timeout: float = 120) -> None:
        """Wait for one of the states."""
        until(lambda: self.state() in states, lambda: f"not {' or '.join(states)}: {self.story()}", timeout=timeout)

    def ends(self, *, timeout: float = 120) -> str:
        """Wait for its end, skipping the two minutes for which Slurm holds a requeued job back; return the state."""

        def ended() -> bool:
            fields = self.fields()
            if fields["JobState"] == "PENDING" and fields["Reason"] == "BeginTime":
                self.start_soon()
            return fields["JobState"] in ENDED

        until(ended, lambda: f"not ended: {self.story()}", timeout=timeout)
        return self.state()

    def processes(self) -> list[int]:
        """Process ids of its ranks (all that runs in its steps, but for the batch script)."""
        rows = (line.split() for line in self.slurm.call("scontrol", "listpids", self.number).splitlines()[1:])
        return [int(pid) for pid, _job, step, *_ in rows if step not in ("batch", "extern") and int(pid) > 0]

    def start_soon(self) -> None:
        """Shorten the two minutes, once for each requeue; to nothing at all Slurm takes the start for the old one."""
        restarts = self.fields()["Restarts"]
        if restarts not in self.hurried:
            self.slurm.call("scontrol", "update", f"job={self.number}", "StartTime=now+3")
            self.hurried.add(restarts)

    def completes(self, *, timeout: float = 120) -> None:
        state = self.ends(timeout=timeout)
        assert state == "COMPLETED", self.story()


@dataclass
class Slurm:
    """The cluster.

    Attributes
    ----------
    environment : dict
        What its users have in theirs.
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
        """Submit a template of jobs/slurm as it is; options and variables go before what it says."""
        number = self.call(
            "sbatch", "--parsable", f"--output={self.directory}/%j.log", *options, f"jobs/slurm/{template}", **variables
        ).strip()
        return Job(self, number, self.directory / f"{number}.log")


def chain(slurm: Slurm, directory: Path, *arguments: object, **variables: object) -> dict[str, Job]:
    """Submit by jobs/slurm/chain.sh; return its jobs by what they do."""
    variables |= {"SBATCH_OUTPUT": f"{directory}/%j.log"}
    lines = slurm.call("jobs/slurm/chain.sh", *map(str, arguments), **variables).splitlines()
    pairs = (line.split() for line in lines)
    return {what: Job(slurm, number, directory / f"{number}.log") for what, number in pairs}
