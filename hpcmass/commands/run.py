"""`hpcmass run`: a sweep, or what is missing of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hpcmass.commands.advice import require_memory, warn_of_degenerate, warn_of_rounding
from hpcmass.commands.arguments import Commands, Parser, add_command, add_set, time_span, whole
from hpcmass.commands.compare import report_comparison
from hpcmass.errors import EXIT_DONE
from hpcmass.messages import logger
from hpcmass.text import counted

if TYPE_CHECKING:
    from hpcmass.config import Experiment
    from hpcmass.costs import Part
    from hpcmass.sweep.run import Summary


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "run", run, "run a sweep, or the rest of one that was stopped",
                      "hpcmass run configs/quickstart.yml -o sweep.h5                  one process",
                      "hpcmass run configs/quickstart.yml -o sweep.h5 -j 4             4 processes of this machine",
                      "mpiexec -n 5 hpcmass run configs/quickstart.yml -o sweep.h5     4 workers and rank 0",
                      "    (Open MPI on 4 cores: mpiexec --oversubscribe …; as root: --allow-run-as-root)",
                      "the same command again                                          resumes",
                      "hpcmass run configs/paper.yml -o part-3.h5 --part 3/16          one task of a job array",
                      "hpcmass run configs/quickstart.yml -o sweep.h5 --compare        compares during the run",
                      "hpcmass run finer.yml -o finer.h5 --reuse sweep.h5              a refined grid",
                      continues=True)  # fmt: skip
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML file")
    add_set(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="sweep file (HDF5)")
    parser.add_argument("-j", "--jobs", type=whole(1), metavar="N",
                        help="processes of this machine that simulate (default 1); not under mpiexec")  # fmt: skip
    parser.add_argument("--part", type=_part, metavar="I/N",
                        help="only part I of N (1/N … N/N), for job arrays; see `hpcmass merge`")  # fmt: skip
    parser.add_argument("--compare", action="store_true",
                        help="compare each point when its trials are done, into FILE-cmp.h5 (for FILE.h5), so that the "
                        "sweep need not keep the traces (traces.keep)")  # fmt: skip
    add_options(parser)
    parser.add_argument("--gather", action="store_true",
                        help="rank 0 writes everything, also where parallel HDF5 is available")  # fmt: skip


def add_options(parser: Parser) -> None:
    """Options of every sweep."""
    parser.add_argument("--time-limit", type=time_span, metavar="TIME",
                        help="stop before this time is over, e.g. 01:55:00 or 90m, with exit code 75")  # fmt: skip
    parser.add_argument("--trial-timeout", type=time_span, metavar="TIME",
                        help="mark a trial that takes longer as failed")  # fmt: skip
    parser.add_argument("--retry-failed", action="store_true", help="run failed trials once more")
    parser.add_argument("--reuse", type=Path, action="append", default=[], metavar="OLD",
                        help="copy what an earlier sweep of the same physics has; with --compare, where not all traces "
                        "are kept, its comparison, too (repeatable)")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="start over; an existing file is backed up")


def run(options: argparse.Namespace) -> int:
    return run_sweep_into(
        options.output, options, jobs=options.jobs, part=options.part, gather=options.gather, compare=options.compare
    )


def run_sweep_into(
    output: Path,
    options: argparse.Namespace,
    *,
    jobs: int | None,
    part: Part | None = None,
    gather: bool = False,
    compare: bool = False,
) -> int:
    """Run a sweep and say how it ended; returns the exit code (`options`: with those of `add_options`)."""
    from hpcmass.sweep.limits import Limits
    from hpcmass.sweep.prepare import RunOptions
    from hpcmass.sweep.run import run_sweep

    run_options = RunOptions(
        force=options.force,
        gather=gather,
        part=part,
        retry_failed=options.retry_failed,
        reuse=tuple(options.reuse),
        jobs=jobs,
        compare=compare,
    )

    def inspect(experiment: Experiment) -> None:
        _inspect(experiment, compare)
        if not compare:
            _warn_of_comparison(experiment)

    limits = Limits(job_s=options.time_limit, trial_s=options.trial_timeout)
    summary = run_sweep(
        options.config, output, run_options, limits=limits, inspect=inspect, assignments=options.assignments
    )
    if summary is None:  # not rank 0
        return EXIT_DONE
    _report(summary)
    return summary.exit_code


def _inspect(experiment: Experiment, compare: bool) -> None:
    """Refuse what cannot be computed, before a file is created."""
    require_memory(experiment, compare=compare)
    warn_of_rounding(experiment.network, experiment.grid.axes())
    warn_of_degenerate(experiment)


def _warn_of_comparison(experiment: Experiment) -> None:
    """Problems that only concern a comparison do not stop a sweep, but are reported before it starts."""
    from hpcmass.commands.validate import own_problems
    from hpcmass.compare.settings import setting_problems

    problems = [*own_problems(experiment), *setting_problems(experiment.network, experiment.compare)]
    for problem in problems:
        logger.warning("%s; the sweep runs, but `hpcmass compare` will refuse that", problem)


def _report(summary: Summary) -> None:
    from hpcmass.degenerate import lock_step
    from hpcmass.store.parts import SweepParts

    print(f"{summary.output}: {summary.done_before + summary.done} of {summary.total} trials done")
    if summary.comparison is not None:
        report_comparison(summary.comparison)
    if summary.pending or summary.points_left:
        why = "at the time limit" if summary.out_of_time else "by a signal"
        left = counted(summary.points_left, "point is left to compare", "points are left to compare")
        if summary.pending:
            left = counted(summary.pending, "trial is left", "trials are left")
        logger.warning("stopped %s, %s; the same command continues", why, left)
    failed = summary.failed_before + summary.failed
    if failed:
        count = counted(failed, "trial")
        logger.warning("%s failed; `hpcmass status %s` says why, --retry-failed runs them again", count, summary.output)
    with SweepParts([summary.output]) as sweep:
        sentence = lock_step(sweep.experiment, sweep.axes, sweep.numbers(["rate_E"])["rate_E"], sweep.status)
    if sentence is not None:
        logger.warning("%s", sentence)


def _part(text: str) -> Part:
    """The type of an argument I/N."""
    from hpcmass.costs import parse_part

    try:
        return parse_part(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
