"""A division into parts is balanced, complete and stable; merged parts are checked, whole, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcmass.config import Experiment
from hpcmass.configfile import parse_experiment
from hpcmass.costs import point_costs
from hpcmass.errors import UserError
from hpcmass.grid import Trial, shape
from hpcmass.store.join import boxes
from hpcmass.store.merge import merge
from hpcmass.store.parts import Part, Share, divide, parse_part
from hpcmass.store.provenance import provenance
from hpcmass.store.reader import SweepFile
from hpcmass.store.schema import DONE, NUMBERS, PENDING
from hpcmass.store.status import sweep_status
from hpcmass.store.writer import SlabWriter, create_sweep_file

Invent = Callable[[Trial], dict[str, Any]]
COUNT = 3


def test_parts_are_read_and_nothing_else() -> None:
    assert parse_part("3/8") == Part(3, 8)
    assert str(Part(3, 8)) == "3/8"
    for text in ("0/8", "9/8", "3", "3/0", "-1/8", "a/b", "3/8/1"):
        with pytest.raises(ValueError, match="give i/n"):
            parse_part(text)


@given(count=st.integers(1, 20), trials=st.integers(1, 7))
def test_every_trial_is_one_parts_and_costs_are_balanced(count: int, trials: int) -> None:
    experiment = parse_experiment(
        f"trials: {trials}\nnetwork: {{n_neurons: 10000}}\ngrid: {{p: [0.0, 0.2, 0.5, 1.0], lam: [0.5, 0.8, 1.0]}}"
    )
    division = divide(experiment, count)
    costs = np.broadcast_to(point_costs(experiment)[..., None], shape(experiment))
    assert division.shape == shape(experiment)
    assert division.min() >= 1
    assert division.max() <= count
    loads = np.array([costs[division == number].sum() for number in range(1, count + 1)])
    # whoever has most had least before its last and cheapest trial
    most = costs[division == loads.argmax() + 1]
    assert loads.max() - most.min() <= loads.min() * (1 + 1e-9)
    np.testing.assert_array_equal(division, divide(experiment, count))


@pytest.fixture
def parts(tmp_path: Path, experiment: Experiment, all_trials: list[Trial], invent: Invent) -> list[Path]:
    """Three parts, each with its share done."""
    division = divide(experiment, COUNT)
    paths = []
    for number in range(1, COUNT + 1):
        share = Share(Part(number, COUNT), division)
        path = tmp_path / f"part-{number}.h5"
        identity = {"uuid": f"uuid-{number}", **provenance(n_ranks=1, mpi_library="none")}
        create_sweep_file(path, experiment, driver="serial", provenance=identity, share=share)
        with SlabWriter(path) as writer:
            for trial in all_trials:
                if share.holds(trial):
                    writer.write(trial, invent(trial), rank=0)
        paths.append(path)
    return paths


def assert_whole(path: Path, all_trials: list[Trial], invent: Invent) -> None:
    with SweepFile(path) as sweep:
        assert (sweep.status == DONE).all()
        for trial in all_trials:
            for name, values in sweep.traces(trial.index[:-1], trial.number).items():
                np.testing.assert_array_equal(values, invent(trial)[name])
            for name in NUMBERS:
                assert sweep.numbers()[name][trial.index] == invent(trial)[name]


@pytest.mark.parametrize("packed", [False, True], ids=["view", "packed"])
def test_all_parts_make_the_sweep(
    packed: bool, parts: list[Path], tmp_path: Path, all_trials: list[Trial], invent: Invent
) -> None:
    merged = merge(parts, tmp_path / "all.h5", packed=packed)
    assert (merged.done, merged.total, merged.overlapping) == (12, 12, 0)
    assert_whole(tmp_path / "all.h5", all_trials, invent)
    with h5py.File(tmp_path / "all.h5", "r", locking=False) as file:
        assert "part" not in file.attrs
        assert file["mean_v"].is_virtual is not packed
        assert (file["mean_v"].compression, file["mean_v"].fletcher32) == (("gzip", True) if packed else (None, False))
        identity = file.attrs["uuid"]
    if packed:
        for part in parts:
            part.unlink()
        assert_whole(tmp_path / "all.h5", all_trials, invent)
    else:
        merge(list(reversed(parts)), tmp_path / "again.h5")
        with SweepFile(tmp_path / "again.h5") as again:
            assert again.uuid == identity, "the same parts are the same sweep"


def test_a_part_counts_its_own_trials(parts: list[Path], experiment: Experiment) -> None:
    status = sweep_status(parts[0])
    assert status.part == "1/3"
    assert status.total == status.done == int((divide(experiment, COUNT) == 1).sum())
    assert status.pending == 0


def test_missing_and_unfinished_parts_are_named(parts: list[Path], tmp_path: Path) -> None:
    with h5py.File(parts[2], "r+", locking=False) as file:
        index = tuple(np.argwhere(file["status"][()] == DONE)[0])
        file["status"][index] = PENDING
    with pytest.raises(UserError, match=r"part 2 of 3 is missing and part 3 of 3 is not finished \(5 of 12 trials"):
        merge([parts[0], parts[2]], tmp_path / "all.h5")
    assert not (tmp_path / "all.h5").exists()
    merged = merge([parts[0], parts[2]], tmp_path / "all.h5", partial=True)
    assert merged.done == 7


def test_equal_overlaps_are_counted_and_contradictions_refused(parts: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.h5"
    copy.write_bytes(parts[0].read_bytes())
    assert merge([*parts, copy], tmp_path / "all.h5").overlapping == 4
    with h5py.File(copy, "r+", locking=False) as file:
        index = tuple(np.argwhere(file["status"][()] == DONE)[1])
        file["phi_I"][(*index, 7)] += 1e-3
    with pytest.raises(UserError, match=r"contradict each other in phi_I of p="):
        merge([*parts, copy], tmp_path / "other.h5")


def test_an_output_is_never_overwritten_nor_its_own_part(parts: list[Path], tmp_path: Path) -> None:
    before = parts[0].read_bytes()
    for output in (parts[0], tmp_path / "." / "part-1.h5"):
        with pytest.raises(UserError, match="exists"):
            merge(parts, output)
        with pytest.raises(UserError, match="is one of the files to merge"):
            merge(parts, output, force=True)
    assert parts[0].read_bytes() == before


def test_merged_files_merge(parts: list[Path], tmp_path: Path, all_trials: list[Trial], invent: Invent) -> None:
    merge(parts[:2], tmp_path / "two.h5", partial=True)
    merge([tmp_path / "two.h5", parts[2]], tmp_path / "all.h5")
    assert_whole(tmp_path / "all.h5", all_trials, invent)
    with h5py.File(tmp_path / "all.h5", "r", locking=False) as file:
        assert sorted(file.attrs["parts"]) == [p.name for p in parts], "it refers to the parts themselves"


@given(st.data())
def test_boxes_cover_everything_once(data: st.DataObject) -> None:
    shape_ = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    size = int(np.prod(shape_))
    owner = np.array(data.draw(st.lists(st.integers(-1, 1), min_size=size, max_size=size)), np.intp).reshape(shape_)
    seen = np.full(owner.shape, -9, np.intp)
    for value, box in boxes(owner):
        assert (seen[box] == -9).all()
        seen[box] = value
    np.testing.assert_array_equal(seen, owner)


def test_one_part_alone_is_one_mapping() -> None:
    assert len(list(boxes(np.zeros((50, 20, 10), np.intp)))) == 1
