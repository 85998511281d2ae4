"""Before the first trial, on rank 0: which file, written how, and what is still to be done in it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.grid import trials as all_trials
from hpcmass.store.identity import require_same_seeds, require_same_sweep
from hpcmass.store.merge import is_joint_of, join, set_sweep_aside, shard_paths, states_of
from hpcmass.store.provenance import append_history, provenance
from hpcmass.store.reader import open_hdf5, shard_directory
from hpcmass.store.schema import DONE, SWEEP_FILETYPE
from hpcmass.store.size import sweep_bytes
from hpcmass.store.writer import Driver, create_sweep_file

START_ANEW = "give another -o, or --force to start anew (the old file is kept aside)"


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
    total, missing : int
        Trials of the sweep, trials still to be done.
    """

    experiment: Experiment
    output: Path
    driver: Driver
    provenance: dict[str, Any]
    total: int
    missing: int


def choose_driver(output: Path, *, n_ranks: int, shards: bool) -> Driver:
    """How the sweep is written: shards if asked for, begun so, or inevitable; else one file."""
    if shards or shard_paths(output):
        return "shards"
    if n_ranks == 1:
        return "serial"
    return "mpio" if h5py.get_config().mpi else "shards"


def prepare(
    experiment: Experiment,
    output: Path,
    *,
    n_ranks: int,
    mpi_library: str,
    shards: bool,
    force: bool,
    say: Callable[[str], None],
) -> tuple[Plan, list[Trial]]:
    """Create or continue the sweep's file (lock it before) and list the trials to do, in the file's order.

    Raises
    ------
    UserError
        If the output cannot be written, is no sweep file, holds another sweep, or does not fit on the disk.
    """
    if force and (output.exists() or shard_directory(output).exists()):
        say(f"the old {output.name} is kept as {set_sweep_aside(output).name}")
    driver = choose_driver(output, n_ranks=n_ranks, shards=shards)
    trials = all_trials(experiment)
    identity = {"uuid": str(uuid.uuid4()), **provenance(n_ranks=n_ranks, mpi_library=mpi_library)}
    how = f"{n_ranks} {'rank' if n_ranks == 1 else 'ranks'}, {driver}"
    if output.exists():
        _require_continuable(output, experiment, trials)
    parts = shard_paths(output) or ([output] if output.exists() else [])
    if parts:
        missing, identity["uuid"] = _missing(parts, experiment, trials)
        _note(parts[0], experiment, f"resumed, {how}" if missing else None)
        if driver == "shards" and missing and parts == [output]:
            _make_first_shard(output)
        join_shards(output)
    else:
        _require_space(experiment, output)
        missing = trials
        if driver != "shards":
            create_sweep_file(output, experiment, driver=driver, provenance=identity, started=f"started, {how}")
    if missing and driver == "shards" and n_ranks > 1 and not (shards or h5py.get_config().mpi):
        say(f"this h5py has no parallel HDF5: each rank writes a shard of its own in {shard_directory(output)}")
    return Plan(experiment, output, driver, identity, len(trials), len(missing)), missing


def join_shards(output: Path) -> None:
    """Make the sweep file of its shards, if it has any, unless it is there and up to date."""
    paths = shard_paths(output)
    if paths and not is_joint_of(output, paths):
        join(paths, output, what="joined", replace=True)


def _require_continuable(output: Path, experiment: Experiment, trials: list[Trial]) -> None:
    with open_hdf5(output, SWEEP_FILETYPE) as file:
        require_same_sweep(file, experiment, START_ANEW)
        require_same_seeds(file, trials, START_ANEW)
        if "parts" in file.attrs and not shard_paths(output):
            raise UserError(f"{output} is put together from other files and cannot be continued; {START_ANEW}")
    if not os.access(output, os.W_OK):
        raise UserError(f"no permission to write {output}; give another -o")


def _make_first_shard(output: Path) -> None:
    """What was one file until now becomes one of the shards."""
    shard_directory(output).mkdir(exist_ok=True)
    os.rename(output, shard_directory(output) / "shard-base.h5")


def _note(path: Path, experiment: Experiment, event: str | None) -> None:
    """A line of history; a configuration that changed in what is not physics replaces the stored one, which is kept."""
    with h5py.File(path, "r", locking=False) as file:
        changed = str(file.attrs["config_yaml"]) != experiment.text
    if event is None and not changed:
        return
    with h5py.File(path, "r+", locking=False) as file:
        append_history(file, event or "another configuration of the same physics")
        if changed:
            chain = [str(text) for text in file.attrs["config_chain"]]
            file.attrs["config_chain"] = [*(t for t in chain if t != experiment.text), experiment.text]
            file.attrs["config_yaml"] = experiment.text
            file.attrs["title"] = experiment.title


def _missing(parts: list[Path], experiment: Experiment, trials: list[Trial]) -> tuple[list[Trial], str]:
    """The trials that are not done (failed ones are tried again), and the sweep's uuid."""
    with ExitStack() as stack:
        files = [stack.enter_context(open_hdf5(path, SWEEP_FILETYPE)) for path in parts]
        for file in files:
            require_same_sweep(file, experiment, START_ANEW)
        status = states_of(files).status
        return [trial for trial in trials if status[trial.index] != DONE], str(files[0].attrs["uuid"])


def _require_space(experiment: Experiment, output: Path) -> None:
    """Refuse a sweep that cannot fit on the disk, before a single trial of it."""
    need = sweep_bytes(experiment)
    free = shutil.disk_usage(output.parent).free
    if need > free:
        raise UserError(
            f"{output} will take {need / 1e9:.3g} GB, but only {free / 1e9:.3g} GB are free there; "
            "free some space, name another place, or make the grid smaller"
        )
