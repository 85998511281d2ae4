"""`hpcmass import`: recordings of another program as a sweep file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hpcmass.commands.arguments import Assignments, Commands, Named, add_command, add_set
from hpcmass.errors import EXIT_DONE


class _Axes(Named):
    """A repeatable option NAME=VALUE,…"""

    def remedy(self, first: Any, second: Any) -> str:
        return "; give all its values at once"


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "import", run, "write recordings of another program into a sweep file",
                      "hpcmass import run.npz -o rec.h5 --set grid.p=0.1 --set grid.lam=0.8",
                      "hpcmass import run.npz -o rec.h5 --config network.yml --constant phi_I=0",
                      "hpcmass import trial-*.npz -o rec.h5                    several sources: trials of one point",
                      "hpcmass import a.nwb b.nwb -o rec.h5 --axis w_E=0.01,0.02   a point for each source",
                      "hpcmass compare rec.h5 -o rec-cmp.h5                    then, as for any sweep")  # fmt: skip
    parser.add_argument("sources", type=Path, nargs="+", metavar="SOURCE",
                        help=".npz, HDF5 or NWB file, or one that Neo reads (pip install 'hpcmass[neo]')")  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="sweep file (HDF5)")
    parser.add_argument("--config", type=Path, metavar="CONFIG",
                        help="configuration with what the sources do not say; it need not be complete")  # fmt: skip
    add_set(parser)
    parser.add_argument("--axis", action=_Axes, type=_axis, metavar="NAME=VALUE,…", dest="axes",
                        help="an axis with one source for each value (repeatable)")  # fmt: skip
    parser.add_argument("--constant", action=Assignments, dest="constants",
                        help="a trace that is one number, such as phi_I=0 (repeatable)")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="start over; an existing file is backed up")


def run(options: argparse.Namespace) -> int:
    from hpcmass.recordings.importing import import_recordings

    summary = import_recordings(
        options.sources,
        options.output,
        config=options.config,
        assignments=options.assignments,
        axes=options.axes,
        constants=options.constants,
        force=options.force,
    )
    print(f"{summary.path}: {summary.experiment.outline()} imported")
    return EXIT_DONE


def _axis(text: str) -> tuple[str, list[float]]:
    name, _, values = text.partition("=")
    try:
        if not name.strip():
            raise ValueError
        return name.strip(), [float(value) for value in values.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"give NAME=VALUE,VALUE,… with numbers, not '{text}'") from None
