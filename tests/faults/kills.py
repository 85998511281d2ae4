"""SIGKILL at random and at chosen instants: nothing done is lost or wrong, and the end is the same."""

from __future__ import annotations

import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from harness import AFTER_A_KILL_S, PATIENCE_S, Index, Installation, Truth, Writer, done_in, end, kill, ranks_of

from hpcmass.errors import UserError
from hpcmass.store.sweep_file import SweepFile

RANDOM_INSTANTS = {"a worker": [1, 2], "rank 0": [0], "all": [0, 1, 2]}
"""Victim → its ranks, killed from outside at any instant."""

MOMENTS = ("report", "write", "status", "history")
"""Moments at which rank 0 kills itself: see `struck.py`."""


@dataclass
class Toll:
    """Outcome of a series of kills."""

    kills: int = 0
    running: int = 0
    """kills that hit while trials were being written"""
    unreadable: int = 0
    lost: int = 0
    wrong: int = 0
    hung: int = 0
    files: int = 0
    different: int = 0
    """finished files that are not bit for bit the undisturbed one"""

    @property
    def clean(self) -> bool:
        return not (self.unreadable or self.lost or self.wrong or self.hung or self.different)

    def __str__(self) -> str:
        harm = ", ".join(f"{getattr(self, what)} {what}" for what in ("unreadable", "lost", "wrong", "hung"))
        kills = f"{self.kills} kills ({self.running} while writing)"
        return f"{kills}: {harm}; {self.files - self.different} of {self.files} files identical"


def kill_campaign(
    here: Installation,
    config: Path,
    truth: Truth,
    directory: Path,
    *,
    kills: int,
    writer: Writer,
    victim: str,
    chance: random.Random,
) -> Toll:
    """Start, kill, read, start again, until so many kills; then let the sweep finish and compare it.

    Every start brings another title, so each of them writes a line into the file's history. A sweep that is complete
    before the last kill is compared, and another is begun.

    Parameters
    ----------
    victim : str
        One of `RANDOM_INSTANTS`; or `storing`: rank 0 kills itself at one of `MOMENTS`.
    """
    toll = Toll()
    path, known = _new(directory, toll), set()
    while toll.kills < kills:
        changed = _retitled(config, directory, toll.kills)
        arguments = ("run", changed, "-o", path, *writer.options)
        if victim == "storing":
            where, number = _moment(chance, truth.trials - len(known), again=path.exists())
            job = here.start(here.struck(writer.ranks, where, number, *arguments))
            hung = ended(job, path, here, toll, PATIENCE_S)
            if job.returncode != 0 and not hung:
                toll.kills += 1
                toll.running += 1
        else:
            before = done_in(path)
            job = here.start(here.command(writer.ranks, *arguments))
            running = wait_for_an_instant(job, path, before, chance)
            pids = ranks_of(path, here.python)
            if job.poll() is None and pids:
                chosen = [pids[rank] for rank in RANDOM_INSTANTS[victim] if rank in pids]
                kill([chance.choice(chosen)] if victim == "a worker" and chosen else chosen)
                if victim == "all":
                    kill([job.pid])
                toll.kills += 1
                toll.running += running
            ended(job, path, here, toll)
        known = judge(path, truth, known, toll)
        if len(known) == truth.trials:
            _finish(here, config, path, truth, writer, toll, chance)
            path, known = _new(directory, toll), set()
    _finish(here, config, path, truth, writer, toll, chance)
    return toll


def _moment(chance: random.Random, pending: int, *, again: bool) -> tuple[str, int]:
    """Where rank 0 dies, and after how many of the writes, reports or trials that it has before it."""
    where = chance.choice([moment for moment in MOMENTS if again or moment != "history"])
    trials = chance.randint(1, max(1, pending // 3))
    if where == "write":
        return where, chance.randint(1, 20 * trials)
    return where, trials if where == "status" else max(1, trials // 3)


def _retitled(config: Path, directory: Path, number: int) -> Path:
    """The same physics as a configuration that differs."""
    text = config.read_text()
    assert text.startswith("title: ")
    changed = directory / "changed.yml"
    changed.write_text(f"title: start {number}\n{text.partition(chr(10))[2]}")
    return changed


def _new(directory: Path, toll: Toll) -> Path:
    toll.files += 1
    return directory / f"sweep-{toll.files}.h5"


def wait_for_an_instant(job: subprocess.Popen[str], path: Path, before: int, chance: random.Random) -> bool:
    """Any instant: one time in five during the start, else while trials are being written."""
    if chance.random() < 0.2:
        time.sleep(chance.uniform(0.3, 3.0))
        return False
    while job.poll() is None and done_in(path) <= before:
        time.sleep(0.01)
    time.sleep(chance.uniform(0.0, 0.4))
    return True


def ended(
    job: subprocess.Popen[str], path: Path, here: Installation, toll: Toll, patience_s: float = AFTER_A_KILL_S
) -> bool:
    """Wait for the end of a job; true, and counted, if something of it hung."""
    try:
        end(job, path, here.python, patience_s)
    except AssertionError as error:
        print(f"hung: {path}: {error}")
        toll.hung += 1
        return True
    return False


def judge(path: Path, truth: Truth, known: set[Index], toll: Toll) -> set[Index]:
    if not path.exists() and not known:
        return known  # killed before a file appeared
    try:
        done, wrong = truth.wrong_in(path)
    except (UserError, OSError, RuntimeError, IndexError) as error:
        print(f"unreadable: {path}: {error}")
        toll.unreadable += 1
        return known
    if wrong or known - done:
        print(f"{wrong} wrong, {len(known - done)} lost: {path}")
    toll.wrong += wrong
    toll.lost += len(known - done)
    return done


def _finish(
    here: Installation, config: Path, path: Path, truth: Truth, writer: Writer, toll: Toll, chance: random.Random
) -> None:
    """Let any of the writers finish it."""
    last = chance.choice(here.writers)
    done = here.run(last.ranks, "run", config, "-o", path, *last.options)
    if done.returncode != 0 or not truth.equals(path):
        print(f"different: {path}: {done.returncode} {done.stderr[-500:]}")
        toll.different += 1
    with SweepFile(path) as file:
        beginning = file.history[0]
        # a first start that was killed before the file appeared leaves the creation to the last one
        created_as_wished = file.driver in (writer.driver, last.driver) and ": started, " in beginning
        leftovers = [p.name for p in path.parent.iterdir() if p.name.startswith(f".{path.name}")]
    if not created_as_wished or leftovers:
        print(f"different: {path}: {file.driver}, {beginning}, {leftovers}")
        toll.different += 1
