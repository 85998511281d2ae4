"""`merge` and `compare` killed: an unpacked file and a comparison are continued, a packed file is all or nothing."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import numpy as np
from harness import PATIENCE_S, Installation, Truth, datasets, kill, parts_of, ranks_of, workers_of
from kills import Toll, ended, judge

from hpcmass.errors import UserError
from hpcmass.store.opening import open_hdf5
from hpcmass.store.schema import COMPARISON_FILETYPE, COMPARISON_VARIABLES, DONE

WRITES_OF_A_TRIAL = 21
"""Writes of a trial that is copied, about: traces, numbers, book-keeping, status."""

OVER_THE_MAP = ("chi2_qvalue", "log_ratio_qvalue", "rho_qvalue", "rho_agrees_bh")
"""What `compare` fills in when all points are there."""

PER_POINT = tuple(
    name
    for name, variable in COMPARISON_VARIABLES.items()
    if variable.dims[0] == "axes" and name not in (*OVER_THE_MAP, "synchronised", "compared")
)


def merge_kills(
    here: Installation, config: Path, truth: Truth, directory: Path, *, kills: int, packed: bool, chance: random.Random
) -> Toll:
    """Kill merges of three parts until so many kills; let the last one finish and compare it."""
    toll = Toll()
    parts = parts_of(here, config, directory, 3)
    options = ["--pack"] if packed else []
    begin = time.monotonic()
    assert here.run(0, "merge", "-o", directory / "undisturbed.h5", *options, *parts).returncode == 0
    duration_s = time.monotonic() - begin
    while toll.kills < kills:
        toll.files += 1
        path = directory / f"merged-{toll.files}.h5"
        arguments = ("merge", "-o", path, *options, *parts)
        known: set[tuple[int, ...]] = set()
        for _ in range(chance.randint(1, 3)):
            at_a_write = not packed and chance.random() < 0.7
            if at_a_write:  # the statuses of a batch come last
                pending = truth.trials - len(known)
                where = chance.choice(["write", "status"])
                writes = 1 if where == "status" else WRITES_OF_A_TRIAL
                number = chance.randint(chance.choice([1, (writes - 1) * pending + 1]), writes * pending)
                job = here.start(here.struck(0, where, number, *arguments))
            else:
                job = here.start(here.command(0, *arguments))
                _kill_after(job, chance.uniform(0.3, 1.0) * duration_s, path, here)
            ended(job, path, here, toll, PATIENCE_S)
            toll.kills += job.returncode not in (0, 2)
            toll.running += job.returncode not in (0, 2) and at_a_write
            if packed and path.exists() and not truth.equals(path):
                print(f"half of a packed file: {path}")
                toll.wrong += 1
            known = judge(path, truth, known, toll)
            if len(known) == truth.trials:
                break
        if not (packed and path.exists()):
            done = here.run(0, *arguments)
            if done.returncode != 0 or _leftovers(path):
                print(f"different: {path}: {done.returncode} {done.stderr[-300:]} {_leftovers(path)}")
                toll.different += 1
                continue
        toll.different += not truth.equals(path)
        path.unlink()
    return toll


def compare_kills(
    here: Installation, sweep: Path, directory: Path, *, kills: int, ranks: int, chance: random.Random, jobs: int = 0
) -> Toll:
    """Kill comparisons until so many kills; let each of them finish in the end and compare it.

    Parameters
    ----------
    ranks : int
        0 means without mpiexec.
    jobs : int
        Worker processes (`-j`), one of which is killed every other time; 0 means none.
    """
    toll = Toll()
    processes = ("-j", jobs) if jobs else ()
    undisturbed = directory / "undisturbed-cmp.h5"
    begin = time.monotonic()
    assert here.run(ranks, "compare", sweep, "-o", undisturbed, *processes).returncode == 0
    duration_s = time.monotonic() - begin
    truth = datasets(undisturbed)
    while toll.kills < kills:
        toll.files += 1
        path = directory / f"cmp-{toll.files}.h5"
        arguments = ("compare", sweep, "-o", path, *processes)
        known: set[int] = set()
        for _ in range(chance.randint(1, 3)):
            if chance.random() < 0.6:
                job = here.start(here.struck(ranks, "write", chance.randint(1, 700), *arguments))
            else:
                job = here.start(here.command(ranks, *arguments))
                a_worker = jobs > 0 and chance.random() < 0.7
                worker_killed = _kill_after(job, chance.uniform(0.3, 1.0) * duration_s, path, here, a_worker=a_worker)
                toll.kills += worker_killed
            ended(job, path, here, toll, PATIENCE_S)
            toll.kills += job.returncode not in (0, 2)
            known = _compared(path, undisturbed, known, toll)
        last = here.run(ranks, *arguments)
        if last.returncode != 0 or datasets(path) != truth or _leftovers(path):
            print(f"different: {path}: {last.returncode} {last.stderr[-300:]}")
            toll.different += 1
    return toll


def _kill_after(
    job: subprocess.Popen[str], seconds: float, path: Path, here: Installation, *, a_worker: bool = False
) -> bool:
    """Kill one of a job's processes after a while; that is all of them where there is but one.

    Returns
    -------
    bool
        Whether it was a worker process, whose death its parent reports.
    """
    time.sleep(seconds)
    if job.poll() is not None:
        return False
    workers = workers_of(job.pid) if a_worker else []
    kill(workers[:1] or list(ranks_of(path, here.python).values())[:1] or [job.pid])
    return bool(workers)


def _compared(path: Path, undisturbed: Path, known: set[int], toll: Toll) -> set[int]:
    """Points that are compared, each checked against the undisturbed comparison."""
    if not path.exists() and not known:
        return known
    try:
        with open_hdf5(path, COMPARISON_FILETYPE) as file, open_hdf5(undisturbed, COMPARISON_FILETYPE) as other:
            compared = file["compared"][()].ravel() == DONE
            toll.running += bool(compared.any() and not compared.all())
            n = compared.size
            for name in PER_POINT:
                ours = np.frombuffer(file[name][()].tobytes(), "u1").reshape(n, -1)
                theirs = np.frombuffer(other[name][()].tobytes(), "u1").reshape(n, -1)
                toll.wrong += int((ours != theirs)[compared].any())
    except (UserError, OSError, RuntimeError) as error:
        print(f"unreadable: {path}: {error}")
        toll.unreadable += 1
        return known
    done = set(np.flatnonzero(compared).tolist())
    toll.lost += len(known - done)
    return done


def _leftovers(path: Path) -> list[str]:
    return [p.name for p in path.parent.iterdir() if p.name.startswith(f".{path.name}")]
