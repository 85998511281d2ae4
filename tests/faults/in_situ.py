"""`run --compare`, killed: no point that is done is lost, and the comparison is that of two steps."""

from __future__ import annotations

import random
from pathlib import Path

import h5py
import numpy as np
from copies import PER_POINT
from harness import PATIENCE_S, Index, Installation, Truth, Writer, datasets, done_in, kill, ranks_of
from kills import MOMENTS, RANDOM_INSTANTS, Toll, ended, judge, wait_for_an_instant

from hpcmass.store.schema import DONE, TRACES, comparison_path

WRITES_OF_A_POINT = 300
"""Writes of a point of a dozen trials, about: its results, then numbers, book-keeping and status of each trial."""

VICTIMS = (*RANDOM_INSTANTS, "storing")


def in_situ_kills(
    here: Installation,
    config: Path,
    truth: Truth,
    directory: Path,
    *,
    kills: int,
    writer: Writer,
    keep: str,
    chance: random.Random,
) -> Toll:
    """Start, kill, read, start again, until so many kills; let each sweep finish and compare both of its files.

    Parameters
    ----------
    truth : Truth
        The undisturbed sweep of `config`, with its traces, in its reference file.
    keep : str
        Whose traces the sweep keeps, `none` or `all`.
    """
    toll = Toll()
    two_steps = directory / "two-steps.h5"
    done = here.run(0, "compare", config.with_suffix(".reference.h5"), "-o", two_steps)
    assert done.returncode == 0, done.stderr
    names = [name for name in truth.values if keep == "all" or name not in TRACES]
    expected = Truth({name: truth.values[name] for name in names})
    while toll.kills < kills:
        toll.files += 1
        path = directory / f"sweep-{toll.files}.h5"
        arguments = ("run", config, "-o", path, "--compare", "--set", f"traces.keep={keep}")
        known: set[Index] = set()
        for _ in range(chance.randint(1, 3)):
            if toll.kills < kills:
                _kill_once(here, path, arguments, writer, toll, chance)
                known = judge(path, expected, known, toll)
                toll.wrong += _wrong_points(path, two_steps, trials_alone=keep == "all")
        last = chance.choice(here.writers)
        done = here.run(last.ranks, *arguments, *last.options)
        same = path.exists() and expected.equals(path)
        if done.returncode != 0 or not same or datasets(comparison_path(path)) != datasets(two_steps):
            print(f"different: {path}: {done.returncode} {done.stderr[-500:]}")
            toll.different += 1
    return toll


def _kill_once(
    here: Installation, path: Path, arguments: tuple[object, ...], writer: Writer, toll: Toll, chance: random.Random
) -> None:
    victim = chance.choice(VICTIMS if writer.has_workers else ("all", "storing"))
    if victim == "storing":
        where = chance.choice([moment for moment in MOMENTS if moment != "history"])
        most = {"write": 5 * WRITES_OF_A_POINT, "status": 60, "report": 5}[where]
        job = here.start(here.struck(writer.ranks, where, chance.randint(1, most), *arguments, *writer.options))
        ended(job, path, here, toll, PATIENCE_S)
        toll.kills += job.returncode != 0
        toll.running += job.returncode != 0
        return
    job = here.start(here.command(writer.ranks, *arguments, *writer.options))
    running = wait_for_an_instant(job, path, done_in(path), chance)
    pids = ranks_of(path, here.python)
    if job.poll() is None and pids:
        kill([pids[rank] for rank in RANDOM_INSTANTS[victim] if rank in pids])
        if victim == "all":
            kill([job.pid])
        toll.kills += 1
        toll.running += running
    ended(job, path, here, toll)


def _wrong_points(path: Path, two_steps: Path, *, trials_alone: bool) -> int:
    """Points with a trial that is done, which are not compared as in two steps.

    A kill between two statuses leaves a point with some of its trials done; its results are those of all trials. Where
    trials are stored without their point (`trials_alone`), only points that say that they are compared count.
    """
    comparison = comparison_path(path)
    if not path.exists():
        return 0
    with h5py.File(path, "r", locking=False) as file:
        done = file["status"][()] == DONE
    if not done.any():
        return 0
    wrong = 0
    with h5py.File(comparison, "r", locking=False) as ours, h5py.File(two_steps, "r", locking=False) as theirs:
        for point in map(tuple, np.argwhere(done.any(axis=-1))):
            same = all(
                np.asarray(ours[name][point]).tobytes() == np.asarray(theirs[name][point]).tobytes()
                for name in PER_POINT
            )
            compared = ours["compared"][point] == DONE
            wrong += not same if compared else not trials_alone
    return wrong
