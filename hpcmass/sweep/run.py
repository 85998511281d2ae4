"""One sweep from configuration to closed file: prepare, scatter, summarise.

`run_sweep` is collective over all ranks of a job; only rank 0 decides and logs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpcmass.compile_lock import WaitStopped, ending_waits
from hpcmass.compiled import require_compiler
from hpcmass.config import Experiment
from hpcmass.config.file import experiment_of
from hpcmass.errors import EXIT_DONE, EXIT_FAILED_TRIALS, EXIT_STOPPED_EARLY, UserError
from hpcmass.grid import Trial
from hpcmass.messages import logger
from hpcmass.parallel.communicator import Communicator, communicator
from hpcmass.parallel.processes import require_main_guard
from hpcmass.store.files import real_path, require_output
from hpcmass.store.lock import SweepLock
from hpcmass.store.schema import comparison_path
from hpcmass.sweep.limits import Clock, Limits, stopping_on_signals
from hpcmass.sweep.prepare import Prepared, RunOptions, cost_done, prepare
from hpcmass.sweep.scatter import Tally, scatter
from hpcmass.text import counted

if TYPE_CHECKING:
    from hpcmass.compare.pipeline import ComparisonSummary
    from hpcmass.sweep.in_situ import InSitu

DEFAULT_OPTIONS, NO_LIMITS = RunOptions(), Limits()


@dataclass(frozen=True)
class Summary:
    """How a run ended; the same on all ranks.

    Attributes
    ----------
    output : Path
    total : int
        Trials of the sweep, or of the part.
    done_before, done : int
        Trials that were done before, done now.
    failed_before, failed : int
        Failed trials that were left alone, trials that failed now.
    stopped, out_of_time : bool
        A signal, or the time limit, ended it early.
    comparison : ComparisonSummary or None
        State of the comparison, if it is made during the run.
    points_left : int
        Points that it lacks.
    """

    output: Path
    total: int
    done_before: int
    done: int
    failed_before: int
    failed: int
    stopped: bool
    out_of_time: bool
    comparison: ComparisonSummary | None = None
    points_left: int = 0

    @property
    def pending(self) -> int:
        """Trials that have neither been done nor failed."""
        return self.total - self.done_before - self.done - self.failed_before - self.failed

    @property
    def exit_code(self) -> int:
        """0, or the code for the batch system."""
        if (self.stopped or self.out_of_time) and (self.pending or self.points_left):
            return EXIT_STOPPED_EARLY
        points_failed = self.comparison.n_points_failed if self.comparison else 0
        return EXIT_FAILED_TRIALS if self.failed_before + self.failed + points_failed else EXIT_DONE


def run_sweep(
    config: str | os.PathLike[str] | Experiment,
    output: str | os.PathLike[str],
    options: RunOptions = DEFAULT_OPTIONS,
    *,
    jobs: int | None = None,
    compare: bool | None = None,
    reuse: Sequence[str | os.PathLike[str]] = (),
    limits: Limits = NO_LIMITS,
    inspect: Callable[[Experiment], None] | None = None,
    assignments: Sequence[str] = (),
) -> Summary | None:
    """Run or resume a sweep on all processes of this job, or on `jobs` processes of this machine.

    Parameters
    ----------
    config : path or Experiment
        A configuration file, or an experiment that is in memory.
    output : path
        The sweep file. One of the same experiment is continued.
    options : RunOptions
    jobs : int, optional
        Processes that simulate, in place of `options.jobs`; without either, this process, or the ranks of an MPI job.
    compare : bool, optional
        Compare each point when its trials are done, into `sweep-cmp.h5` beside `sweep.h5`; in place of
        `options.compare`.
    reuse : sequence of paths
        Earlier sweeps from which to copy the trials that they have, in addition to `options.reuse`. A sweep that is
        compared and does not keep all traces takes points with their comparison, `old-cmp.h5` beside `old.h5`.
    limits : Limits
    inspect : callable, optional
        Called with the experiment on rank 0, before anything is done.
    assignments : sequence of str
        Values in place of the configuration's, such as `trials=3`.

    Returns
    -------
    Summary or None
        None on all ranks but 0.

    Raises
    ------
    UserError
        On rank 0, while all other ranks exit.

    Examples
    --------
    >>> from hpcmass import Experiment, run_sweep
    >>> network = {"n_neurons": 100, "n_external": 100, "duration_ms": 200, "transient_ms": 50}
    >>> experiment = Experiment(grid={"p": [0.1, 0.2], "lam": 0.8}, network=network, trials=1)
    >>> summary = run_sweep(experiment, "sweep.h5")
    >>> summary.done, summary.total
    (2, 2)
    """
    if jobs is not None:
        if jobs < 1:
            raise UserError(f"jobs = {jobs}: give at least one process")
        options = replace(options, jobs=jobs)
    if compare is not None:
        options = replace(options, compare=compare)
    options = replace(options, reuse=(*options.reuse, *map(Path, [reuse] if isinstance(reuse, str) else reuse)))
    if options.jobs is not None:
        require_main_guard()  # before anything else: the parent holds the lock
    clock = Clock(limits)
    output = real_path(Path(output))
    comm = communicator()
    if options.part is None:  # processes that each run a part need not see each other
        comm.require_peers()
    with comm.guarded():
        comm.on_root(lambda: _require_one_way(comm, options))
        lock, comparison_lock = SweepLock(output), SweepLock(comparison_path(output))
        queue: list[Trial] = []
        comparisons: list[InSitu] = []

        def begin() -> Prepared:
            require_compiler()
            experiment = experiment_of(config, assignments)
            require_output(output, [] if isinstance(config, Experiment) else [Path(config)])
            if inspect is not None:
                inspect(experiment)
            if options.compare:
                _require_comparable(experiment, clock, new=options.force or not comparison_path(output).exists())
            lock.acquire()
            if options.compare:
                require_output(comparison_path(output), [output])
                comparison_lock.acquire()  # before the sweep's file is created or replaced
            prepared, missing = prepare(experiment, output, options, n_ranks=comm.size, mpi_library=comm.library)
            lock.announce(_workers(comm, prepared))
            if not options.compare:
                queue.extend(missing)
                return prepared
            comparison = _comparison(comm, prepared, missing, clock, force=options.force)
            comparisons.append(comparison)
            queue.extend(comparison.queue)
            return replace(
                prepared,
                missing=len(comparison.queue),
                cost_done=cost_done(output, prepared.experiment) if prepared.reuse_compared else prepared.cost_done,
                comparing=comparison.about,
                n_points_left=comparison.n_left,
            )

        try:
            # from the start to the end: ranks enter and leave the scattering at different times
            with stopping_on_signals(until_exit=comm.size > 1):
                prepared = comm.on_root(begin)
                return _run(comm, prepared, queue, clock, comparisons[0] if comparisons else None)
        finally:
            for comparison in comparisons:
                comparison.close()
            comparison_lock.release()
            lock.release()


def _require_comparable(experiment: Experiment, clock: Clock, *, new: bool) -> None:
    """Refuse what no comparison can compute before there is a file that has these settings."""
    from hpcmass.sweep.in_situ import require_comparable

    require_comparable(experiment, clock, new=new)


def _comparison(comm: Communicator, prepared: Prepared, missing: list[Trial], clock: Clock, *, force: bool) -> InSitu:
    from hpcmass.sweep.in_situ import InSitu  # mass models, which no other sweep needs

    n_ranks = prepared.jobs + 1 if prepared.jobs > 1 else comm.size
    n_workers = _workers(comm, prepared)
    return InSitu(
        prepared.output, missing, n_workers=n_workers, n_ranks=n_ranks, mpi_library=comm.library, force=force,
        clock=clock, reuse=prepared.reuse_compared,
    )  # fmt: skip


def _require_one_way(comm: Communicator, options: RunOptions) -> None:
    if comm.size > 1 and options.jobs is not None:
        raise UserError("give either -j or mpiexec: the ranks are the processes")


def _run(
    comm: Communicator, prepared: Prepared, queue: list[Trial], clock: Clock, comparison: InSitu | None
) -> Summary | None:
    before = prepared.total - prepared.missing - prepared.failed
    tally = Tally(clock)
    if comm.is_root:
        logger.info(_announcement(comm, prepared))
    if prepared.missing or prepared.n_points_left:
        comm.one_per_node_first(lambda: _warm_up(prepared.experiment, clock))
        tally = scatter(comm, prepared, queue, clock, comparison)
    comm.on_root(lambda: _require_written(tally))
    compared = comm.on_root(lambda: None if comparison is None else comparison.finish())
    comm.on_root(lambda: _require_progress(tally, clock, comparison))
    if not comm.is_root:
        return None
    return Summary(
        prepared.output, prepared.total, before, tally.done, prepared.failed, tally.failed, tally.stop,
        tally.out_of_time, compared, comparison.n_left if comparison else 0,
    )  # fmt: skip


def _announcement(comm: Communicator, prepared: Prepared) -> str:
    what = f"trials of part {prepared.part}" if prepared.part else "trials"
    left = f", {prepared.failed} failed before and are left alone" if prepared.failed else ""
    done = prepared.total - prepared.missing - prepared.failed
    if not prepared.total:
        return f"nothing to do, part {prepared.part} has no trial: the sweep has fewer trials than parts"
    if not prepared.missing:
        count = f"{done} of {prepared.total}" if prepared.failed else f"all {prepared.total}"
        if prepared.n_points_left:
            return f"{count} {what} are done{left}; {counted(prepared.n_points_left, 'point')} to compare"
        return f"nothing to do, {count} {what} are done{left}"
    alone = comm.size == 1 and prepared.jobs == 1
    who = "this process" if alone else counted(_workers(comm, prepared), "worker")
    rest = f" ({done} are done already{left})" if done or left else ""
    return (
        f"{prepared.missing} of {prepared.total} {what} to do{rest}, by {who}, into {prepared.output} "
        f"({prepared.driver})"
    )


def _workers(comm: Communicator, prepared: Prepared) -> int:
    """Processes that simulate."""
    return prepared.jobs if comm.size == 1 else comm.size - 1


def _warm_up(experiment: Experiment, clock: Clock) -> None:
    """Load the kernels; on a machine that never ran them, this compiles them or waits for a process that does.

    The wait ends with a signal to stop or at the time limit. No trial begins after that, so no kernel is needed.
    """
    from hpcmass.network import warm_up

    if not clock.is_over():
        with suppress(WaitStopped), ending_waits(clock.is_over):
            warm_up(*experiment.networks_at_ends())


def _require_progress(tally: Tally, clock: Clock, comparison: InSitu | None) -> None:
    """Refuse a time limit with which no start can do anything."""
    idle = tally.out_of_time and not tally.stop and not tally.done + tally.failed
    if comparison is not None and idle and not comparison.n_new:
        comparison.require_time(clock, tally.best_pace)


def _require_written(tally: Tally) -> None:
    """Print what could not be written."""
    if tally.unwritable is not None:
        raise UserError(tally.unwritable)
