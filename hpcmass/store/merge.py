"""Parts of a sweep → one file: checked for completeness and for contradictions, then a view of the parts or a copy.

Whoever merges wants the whole sweep, so what is missing is refused by name unless it is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hpcmass.errors import UserError
from hpcmass.store.aside import set_sweep_aside, sweep_exists
from hpcmass.store.identity import require_same_seeds_in, require_same_sweep
from hpcmass.store.join import join
from hpcmass.store.layout import require_directory
from hpcmass.store.lock import SweepLock
from hpcmass.store.opening import followed
from hpcmass.store.pack import pack
from hpcmass.store.parts import PART_VARIABLE, part_of
from hpcmass.store.reader import experiment_of, shard_directory
from hpcmass.store.schema import DONE, FAILED, NUMBERS, PENDING, TRACES
from hpcmass.store.sources import States, located, open_all, outside_parts, shard_paths, sources_of, states_of
from hpcmass.store.structure import label

SHOWN = 8
"""Missing parts or trials that are named before the rest is counted."""


@dataclass(frozen=True)
class Merged:
    """How a merge ended.

    Attributes
    ----------
    output : Path
    n_files : int
        Files that hold the trials, shards of parts included.
    total, done, failed : int
        Trials.
    overlapping : int
        Trials that are done in several files, equal in all of them.
    """

    output: Path
    n_files: int
    total: int
    done: int
    failed: int
    overlapping: int


def merge(
    parts: Sequence[Path], output: Path, *, packed: bool = False, partial: bool = False, force: bool = False
) -> Merged:
    """Put the parts of one sweep together.

    Parameters
    ----------
    parts : sequence of Path
        Sweep files of the same physics, axes and trials; merged files and sweeps in shards among them.
    output : Path
        May be there if it is a view of just these parts: it is brought up to date.
    packed : bool
        A compressed and checksummed copy instead of a view of the parts.
    partial : bool
        Accept that parts or trials are missing.
    force : bool
        An existing file is kept aside instead of being refused.

    Raises
    ------
    UserError
        If a part or a trial is missing, files contradict each other or are of different sweeps, `output` exists
        without `force`, or cannot be written.
    """
    output = followed(output)
    require_directory(output)
    sources = _expand(parts)
    again = not packed and _referred_to(output) == {located(source) for source in sources}
    if not (again or force) and (output.exists() or shard_paths(output)):
        what = output if output.exists() else shard_directory(output)
        raise UserError(f"{what} exists; give another name, or --force to start anew (the old file is kept aside)")
    outputs_own = [output, shard_directory(output)]
    for source in sources:
        if any(_same(source, own) or _same(source.parent, own) for own in outputs_own):
            raise UserError(f"{output} is one of the files to merge; give another -o")
    if again:  # the view has gone on since, in shards of its own
        sources += shard_paths(output)
    with open_all(sources) as files:
        experiment = experiment_of(files[0])
        for file in files[1:]:
            require_same_sweep(file, experiment, f"it cannot be merged with {sources[0]}")
            require_same_seeds_in(file, files[0], f"it cannot be merged with {sources[0]}")
        states = states_of(files)
        overlapping = _compare_overlaps(files)
        if not partial:
            _require_complete(files, states)
    with SweepLock(output):
        if force and not again and sweep_exists(output):
            set_sweep_aside(output)
        if packed:
            pack(sources, output)
        else:
            join(sources, output, replace=again)
    count = {state: int((states.status == state).sum()) for state in (DONE, FAILED)}
    return Merged(output, len(sources), states.status.size, count[DONE], count[FAILED], overlapping)


def _expand(parts: Sequence[Path]) -> list[Path]:
    """The files that hold the trials, each once."""
    found: dict[str, Path] = {}
    for part in parts:
        sources = sources_of(part) or [part]  # to open what is not there says what is wrong
        found |= {os.path.realpath(source): source for source in sources}
    return list(found.values())


def _referred_to(output: Path) -> set[Path]:
    """The parts of a view that is there already; empty if there is none, or what is there is no sound one."""
    with suppress(UserError):
        return set(outside_parts(output))
    return set()


def _same(a: Path, b: Path) -> bool:
    return os.path.realpath(a) == os.path.realpath(b)


def _require_complete(files: Sequence[h5py.File], states: States) -> None:
    """Refuse what is not a whole sweep, naming the parts that are missing or not finished.

    Raises
    ------
    UserError
    """
    pending = states.status == PENDING
    if not pending.any():
        return
    what = f"{int(pending.sum())} of {pending.size} trials are not done"
    remedy = "run them, or merge what there is with --partial"
    given = [part for file in files if (part := part_of(file)) is not None]
    counts = {part.count for part in given}
    if len(given) == len(files) and len(counts) == 1:
        count = counts.pop()
        absent = sorted(set(range(1, count + 1)) - {part.number for part in given})
        division = files[0][PART_VARIABLE][()]
        unfinished = sorted({int(n) for n in np.unique(division[pending])} - set(absent))
        clauses = [_parts(absent, count, "missing")] if absent else []
        clauses += [_parts(unfinished, count, "not finished")] if unfinished else []
        raise UserError(f"{' and '.join(clauses)} ({what}); {remedy}")
    named = [label(files[0], index) for index in np.argwhere(pending)[:SHOWN]]
    more = ", …" if pending.sum() > SHOWN else ""
    raise UserError(f"{what}: {', '.join(named)}{more}; {remedy}")


def _parts(numbers: Sequence[int], count: int, how: str) -> str:
    shown = ", ".join(str(n) for n in numbers[:SHOWN])
    rest = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return f"{'part' if len(numbers) == 1 else 'parts'} {shown}{rest} of {count} {_is(numbers)} {how}"


def _is(numbers: Sequence[int]) -> str:
    return "is" if len(numbers) == 1 else "are"


def _compare_overlaps(files: Sequence[h5py.File]) -> int:
    """Count the trials that are done in several files; they must be equal, bit for bit, in all.

    Raises
    ------
    UserError
        Naming the trial and the files that contradict each other.
    """
    first = np.full(files[0]["status"].shape, -1)
    several = np.zeros(first.shape, bool)
    for i, file in enumerate(files):
        done = file["status"][()] == DONE
        for index in map(tuple, np.argwhere(done & (first >= 0))):
            other = files[first[index]]
            for name in (*NUMBERS, *TRACES):
                if name in file and name in other and file[name][index].tobytes() != other[name][index].tobytes():
                    raise UserError(
                        f"{other.filename} and {file.filename} contradict each other in {name} of "
                        f"{label(file, index)}; find out which is right with `hpcmass check --resimulate`"
                    )
            several[index] = True
        first[done & (first < 0)] = i
    return int(several.sum())
