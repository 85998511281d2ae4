"""`hpcmass figure`: chosen maps of a comparison in one figure for a paper."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from hpcmass.commands.arguments import Assignments, Commands, Named, add_command, add_plane, names, positive, whole
from hpcmass.errors import EXIT_DONE

MM = {"mm": 1.0, "cm": 10.0, "in": 25.4}


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "figure", run, "draw chosen maps or lines into one figure for a paper",
                      "hpcmass figure comparison.h5 -o fig.pdf --panels rho:MFM,rho:CFM,chi2:CFM --letters",
                      "hpcmass figure comparison.h5 -o fig.svg --panels rho --width 85mm --clim rho=0.5:1",
                      "hpcmass figure comparison.h5 -o fig.pdf --panels rho,lag --along p=0.2")  # fmt: skip
    parser.add_argument("comparison", type=Path, metavar="CMP", help="comparison file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE",
                        help="the figure; its ending is .pdf, .svg or .png")  # fmt: skip
    parser.add_argument("--panels", type=names, required=True, metavar="LIST",
                        help="statistics and models, such as rho:MFM,median_frequency:network; "
                        "rho alone: every model")  # fmt: skip
    parser.add_argument("--width", type=_length, default=180.0, metavar="LENGTH",
                        help="width of the figure, such as 85mm, 18cm or 7in (default 180mm)")  # fmt: skip
    parser.add_argument("--columns", type=whole(1), metavar="N", help="panels in a row (default: as many as fit)")
    parser.add_argument("--clim", action=Named, type=_limits, metavar="NAME=LOW:HIGH",
                        help="ends of a statistic's colours, or of the y axis of its lines (repeatable)")  # fmt: skip
    parser.add_argument("--along", action=Assignments,
                        help="draw lines along this value of an axis instead of maps, such as p=0.2")  # fmt: skip
    parser.add_argument("--letters", action="store_true", help="letter the panels a, b, c, ...")
    parser.add_argument("--no-legend", action="store_true", help="leave the legend out")
    parser.add_argument("--style", default="hpcmass", metavar="STYLE",
                        help="hpcmass (default); user: your matplotlibrc; or a matplotlib style or file")  # fmt: skip
    parser.add_argument("--dpi", type=positive, default=300.0, metavar="N",
                        help="pixels per inch, of a PNG and of the cells in PDF and SVG (default 300)")  # fmt: skip
    add_plane(parser)
    parser.add_argument("--force", action="store_true", help="replace an existing figure")


def run(options: argparse.Namespace) -> int:
    from hpcmass.plots.paper import paper_figure
    from hpcmass.plots.saving import checked_kind, refuse_existing, save
    from hpcmass.plots.style import chosen_style
    from hpcmass.plots.view import open_view

    checked_kind(options.output)
    refuse_existing([options.output], options.force)
    with open_view(options.comparison, options.axes, options.at) as view, chosen_style(options.style):
        figure = paper_figure(
            view,
            options.panels,
            width_mm=options.width,
            columns=options.columns,
            limits=options.clim,
            along=options.along,
            letters=options.letters,
            legend=not options.no_legend,
        )
        print(save(figure, options.output, force=options.force, dpi=options.dpi))
    return EXIT_DONE


def _length(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*(mm|cm|in)", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"give a length such as 180mm, 18cm or 7in, not '{text}'")
    return float(found[1]) * MM[found[2]]


def _limits(text: str) -> tuple[str, tuple[float, float]]:
    name, _, ends = text.partition("=")
    try:
        low, high = (float(end) for end in ends.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"give STATISTIC=LOW:HIGH, such as rho=0.5:1, not '{text}'") from None
    return name.strip(), (low, high)
