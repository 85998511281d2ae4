"""The order in which trials are stored, and what a process leaves that is killed between any two system calls."""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from store_examples import Write, contents, ended, invented

from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.store import files
from hpcmass.store.schema import DONE, ERROR_LENGTH, FAILED, NUMBERS, PENDING, TRACES
from hpcmass.store.sweep_file import SweepFile
from hpcmass.store.writer import Ended, SweepWriter


class Killed(BaseException):
    """Ends a process as nothing else does: no handler of the writer's may see it."""


def extents(path: Path) -> dict[str, tuple[int, int]]:
    """Where each variable lies in the file."""
    with h5py.File(path, "r", locking=False) as file:
        return {
            name: (dataset.id.get_offset(), dataset.id.get_offset() + dataset.id.get_storage_size())
            for name, dataset in file.items()
            if dataset.id.get_offset() is not None
        }


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every write, with its place, and every sync, in their order; `calls.limit` calls are let through."""
    made: list[tuple[str, int]] = []
    pwrite, sync = os.pwrite, files.sync

    def noted_write(descriptor: int, data: Any, place: int) -> int:
        made.append(("write", place))
        return pwrite(descriptor, data, place)

    def noted_sync(descriptor: int) -> None:
        made.append(("sync", 0))
        sync(descriptor)

    monkeypatch.setattr(os, "pwrite", noted_write)
    monkeypatch.setattr(files, "sync", noted_sync)
    return made


def test_data_then_sync_then_status_then_sync(
    tmp_path: Path, write_sweep: Write, all_trials: list[Trial], calls: list[tuple[str, int]]
) -> None:
    path = write_sweep(tmp_path / "sweep.h5")
    begin, end = extents(path)["status"]
    calls.clear()
    with SweepWriter(path) as writer:
        writer.store(ended(all_trials[:3], (all_trials[5],)))
    kinds = ["sync" if call == "sync" else "status" if begin <= place < end else "data" for call, place in calls]
    first, second = (i for i, kind in enumerate(kinds) if kind == "sync")
    assert set(kinds[:first]) == {"data"}
    assert kinds[first + 1 : second] == ["status"] * 4
    assert second == len(kinds) - 1


def test_nothing_but_raw_data_is_written(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> None:
    path = write_sweep(tmp_path / "sweep.h5")
    before = np.frombuffer(path.read_bytes(), "u1")
    metadata = np.ones(before.size, bool)
    for begin, end in extents(path).values():
        metadata[begin:end] = False
    with SweepWriter(path) as writer:
        writer.store(ended(all_trials[:-1], (all_trials[-1],)))
    after = np.frombuffer(path.read_bytes(), "u1")
    assert np.array_equal(before[metadata], after[metadata])
    assert not np.array_equal(before, after)


def test_a_trial_touches_no_other(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> None:
    one, both = write_sweep(tmp_path / "one.h5", [all_trials[4]]), write_sweep(tmp_path / "two.h5", [all_trials[4]])
    with SweepWriter(both) as writer:
        writer.store(ended([all_trials[5]]))
    with SweepFile(one) as alone, SweepFile(both) as together:
        for name in (*TRACES, *NUMBERS, "wall_s", "rank", "error", "status"):
            assert np.array_equal(alone.value(name, all_trials[4].index), together.value(name, all_trials[4].index))


def test_a_kill_between_any_two_calls_leaves_only_true_trials(
    tmp_path: Path, write_sweep: Write, all_trials: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every moment in turn: the file opens, and whatever is done is what was stored."""
    whole = write_sweep(tmp_path / "whole.h5", all_trials)
    pwrite, sync = os.pwrite, files.sync
    left = 0

    def counted(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return function(*arguments)

        return call

    monkeypatch.setattr(os, "pwrite", counted(pwrite))
    monkeypatch.setattr(files, "sync", counted(sync))
    seen = set()
    for moment in range(10_000):
        left = -1
        path = write_sweep(tmp_path / f"{moment}.h5", all_trials[:2])
        left = moment
        ready = True
        with SweepWriter(path) as writer:
            try:
                writer.store(ended(all_trials[2:4], (all_trials[4],)))
            except Killed:
                ready = False
        left = -1
        with SweepFile(path) as file, SweepFile(whole) as true:
            done = np.argwhere(file.status == DONE)
            seen.add(len(done))
            for place in done:
                index = tuple(int(i) for i in place)
                for name in (*TRACES, *NUMBERS):
                    assert np.array_equal(file.value(name, index), true.value(name, index)), (moment, name)
            assert set(np.unique(file.status)) <= {PENDING, DONE, FAILED}
            for place in np.argwhere(file.status == FAILED):
                assert file.error(tuple(int(i) for i in place)).startswith("did not converge")
        path.unlink()
        if ready:
            break
    assert seen == {2, 3, 4}


@pytest.mark.parametrize("number", [28, 27, 122])  # ENOSPC, EFBIG, EDQUOT
def test_what_the_disk_refuses_is_one_sentence_and_stays_pending(
    tmp_path: Path, write_sweep: Write, all_trials: list[Trial], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = write_sweep(tmp_path / "sweep.h5", all_trials[:2])
    before = contents(path)

    def refuse(*_: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", refuse)
    with SweepWriter(path) as writer, pytest.raises(UserError, match=r"cannot write p=0 lam=0\.8 trial 0") as error:
        writer.store(ended([all_trials[2]]))
    assert "start the same command again" in str(error.value)
    assert contents(path) == before


def test_a_long_message_is_cut_between_letters(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> None:
    path = write_sweep(tmp_path / "sweep.h5")
    with SweepWriter(path) as writer:
        writer.store([Ended(all_trials[0], {"rank": 0}, "λ" * ERROR_LENGTH)])
    with SweepFile(path) as file:
        assert file.error(all_trials[0].index) == "λ" * (ERROR_LENGTH // 2)


def test_a_packed_file_has_no_places_to_write(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> None:
    from hpcmass.store.merge import merge

    merge([write_sweep(tmp_path / "sweep.h5", all_trials)], tmp_path / "packed.h5", packed=True)
    before = (tmp_path / "packed.h5").read_bytes()
    with pytest.raises(KeyError), SweepWriter(tmp_path / "packed.h5") as writer:
        writer.store([Ended(all_trials[0], invented(all_trials[0]))])
    assert (tmp_path / "packed.h5").read_bytes() == before
