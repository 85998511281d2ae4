"""`hpcmass compare`: the mass models and their statistics."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcmass.commands.arguments import Commands, add_command, add_set, names, scan, sweeps_given, whole
from hpcmass.errors import EXIT_DONE, EXIT_FAILED_TRIALS, UserError
from hpcmass.messages import logger
from hpcmass.text import counted

if TYPE_CHECKING:
    from hpcmass.compare.pipeline import ComparisonSummary
    from hpcmass.parallel.executors import Workers


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "compare", run, "run the mass models on a sweep and compare them with the network",
                      "hpcmass compare sweep.h5 -o comparison.h5 -j 4",
                      "mpiexec -n 5 hpcmass compare sweep.h5 -o comparison.h5           4 workers and rank 0",
                      "the same command again                                           resumes",
                      "hpcmass compare part-*.h5 -o comparison.h5                       the parts of a job array",
                      "hpcmass compare sweep.h5 -o more.h5 --models CFM,MFM,FOM,LIN",
                      "hpcmass compare sweep.h5 -o own.h5 --models MFM,my_models.py:WC --statistics my_stats.py:jitter",
                      "hpcmass compare sweep.h5 -o scan.h5 --scan tau_s_ms=2:10:9",
                      "hpcmass compare sweep.h5 -o fine.h5 --config sweep.yml --set compare.bin_hz=0.5",
                      continues=True)  # fmt: skip
    parser.add_argument("sweeps", type=Path, nargs="+", metavar="FILE", help="sweep file, or the parts of one sweep")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CMP", help="comparison file (HDF5)")
    parser.add_argument("-j", "--jobs", type=whole(1), metavar="N", help="processes (default 1); not under mpiexec")
    parser.add_argument("--models", type=names, metavar="NAME,…",
                        help="mass models in place of the sweep's own, each a name or FILE.py:NAME")  # fmt: skip
    parser.add_argument("--statistics", type=names, metavar="NAME,…",
                        help="statistics of your own, each a name or FILE.py:NAME")  # fmt: skip
    parser.add_argument("--scan", type=scan, metavar="NAME=FIRST:LAST:N",
                        help="values of a mass parameter as one more axis, tau_s_ms=2:10:9 or tau_s_ms=2,5,10; of a "
                        "parameter of your own model WC.gain=1:5:5")  # fmt: skip
    parser.add_argument("--config", type=Path, metavar="CONFIG",
                        help="take the settings of mass models and statistics from this configuration")  # fmt: skip
    add_set(parser)
    parser.add_argument("--force", action="store_true", help="start over; an existing file is backed up")


def run(options: argparse.Namespace) -> int:
    from hpcmass.parallel.communicator import communicator
    from hpcmass.parallel.executors import launched_ranks

    codes = [EXIT_DONE]
    with launched_ranks() as workers:
        if workers is not None:  # else this is a worker that has finished
            codes.append(_compare(options, workers))
    return communicator().on_root(lambda: codes[-1])


def _compare(options: argparse.Namespace, ranks: Workers) -> int:
    from hpcmass.config.file import comparison_settings
    from hpcmass.store.files import require_output

    if options.config is not None:
        require_output(options.output, [options.config])
    if ranks.n > 1 and options.jobs is not None:
        raise UserError("give either -j or mpiexec: the ranks are the processes")
    mass, compare = comparison_settings(options.config, options.assignments)
    workers = None if options.jobs else ranks
    sweeps = sweeps_given(options.sweeps)
    return compare_into(
        options.output, sweeps, jobs=options.jobs or 1, force=options.force, mass=mass, compare=compare,
        models=options.models, statistics=options.statistics, scan=options.scan, workers=workers,
    )  # fmt: skip


def compare_into(output: Path, sweeps: Sequence[Path], **how: Any) -> int:
    """Compare, and say what was done; returns the exit code (`how`: arguments of `compare_sweep`)."""
    from hpcmass.compare.pipeline import compare_sweep
    from hpcmass.progress import progress_of

    with progress_of("point") as advance:
        summary = compare_sweep(sweeps, output, progress=advance, **how)
    report_comparison(summary)
    if summary.n_points_new == 0 and summary.n_points_compared:
        logger.info("nothing to do, all points are compared already")
    if summary.n_pending or summary.n_failed:
        pending = counted(summary.n_pending, "trial that is not done", "trials that are not done")
        logger.warning("left out: %s, %d that failed", pending, summary.n_failed)
    return EXIT_FAILED_TRIALS if summary.n_points_failed else EXIT_DONE


def report_comparison(summary: ComparisonSummary) -> None:
    """Say how much is compared, and which models diverged."""
    points = f"{summary.n_points_compared} of {summary.n_points} points"
    print(f"{summary.path}: {points}, {counted(summary.n_trials, 'trial')} compared")
    for model, count in summary.n_diverged.items():
        if count:
            total = summary.n_trials * summary.n_values
            logger.warning("%s diverged in %d of %d trials; they are flagged", model, count, total)
    if summary.n_points_failed:
        now = ", ".join(f"{what} at {count}" for what, count in summary.failures.items())
        logger.warning(
            "models or statistics failed at %d of %s and have no results there%s",
            summary.n_points_failed,
            counted(summary.n_points, "point"),
            f" (in this run {now})" if now else "",
        )
