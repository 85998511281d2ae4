"""`hpcmass plot`: the figures of a comparison."""

from __future__ import annotations

import argparse
from pathlib import Path

from hpcmass.commands.arguments import Commands, add_command
from hpcmass.errors import EXIT_DONE


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "plot", run, "draw the maps and example traces of a comparison",
                      "hpcmass plot comparison.h5 -o maps")  # fmt: skip
    parser.add_argument("comparison", type=Path, metavar="CMP", help="comparison file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="directory of the PNG files")
    parser.add_argument("--sweep", type=Path, metavar="FILE", help="the sweep compared, for its recorded input")
    parser.add_argument("--force", action="store_true", help="replace figures that are there")


def run(options: argparse.Namespace) -> int:
    from hpcmass.plots import draw

    for path in draw(options.comparison, options.output, sweep_path=options.sweep, force=options.force):
        print(path)
    return EXIT_DONE
