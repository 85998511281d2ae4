"""Raw data only, status last, and what cannot be written is said and costs nothing that was done."""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hpcmass.store.reader import SweepFile

from hpcmass.config import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.store.provenance import HISTORY_BYTES, append_history, history_of
from hpcmass.store.schema import DONE, ERROR_LENGTH, FAILED, NUMBERS, PENDING, SWEEP_VARIABLES, TRACES
from hpcmass.store.writer import ShardWriter, SlabWriter, create_sweep_file

Write = Callable[..., Path]
Invent = Callable[[Trial], dict[str, Any]]


def read(path: Path, name: str, index: tuple[int, ...]) -> Any:
    with h5py.File(path, "r", locking=False) as file:
        return file[name][index]


def test_every_variable_arrives(tmp_path: Path, write_sweep: Write, all_trials: list[Trial], invent: Invent) -> None:
    path = write_sweep(tmp_path / "sweep.h5", all_trials[3:5], (all_trials[0],), rank=3)
    for trial in all_trials[3:5]:
        for name, value in invent(trial).items():
            np.testing.assert_array_equal(read(path, name, trial.index), value)
        assert read(path, "rank", trial.index) == 3
        assert read(path, "status", trial.index) == DONE
        assert tuple(read(path, "seed", trial.index)) == trial.seed
    failed = all_trials[0].index
    assert read(path, "status", failed) == FAILED
    assert read(path, "error", failed) == b"did not like p=0 lam=0.5 trial 0"
    assert read(path, "wall_s", failed) == 0.5
    assert read(path, "status", all_trials[1].index) == PENDING
    with h5py.File(path, "r", locking=False) as file:
        written = {n for n in SWEEP_VARIABLES if n in invent(all_trials[0])} | {
            "rank",
            "status",
            "seed",
            "error",
            "part",
        }
        assert written == set(SWEEP_VARIABLES), "a variable that no writer fills"
        assert file.attrs["driver"] == "serial"


def test_every_trial_has_its_seed_from_the_beginning(
    tmp_path: Path, write_sweep: Write, all_trials: list[Trial]
) -> None:
    path = write_sweep(tmp_path / "sweep.h5", [])
    for trial in all_trials:
        assert tuple(read(path, "seed", trial.index)) == trial.seed


def test_a_trial_that_failed_once_can_be_done_later(
    tmp_path: Path, write_sweep: Write, all_trials: list[Trial], invent: Invent
) -> None:
    trial = all_trials[0]
    path = write_sweep(tmp_path / "sweep.h5", [], (trial,))
    with SlabWriter(path) as writer:
        writer.write(trial, invent(trial), rank=0)
    assert read(path, "status", trial.index) == DONE
    assert read(path, "error", trial.index) == b""


def test_a_long_message_is_cut_between_characters(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> None:
    path = write_sweep(tmp_path / "sweep.h5", [])
    with SlabWriter(path) as writer:
        writer.fail(all_trials[0], "x" + "λ" * ERROR_LENGTH, rank=0)
    text = read(path, "error", all_trials[0].index).decode()
    assert text == "x" + "λ" * ((ERROR_LENGTH - 1) // 2)


def raw_extents(path: Path) -> list[tuple[int, int]]:
    with h5py.File(path, "r", locking=False) as file:
        return [(file[name].id.get_offset(), file[name].id.get_storage_size()) for name in SWEEP_VARIABLES]


IN_USE = 20
"""The byte of the superblock that says "open for writing"; only later versions of it are refused for that."""


def metadata(path: Path) -> bytes:
    content = bytearray(path.read_bytes())
    assert content[8] == 0, "version of the superblock"
    content[IN_USE] = 0
    for offset, size in raw_extents(path):
        content[offset : offset + size] = bytes(size)
    return bytes(content)


def test_nothing_but_raw_data_changes_while_trials_are_written(
    tmp_path: Path, write_sweep: Write, all_trials: list[Trial], invent: Invent
) -> None:
    path = write_sweep(tmp_path / "sweep.h5", [])
    before = metadata(path)
    with SlabWriter(path) as writer:
        for trial in all_trials[1:]:
            writer.write(trial, invent(trial), rank=0)
            assert metadata(path) == before
        writer.fail(all_trials[0], "why", rank=0)
        assert metadata(path) == before
    assert metadata(path) == before


def test_a_trial_is_on_the_disk_before_its_status(
    tmp_path: Path, write_sweep: Write, all_trials: list[Trial], invent: Invent, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_sweep(tmp_path / "sweep.h5", [])
    trial = all_trials[5]
    seen: list[tuple[int, bool]] = []
    settle = SlabWriter._settle

    def look(self: SlabWriter) -> None:
        settle(self)
        complete = all(
            np.array_equal(read(path, name, trial.index), invent(trial)[name]) for name in (*TRACES, *NUMBERS)
        )
        seen.append((int(read(path, "status", trial.index)), complete))

    monkeypatch.setattr(SlabWriter, "_settle", look)
    with SlabWriter(path) as writer:
        writer.write(trial, invent(trial), rank=0)
        assert seen == [(PENDING, True), (DONE, True)]


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No byte beyond `limit` of a file can be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_said_and_loses_nothing(
    tmp_path: Path, write_sweep: Write, all_trials: list[Trial], invent: Invent
) -> None:
    path = write_sweep(tmp_path / "sweep.h5", all_trials[:2])
    first_trace = min(offset for offset, _ in raw_extents(path))
    writer = SlabWriter(path)
    with full_disk(first_trace), pytest.raises(UserError, match=r"cannot write p=0.25 lam=0.5 trial 0 into .*free"):
        writer.write(all_trials[4], invent(all_trials[4]), rank=0)
    with full_disk(first_trace):
        writer.close()  # has been said already
    with SweepFile(path) as sweep:
        assert sweep.done_trials((0, 0)) == [0, 1]
        assert sweep.done_trials((1, 0)) == []
        np.testing.assert_array_equal(sweep.traces((0, 0), 1)["phi_I"], invent(all_trials[1])["phi_I"])


def test_a_disk_that_is_full_on_creation_leaves_nothing(tmp_path: Path, experiment: Experiment) -> None:
    with full_disk(5000), pytest.raises(UserError, match=r"cannot write .*sweep\.h5.*space"):
        create_sweep_file(tmp_path / "sweep.h5", experiment, driver="serial", provenance={"uuid": "1"})
    assert list(tmp_path.iterdir()) == []


def test_a_shard_is_continued_and_never_truncated(
    tmp_path: Path, experiment: Experiment, all_trials: list[Trial], invent: Invent
) -> None:
    sweep = tmp_path / "sweep.h5"
    for trial in all_trials[:3]:
        with ShardWriter(sweep, experiment, provenance={"uuid": "1"}, rank=2) as writer:
            writer.write(trial, invent(trial), rank=2)
    assert [p.name for p in (tmp_path / "sweep.h5.parts").iterdir()] == ["shard-00002.h5"]
    with SweepFile(tmp_path / "sweep.h5.parts" / "shard-00002.h5") as shard:
        assert shard.status.ravel().tolist() == [DONE] * 3 + [PENDING] * 9


def test_a_shard_of_another_sweep_is_refused(tmp_path: Path, experiment: Experiment) -> None:
    ShardWriter(tmp_path / "a.h5", experiment, provenance={"uuid": "1"}, rank=0).close()
    other = parse_experiment(experiment.text.replace("root_seed: 11", "root_seed: 12"))
    with pytest.raises(UserError, match="root_seed is 11 there and 12 here"):
        ShardWriter(tmp_path / "a.h5", other, provenance={"uuid": "1"}, rank=0)


def test_a_sparse_shard_costs_what_is_written(
    tmp_path: Path, experiment: Experiment, all_trials: list[Trial], invent: Invent
) -> None:
    network = experiment.network.model_copy(update={"duration_ms": 40_000.0})
    large = experiment.model_copy(update={"network": network})
    trial = all_trials[0]
    values = invent(trial) | {name: np.zeros(400_000, np.float32) for name in TRACES}
    with ShardWriter(tmp_path / "a.h5", large, provenance={"uuid": "1"}, rank=0) as writer:
        writer.write(trial, values, rank=0)
    info = os.stat(tmp_path / "a.h5.parts" / "shard-00000.h5")
    assert info.st_size > 12 * 4 * 400_000 * 4
    assert info.st_blocks * 512 < 0.2 * info.st_size


def test_history_stays_in_its_place_and_keeps_the_first_line(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(tmp_path / "sweep.h5", [])
    size = path.stat().st_size
    with h5py.File(path, "r+", locking=False) as file:
        (first,) = history_of(file)
        append_history(file, "resumed, 3 ranks, mpio")
        assert history_of(file)[0] == first
        assert history_of(file)[1].endswith("resumed, 3 ranks, mpio")
        for i in range(200):
            append_history(file, f"event {i}" + "." * 50)
        lines = history_of(file)
    assert lines[0] == first
    assert "event 199" in lines[-1]
    assert len("\n".join(lines)) < HISTORY_BYTES
    assert path.stat().st_size == size


def test_spikes_and_a_trial_number_of_their_own(
    tmp_path: Path, experiment: Experiment, all_trials: list[Trial], invent: Invent
) -> None:
    import xarray as xr

    one = experiment.model_copy(update={"trials": 1})
    create_sweep_file(tmp_path / "t.h5", one, driver="serial", provenance={"uuid": "1"}, trial_numbers=[1], n_spikes=3)
    with SlabWriter(tmp_path / "t.h5") as writer:
        writer.write_spikes({"spike_neuron": np.array([4, 0, 4]), "spike_time": np.array([0.5, 0.5, 1.0])})
    with xr.open_dataset(tmp_path / "t.h5", engine="h5netcdf") as dataset:
        assert dataset["trial"].values.tolist() == [1]
        assert dataset["spike_neuron"].dims == ("spike",)
        assert dataset["spike_time"].values.tolist() == [0.5, 0.5, 1.0]
        assert dataset["spike_time"].attrs["units"] == "ms"
        assert tuple(dataset["seed"].values[0, 0, 0]) == all_trials[1].seed


def test_a_silent_trial_has_no_spikes_to_store(tmp_path: Path, experiment: Experiment) -> None:
    create_sweep_file(tmp_path / "t.h5", experiment, driver="serial", provenance={"uuid": "1"}, n_spikes=0)
    with SlabWriter(tmp_path / "t.h5") as writer:
        writer.write_spikes({"spike_neuron": np.array([], "i4"), "spike_time": np.array([])})
    with h5py.File(tmp_path / "t.h5", locking=False) as file:
        assert file["spike_time"].shape == (0,)
