"""`hpcmass compare`: the mass models and their statistics."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from hpcmass.commands.arguments import Commands, add_command, whole
from hpcmass.errors import EXIT_DONE, UserError
from hpcmass.messages import say, warn

if TYPE_CHECKING:
    from hpcmass.config import CompareParameters, MassParameters
    from hpcmass.sweep.ranks import Ranks


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "compare", run, "run the mass models on a sweep and compare them with the network",
                      "hpcmass compare sweep.h5 -o comparison.h5 -j 4",
                      "mpiexec -n 5 hpcmass compare sweep.h5 -o comparison.h5           4 workers and a master",
                      "the same command again                                           resumes",
                      "hpcmass compare sweep.h5 -o more.h5 --models CFM,MFM,FOM,LIN",
                      continues=True)  # fmt: skip
    parser.add_argument("sweep", type=Path, metavar="FILE", help="sweep file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CMP", help="comparison file (HDF5)")
    parser.add_argument("-j", "--jobs", type=whole(1), metavar="N", help="processes (default 1); not under mpiexec")
    parser.add_argument("--models", type=_names, metavar="NAME,…", help="mass models in place of the sweep's own list")
    parser.add_argument("--config", type=Path, metavar="CONFIG",
                        help="take the settings of mass models and statistics from this configuration")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="start anew; a file that is there is kept aside")


def run(options: argparse.Namespace) -> int:
    from hpcmass.sweep.ranks import over_ranks

    with over_ranks() as ranks:
        if ranks is not None:  # else this is a worker that has done its part
            _compare(options, ranks)
    return EXIT_DONE


def _compare(options: argparse.Namespace, ranks: Ranks) -> None:
    from hpcmass.compare import compare_sweep
    from hpcmass.progress import Progress

    if ranks.executor is not None and options.jobs is not None:
        raise UserError("give either -j or mpiexec: the ranks are the processes")
    mass, compare = _settings(options)
    bars: list[Progress] = []
    with ExitStack() as open_bars:

        def advance(done: int, total: int) -> None:
            if not bars:
                bars.append(open_bars.enter_context(Progress(total, "point", before=done)))
            bars[0].advance(units=done - bars[0].done, weight=done - bars[0].done)

        summary = compare_sweep(
            options.sweep,
            options.output,
            jobs=options.jobs or ranks.n_workers,
            force=options.force,
            progress=advance,
            mass=mass,
            compare=compare,
            executor=ranks.executor,
            mpi_library=ranks.mpi_library,
        )
    points = f"{summary.n_points_compared} of {summary.n_points} points"
    print(f"{summary.path}: {points}, {summary.n_trials} trials compared")
    if summary.n_points_new == 0 and summary.n_points_compared:
        say("nothing to do, all points are compared already")
    if summary.n_pending or summary.n_failed:
        warn(f"left out: {summary.n_pending} trials that are not done, {summary.n_failed} that failed")
    for model, count in summary.n_diverged.items():
        if count:
            warn(f"{model} ran away in {count} of {summary.n_trials} trials; they are flagged")


def _settings(options: argparse.Namespace) -> tuple[MassParameters | None, CompareParameters | None]:
    """Settings in place of the sweep's own."""
    from hpcmass.configfile import load_experiment
    from hpcmass.store.reader import stored_experiment

    experiment = load_experiment(options.config) if options.config else None
    mass = experiment.mass if experiment else None
    if options.models:
        base = mass or stored_experiment(options.sweep).mass
        mass = base.model_copy(update={"models": options.models})
    return mass, experiment.compare if experiment else None


def _names(text: str) -> tuple[str, ...]:
    """The type of an argument that is a list of names, A,B,C."""
    listed = tuple(name.strip() for name in text.split(","))
    if not all(listed):
        raise argparse.ArgumentTypeError(f"give names with commas between, not '{text}'")
    return listed
