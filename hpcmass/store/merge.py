"""The parts of a sweep → one file, checked for completeness and for contradictions.

A copy trial by trial, in the order that keeps a sweep readable, so a merge that was interrupted is continued by the
same command. A packed copy is compressed and checksummed, made all or nothing, and never written again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hpcmass.errors import UserError
from hpcmass.grid import Trial, places
from hpcmass.store.files import START_OVER, changing_metadata, real_path, require_output, require_space, reserve
from hpcmass.store.layout import creating_sweep, trial_bytes
from hpcmass.store.lock import SweepLock
from hpcmass.store.parts import SweepParts
from hpcmass.store.provenance import append_history, history_line, history_value
from hpcmass.store.schema import COMPARISON_ATTRIBUTE, DONE, FAILED, PENDING, SWEEP_VARIABLES, TRACES, sweep_variables
from hpcmass.store.sweep_file import Index, SweepFile
from hpcmass.store.writer import Ended, SweepWriter
from hpcmass.text import counted

BLOCK_BYTES = 2**26
"""Most bytes in memory at a time."""

CHUNK_OVERHEAD_BYTES = 256
"""Upper bound for a chunk of a packed file besides its data (bytes): its place in HDF5's index, checksum, header."""

NOT_COPIED = ("status", "seed", "error")
"""Attributes that the new file defines itself, or the writer sets."""

UNINHERITED = ("filetype", "format_version", "Conventions", "coordinates", "part", "part_trials", COMPARISON_ATTRIBUTE)
"""Root attributes that a merged file does not take from its parts."""

Progress = Callable[[int, int], object]
"""Called with (trials copied, trials to copy)."""


@dataclass(frozen=True)
class Merged:
    """How a merge ended.

    Attributes
    ----------
    output : Path
    n_files : int
    total, done, failed : int
        Requested trials of the merged file.
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
    paths: Sequence[Path],
    output: Path,
    *,
    packed: bool = False,
    partial: bool = False,
    force: bool = False,
    progress: Progress = lambda done, total: None,
) -> Merged:
    """Copy the trials of several files of one sweep into one file.

    Parameters
    ----------
    paths : sequence of Path
        Sweep files of the same physics, axes and trials, packed ones too.
    output : Path
        An existing file of the same sweep, neither packed nor a part, receives the missing trials.
    packed : bool
        Make a compressed and checksummed copy.
    partial : bool
        Accept that parts or trials are missing.
    force : bool
        Back up an existing file and start over.
    progress : callable, optional
    """
    output = real_path(output)
    require_output(output, paths)
    if packed and output.exists() and not force:
        raise UserError(f"{output} exists; {START_OVER}")
    with SweepParts(paths) as parts:
        _require_all_variables(parts)
        parts.require_consistent()
        if not partial:
            parts.require_complete()
        _require_same_traces(parts)
        with SweepLock(output):
            if packed:
                _pack(parts, output, force, progress)
            else:
                _copy(parts, output, force, progress)
        with SweepFile(output, checked=True) as file:
            count = {state: int((file.status == state).sum()) for state in (DONE, FAILED)}
            total = int(parts.requested.sum())
            return Merged(output, len(parts.paths), total, count[DONE], count[FAILED], parts.overlapping)


def _require_all_variables(parts: SweepParts) -> None:
    for i in parts.indices:
        file = parts.file(i)
        lacking = [name for name in sweep_variables(file.experiment.traces.keep) if name not in file]
        if lacking:
            raise UserError(f"{file.path} was written by an older version and lacks {', '.join(lacking)}; run it again")


def _require_same_traces(parts: SweepParts) -> None:
    """Refuse files that keep different traces: none of them says what the merged one is to have."""
    first = parts.file(0)
    for i in parts.indices:
        file = parts.file(i)
        if file.experiment.traces != first.experiment.traces:
            raise UserError(
                f"{file.path} keeps other traces ({file.experiment.traces.text()}) than {first.path} "
                f"({first.experiment.traces.text()}); leave one of them out"
            )


def _copy(parts: SweepParts, output: Path, force: bool, progress: Progress) -> None:
    what = f"merged from {counted(len(parts.paths), 'file')}"
    if output.exists() and not force:
        status = _status_of_continuable(parts, output)
        what = f"{what}, continued"
    else:
        status = np.full(parts.shape, PENDING, "i1")
    copied = (parts.status != status) & (status != DONE) & (parts.status != PENDING)
    _require_space(parts, int(copied.sum()), output)
    if output.exists() and not force:
        if copied.any():
            with changing_metadata(output) as file:
                append_history(file, what)
    else:
        attributes = _merged_attributes(parts, what) | {"driver": "serial"}
        numbers = parts.trial_numbers.tolist()
        with creating_sweep(output, parts.experiment, attributes, trial_numbers=numbers, force=force) as new:
            new["seed"][...] = parts.file(0).variable("seed")
    with SweepWriter(output) as writer:
        copy_trials(
            parts,
            ((parts.file(0).trial(place), place) for place in places(copied)),
            writer,
            int(copied.sum()),
            progress,
        )


def _status_of_continuable(parts: SweepParts, output: Path) -> Any:
    with SweepFile(output) as file:
        if file.is_packed:
            raise UserError(f"{output} exists and is packed; {START_OVER}")
        if file.part:
            raise UserError(f"{output} exists and holds part {file.part}; {START_OVER}")
        file.require_same_sweep(parts.experiment, START_OVER)
        if file.experiment.traces != parts.experiment.traces:
            raise UserError(f"{output} exists and keeps other traces ({file.experiment.traces.text()}); {START_OVER}")
        if not np.array_equal(file.variable("seed"), parts.file(0).variable("seed")):
            raise UserError(f"{output} exists and has other seeds; {START_OVER}")
        parts.require_same_results(file)
        return file.status


def copy_trials(
    source: SweepParts,
    trials: Iterator[tuple[Trial, Index]],
    writer: SweepWriter,
    total: int,
    progress: Progress = lambda done, total: None,
    change: Callable[[dict[str, Any], Trial], dict[str, Any]] = lambda values, trial: values,
    **replaced: Any,
) -> None:
    """Copy trials that have ended, each with its place in `source`, into the file of another sweep, many at a time.

    `total` is their number, for the progress; `change` makes of a trial's values those that are stored; `replaced` are
    values that all copies get in place of the source's.
    """
    names = [n for n in SWEEP_VARIABLES if n not in (*NOT_COPIED, *TRACES) and n in source.file(0)]
    at_once = max(1, BLOCK_BYTES // (trial_bytes(source.experiment) + 1))

    def ended(batch: Sequence[tuple[Trial, Index]]) -> Iterator[Ended]:
        indices = np.array([index for _, index in batch], np.int64)
        numbers = {name: source.values(name, indices) for name in names}
        for i, (trial, index) in enumerate(batch):
            traces = {name: source.value(name, index) for name in source.traces_of(index)}
            values = {**{name: each[i] for name, each in numbers.items()}, **traces}
            yield Ended(trial, change(values, trial) | replaced, error(index))

    def error(index: Index) -> str | None:
        return source.error(index) if source.status[index] == FAILED else None

    done = 0
    progress(0, total)
    while batch := list(islice(trials, at_once)):
        writer.store(ended(batch))
        done += len(batch)
        progress(done, total)


def _merged_attributes(parts: SweepParts, what: str) -> dict[str, Any]:
    """Root attributes of the earliest file, with the history of all."""
    files = [parts.file(i).attributes for i in parts.indices]
    earliest = min(files, key=lambda attributes: str(attributes.get("date", "")))
    history = sorted({line for i in parts.indices for line in parts.file(i).history})
    return {
        **{name: value for name, value in earliest.items() if name not in UNINHERITED},
        "uuid": parts.uuid,
        "history": history_value([*history, history_line(what)]),
    }


def _require_space(parts: SweepParts, n_trials: int, output: Path) -> None:
    """Refuse a copy that may not fit: its compressed size is not known in advance."""
    need = n_trials * trial_bytes(parts.experiment)
    require_space(output, need, will="may", remedy=" or give another path")


def _pack(parts: SweepParts, output: Path, force: bool, progress: Progress) -> None:
    _require_space(parts, int((parts.status == DONE).sum()), output)
    attributes = _merged_attributes(parts, f"merged and packed from {counted(len(parts.paths), 'file')}") | {
        "driver": "packed"
    }
    numbers = parts.trial_numbers.tolist()
    with creating_sweep(output, parts.experiment, attributes, trial_numbers=numbers, packed=True, force=force) as file:
        gathered = parts.gathered([name for name in SWEEP_VARIABLES if name not in TRACES])
        for name, values in (gathered | {"status": parts.status}).items():
            reserve(file, values.nbytes)
            file[name][...] = values if name != "error" else _letters(values, file[name].shape)
        _pack_traces(parts, file, progress)


def _letters(texts: Any, shape: tuple[int, ...]) -> Any:
    """Texts of bytes, one letter an element."""
    return np.ascontiguousarray(texts).astype(f"S{shape[-1]}").view("S1").reshape(shape)


def _pack_traces(parts: SweepParts, file: h5py.File, progress: Progress) -> None:
    done = (parts.status == DONE)[..., : parts.experiment.traces.n_trials(parts.shape[-1])]
    stored = [file[name] for name in TRACES if name in file]
    n_done, n_bytes = int(done.sum()), sum(dataset.shape[-1] * dataset.dtype.itemsize for dataset in stored)
    n_chunks = sum(math.ceil(dataset.shape[-1] / dataset.chunks[-1]) for dataset in stored)
    at_once = max(1, BLOCK_BYTES // max(1, n_bytes))
    progress(0, n_done)
    for number, index in enumerate(places(done)):
        if number % at_once == 0:  # compressed, the traces take less, or little more
            coming = min(at_once, n_done - number)
            reserve(file, math.ceil(1.01 * coming * n_bytes) + coming * n_chunks * CHUNK_OVERHEAD_BYTES)
        for name in parts.traces_of(index):
            file[name][index] = parts.value(name, index)
        progress(number + 1, n_done)
