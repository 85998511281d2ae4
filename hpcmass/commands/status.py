"""`hpcmass status`: how far a sweep is, without MPI, also while it runs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from hpcmass.commands.arguments import Commands, add_command
from hpcmass.errors import EXIT_DONE

SHOWN_FAILURES = 10
"""Failed trials that are listed before the rest is counted."""


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "status", run, "say how far a sweep is, also while it runs",
                      "hpcmass status sweep.h5",
                      "hpcmass status sweep.h5 --json | jq .eta_s")  # fmt: skip
    parser.add_argument("sweep", type=Path, metavar="FILE", help="sweep file")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    from hpcmass.progress import duration, rate
    from hpcmass.store.status import sweep_status

    status = sweep_status(options.sweep)
    if options.json:
        print(json.dumps(status.as_dict(), indent=2))
        return EXIT_DONE
    print(f"{status.path}: {status.title} ({status.driver}, {'running' if status.running else 'not running'})")
    print(f"{status.done} of {status.total} trials done, {status.failed} failed, {status.pending} pending")
    if status.done:
        workers = "1 rank" if status.workers == 1 else f"{status.workers} ranks"
        line = f"{status.mean_wall_s:.3g} s a trial, {rate(status.rate_per_hour / 3600)} on {workers}"
        left = status.total - status.done
        print(f"{line}, {duration(status.eta_s)} left" if left else line)
    for failure in status.failures[:SHOWN_FAILURES]:
        where = " ".join(f"{name}={value:g}" for name, value in failure.values.items())
        print(f"failed: {where} trial {failure.trial}: {failure.message}")
    if len(status.failures) > SHOWN_FAILURES:
        print(f"… and {len(status.failures) - SHOWN_FAILURES} more; --json lists all")
    return EXIT_DONE
