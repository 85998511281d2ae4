"""Time limits and signals: the job ends by itself with exit code 75, and the same command continues."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from harness import PATIENCE_S, Installation, Truth, Writer, done_in, end, kill, ranks_of

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)

STOPPED_EARLY = 75

INTERRUPTED = 130


def time_limits(
    here: Installation, config: Path, truth: Truth, path: Path, *, stops: int, limit: str, writer: Writer
) -> tuple[int, list[str]]:
    """Let a time limit stop the sweep again and again.

    Returns
    -------
    stopped : int
        Runs that ended with 75.
    problems : list of str
        Deviations from the guarantees, including the end.
    """
    stopped, problems = 0, []
    known: set[tuple[int, ...]] = set()
    arguments = ("run", config, "-o", path, *writer.options)
    while stopped < stops:
        run = here.run(writer.ranks, *arguments, "--time-limit", limit)
        if run.returncode == 0:
            break
        stopped += run.returncode == STOPPED_EARLY
        done, wrong = truth.wrong_in(path)
        if run.returncode != STOPPED_EARLY or "the same command continues" not in run.stderr or wrong or known - done:
            problems.append(f"{run.returncode}, {wrong} wrong, {len(known - done)} lost: {run.stderr[-300:]}")
            break
        known = done
    last = here.run(writer.ranks, *arguments)
    if last.returncode != 0 or not truth.equals(path):
        problems.append(f"at last {last.returncode} {last.stderr[-300:]}")
    return stopped, problems


def signals(
    here: Installation, config: Path, truth: Truth, directory: Path, *, writer: Writer, chance: random.Random
) -> tuple[int, list[str]]:
    """Send each of the signals to all ranks, as batch systems do, to rank 0 and to a worker; and continue.

    Returns
    -------
    stopped, problems
        As `time_limits`.
    """
    stopped, problems = 0, []
    for number in SIGNALS:
        path = directory / f"{number.name}-{writer.slug}.h5"
        known: set[tuple[int, ...]] = set()
        for ranks in ([0, 1, 2], [0], [chance.choice([1, 2])]):
            before = done_in(path)
            job = here.start(here.command(writer.ranks, "run", config, "-o", path, *writer.options))
            while job.poll() is None and done_in(path) <= before:
                time.sleep(0.01)
            time.sleep(chance.uniform(0.0, 0.1))
            pids = ranks_of(path, here.python)
            kill([pids[rank] for rank in ranks if rank in pids], number)
            end(job, path, here.python, PATIENCE_S)
            done, wrong = truth.wrong_in(path)
            expected = STOPPED_EARLY if len(done) < truth.trials else 0
            stopped += job.returncode == STOPPED_EARLY
            if job.returncode != expected or wrong or known - done:
                problems.append(f"{number.name} to {ranks}: {job.returncode}, {wrong} wrong, {len(known - done)} lost")
            known = done
            if not writer.has_workers or expected == 0:  # one process is all ranks
                break
        last = here.run(writer.ranks, "run", config, "-o", path, *writer.options)
        if last.returncode != 0 or not truth.equals(path):
            problems.append(f"{number.name}: at last {last.returncode} {last.stderr[-300:]}")
    return stopped, problems


def ctrl_c(
    here: Installation, config: Path, truth: Truth, path: Path, *, stops: int, writer: Writer, chance: random.Random
) -> tuple[Counter[int], list[str]]:
    """Press Ctrl-C once or twice, as a terminal does: in all processes of the job's group; and continue.

    Returns
    -------
    codes : Counter
        Exit codes of the jobs: of one process 130, of several what their launcher makes of it.
    problems : list of str
        Deviations from the guarantees, including the end.
    """
    codes: Counter[int] = Counter()
    problems = []
    known: set[tuple[int, ...]] = set()
    arguments = ("run", config, "-o", path, *writer.options)
    for _ in range(stops):
        before = done_in(path)
        job = here.start(here.command(writer.ranks, *arguments))
        while job.poll() is None and done_in(path) <= before:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.2))
        for _ in range(chance.randint(1, 2)):
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGINT)
                time.sleep(chance.uniform(0.0, 0.1))
        end(job, path, here.python)
        codes[job.returncode] += 1
        done, wrong = truth.wrong_in(path)
        complete = len(done) == truth.trials
        expected = writer.ranks > 0 or job.returncode == (0 if complete else INTERRUPTED)
        if wrong or known - done or not expected:
            problems.append(f"Ctrl-C: {job.returncode}, {wrong} wrong, {len(known - done)} lost")
        known = done
        if complete:
            break
    last = here.run(writer.ranks, *arguments)
    if last.returncode != 0 or not truth.equals(path):
        problems.append(f"Ctrl-C: at last {last.returncode} {last.stderr[-300:]}")
    return codes, problems
