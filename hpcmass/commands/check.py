"""`hpcmass check`: the consistency of a sweep file."""

from __future__ import annotations

import argparse
from pathlib import Path

from hpcmass.commands.arguments import Commands, add_command, sweeps_given, whole
from hpcmass.errors import EXIT_BAD_INPUT, EXIT_DONE
from hpcmass.messages import logger
from hpcmass.text import counted


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "check", run, "check a sweep file: structure, configuration, seeds, data",
                      "hpcmass check sweep.h5",
                      "hpcmass check sweep.h5 --resimulate 3     and three trials, simulated again",
                      "hpcmass check part-*.h5                   the parts of a job array")  # fmt: skip
    parser.add_argument("sweeps", type=Path, nargs="+", metavar="FILE", help="sweep files")
    parser.add_argument("--resimulate", type=whole(1), default=0, metavar="K",
                        help="simulate K random trials again and compare every byte")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    from hpcmass.store.check import check_sweep
    from hpcmass.store.parts import SweepParts

    sweeps, code = sweeps_given(options.sweeps), EXIT_DONE
    for path in sweeps:
        problems = check_sweep(path)
        if options.resimulate and not problems:
            from hpcmass.sweep.resimulate import resimulate

            problems = resimulate(path, options.resimulate)
        for problem in problems:
            print(problem if len(sweeps) == 1 else f"{path}: {problem}")
        if problems:
            logger.warning("%s has %s; do not rely on it", path, counted(len(problems), "problem"))
            code = EXIT_BAD_INPUT
        else:
            print(f"{path}: no problem found")
    if len(sweeps) > 1 and code == EXIT_DONE:
        with SweepParts(sweeps) as parts:
            parts.require_consistent()
    return code
