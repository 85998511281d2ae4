"""`hpcmass compare`: the mass models and their statistics."""

from __future__ import annotations

import argparse
from pathlib import Path

from hpcmass.commands.arguments import Commands, add_command, whole
from hpcmass.errors import EXIT_DONE
from hpcmass.messages import say


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "compare", run, "run the mass models on a sweep and compare them with the network",
                      "hpcmass compare sweep.h5 -o comparison.h5 -j 4")  # fmt: skip
    parser.add_argument("sweep", type=Path, metavar="FILE", help="sweep file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CMP", help="comparison file (HDF5)")
    parser.add_argument("-j", "--jobs", type=whole(1), default=1, metavar="N", help="processes (default 1)")
    parser.add_argument("--force", action="store_true", help="start anew; a file that is there is kept aside")


def run(options: argparse.Namespace) -> int:
    from hpcmass.compare import compare_sweep
    from hpcmass.progress import Progress

    bars: list[Progress] = []

    def advance(done: int, total: int) -> None:
        if not bars:
            bars.append(Progress(total, "point"))
        bars[0].advance(units=done - bars[0].done, weight=done - bars[0].done)

    try:
        summary = compare_sweep(options.sweep, options.output, jobs=options.jobs, force=options.force, progress=advance)
    finally:
        for bar in bars:
            bar.close()
    points = f"{summary.n_points_compared} of {summary.n_points} points"
    print(f"{summary.path}: {points}, {summary.n_trials} trials compared")
    if summary.n_pending or summary.n_failed:
        say(f"left out: {summary.n_pending} trials that are not done, {summary.n_failed} that failed")
    for model, count in summary.n_diverged.items():
        if count:
            say(f"{model} ran away in {count} of {summary.n_trials} trials; they are flagged")
    return EXIT_DONE
