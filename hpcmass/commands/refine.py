"""`hpcmass refine`: points to add to a sweep where its maps change."""

from __future__ import annotations

import argparse
import math
import shlex
from pathlib import Path

from hpcmass.commands.arguments import Commands, add_command, names, positive, two_names, whole
from hpcmass.errors import EXIT_DONE, UserError
from hpcmass.messages import logger


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "refine", run, "choose points to add where the maps change, on finer axes",
                      "hpcmass refine sweep-cmp.h5 -o refined.yml",
                      "hpcmass refine sweep-cmp.h5 --by rho:MFM,spike_contrast --budget 200",
                      "hpcmass run refined.yml --reuse sweep.h5 -o refined.h5     simulates the new points only"
                      )  # fmt: skip
    parser.add_argument("comparison", type=Path, metavar="CMP", help="comparison file")
    parser.add_argument("-o", "--output", type=Path, default=Path("refined.yml"), metavar="CONFIG",
                        help="configuration to write (default: refined.yml)")  # fmt: skip
    parser.add_argument("--by", type=names, metavar="MAP,…",
                        help="maps that decide, such as rho:MFM or spike_contrast (default: rho of every model)"
                        )  # fmt: skip
    parser.add_argument("--budget", type=whole(1), default=500, metavar="N",
                        help="most new points (default 500); those at outlines come first")  # fmt: skip
    least = parser.add_mutually_exclusive_group()
    least.add_argument("--difference", type=positive, metavar="X",
                       help="least difference of neighbours that matters, in the map's unit (default: a quarter of "
                       "the range of its values)")  # fmt: skip
    least.add_argument("--outlines-only", action="store_const", const=math.inf, dest="difference",
                       help="only where an outline passes, however much neighbours differ")  # fmt: skip
    parser.add_argument("--axes", type=two_names, metavar="RIGHT,UP",
                        help="swept axes that become finer (default: the first two that vary)")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace an existing configuration")


def run(options: argparse.Namespace) -> int:
    from hpcmass.plots.view import open_view
    from hpcmass.refine import refine
    from hpcmass.store.files import require_output

    require_output(options.output, [options.comparison])
    if options.output.exists() and not options.force:
        raise UserError(f"{options.output} exists; give another -o, or --force to replace it")
    with open_view(options.comparison, options.axes) as view:
        found = refine(view, options.by, budget=options.budget, difference=options.difference, axes=options.axes)
        sweeps = [view.path.parent / name for name in str(view.data.attrs.get("sweep_path", "")).splitlines()]
    if not found.new:
        print(str(found))
        return EXIT_DONE
    try:
        options.output.write_text(found.experiment.text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {options.output}: {error.strerror}; give another -o") from None
    print(f"{options.output}: {found}")
    if found.left:
        logger.warning(
            "%d further points are beyond the budget; --budget %d has all", found.left, found.new + found.left
        )
    how = " ".join(f"--reuse {shlex.quote(str(path))}" for path in sweeps) or "--reuse SWEEP"
    if not found.experiment.traces.allow_comparison:
        how = f"--compare {how}"  # the comparison is copied, too
    output = options.output.with_suffix(".h5")
    logger.info("next: hpcmass run %s %s -o %s", shlex.quote(str(options.output)), how, shlex.quote(str(output)))
    return EXIT_DONE
