"""`hpcmass plot`: the figures of a comparison and its report page."""

from __future__ import annotations

import argparse
from pathlib import Path

from hpcmass.commands.arguments import Commands, add_command, add_plane, names, sweeps_given
from hpcmass.errors import EXIT_DONE


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "plot", run, "draw the maps and examples of a comparison, write its report page",
                      "hpcmass plot comparison.h5 -o maps",
                      "hpcmass plot comparison.h5 -o maps --formats png,pdf",
                      "hpcmass plot comparison.h5 -o maps --maps correlation,lag --models MFM,LIN",
                      "hpcmass plot comparison.h5 -o maps --axes lam,w_I --at p=0.2")  # fmt: skip
    parser.add_argument("comparison", type=Path, metavar="CMP", help="comparison file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR",
                        help="directory of the figures and report.html")  # fmt: skip
    parser.add_argument("--sweep", type=Path, nargs="+", default=(), metavar="FILE",
                        help="the sweep compared, or its parts, for recorded input and failures")  # fmt: skip
    parser.add_argument("--formats", type=names, default=("png",), metavar="LIST",
                        help="any of png, svg, pdf, separated by commas (default png)")  # fmt: skip
    parser.add_argument("--maps", type=names, default=(), metavar="LIST",
                        help="draw only these, of overview, synchrony, rates, median_frequency, "
                        "median_frequency_difference, peak_frequency, chi_squared, spectral_shape, coherence, "
                        "correlation, lag, mean_error, variance_error, own_statistics, best_value, traces, "
                        "report")  # fmt: skip
    parser.add_argument("--models", type=names, default=(), metavar="LIST",
                        help="mass models of the figures, in this order (default: all); the page has all")  # fmt: skip
    add_plane(parser)
    parser.add_argument("--force", action="store_true", help="replace existing figures")


def run(options: argparse.Namespace) -> int:
    from hpcmass.compare.potentials import solver
    from hpcmass.report import draw

    written = draw(
        options.comparison,
        options.output,
        sweep_paths=sweeps_given(options.sweep),
        formats=options.formats,
        axes=options.axes,
        fixed=options.at,
        maps=options.maps,
        models=options.models,
        force=options.force,
        solver=solver,
    )
    for path in written:
        print(path)
    return EXIT_DONE
