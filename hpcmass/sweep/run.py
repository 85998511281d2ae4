"""One sweep from configuration to closed file: prepare, open, scatter, close, join.

All ranks of a job go through `run_sweep` together; only rank 0 speaks and decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hpcmass.config import Experiment
from hpcmass.configfile import load_experiment
from hpcmass.errors import EXIT_DONE, EXIT_FAILED_TRIALS, EXIT_STOPPED_EARLY, UserError
from hpcmass.grid import Trial
from hpcmass.messages import say
from hpcmass.store.layout import require_directory
from hpcmass.store.lock import SweepLock
from hpcmass.store.opening import followed
from hpcmass.store.writer import ParallelWriter, ShardWriter, SlabWriter
from hpcmass.sweep.clock import Clock, Limits
from hpcmass.sweep.executor import Tally, scatter, told_to_stop
from hpcmass.sweep.mpi import World, world
from hpcmass.sweep.prepare import Plan, Wishes, join_shards, prepare

NO_WISHES, NO_LIMITS = Wishes(), Limits()


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
    """

    output: Path
    total: int
    done_before: int
    done: int
    failed_before: int
    failed: int
    stopped: bool
    out_of_time: bool

    @property
    def pending(self) -> int:
        """Trials that have neither been done nor failed."""
        return self.total - self.done_before - self.done - self.failed_before - self.failed

    @property
    def exit_code(self) -> int:
        """0, or what the batch system should know."""
        if (self.stopped or self.out_of_time) and self.pending:
            return EXIT_STOPPED_EARLY
        return EXIT_FAILED_TRIALS if self.failed_before + self.failed else EXIT_DONE


def run_sweep(
    config: Path,
    output: Path,
    wishes: Wishes = NO_WISHES,
    *,
    limits: Limits = NO_LIMITS,
    inspect: Callable[[Experiment], None] | None = None,
) -> Summary | None:
    """Run or resume a sweep on all processes of this job.

    Parameters
    ----------
    config : Path
        A configuration file.
    output : Path
        The sweep file.
    wishes : Wishes
    limits : Limits
    inspect : callable, optional
        Is shown the experiment on rank 0, before anything is done.

    Returns
    -------
    Summary or None
        None on all ranks but 0.

    Raises
    ------
    UserError
        On rank 0, while all other ranks exit.
    """
    clock = Clock(limits)
    output = followed(output)
    here = world()
    if wishes.part is None:  # processes that do a part each need not see each other
        here.require_company()
    with here.guarded():
        lock = SweepLock(output)
        queue: list[Trial] = []

        def begin() -> Plan:
            require_directory(output)
            experiment = load_experiment(config)
            if inspect is not None:
                inspect(experiment)
            lock.acquire()
            plan, missing = prepare(experiment, output, wishes, n_ranks=here.size, mpi_library=here.library, say=say)
            lock.announce(max(1, here.size - 1))
            queue.extend(missing)
            return plan

        try:
            # from the start to the end: ranks enter and leave the scattering at different times
            with told_to_stop(to_the_end=here.size > 1):
                return _run(here, here.on_root(begin), queue, clock)
        finally:
            lock.release()


def _run(here: World, plan: Plan, queue: list[Trial], clock: Clock) -> Summary | None:
    before = plan.total - plan.missing - plan.failed
    tally = Tally()
    if here.is_root:
        say(_announcement(here, plan))
    if plan.missing:
        here.one_per_node_first(_warm_up)
        writer = here.together(lambda: _open_writer(here, plan))
        scatter(here, plan.experiment, writer, queue, tally, clock)
        here.together(lambda: _close(writer))
    here.on_root(lambda: _finish(plan, tally))
    if not here.is_root:
        return None
    return Summary(
        plan.output, plan.total, before, tally.done, plan.failed, tally.failed, tally.stop, tally.out_of_time
    )


def _announcement(here: World, plan: Plan) -> str:
    what = f"trials of part {plan.share.part}" if plan.share else "trials"
    left = f", {plan.failed} failed before and are left alone" if plan.failed else ""
    if not plan.missing:
        done = f"{plan.total - plan.failed} of {plan.total}" if plan.failed else f"all {plan.total}"
        return f"nothing to do, {done} {what} are done{left}"
    workers = max(1, here.size - 1)
    who = "this process" if here.size == 1 else f"{workers} {'rank' if workers == 1 else 'ranks'} and a master"
    before = plan.total - plan.missing - plan.failed
    rest = f" ({before} are done already{left})" if before or left else ""
    return f"{plan.missing} of {plan.total} {what} to do{rest}, by {who}, into {plan.output} ({plan.driver})"


def _warm_up() -> None:
    """Load the kernels; on a machine that never ran them, this compiles them."""
    from hpcmass.network import warm_up

    warm_up()


def _open_writer(here: World, plan: Plan) -> SlabWriter | None:
    if plan.driver == "mpio":
        return ParallelWriter(plan.output, here.comm)
    if plan.driver == "serial":
        return SlabWriter(plan.output)
    if here.is_root and here.size > 1:
        return None
    return ShardWriter(plan.output, plan.experiment, provenance=plan.provenance, rank=here.rank, share=plan.share)


def _close(writer: SlabWriter | None) -> None:
    if writer is not None:
        writer.close()


def _finish(plan: Plan, tally: Tally) -> None:
    """Join the shards; say what could not be written."""
    if plan.driver == "shards":
        join_shards(plan.output)
    if tally.unwritable is not None:
        raise UserError(tally.unwritable)
