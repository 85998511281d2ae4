"""Trials of an earlier sweep copied into a larger one: same values, same seed, same physics, the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpcmass.config import Experiment
from hpcmass.config.axes import canonical
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.store.kept import kept
from hpcmass.store.merge import copy_trials
from hpcmass.store.parts import SweepParts
from hpcmass.store.schema import DONE, sweep_variables
from hpcmass.store.sweep_file import Index, SweepFile
from hpcmass.store.writer import SweepWriter

COPIED_RANK = -1
"""Rank of trials that were not computed here."""

WHAT_TO_DO = "leave out --reuse, or give another file"


def require_reusable(old: Path, experiment: Experiment) -> None:
    """Refuse an earlier sweep whose trials are not the experiment's."""
    with SweepFile(old) as file:
        if file.experiment.imported is not None:
            raise UserError(f"{old} holds imported recordings, which are no trials of a sweep; {WHAT_TO_DO}")
        file.require_same_physics(experiment, WHAT_TO_DO)
        theirs, ours = file.experiment.traces, experiment.traces
        if not theirs.allow_comparison and theirs != ours and ours.keep != "none":
            raise UserError(f"{old} keeps other traces ({theirs.text()}) than asked for ({ours.text()}); {WHAT_TO_DO}")
        there = sweep_variables(theirs.keep).values()
        lacking = [v.name for v in there if v.name not in file and v.role != "bookkeeping"]
        if lacking:
            raise UserError(f"{old} was written by an older version and lacks {', '.join(lacking)}; {WHAT_TO_DO}")


def reusable(old: Path, trials: Sequence[Trial]) -> list[Trial]:
    """Those of some trials that an earlier sweep, which `require_reusable` accepts, has."""
    with SweepParts([old]) as source:
        return [trial for trial, _ in found_in(source, old, trials)]


def copy_reusable(old: Path, target: Path, trials: Sequence[Trial]) -> list[Trial]:
    """Copy what an earlier sweep, which `require_reusable` accepts, has of some trials; returns those copied."""
    with SweepFile(target, checked=True) as new:
        experiment = new.experiment
    with SweepParts([old]) as source, SweepWriter(target) as writer:
        found = found_in(source, old, trials)
        copy_found(source, found, writer, experiment)
    return [trial for trial, _ in found]


def copy_found(
    source: SweepParts, found: Sequence[tuple[Trial, Index]], writer: SweepWriter, experiment: Experiment
) -> None:
    """Copy trials of an earlier sweep, each with its place there, into the sweep of an experiment."""
    every_step = source.experiment.traces.allow_comparison

    def change(values: dict[str, Any], trial: Trial) -> dict[str, Any]:
        return kept(values, trial.number, experiment) if every_step else values

    copy_trials(source, iter(found), writer, len(found), change=change, rank=np.int32(COPIED_RANK))


def found_in(source: SweepParts, old: Path, trials: Sequence[Trial]) -> list[tuple[Trial, Index]]:
    """Trials that an earlier sweep has, and where."""
    axes = {name: {canonical(v): i for i, v in enumerate(values)} for name, values in source.axes.items()}
    numbers = {int(n): i for i, n in enumerate(source.trial_numbers)}
    found: list[tuple[Trial, Index]] = []
    for trial in trials:
        place = [axes[name].get(canonical(trial.values[name])) for name in axes] + [numbers.get(trial.number)]
        index = tuple(i for i in place if i is not None)
        if len(index) == len(place) and source.status[index] == DONE:
            found.append((trial, index))
    seeds = source.values("seed", np.array([index for _, index in found], np.int64)).tolist() if found else []
    for (trial, _), seed in zip(found, seeds, strict=True):
        if tuple(seed) != trial.seed:
            raise UserError(f"{old} has another seed for {trial.label()}; {WHAT_TO_DO}")
    return found
