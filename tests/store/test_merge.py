"""Parts of one sweep become one file that reads like any other, and a part that is missing is noticed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hpcmass.store.aside import set_sweep_aside
from hpcmass.store.join import is_joint_of, join
from hpcmass.store.reader import SweepFile, open_sweep
from hpcmass.store.sources import shard_paths
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpcmass.config import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.store.provenance import history_of
from hpcmass.store.schema import DONE, FAILED, PENDING, SWEEP_VARIABLES, TRACES
from hpcmass.store.status import sweep_status

Write = Callable[..., Path]
Invent = Callable[[Trial], dict[str, Any]]


def assert_complete(path: Path, all_trials: list[Trial], invent: Invent) -> None:
    with SweepFile(path) as sweep, open_sweep(path) as dataset:
        assert sweep.status.ravel().tolist() == [DONE] * 7 + [FAILED, DONE] + [PENDING] * 3
        for i, trial in enumerate(all_trials):
            if sweep.status[trial.index] == DONE:
                traces = sweep.traces(trial.index[:-1], trial.number)
                for name in TRACES:
                    np.testing.assert_array_equal(traces[name], invent(trial)[name])
                    np.testing.assert_array_equal(dataset[name][trial.index].values, invent(trial)[name])
                assert sweep.variable("rank")[trial.index] == (1 if i in (0, 1, 2, 8) else 2)
                assert sweep.numbers()["n_spikes"][trial.index] == invent(trial)["n_spikes"]
            assert tuple(sweep.variable("seed")[trial.index]) == trial.seed
        assert dataset["error"].values.ravel()[7].startswith("did not like")
        assert np.isnan(dataset["phi_E"].values.reshape(12, -1)[7:8]).all()


def test_a_part_that_this_process_has_open_is_read_all_the_same(
    shards: Path, all_trials: list[Trial], invent: Invent
) -> None:
    """HDF5 alone would read such a part as missing, without a word."""
    join(shard_paths(shards), shards)
    with h5py.File(shard_paths(shards)[0], "r", locking=False) as part:
        with h5py.File(shards, "r", locking=False) as file:
            seen_by_hdf5 = file["mean_v"][0, 0, 0]
        assert np.isnan(seen_by_hdf5).all() or np.array_equal(seen_by_hdf5, part["mean_v"][0, 0, 0])
        assert_complete(shards, all_trials, invent)
    with h5py.File(shard_paths(shards)[0], "r", locking=True):
        assert_complete(shards, all_trials, invent)


@pytest.mark.parametrize("key", [(0, 1), (slice(None), 1, 0), (1, slice(None), [1, 0], slice(3, 9)), (slice(0, 2), 0)])
def test_any_selection_of_a_joined_file_is_that_of_one_file(
    key: tuple[Any, ...], tmp_path: Path, shards: Path, write_sweep: Write, all_trials: list[Trial]
) -> None:
    join(shard_paths(shards), shards)
    whole = write_sweep(tmp_path / "whole.h5", [*all_trials[:7], all_trials[8]], (all_trials[7],))
    with open_sweep(shards) as joined, open_sweep(whole) as single:
        for name in TRACES:
            np.testing.assert_array_equal(joined[name][key].values, single[name][key].values)


def test_shards_become_one_sweep(shards: Path, all_trials: list[Trial], invent: Invent) -> None:
    join(shard_paths(shards), shards)
    assert_complete(shards, all_trials, invent)
    with h5py.File(shards, "r", locking=False) as file:
        assert file["mean_v"].is_virtual
        assert file.attrs["driver"] == "shards"
        assert list(file.attrs["parts"]) == [f"sweep.h5.parts/shard-0000{i}.h5" for i in (1, 2)]
        assert "merged, 2 files" in history_of(file)[-1]
        # what no part holds reads as NaN even without our reader
        assert np.isnan(file["mean_v"][2, 1, 1]).all()


def test_the_directory_may_move_as_a_whole(
    tmp_path: Path, shards: Path, all_trials: list[Trial], invent: Invent, monkeypatch: pytest.MonkeyPatch
) -> None:
    join(shard_paths(shards), shards)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "sweep.h5.parts").rename(elsewhere / "sweep.h5.parts")
    shards.rename(elsewhere / "sweep.h5")
    monkeypatch.chdir("/")
    assert_complete(elsewhere / "sweep.h5", all_trials, invent)


@pytest.mark.parametrize("reader", [open_sweep, sweep_status, SweepFile])
def test_a_missing_part_is_named(shards: Path, reader: Callable[[Path], object]) -> None:
    join(shard_paths(shards), shards)
    shard_paths(shards)[1].rename(shards.with_name("away.h5"))
    with pytest.raises(UserError, match=r"refers to .*shard-00002\.h5, which is missing"):
        reader(shards)


def test_nothing_done_yet_is_a_sweep_too(tmp_path: Path, write_sweep: Write) -> None:
    part = write_sweep(tmp_path / "part.h5", [])
    join([part], tmp_path / "all.h5")
    with open_sweep(tmp_path / "all.h5") as dataset:
        assert np.isnan(dataset["mean_v"].values).all()
    assert sweep_status(tmp_path / "all.h5").pending == 12


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.lists(st.sampled_from([None, 0, 1, 2]), min_size=12, max_size=12))
def test_any_distribution_of_trials_over_parts(
    tmp_path_factory: pytest.TempPathFactory,
    write_sweep: Write,
    all_trials: list[Trial],
    invent: Invent,
    where: list[int | None],
) -> None:
    here = tmp_path_factory.mktemp("parts")
    for i in range(3):
        write_sweep(here / f"{i}.h5", [t for t, owner in zip(all_trials, where, strict=True) if owner == i], rank=i)
    states = join([here / f"{i}.h5" for i in range(3)], here / "all.h5")
    with h5py.File(here / "all.h5", "r", locking=False) as file:
        for trial, owner in zip(all_trials, where, strict=True):
            assert states.status[trial.index] == file["status"][trial.index] == (PENDING if owner is None else DONE)
            assert file["rank"][trial.index] == (-1 if owner is None else owner)
            expected = np.full(40, np.nan) if owner is None else invent(trial)["phi_ext"]
            np.testing.assert_array_equal(file["phi_ext"][trial.index], expected)


def test_done_beats_failed_beats_pending(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> None:
    a, b = all_trials[:2]
    first = write_sweep(tmp_path / "1.h5", [], (a, b))
    second = write_sweep(tmp_path / "2.h5", [a])
    for i, parts in enumerate([[first, second], [second, first]]):
        states = join(parts, tmp_path / f"all{i}.h5")
        assert states.status.ravel()[:3].tolist() == [DONE, FAILED, PENDING]
        with SweepFile(tmp_path / f"all{i}.h5") as sweep:
            assert sweep.variable("error").ravel()[0] == b""


def test_parts_of_different_sweeps_are_refused(tmp_path: Path, write_sweep: Write, experiment: Experiment) -> None:
    parts = [write_sweep(tmp_path / "1.h5", [])]
    other = parse_experiment(experiment.text.replace("network: {", "network: {w_E: 0.5, "))
    parts.append(write_sweep(tmp_path / "2.h5", [], other=other))
    with pytest.raises(UserError, match=r"2\.h5 holds another sweep \(network.w_E is 0.5 there and 0.0007 here\)"):
        join(parts, tmp_path / "all.h5")
    assert not (tmp_path / "all.h5").exists()
    with pytest.raises(UserError, match="there is no file"):
        join([parts[0], tmp_path / "gone.h5"], tmp_path / "all.h5")


def test_a_joint_knows_whether_it_is_up_to_date(
    shards: Path, write_sweep: Write, all_trials: list[Trial], invent: Invent
) -> None:
    from hpcmass.store.writer import SlabWriter

    assert not is_joint_of(shards, shard_paths(shards))
    join(shard_paths(shards), shards)
    assert is_joint_of(shards, shard_paths(shards))
    with SlabWriter(shard_paths(shards)[0]) as writer:
        writer.write(all_trials[11], invent(all_trials[11]), rank=1)
    assert not is_joint_of(shards, shard_paths(shards))


def test_all_shards_go_aside_together(shards: Path, all_trials: list[Trial], invent: Invent) -> None:
    join(shard_paths(shards), shards)
    assert set_sweep_aside(shards) == [shards.with_name("sweep.1.h5")]
    assert not shards.exists()
    assert not shard_paths(shards)
    assert_complete(shards.with_name("sweep.1.h5"), all_trials, invent)


def test_every_variable_is_in_the_joint(shards: Path) -> None:
    join(shard_paths(shards), shards)
    with h5py.File(shards, "r", locking=False) as file, h5py.File(shard_paths(shards)[0], "r", locking=False) as part:
        assert set(file) - {"source"} == set(part) >= set(SWEEP_VARIABLES)
        assert file["source"][0, 0, :].tolist() == [0, 0]
        assert file["source"][2, 1, :].tolist() == [-1, -1]
        for name in part:
            assert dict(file[name].attrs).keys() == dict(part[name].attrs).keys(), name


def test_a_file_of_an_older_minor_version_is_read_continued_and_joined(
    tmp_path: Path, write_sweep: Write, all_trials: list[Trial], invent: Invent
) -> None:
    from hpcmass.store.writer import SlabWriter

    old, new = write_sweep(tmp_path / "old.h5", all_trials[:1]), write_sweep(tmp_path / "new.h5", all_trials[1:2])
    later = ("phi_ext", "n_edges_ext", "kernel_s")  # as if these had come later
    with h5py.File(old, "r+", locking=False) as file:
        for name in later:
            del file[name]
        file.attrs["format_version"] = "1.0"
    with SlabWriter(old) as writer:
        writer.write(all_trials[2], invent(all_trials[2]), rank=0)
    join([old, new], tmp_path / "all.h5")
    for path, done in ((old, 2), (tmp_path / "all.h5", 3)):
        with SweepFile(path) as sweep, open_sweep(path) as dataset:
            assert (sweep.status == DONE).sum() == done
            assert not set(later) & {*sweep.traces((0, 0), 0), *sweep.numbers(), *dataset}
            np.testing.assert_array_equal(dataset["phi_E"][0, 1, 0], invent(all_trials[2])["phi_E"])
        assert sweep_status(path).done == done
