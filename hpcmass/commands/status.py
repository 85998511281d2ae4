"""`hpcmass status`: how far a sweep is, without MPI, also while it runs."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpcmass.commands.arguments import Commands, add_command, interval, sweeps_given
from hpcmass.errors import EXIT_DONE, UserError
from hpcmass.jsontext import json_text
from hpcmass.streams import CLEAR_SCREEN, lost_results
from hpcmass.text import counted

if TYPE_CHECKING:
    from hpcmass.store.status import Status

SHOWN_FAILURES = 10
"""Largest number of failed trials that are listed; the rest is counted."""

SHOWN_FILES = 20
"""Largest number of files that are listed one by one; of more, only unfinished ones."""


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "status", run, "show the progress of a sweep, also while it runs",
                      "hpcmass status sweep.h5",
                      "hpcmass status sweep.h5 --watch           every 10 s, until no trial is pending",
                      "hpcmass status sweep.h5 --json | jq .eta_s",
                      "hpcmass status results/part-*.h5          the parts of a job array, and their sum")  # fmt: skip
    parser.add_argument("sweeps", type=Path, nargs="+", metavar="FILE", help="sweep files")
    parser.add_argument("--json", action="store_true", help="print JSON; a list for several files")
    parser.add_argument("--watch", type=interval, nargs="?", const=10.0, metavar="S",
                        help="repeat every S seconds (default 10) until no trial is pending")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    from hpcmass.store.status import sweep_status

    sweeps = sweeps_given(options.sweeps)
    places = [os.path.realpath(sweep) for sweep in sweeps]
    twice = next((s for i, s in enumerate(sweeps) if places[i] in places[:i]), None)
    if twice is not None:
        raise UserError(f"{twice} is given twice, and its trials would be counted twice; give it once")
    while True:
        found = [sweep_status(sweep) for sweep in sweeps]
        if options.watch and sys.stdout.isatty():
            print(CLEAR_SCREEN, end="")
        if options.json:
            plain = [status.as_dict() for status in found]
            print(json_text(plain[0] if len(plain) == 1 else plain, indent=2), flush=True)
        else:
            print(describe(found[0]) if len(found) == 1 else describe_all(found), flush=True)
        if not options.watch or not any(status.pending for status in found) or lost_results():
            return EXIT_DONE
        time.sleep(options.watch)


def describe_all(found: Sequence[Status]) -> str:
    """Several files, such as the parts of a job array: a line each, and their sum."""
    from hpcmass.progress import duration, rate, trial_counts

    listed = found if len(found) <= SHOWN_FILES else [s for s in found if s.failed or s.pending][:SHOWN_FILES]
    lines = [
        f"{status.path}: {f'part {status.part}, ' if status.part else ''}"
        f"{trial_counts(status.total, status.done, status.failed, status.pending)}"
        f"{', running' if status.running else ''}"
        for status in listed
    ]
    if len(listed) < len(found):
        lines.append(f"… and {len(found) - len(listed)} more files; --json lists all")
    if len({status.physics_sha256 for status in found}) > 1:
        return "\n".join([*lines, "the files are of different sweeps, so there is no sum"])
    done, failed, pending = (sum(getattr(status, name) for status in found) for name in ("done", "failed", "pending"))
    lines.append(trial_counts(sum(status.total for status in found), done, failed, pending))
    if any(status.part is None for status in found) or len({status.part for status in found}) < len(found):
        lines.append("a trial that is in several of the files is counted each time")
    lines += _missing_parts(found)
    running = [status for status in found if status.running and status.pending and math.isfinite(status.eta_s)]
    if running:
        pace = rate(sum(status.rate_per_hour for status in running) / 3600)
        left = duration(max(status.eta_s for status in running))
        lines.append(f"{len(running)} of them are running, {pace}, {left} left for these")
    used, left_h = (math.fsum(getattr(s, f"core_hours_{name}") for s in found) for name in ("used", "left"))
    hours = f"{used:.3g} core-hours used"
    lines.append(f"{hours}, about {left_h:.3g} left" if pending and math.isfinite(left_h) else hours)
    if failed:
        lines.append("`hpcmass status` of one file says why its trials failed")
    return "\n".join(lines)


def _missing_parts(found: Sequence[Status]) -> list[str]:
    """The parts of a job array that no given file contains."""
    numbers = [status.part.split("/") for status in found if status.part]
    counts = {count for _, count in numbers}
    if len(numbers) < len(found) or len(counts) != 1:
        return []
    missing = sorted(set(range(1, int(counts.pop()) + 1)) - {int(number) for number, _ in numbers})
    if not missing:
        return []
    shown = ", ".join(map(str, missing[:SHOWN_FILES])) + (", …" if len(missing) > SHOWN_FILES else "")
    return [f"no file of {'part' if len(missing) == 1 else 'parts'} {shown} of {numbers[0][1]}"]


def describe(status: Status) -> str:
    """The state of a sweep for people, one line each: counts, pace, hours, failures with their reasons."""
    from hpcmass.grid import trial_label
    from hpcmass.progress import duration, rate, trial_counts

    part = f", part {status.part}" if status.part else ""
    lines = [
        f"{status.path}: {status.title} ({status.driver}{part}, {'running' if status.running else 'not running'})",
        trial_counts(status.total, status.done, status.failed, status.pending),
    ]
    if status.done and status.workers:
        pace = f"{rate(status.rate_per_hour / 3600)} on {counted(status.workers, 'worker')}"
        line = f"{status.mean_wall_s:.3g} s a trial, {pace}"
        lines.append(f"{line}, {duration(status.eta_s)} left" if status.pending else line)
        hours = f"{status.core_hours_used:.3g} core-hours used"
        lines.append(f"{hours}, about {status.core_hours_left:.3g} left" if status.pending else hours)
    for failure in status.failures[:SHOWN_FAILURES]:
        lines.append(f"failed: {trial_label(failure.values, failure.trial)}: {failure.message}")
    if len(status.failures) > SHOWN_FAILURES:
        lines.append(f"… and {len(status.failures) - SHOWN_FAILURES} more; --json lists all")
    return "\n".join(lines)
