"""Points of an earlier sweep copied with their comparison: nobody can compare again trials whose traces are not kept.

The results of a point follow from its trials, the mass models and the statistics, whatever the grid around it. So a
point is copied where all trials that the new sweep wants are done and compared in the earlier one, with the same
settings and code. What depends on the whole map is computed anew at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hpcmass.compare.comparison_file import (
    ComparisonFile,
    OutdatedComparison,
    comparison_of,
    require_same_contents,
    results_in,
)
from hpcmass.compare.contents import contents_of
from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.messages import logger
from hpcmass.store.files import changing_metadata, same_file
from hpcmass.store.parts import SweepParts
from hpcmass.store.provenance import append_history
from hpcmass.store.schema import DONE, comparison_path
from hpcmass.store.sweep_file import SweepFile
from hpcmass.sweep.reuse import WHAT_TO_DO, copy_reusable, found_in
from hpcmass.text import counted


def reusable_comparison(old: Path, experiment: Experiment, target: Path) -> Path:
    """The comparison of an earlier sweep, which `require_reusable` accepts.

    Parameters
    ----------
    old : Path
    experiment : Experiment
        Of the new sweep.
    target : Path
        The comparison to write.

    Raises
    ------
    UserError
        If there is none, or its results are not those of the experiment's settings and code.
    """
    with SweepParts([old]) as parts:
        what_to_do = WHAT_TO_DO
        if parts.experiment.traces.allow_comparison:
            what_to_do = f"make one with `hpcmass compare {old} --config CONFIG -o {comparison_path(old)}`"
        if parts.trial_numbers.tolist() != list(range(experiment.trials)):
            there = counted(parts.shape[-1], "trial")
            raise UserError(
                f"{old} compares {there} of each point, and trials is {experiment.trials} here; {WHAT_TO_DO}"
            )
        path = comparison_of(parts.file(0))
        if path is None or not path.exists():
            beside = path or comparison_path(old)
            raise UserError(f"{old} has no comparison to copy ({beside} is not there); {what_to_do}")
        if same_file(path, target):
            raise UserError(f"{path} is the comparison of {old} and the file to write; give another -o")
        try:
            require_same_contents(path, parts, contents_of(parts, mass=experiment.mass, compare=experiment.compare))
        except OutdatedComparison as problem:
            raise UserError(f"the comparison of {old}, {path}, {problem.why}; {what_to_do}") from None
    return path


def copy_compared(
    old: Path, target: Path, comparison: Path, experiment: Experiment, missing: Sequence[Trial]
) -> list[Trial]:
    """Copy the points that an earlier sweep has with their comparison; returns the trials that are still missing.

    The results of all points are on the disk before the first trial is marked as done.

    Parameters
    ----------
    old : Path
        `require_reusable` accepts it.
    target, comparison : Path
        The new sweep and its comparison; both files are there.
    experiment : Experiment
        The new sweep's, with the settings of its comparison.
    missing : sequence of Trial
        Trials that the new sweep lacks.

    Raises
    ------
    UserError
        As `reusable_comparison`.
    """
    source = reusable_comparison(old, experiment, comparison)
    with SweepFile(target, checked=True) as new:
        n_done = np.sum(new.status == DONE, axis=-1)
    with SweepParts([old]) as parts, results_in(source) as results, ComparisonFile(comparison) as file:
        found = found_in(parts, old, missing)
        n_found = Counter(trial.index[:-1] for trial, _ in found)
        there = {trial.index[:-1]: index[:-1] for trial, index in found}
        copied = set()
        for place, point in there.items():
            if n_done[place] + n_found[place] < experiment.trials:  # one has failed here, or is not done there
                continue
            result, state = results(point)
            if result["n_compared"] == experiment.trials:
                file.write(place, result, state)
                copied.add(place)
    trials = copy_reusable(old, target, [trial for trial, _ in found if trial.index[:-1] in copied])
    what = f"{counted(len(trials), 'trial')} and the comparison of {counted(len(copied), 'point')} copied from"
    logger.info("%s %s and %s", what, old, source)
    for path, name in ((target, old.name), (comparison, source.name)) if trials else ():
        with changing_metadata(path) as changing:
            append_history(changing, f"{what} {name}")
    indices = {trial.index for trial in trials}
    return [trial for trial in missing if trial.index not in indices]
