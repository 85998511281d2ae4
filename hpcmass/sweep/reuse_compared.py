"""Points of an earlier sweep copied with their comparison: nobody can compare again trials whose traces are not kept.

The results of a point follow from its trials, the mass models and the statistics, whatever the grid around it. So a
point is copied where all trials that the new sweep wants are done and compared in the earlier one, with the same
settings and code. What depends on the whole map is computed anew at the end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpcmass.compare.comparison_file import (
    ComparisonFile,
    OutdatedComparison,
    Point,
    comparison_of,
    require_same_contents,
)
from hpcmass.compare.contents import contents_of
from hpcmass.compare.results import POINTS_AT_ONCE, Results
from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.messages import logger
from hpcmass.progress import CADENCE_S, progress_of
from hpcmass.store.files import changing_metadata, same_file
from hpcmass.store.layout import trial_bytes
from hpcmass.store.merge import BLOCK_BYTES
from hpcmass.store.parts import SweepParts
from hpcmass.store.provenance import append_history
from hpcmass.store.schema import DONE, comparison_path
from hpcmass.store.sweep_file import Index, SweepFile
from hpcmass.store.writer import SweepWriter
from hpcmass.sweep.limits import Clock
from hpcmass.sweep.reuse import WHAT_TO_DO, copy_found, found_in
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
    old: Path, target: Path, comparison: Path, experiment: Experiment, missing: Sequence[Trial], clock: Clock
) -> list[Trial]:
    """Copy the points that an earlier sweep has with their comparison; returns the trials that are still missing.

    The results of some points are on the disk before the first of their trials is marked as done, then come the next
    points. When the job's time is over, or a signal tells it to stop, the rest is left to the next start.

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
    clock : Clock

    Raises
    ------
    UserError
        As `reusable_comparison`.
    """
    if clock.is_over():
        return list(missing)
    source = reusable_comparison(old, experiment, comparison)
    with SweepFile(target, checked=True) as new:
        n_done = np.sum(new.status == DONE, axis=-1)
    began, copied = time.monotonic(), 0
    done: set[Index] = set()
    with SweepParts([old]) as parts, Results(source) as results, progress_of("copied point") as show:
        points = _copyable(found_in(parts, old, missing), results, n_done, experiment.trials)
        what = _what(points)
        for path, name in ((target, old.name), (comparison, source.name)) if points else ():
            with changing_metadata(path) as changing:  # before the first is copied: the job may be killed
                append_history(changing, f"{what} to copy from {name}")
        n_bytes = experiment.trials * trial_bytes(parts.experiment)
        at_once = max(1, min(POINTS_AT_ONCE, BLOCK_BYTES // (n_bytes + 1)))
        with ComparisonFile(comparison) as file, SweepWriter(target) as writer:
            while copied < len(points) and not clock.is_over():
                block = points[copied : copied + at_once]
                _copy_results(block, results, file, experiment.trials)
                found = [pair for point in block for pair in point.trials]
                copy_found(parts, found, writer, experiment)
                done.update(trial.index for trial, _ in found)
                copied += len(block)
                if time.monotonic() - began >= CADENCE_S:
                    show(copied, len(points))
    n_left = len(points) - copied
    rest = f"; the next start copies {counted(n_left, 'more point')}" if n_left else ""
    logger.info("%s copied from %s and %s%s", _what(points[:copied]), old, source, rest)
    return [trial for trial in missing if trial.index not in done]


@dataclass(frozen=True)
class _Copyable:
    """A point that an earlier sweep has.

    Attributes
    ----------
    place, point : tuple of int
        In the new sweep and in the earlier one.
    trials : list of (Trial, tuple of int)
        Those that are missing, with their places in the earlier sweep.
    state : int
        The schema's DONE or FAILED.
    """

    place: Point
    point: Point
    trials: list[tuple[Trial, Index]]
    state: int


def _copyable(
    found: Sequence[tuple[Trial, Index]], results: Results, n_done: npt.NDArray[np.int64], n_trials: int
) -> list[_Copyable]:
    """The points of which all trials are there and compared, in the order of the earlier sweep's file.

    `n_done`, (axes…), are the trials that the new sweep has of each point, `n_trials` all that it wants.
    """
    of_place: dict[Point, list[tuple[Trial, Index]]] = {}
    for trial, index in found:
        of_place.setdefault(trial.index[:-1], []).append((trial, index))
    # of the others one has failed in the new sweep, or is not done in the earlier one
    whole = [place for place, trials in of_place.items() if n_done[place] + len(trials) == n_trials]
    points = sorted((of_place[place][0][1][:-1], place) for place in whole)
    states, n_compared = results.states([point for point, _ in points])
    return [
        _Copyable(place, point, of_place[place], state)
        for (point, place), state, n in zip(points, states.tolist(), n_compared.tolist(), strict=True)
        if n == n_trials
    ]


def _copy_results(points: Sequence[_Copyable], results: Results, file: ComparisonFile, n_trials: int) -> None:
    """Copy the results of some points, unless they are there since an earlier start was killed."""
    there = [(file.compared[each.place], file.n_compared[each.place]) == (each.state, n_trials) for each in points]
    new = [each for each, is_there in zip(points, there, strict=True) if not is_there]
    if not new:
        return
    file.write_block(
        [each.place for each in new], results.at([each.point for each in new]), [each.state for each in new]
    )


def _what(points: Sequence[_Copyable]) -> str:
    n_trials = sum(len(each.trials) for each in points)
    return f"{counted(n_trials, 'trial')} and the comparison of {counted(len(points), 'point')}"
