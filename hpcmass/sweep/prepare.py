"""Before the first trial, on rank 0: which file, written how, and what is still to be done in it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.grid import trials as all_trials
from hpcmass.store.aside import set_sweep_aside, sweep_exists
from hpcmass.store.chain import append_configuration, fits, united
from hpcmass.store.creation import Driver, create_sweep_file
from hpcmass.store.identity import require_same_seeds, require_same_sweep
from hpcmass.store.inplace import changing
from hpcmass.store.join import is_joint_of, join
from hpcmass.store.parts import Part, Share, divide, division_in, require_same_part
from hpcmass.store.provenance import append_history, provenance
from hpcmass.store.reader import open_hdf5, shard_directory
from hpcmass.store.reuse import require_reusable, take_over
from hpcmass.store.schema import CONFIG_CHAIN, DONE, PENDING, SWEEP_FILETYPE
from hpcmass.store.size import empty_bytes, trace_bytes
from hpcmass.store.sources import is_packed, open_all, outside_parts, shard_paths, sources_of, states_of

START_ANEW = "give another -o, or --force to start anew (the old file is kept aside)"


@dataclass(frozen=True)
class Wishes:
    """What a user asks of one start of a sweep.

    Attributes
    ----------
    force : bool
        Start anew; a file that is there is kept aside.
    shards : bool
        A file per rank even where parallel HDF5 is there.
    part : Part or None
        Only this share of a job array.
    retry_failed : bool
        Do failed trials once more.
    reuse : tuple of Path
        Earlier sweeps from which to take over what they have.
    """

    force: bool = False
    shards: bool = False
    part: Part | None = None
    retry_failed: bool = False
    reuse: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What all ranks need to know.

    Attributes
    ----------
    experiment : Experiment
    output : Path
    driver : str
    provenance : dict
        Root attributes for files that are still to be created.
    total, missing, failed : int
        Trials of the sweep or the part, trials still to be done, failed ones that are left alone.
    share : Share or None
        The part of a job array.
    """

    experiment: Experiment
    output: Path
    driver: Driver
    provenance: dict[str, Any]
    total: int
    missing: int
    failed: int
    share: Share | None


def choose_driver(output: Path, *, n_ranks: int, shards: bool) -> Driver:
    """How the sweep is written: shards if asked for, begun so, or inevitable; else one file."""
    if shards or shard_paths(output) or outside_parts(output):
        return "shards"
    if output.exists():
        with open_hdf5(output, SWEEP_FILETYPE) as file:
            if is_packed(file):
                return "shards"
    if n_ranks == 1:
        return "serial"
    return "mpio" if h5py.get_config().mpi else "shards"


def prepare(
    experiment: Experiment,
    output: Path,
    wishes: Wishes,
    *,
    n_ranks: int,
    mpi_library: str,
    say: Callable[[str], None],
) -> tuple[Plan, list[Trial]]:
    """Create or continue the sweep's file (lock it before) and list the trials to do, in the file's order.

    Raises
    ------
    UserError
        If the output cannot be written, is no sweep file, holds another sweep or part, or does not fit on the disk;
        if a file to reuse is of other physics.
    """
    for old in wishes.reuse:
        ours = {path.resolve() for path in (output, *shard_paths(output))}
        if ours & {path.resolve() for path in (old, *sources_of(old))}:
            raise UserError(f"--reuse {old} is, or refers to, the file to write; give another -o and reuse {old} there")
        require_reusable(old, experiment)
    if wishes.force and sweep_exists(output):
        kept = [path.name for path in set_sweep_aside(output)]
        if kept:
            say(f"the old {output.name} is kept as {' and '.join(kept)}")
    driver = choose_driver(output, n_ranks=n_ranks, shards=wishes.shards)
    trials = all_trials(experiment)
    identity = {"uuid": str(uuid.uuid4()), **provenance(n_ranks=n_ranks, mpi_library=mpi_library)}
    how = f"{n_ranks} {'rank' if n_ranks == 1 else 'ranks'}, {driver}"
    how += f", part {wishes.part}" if wishes.part else ""
    sources = sources_of(output)
    failed = 0
    if sources:
        share, missing, failed, identity["uuid"] = _continued(sources, output, experiment, trials, wishes)
        _resume(sources, output, experiment, f"resumed, {how}{code_of(identity)}" if missing else None, say)
        if driver == "shards" and output in sources and (missing or len(sources) > 1):
            _make_a_shard(output)
        join_shards(output)
    else:
        share = Share(wishes.part, divide(experiment, wishes.part.count)) if wishes.part else None
        missing = [trial for trial in trials if share is None or share.holds(trial)]
        n_files = max(1, n_ranks - 1) if driver == "shards" else 1
        _require_space(experiment, output, len(missing) / len(trials), n_files)
        if driver != "shards":
            create_sweep_file(
                output, experiment, driver=driver, provenance=identity, started=f"started, {how}", share=share
            )
    for old in wishes.reuse:
        missing = _reuse(old, output, experiment, driver, identity, share, missing, say)
    if missing and driver == "shards" and n_ranks > 1 and not (wishes.shards or h5py.get_config().mpi):
        say(f"this h5py has no parallel HDF5: each rank writes a shard of its own in {shard_directory(output)}")
    total = len(trials) if share is None else int(share.mask().sum())
    return Plan(experiment, output, driver, identity, total, len(missing), failed, share), missing


def join_shards(output: Path) -> None:
    """Make the sweep file of its shards and parts, if it has any, unless it is there and up to date."""
    sources = sources_of(output)
    if sources not in ([], [output]) and not is_joint_of(output, sources):
        join(sources, output, what="joined", replace=True)


def _continued(
    sources: Sequence[Path], output: Path, experiment: Experiment, trials: list[Trial], wishes: Wishes
) -> tuple[Share | None, list[Trial], int, str]:
    """The part, the trials to do, the number of failed ones left alone, the sweep's uuid."""
    if output.exists() and not os.access(output, os.W_OK):
        raise UserError(f"no permission to write {output}; give another -o")
    merged = len(outside_parts(output)) > 0
    if merged and wishes.part:
        raise UserError(f"{output} is put together from parts; go on without --part, or give another -o")
    grown = f"`--reuse {output}` with another -o takes over what it has; "
    with open_all(sources) as files:
        for file in files:
            require_same_sweep(file, experiment, START_ANEW, grown)
            if not merged:
                require_same_part(file, wishes.part, f"give the --part that it holds, or {START_ANEW}")
        require_same_seeds(files, trials, START_ANEW)
        share = Share(wishes.part, division_in(files[0])) if wishes.part else None
        status = states_of(files).status
        identity = str(files[0].attrs["uuid"])
    if merged:
        with open_hdf5(output, SWEEP_FILETYPE) as file:
            identity = str(file.attrs["uuid"])
    ours = [trial for trial in trials if share is None or share.holds(trial)]
    wanted = [trial for trial in ours if status[trial.index] != DONE]
    missing = [trial for trial in wanted if wishes.retry_failed or status[trial.index] == PENDING]
    return share, missing, len(wanted) - len(missing), identity


def _resume(
    sources: Sequence[Path], output: Path, experiment: Experiment, event: str | None, say: Callable[[str], None]
) -> None:
    """A line of history for a start that finds something to do, and the configuration, if it is not the one of before.

    Both are changed in place. To replace a text of variable length would move what describes the file, and a kill or a
    full disk in between would cost all that is in it.
    """
    merged = bool(outside_parts(output))
    with open_all([output] if merged else sources) as files:
        changed = united(files)[-1].text != experiment.text
        kept = changed and fits(experiment.text) and (merged or CONFIG_CHAIN.name in files[0])
    if kept:
        say("the configuration differs from that of the last run in what is not physics; the file keeps both")
    elif changed:
        why = "older files have no place for it" if fits(experiment.text) else "it is too long"
        say(f"the configuration differs in what is not physics; {why}, the file keeps its own (see compare --config)")
    event = event or ("another configuration of the same physics" if kept else None)
    if event is None:
        return
    text = experiment.text if kept else None
    if merged:  # the parts are others' files
        join(sources, output, what=event, configuration=text, replace=True)
        return
    with changing(sources[0]) as file:
        append_history(file, event)
        if text is not None:
            append_configuration(file, text)


def code_of(identity: dict[str, Any]) -> str:
    """By which code and on what processor, for a line of history."""
    return f", commit {str(identity['git_commit'])[:12]}, {identity['processor']}"


def _make_a_shard(output: Path) -> None:
    """What was one file until now becomes one of the shards."""
    directory = shard_directory(output)
    directory.mkdir(exist_ok=True)
    names = ["shard-base.h5", *(f"shard-base-{i}.h5" for i in range(2, 1000))]
    os.rename(output, next(directory / name for name in names if not (directory / name).exists()))


def _reuse(
    old: Path,
    output: Path,
    experiment: Experiment,
    driver: Driver,
    identity: dict[str, Any],
    share: Share | None,
    missing: list[Trial],
    say: Callable[[str], None],
) -> list[Trial]:
    """Take over what an earlier sweep has of the missing trials; returns what is missing still."""
    target = output
    if driver == "shards":
        target = shard_directory(output) / "shard-reused.h5"
        if missing:
            target.parent.mkdir(exist_ok=True)
        if missing and not target.exists():
            create_sweep_file(target, experiment, driver=driver, provenance=identity, share=share)
    taken = {trial.index for trial in take_over(old, target, missing)} if missing else set()
    say(f"{len(taken)} trials are taken over from {old}")
    if taken:
        with changing(target) as file:
            append_history(file, f"{len(taken)} trials taken over from {old.name}")
    return [trial for trial in missing if trial.index not in taken]


def _require_space(experiment: Experiment, output: Path, fraction: float, n_files: int) -> None:
    """Refuse a sweep, or the fraction of it that a part is, that cannot fit on the disk, before its first trial."""
    need = n_files * empty_bytes(experiment) + fraction * trace_bytes(experiment)
    free = shutil.disk_usage(output.parent).free
    if need > free:
        raise UserError(
            f"{output} will take {need / 1e9:.3g} GB, but only {free / 1e9:.3g} GB are free there; "
            "free some space, name another place, or make the grid smaller"
        )
