"""SIGKILL at random instants, stops by the wall clock: nothing done is lost or wrong, and the end is the same."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from harness import Installation, Truth, end, kill, ranks_of
from hpcmass.store.reader import stored_experiment
from hpcmass.store.sources import shard_paths

from hpcmass.errors import UserError
from hpcmass.store.status import sweep_status


@dataclass
class Toll:
    """What a series of kills did."""

    kills: int = 0
    running: int = 0
    """kills that hit while trials were being written"""
    unreadable: int = 0
    lost: int = 0
    wrong: int = 0
    hung: int = 0
    sweeps: int = 0
    different: int = 0
    """finished sweeps that are not bit for bit the undisturbed one"""

    @property
    def clean(self) -> bool:
        return not (self.unreadable or self.lost or self.wrong or self.hung or self.different)


def done_in(path: Path) -> int:
    """Trials that are done; 0 while there is no file yet."""
    try:
        return sweep_status(path).done
    except UserError:
        return 0


def kill_campaign(
    here: Installation,
    config: Path,
    truth: Truth,
    directory: Path,
    *,
    kills: int,
    victim: str,
    shards: bool,
    chance: random.Random,
    ranks: int = 3,
) -> Toll:
    """Start, kill, look, start again, until so many kills; then let the sweep finish and compare it.

    Every start brings another title, so the files have a growing chain of configurations.

    Parameters
    ----------
    victim : str
        `worker`, `master` or `all`.
    """
    toll = Toll()
    options = ["--shards"] if shards else []
    path, known = _new(directory, toll), set()
    while toll.kills < kills:
        before = done_in(path)
        job = here.start(ranks, "run", _retitled(config, directory, toll.kills), "-o", path, *options)
        running = _wait_for_an_instant(job, path, before, chance)
        pids = ranks_of(path, here.python)
        if job.poll() is None and pids:
            workers = [pid for rank, pid in pids.items() if rank != 0]
            chosen = {"worker": workers[:1], "master": [pids.get(0, job.pid)], "all": [*pids.values(), job.pid]}[victim]
            kill(chance.sample(workers, 1) if victim == "worker" and workers else chosen)
            toll.kills += 1
            toll.running += running
        try:
            end(job, path, here.python)
        except AssertionError:
            toll.hung += 1
        known = _look(path, truth, known, toll)
        if len(known) == truth.values["seed"][..., 0].size:
            _finish(here, config, path, truth, toll)
            path, known = _new(directory, toll), set()
    _finish(here, config, path, truth, toll)
    return toll


def _retitled(config: Path, directory: Path, number: int) -> Path:
    """The same physics as a configuration that differs."""
    text = config.read_text()
    assert text.startswith("title: ")
    changed = directory / "changed.yml"
    changed.write_text(f"title: start {number}\n{text.partition(chr(10))[2]}")
    return changed


def _new(directory: Path, toll: Toll) -> Path:
    toll.sweeps += 1
    return directory / f"sweep-{toll.sweeps}.h5"


def _wait_for_an_instant(job: subprocess.Popen[str], path: Path, before: int, chance: random.Random) -> bool:
    """Any instant: one time in five during the start, else while trials are being written."""
    if chance.random() < 0.2:
        time.sleep(chance.uniform(0.3, 3.0))
        return False
    while job.poll() is None and done_in(path) <= before:
        time.sleep(0.01)
    time.sleep(chance.uniform(0.0, 0.4))
    return True


def _look(path: Path, truth: Truth, known: set[tuple[int, ...]], toll: Toll) -> set[tuple[int, ...]]:
    try:
        done, wrong = truth.wrong_in(path)
    except (UserError, OSError, RuntimeError, IndexError) as error:
        if not path.exists() and not shard_paths(path) and not known:
            return known  # killed before a file appeared
        print(f"unreadable: {path}: {error}")
        toll.unreadable += 1
        return known
    toll.wrong += wrong
    toll.lost += len(known - done)
    return done


def _finish(here: Installation, config: Path, path: Path, truth: Truth, toll: Toll) -> None:
    last = here.run(3, "run", config, "-o", path)
    latest = stored_experiment(path).text == config.read_text()  # the last of as many as there were starts
    if last.returncode != 0 or not latest or not truth.equals(path):
        print(f"different: {path}: {last.returncode} {last.stderr[-500:]}")
        toll.different += 1


def stop_campaign(
    here: Installation,
    config: Path,
    truth: Truth,
    path: Path,
    *,
    stops: int,
    limit: str,
    ranks: int,
    options: list[str],
) -> tuple[int, int]:
    """Let a time limit stop the sweep again and again.

    Returns
    -------
    stopped, problems : int
        Runs that ended with 75; what went otherwise than promised, the end included.
    """
    stopped = problems = 0
    known: set[tuple[int, ...]] = set()
    while stopped < stops:
        run = here.run(ranks, "run", config, "-o", path, "--time-limit", limit, *options)
        if run.returncode == 0:
            break
        stopped += 1
        done, wrong = truth.wrong_in(path)
        if run.returncode != 75 or "the same command goes on" not in run.stderr or wrong or known - done:
            print(f"stop: {run.returncode} {run.stderr[-500:]}")
            problems += 1
        known = done
    last = here.run(ranks, "run", config, "-o", path, *options)
    if last.returncode != 0 or not truth.equals(path):
        problems += 1
    return stopped, problems


def signal_campaign(
    here: Installation, config: Path, truth: Truth, path: Path, *, stops: int, chance: random.Random
) -> tuple[int, int]:
    """Send SIGTERM or SIGUSR1 to every rank, as batch systems do, and go on; as `stop_campaign`."""
    stopped = problems = 0
    known: set[tuple[int, ...]] = set()
    while stopped < stops:
        before = done_in(path)
        job = here.start(3, "run", config, "-o", path)
        while job.poll() is None and done_in(path) <= before:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.1))
        kill(list(ranks_of(path, here.python).values()), chance.choice([signal.SIGTERM, signal.SIGUSR1]))
        end(job, path, here.python)
        done, wrong = truth.wrong_in(path)
        if job.returncode == 0:
            break
        stopped += 1
        if job.returncode != 75 or wrong or known - done:
            print(f"signal: ended with {job.returncode}, {wrong} wrong, {len(known - done)} lost")
            problems += 1
        known = done
    last = here.run(3, "run", config, "-o", path)
    if last.returncode != 0 or not truth.equals(path):
        print(f"signal: at last {last.returncode} {last.stderr[-500:]}")
        problems += 1
    return stopped, problems
