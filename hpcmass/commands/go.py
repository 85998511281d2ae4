"""`hpcmass go`: from a configuration to the report page; what is up to date is not done again."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hpcmass.commands import compare
from hpcmass.commands import run as sweep
from hpcmass.commands.advice import cores
from hpcmass.commands.arguments import Commands, add_command, add_set, whole
from hpcmass.errors import EXIT_STOPPED_EARLY, UserError
from hpcmass.messages import logger

if TYPE_CHECKING:
    from hpcmass.config import Experiment

COMPARING = ("compare/*.py", "mass/*.py", "config/*.py", "store/*.py", "grid.py")
"""The code that a comparison depends on."""

DRAWING = ("plots/*.py", "report/*", "claims/*.py", "summary.py")
"""The code that the maps and the page depend on, beside the comparison."""


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "go", run_all, "run a sweep, compare, draw maps and report, print the summary",
                      "hpcmass go configs/quickstart.yml               into results/, on all cores",
                      "hpcmass go my.yml -o DIR -j 4                   DIR/my.h5, DIR/my-cmp.h5, DIR/my-maps/",
                      "hpcmass go my.yml --set trials=1                a first try",
                      "the same command again                          does only what is missing or outdated",
                      continues=True)  # fmt: skip
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML file")
    add_set(parser)
    parser.add_argument("-o", "--output", type=Path, default=Path("results"), metavar="DIR",
                        help="directory of the results (default: results)")  # fmt: skip
    parser.add_argument("-j", "--jobs", type=whole(1), metavar="N",
                        help="processes (default: one per core of this machine)")  # fmt: skip
    sweep.add_options(parser)


def run_all(options: argparse.Namespace) -> int:
    from hpcmass.commands.validate import checked
    from hpcmass.compare.potentials import solver
    from hpcmass.parallel.communicator import communicator
    from hpcmass.report.draw import REPORT, draw
    from hpcmass.store.opening import open_hdf5
    from hpcmass.store.schema import COMPARISON_FILETYPE
    from hpcmass.summary import summarise

    communicator().on_root(_refuse_ranks)
    experiment = checked(options.config, options.assignments)
    directory, name, jobs = options.output, options.config.stem, options.jobs or cores()
    recordings, comparison, maps = (directory / f"{name}{end}" for end in (".h5", "-cmp.h5", "-maps"))
    _make(directory)
    if comparison.exists():  # a file of another kind is better known before the sweep than after
        open_hdf5(comparison, COMPARISON_FILETYPE).close()
    during_the_run = not experiment.traces.allow_comparison
    code = sweep.run_sweep_into(recordings, options, jobs=jobs, compare=during_the_run)
    if code == EXIT_STOPPED_EARLY:
        return code
    if not during_the_run:
        force = _put_away_outdated(comparison, recordings, experiment)
        compared = compare.compare_into(
            comparison, [recordings], jobs=jobs, force=force, mass=experiment.mass, compare=experiment.compare
        )
        code = code or compared
    page = maps / REPORT
    if _is_older(page, [comparison, *_sources(DRAWING)]):
        draw(comparison, maps, sweep_paths=[recordings], force=True, solver=solver)
    print("", summarise(comparison).text(), "", page, sep="\n")
    return code


def _refuse_ranks() -> None:
    from hpcmass.parallel.communicator import communicator

    if communicator().size > 1:
        raise UserError(
            "`hpcmass go` works on one machine, with -j and without mpiexec; on a cluster start `hpcmass run`, "
            "`compare` and `plot` one after the other"
        )


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{directory} is a file; give a directory with -o") from None


def _put_away_outdated(comparison: Path, recordings: Path, experiment: Experiment) -> bool:
    """Remove a comparison that is to be made again, because it follows from the sweep alone.

    Returns
    -------
    bool
        It compares another sweep, and is to be backed up.
    """
    from hpcmass.compare.comparison_file import OutdatedComparison, require_continuable
    from hpcmass.compare.contents import contents_of
    from hpcmass.store.lock import SweepLock
    from hpcmass.store.parts import SweepParts

    if not comparison.exists():
        return False
    with SweepLock(comparison), SweepParts([recordings]) as parts:
        try:
            require_continuable(comparison, parts, contents_of(parts, mass=experiment.mass, compare=experiment.compare))
            if not _is_older(comparison, [recordings, *_sources(COMPARING)]):
                return False
            why = "it is older than the sweep or the program"
        except OutdatedComparison as problem:
            if problem.other_sweep:
                return True
            why = f"it {problem.why}"
        logger.info("%s is made again: %s", comparison, why)
        Path(os.path.realpath(comparison)).unlink()
    return False


def _is_older(path: Path, sources: Iterable[Path]) -> bool:
    """Whether a file is missing or older than one of those that it follows from."""
    if not path.exists():
        return True
    made = path.stat().st_mtime_ns
    return any(source.stat().st_mtime_ns > made for source in sources)


def _sources(patterns: Iterable[str]) -> list[Path]:
    """Files of the package."""
    package = Path(__file__).parent.parent
    return [path for pattern in patterns for path in package.glob(pattern)]
