"""`hpcmass run`: a sweep, or what is missing of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from hpcmass.commands.arguments import Commands, add_command
from hpcmass.errors import EXIT_DONE
from hpcmass.messages import say


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "run", run, "run a sweep, or what is missing of it",
                      "hpcmass run configs/quickstart.yml -o sweep.h5                  one process",
                      "mpiexec -n 5 hpcmass run configs/quickstart.yml -o sweep.h5     4 workers and a master",
                      "the same command again                                          resumes")  # fmt: skip
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="sweep file (HDF5)")
    parser.add_argument("--force", action="store_true", help="start anew; a file that is there is kept aside")
    parser.add_argument("--shards", action="store_true",
                        help="a file per rank, joined in the end, also where parallel HDF5 is there")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    from hpcmass.sweep.run import run_sweep

    summary = run_sweep(options.config, options.output, force=options.force, shards=options.shards)
    if summary is None:  # not rank 0
        return EXIT_DONE
    done = summary.done_before + summary.done
    print(f"{summary.output}: {done} of {summary.total} trials done")
    if summary.stopped:
        say("stopped as asked; the same command goes on from here")
    if summary.failed:
        count = "1 trial failed" if summary.failed == 1 else f"{summary.failed} trials failed"
        say(f"{count}; `hpcmass status {summary.output}` says why, the same command tries again")
    return summary.exit_code
