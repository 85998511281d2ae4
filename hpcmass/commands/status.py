"""`hpcmass status`: how far a sweep is, without MPI, also while it runs."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hpcmass.commands.arguments import Commands, add_command, positive
from hpcmass.errors import EXIT_DONE

if TYPE_CHECKING:
    from hpcmass.store.status import Status

SHOWN_FAILURES = 10
"""Failed trials that are listed before the rest is counted."""

CLEAR = "\x1b[H\x1b[J"
"""Takes a terminal back to its first line."""


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "status", run, "say how far a sweep is, also while it runs",
                      "hpcmass status sweep.h5",
                      "hpcmass status sweep.h5 --watch           every 10 s, until nothing is pending",
                      "hpcmass status sweep.h5 --json | jq .eta_s")  # fmt: skip
    parser.add_argument("sweep", type=Path, metavar="FILE", help="sweep file")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--watch", type=positive, nargs="?", const=10.0, metavar="S",
                        help="look again every S seconds (default 10) until none is pending")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    from hpcmass.store.status import sweep_status

    while True:
        status = sweep_status(options.sweep)
        if options.watch and sys.stdout.isatty():
            print(CLEAR, end="")
        print(json.dumps(status.as_dict(), indent=2) if options.json else describe(status), flush=True)
        if not options.watch or not status.pending:
            return EXIT_DONE
        time.sleep(options.watch)


def describe(status: Status) -> str:
    """The state of a sweep for people, one line each: counts, pace, hours, failures with their reasons."""
    from hpcmass.grid import trial_label
    from hpcmass.progress import duration, rate

    part = f", part {status.part}" if status.part else ""
    lines = [
        f"{status.path}: {status.title} ({status.driver}{part}, {'running' if status.running else 'not running'})",
        f"{status.done} of {status.total} trials done, {status.failed} failed, {status.pending} pending",
    ]
    if status.done and status.workers:
        workers = "1 rank" if status.workers == 1 else f"{status.workers} ranks"
        line = f"{status.mean_wall_s:.3g} s a trial, {rate(status.rate_per_hour / 3600)} on {workers}"
        lines.append(f"{line}, {duration(status.eta_s)} left" if status.pending else line)
        hours = f"{status.core_hours_used:.3g} core-hours used"
        lines.append(f"{hours}, about {status.core_hours_left:.3g} left" if status.pending else hours)
    for failure in status.failures[:SHOWN_FAILURES]:
        lines.append(f"failed: {trial_label(failure.values, failure.trial)}: {failure.message}")
    if len(status.failures) > SHOWN_FAILURES:
        lines.append(f"… and {len(status.failures) - SHOWN_FAILURES} more; --json lists all")
    return "\n".join(lines)
