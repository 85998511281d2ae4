"""`hpcmass check`: is a sweep file what it claims to be?"""

from __future__ import annotations

import argparse
from pathlib import Path

from hpcmass.commands.arguments import Commands, add_command, whole
from hpcmass.errors import EXIT_BAD_INPUT, EXIT_DONE
from hpcmass.messages import say, warn


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "check", run, "check a sweep file: structure, configuration, seeds, data",
                      "hpcmass check sweep.h5",
                      "hpcmass check sweep.h5 --resimulate 3     and three trials, simulated again")  # fmt: skip
    parser.add_argument("sweep", type=Path, metavar="FILE", help="sweep file")
    parser.add_argument("--resimulate", type=whole(1), default=0, metavar="K",
                        help="simulate K random trials again and compare every byte")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    from hpcmass.store.check import check_sweep

    problems = check_sweep(options.sweep)
    if options.resimulate and not problems:
        from hpcmass.sweep.resimulate import resimulate

        problems = resimulate(options.sweep, options.resimulate, say=say)
    for problem in problems:
        print(problem)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        warn(f"{options.sweep} has {count}; do not rely on it")
        return EXIT_BAD_INPUT
    print(f"{options.sweep}: no problem found")
    return EXIT_DONE
