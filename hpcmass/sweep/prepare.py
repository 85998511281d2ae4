"""Before the first trial, on rank 0: which file, written how, and what is still to be done in it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from hpcmass.config import Experiment
from hpcmass.config.assignments import set_in_history
from hpcmass.costs import Part, assign, point_costs
from hpcmass.errors import UserError
from hpcmass.grid import Trial, n_trials, requested, shape, trials
from hpcmass.messages import logger
from hpcmass.store.files import ONE_WRITER, START_OVER, changing_metadata, file_system, require_space, same_file
from hpcmass.store.layout import sweep_bytes, trial_bytes
from hpcmass.store.opening import refuse_shards
from hpcmass.store.provenance import append_history, provenance
from hpcmass.store.schema import COMPARISON_ATTRIBUTE, DONE, PENDING, comparison_path
from hpcmass.store.sweep_file import SweepFile
from hpcmass.store.writer import Driver, create_sweep_file
from hpcmass.sweep.reuse import copy_reusable, require_reusable, reusable
from hpcmass.text import counted, shortened

if TYPE_CHECKING:
    from hpcmass.sweep.point_worker import Comparing

SHOWN_CHARACTERS = 60
"""Most characters of a changed setting's value in the history."""

OTHER_SETTINGS = "; other settings: "
"""Text before the changed settings in the history."""


@dataclass(frozen=True)
class RunOptions:
    """Options of one start of a sweep.

    Attributes
    ----------
    force : bool
        Start over; a file that is there is backed up.
    gather : bool
        Rank 0 writes all traces even where parallel HDF5 is available.
    part : Part or None
        Only this part of a job array.
    retry_failed : bool
        Run failed trials once more.
    reuse : tuple of Path
        Earlier sweeps from which to copy the trials that they have.
    jobs : int or None
        Processes of this machine that simulate, while this one writes; None or 1: this one does all.
    compare : bool
        Compare each point when its trials are done.
    """

    force: bool = False
    gather: bool = False
    part: Part | None = None
    retry_failed: bool = False
    reuse: tuple[Path, ...] = ()
    jobs: int | None = None
    compare: bool = False


@dataclass(frozen=True)
class Prepared:
    """What all ranks need to know.

    Attributes
    ----------
    experiment : Experiment
    output : Path
    driver : str
    part : Part or None
    total, missing, failed : int
        Trials of the sweep or the part, trials still to be done, failed ones that are left alone.
    cost_done : float
        Expected cost of the trials that are done already.
    jobs : int
        Processes of this machine that simulate; 1: this one.
    comparing : Comparing or None
        How the points are compared.
    n_points_left : int
        Points to compare.
    reuse_compared : tuple of Path
        Earlier sweeps whose points are still to be copied, with their comparison.
    """

    experiment: Experiment
    output: Path
    driver: Driver
    part: Part | None
    total: int
    missing: int
    failed: int
    cost_done: float
    jobs: int = 1
    comparing: Comparing | None = None
    n_points_left: int = 0
    reuse_compared: tuple[Path, ...] = ()


def prepare(
    experiment: Experiment, output: Path, options: RunOptions, *, n_ranks: int, mpi_library: str
) -> tuple[Prepared, list[Trial]]:
    """Create or continue the sweep's file (lock it before) and list the trials to do, in the file's order."""
    for old in options.reuse:
        if same_file(old, output):
            raise UserError(f"--reuse {old} is the file to write; give another -o and reuse {old} there")
        require_reusable(old, experiment)
    jobs = options.jobs or 1
    if jobs > 1:
        driver: Driver = "gather"
        how = f"{jobs} worker processes, {driver}"
    else:
        parallel = h5py.get_config().mpi and not options.gather and experiment.traces.keep != "none"
        if n_ranks > 1 and parallel and (kind := file_system(output)) in ONE_WRITER:
            logger.warning(
                f"{output} is on a file system ({kind}) that several ranks cannot write safely, so rank 0 writes it; "
                "with --gather this message does not appear"
            )
            parallel = False
        driver = "serial" if n_ranks == 1 else "mpio" if parallel else "gather"
        how = f"{counted(n_ranks, 'rank')}, {driver}"
    n_all = jobs + 1 if jobs > 1 else n_ranks
    identity = {"uuid": str(uuid.uuid4()), **provenance(n_ranks=n_all, mpi_library=mpi_library)}
    how += ", compared during the run" if options.compare else ""
    how += (f", part {options.part}" if options.part else "") + set_in_history(experiment.assignments)
    refuse_shards(output)
    if output.exists() and not options.force:
        how += f", commit {str(identity['git_commit'])[:12]}, {identity['processor']}"
        missing, total, failed = _continue(output, experiment, options, how)
    else:
        missing = _create(output, experiment, options, driver, identity, f"started, {how}")
        total, failed = len(missing), 0
    with SweepFile(output, checked=True) as file:
        if file.experiment.traces != experiment.traces:
            experiment = experiment.model_copy(update={"traces": file.experiment.traces})
    with_comparison = options.compare and not experiment.traces.allow_comparison
    for old in () if with_comparison else options.reuse:
        missing = _reuse(old, output, missing)
    cost = cost_done(output, experiment) if len(missing) < total else 0.0
    if not options.compare:  # else points may be left, too
        jobs = max(1, min(jobs, len(missing)))
    reuse_compared = options.reuse if with_comparison else ()
    return Prepared(
        experiment, output, driver, options.part, total, len(missing), failed, cost, jobs, reuse_compared=reuse_compared
    ), missing


def cost_done(output: Path, experiment: Experiment) -> float:
    """Expected cost of the trials that are done."""
    with SweepFile(output, checked=True) as file:
        cost = np.broadcast_to(point_costs(experiment)[..., None], file.shape)
        return float(cost[(file.status == DONE) & file.assigned].sum())


def _create(
    output: Path, experiment: Experiment, options: RunOptions, driver: Driver, identity: Mapping[str, Any], started: str
) -> list[Trial]:
    """Create the file; returns the trials to do."""
    assignment = assign(experiment, options.part, whole_points=options.compare) if options.part else None
    compared = {COMPARISON_ATTRIBUTE: comparison_path(output).name} if options.compare else {}
    lengths = shape(experiment)
    wanted = np.broadcast_to(requested(experiment)[..., None], lengths)
    todo = trials(experiment, only=assignment.mask(lengths) & wanted if assignment else wanted)
    _require_comparison(output, experiment, options, todo, ", or leave out the section `traces` to keep all traces")
    if options.reuse and options.compare and not experiment.traces.allow_comparison:
        from hpcmass.sweep.reuse_compared import reusable_comparison  # mass models, which no other sweep needs

        for old in options.reuse:
            reusable_comparison(old, experiment, comparison_path(output))
    need = sweep_bytes(experiment) - (n_trials(experiment) - len(todo)) * trial_bytes(experiment)
    require_space(output, need, remedy=", give another path, make the grid smaller, or keep fewer traces (traces.keep)")
    create_sweep_file(
        output,
        experiment,
        driver=driver,
        provenance={**identity, **compared},
        started=started,
        assignment=assignment,
        force=options.force,
    )
    return todo


def _continue(output: Path, experiment: Experiment, options: RunOptions, how: str) -> tuple[list[Trial], int, int]:
    """The trials to do; the number of trials of the file's part; the number of failed trials left alone."""
    if not os.access(output, os.W_OK):
        raise UserError(f"no permission to write {output}; give another -o")
    with SweepFile(output) as file:
        if file.experiment.imported is not None:
            raise UserError(f"{output} holds imported recordings, which no simulation can continue; give another -o")
        if file.is_packed:
            raise UserError(
                f"{output} is packed, and a packed file is never changed; unpack it with "
                f"`hpcmass merge --partial -o NEW.h5 {output}` and continue NEW.h5"
            )
        grown = f"`--reuse {output}` with another -o copies what it has; "
        file.require_same_sweep(experiment, START_OVER, grown)
        file.require_same_part(options.part, f"repeat the --part of its first start, if any, or {START_OVER}")
        file.require_same_seeds(experiment, START_OVER)
        made = file.attributes.get(COMPARISON_ATTRIBUTE)
        if made and not options.compare:
            raise UserError(f"{output} was begun with --compare, which wrote {made}; give --compare again")
        if options.compare and (file.assigned.any(axis=-1) != file.assigned.all(axis=-1)).any():
            raise UserError(f"{output} was begun without --compare, and its part divides a point; {START_OVER}")
        status, assigned, changed = file.status, file.assigned, changed_settings(file.experiment, experiment)
        kept = file.experiment
        known = any(line.endswith(f"{OTHER_SETTINGS}{changed}") for line in file.history)
    wanted = assigned & (status != DONE)
    missing = trials(experiment, only=wanted if options.retry_failed else wanted & (status == PENDING))
    _require_comparison(output, kept, options, missing)
    if changed:
        logger.info(
            "the configuration differs from the file's in %s; the file keeps its own, see `hpcmass compare --config`",
            changed,
        )
    if missing or (changed and not known):
        event = f"resumed, {how}" if missing else "started again"
        with changing_metadata(output) as changing:
            append_history(changing, f"{event}{OTHER_SETTINGS}{changed}" if changed else event)
    return missing, int(assigned.sum()), int(wanted.sum()) - len(missing)


def _require_comparison(
    output: Path, experiment: Experiment, options: RunOptions, missing: list[Trial], otherwise: str = ""
) -> None:
    """Refuse to simulate what nothing could compare: neither during the run nor afterwards.

    `otherwise`: what else can be done, for the message.
    """
    if options.compare or experiment.traces.allow_comparison:
        return
    for old in options.reuse:
        there = {trial.index for trial in reusable(old, missing)}
        missing = [trial for trial in missing if trial.index not in there]
    if missing:
        raise UserError(
            f"with {experiment.traces.text()} nothing could compare {output} after the run; add --compare{otherwise}"
        )


def changed_settings(before: Experiment, now: Experiment) -> str:
    """Settings beside the physics that differ: `compare.alpha (0.01, now 0.05)`; empty if there is none."""
    theirs, ours = _settings(before), _settings(now)
    return ", ".join(
        f"{key} ({_short(theirs.get(key))}, now {_short(ours.get(key))})"
        for key in sorted(theirs.keys() | ours.keys())
        if theirs.get(key) != ours.get(key)
    )


def _settings(experiment: Experiment) -> dict[str, Any]:
    document = experiment.model_dump(mode="json")
    sections = {name: document[name] for name in ("mass", "compare", "traces")}
    return {"title": experiment.title} | {
        f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()
    }


def _short(value: Any) -> str:
    text = " ".join((", ".join(map(str, value)) if isinstance(value, list) else str(value)).split())
    return shortened(text, SHOWN_CHARACTERS)


def _reuse(old: Path, output: Path, missing: list[Trial]) -> list[Trial]:
    """Copy the missing trials that an earlier sweep has; returns those that are still missing."""
    copied = {trial.index for trial in copy_reusable(old, output, missing)} if missing else set()
    logger.info("%s copied from %s", counted(len(copied), "trial"), old)
    if copied:
        with changing_metadata(output) as file:
            append_history(file, f"{counted(len(copied), 'trial')} copied from {old.name}")
    return [trial for trial in missing if trial.index not in copied]
