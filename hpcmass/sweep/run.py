"""One sweep from configuration to closed file: prepare, open, scatter, close, join.

All ranks of a job go through `run_sweep` together; only rank 0 speaks and decides.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from hpcmass.configfile import load_experiment
from hpcmass.errors import EXIT_DONE, EXIT_FAILED_TRIALS, EXIT_STOPPED_EARLY, UserError
from hpcmass.grid import Trial
from hpcmass.store.layout import require_directory
from hpcmass.store.lock import SweepLock
from hpcmass.store.writer import ParallelWriter, ShardWriter, SlabWriter
from hpcmass.sweep.executor import Tally, scatter, told_to_stop
from hpcmass.sweep.mpi import World, world
from hpcmass.sweep.prepare import Plan, join_shards, prepare


@dataclass(frozen=True)
class Summary:
    """How a run ended; the same on all ranks.

    Attributes
    ----------
    output : Path
    total : int
        Trials of the sweep.
    done_before, done, failed : int
        Trials that were done before, done now, failed now.
    stopped : bool
    """

    output: Path
    total: int
    done_before: int
    done: int
    failed: int
    stopped: bool

    @property
    def exit_code(self) -> int:
        """0, or what the batch system should know."""
        if self.stopped and self.done_before + self.done + self.failed < self.total:
            return EXIT_STOPPED_EARLY
        return EXIT_FAILED_TRIALS if self.failed else EXIT_DONE


def run_sweep(config: Path, output: Path, *, force: bool = False, shards: bool = False) -> Summary | None:
    """Run or resume a sweep on all processes of this job.

    Parameters
    ----------
    config : Path
        A configuration file.
    output : Path
        The sweep file.
    force : bool
        Start anew; a file that is there is kept aside.
    shards : bool
        A file per rank even where parallel HDF5 is there.

    Returns
    -------
    Summary or None
        None on all ranks but 0.

    Raises
    ------
    UserError
        On rank 0, while all other ranks exit.
    """
    here = world()
    with here.guarded():
        lock = SweepLock(output)
        queue: list[Trial] = []

        def begin() -> Plan:
            require_directory(output)
            experiment = load_experiment(config)
            lock.acquire()
            plan, missing = prepare(
                experiment, output, n_ranks=here.size, mpi_library=here.library, shards=shards, force=force, say=_say
            )
            queue.extend(missing)
            return plan

        try:
            return _run(here, here.on_root(begin), queue)
        finally:
            lock.release()


def _run(here: World, plan: Plan, queue: list[Trial]) -> Summary | None:
    before = plan.total - plan.missing
    tally = Tally()
    if here.is_root:
        _say(_announcement(here, plan))
    if plan.missing:
        here.one_per_node_first(_warm_up)
        writer = here.together(lambda: _open_writer(here, plan))
        with told_to_stop():
            scatter(here, plan.experiment, writer, queue, tally)
        here.together(lambda: _close(writer))
    here.on_root(lambda: _finish(plan, tally))
    if not here.is_root:
        return None
    return Summary(plan.output, plan.total, before, tally.done, tally.failed, tally.stop)


def _announcement(here: World, plan: Plan) -> str:
    if not plan.missing:
        return f"nothing to do, all {plan.total} trials are done"
    workers = max(1, here.size - 1)
    who = "this process" if here.size == 1 else f"{workers} {'rank' if workers == 1 else 'ranks'} and a master"
    rest = "" if plan.missing == plan.total else f" ({plan.total - plan.missing} are done already)"
    return f"{plan.missing} of {plan.total} trials to do{rest}, by {who}, into {plan.output} ({plan.driver})"


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
    return ShardWriter(plan.output, plan.experiment, provenance=plan.provenance, rank=here.rank)


def _close(writer: SlabWriter | None) -> None:
    if writer is not None:
        writer.close()


def _finish(plan: Plan, tally: Tally) -> None:
    """Join the shards; say what could not be written."""
    if plan.driver == "shards" and plan.missing:
        join_shards(plan.output)
    if tally.unwritable is not None:
        raise UserError(tally.unwritable)


def _say(message: str) -> None:
    print(f"hpcmass: {message}", file=sys.stderr, flush=True)
