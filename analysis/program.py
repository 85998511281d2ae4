"""What the figure programs share: a comparison file in, figures out, a user's mistake reported in one sentence."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from hpcmass.errors import EXIT_BAD_INPUT, EXIT_DONE, UserError
from hpcmass.plots.saving import FORMATS, check_formats, make_directory, refuse_existing, save
from hpcmass.plots.sheets import sheet
from hpcmass.plots.style import house_style
from hpcmass.plots.view import View, open_sweep_of, open_view
from hpcmass.store.parts import SweepParts

Make = Callable[[View, SweepParts | None, argparse.Namespace], Mapping[str, Figure | None]]
"""Draws: file name without suffix → figure, or None where the file has nothing for it."""


def sheets_of(*names: str) -> Make:
    """A program that draws sheets of maps."""
    return lambda view, sweep, options: {name: sheet(view, name) for name in names}


def parser_of(description: str) -> argparse.ArgumentParser:
    """The arguments that every program takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("comparison", type=Path, metavar="CMP", help="comparison file")
    parser.add_argument("-o", "--output", type=Path, default=Path("figures"), metavar="DIR",
                        help="directory of the figures (default figures)")  # fmt: skip
    parser.add_argument("--formats", default="png,svg", metavar="LIST",
                        help=f"any of {', '.join(FORMATS)}, separated by commas (default png,svg)")  # fmt: skip
    parser.add_argument("--sweep", type=Path, nargs="+", default=(), metavar="FILE",
                        help="the sweep compared (default: where it was when it was compared)")  # fmt: skip
    parser.add_argument("--axes", type=lambda text: tuple(text.split(",")), metavar="RIGHT,UP",
                        help="swept axes to show (default: the first two that vary)")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace existing figures")
    return parser


def run(make: Make, parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> int:
    """Parse the arguments, draw, save, name the files; returns the exit code."""
    options = parser.parse_args(arguments)
    try:
        formats = check_formats(options.formats.split(","))
        if options.axes is not None and len(options.axes) != 2:
            raise UserError(f"--axes {','.join(options.axes)}: give two axes separated by a comma")
        with (
            open_view(options.comparison, options.axes) as view,
            open_sweep_of(view, options.sweep) as sweep,
            house_style(),
        ):
            figures = make(view, sweep, options)
            make_directory(options.output)
            paths = {options.output / f"{name}.{kind}": figure for name, figure in figures.items() for kind in formats}
            refuse_existing((path for path, figure in paths.items() if figure is not None), options.force)
            for path, figure in paths.items():
                if figure is not None:
                    print(save(figure, path, force=options.force))
            for name in (name for name, figure in figures.items() if figure is None):
                print(f"{name}: {options.comparison} has nothing to show", file=sys.stderr)
    except UserError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return EXIT_DONE
