"""Readers refuse what is not theirs with a sentence, and show only trials that are done."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from hpcmass.store.reader import SweepFile, open_comparison, open_sweep, stored_experiment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.store.schema import COMPARISON_FILETYPE, DONE, FAILED, NUMBERS, PENDING, SWEEP_VARIABLES, TRACES
from hpcmass.store.status import sweep_status

Write = Callable[..., Path]
Invent = Callable[[Trial], dict[str, Any]]


def change(path: Path, **attributes: Any) -> None:
    with h5py.File(path, "r+", locking=False) as file:
        for name, value in attributes.items():
            file.attrs[name] = value


def spoil(path: Path, how: str) -> None:
    if how == "absent":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("p: [0, 1]\n")
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    elif how == "cut to its beginning":
        path.write_bytes(path.read_bytes()[:100])
    elif how == "foreign":
        with h5py.File(path, "w") as file:
            file["x"] = 1
    elif how == "comparison":
        change(path, filetype=COMPARISON_FILETYPE)
    elif how == "newer":
        change(path, format_version="2.0")
    elif how == "no version":
        change(path, format_version="")
    elif how == "part missing":
        change(path, parts=["there.h5", path.name, "gone/away.h5"])
        (path.parent / "there.h5").touch()
    elif how == "directory":
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize("reader", [open_sweep, sweep_status, stored_experiment, SweepFile])
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("absent", "there is no file"),
        ("empty", "it is empty"),
        ("text", "not an HDF5 file"),
        ("cut", "cut off"),
        ("cut to its beginning", "cut off|damaged"),
        ("foreign", "another program"),
        ("comparison", "type 'hpcmass-comparison', not 'hpcmass-sweep'"),
        ("newer", r"has format 2.0, this hpcmass reads up to 1\.\d+; use a newer hpcmass"),
        ("no version", "no format version"),
        ("part missing", "refers to .*/gone/away.h5, which is missing"),
        ("directory", "is a directory"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(
    tmp_path: Path, write_sweep: Write, reader: Callable[[Path], object], how: str, message: str
) -> None:
    path = write_sweep(tmp_path / "sweep.h5", [])
    spoil(path, how)
    with pytest.raises(UserError, match=message) as caught:
        reader(path)
    assert "sweep.h5" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_newer_minor_version_is_read(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(tmp_path / "sweep.h5", [])
    change(path, format_version="1.99")
    assert sweep_status(path).total == 12


def test_a_sweep_is_no_comparison(tmp_path: Path, write_sweep: Write) -> None:
    with pytest.raises(UserError, match="not 'hpcmass-comparison'"):
        open_comparison(write_sweep(tmp_path / "sweep.h5", []))


def test_shards_without_their_joint_are_announced(tmp_path: Path, write_sweep: Write) -> None:
    (tmp_path / "sweep.h5.parts").mkdir()
    write_sweep(tmp_path / "sweep.h5.parts" / "shard-00001.h5", [])
    with pytest.raises(UserError, match=r"not put together yet.*hpcmass run"):
        open_sweep(tmp_path / "sweep.h5")


def test_the_experiment_comes_back_word_for_word(tmp_path: Path, write_sweep: Write, experiment: Experiment) -> None:
    stored = stored_experiment(write_sweep(tmp_path / "sweep.h5", []))
    assert stored == experiment
    assert stored.text == experiment.text


@pytest.fixture
def half_done(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> Path:
    """Trials 0, 2, 4 … are done, 1 failed, and the others have data but no status: killed in between."""
    path = write_sweep(tmp_path / "sweep.h5", all_trials[::2], (all_trials[1],))
    with h5py.File(path, "r+", locking=False) as file:
        for trial in all_trials[3::2]:
            for name in (*TRACES, *NUMBERS):
                file[name][trial.index] = 99
    return path


def test_only_trials_that_are_done_are_seen(half_done: Path, all_trials: list[Trial], invent: Invent) -> None:
    with open_sweep(half_done) as dataset, SweepFile(half_done) as sweep:
        numbers = sweep.numbers()
        for i, trial in enumerate(all_trials):
            point, number = trial.index[:-1], trial.number
            if i % 2 == 0:
                expected = invent(trial)
                traces = sweep.traces(point, number)
                for name in TRACES:
                    np.testing.assert_array_equal(dataset[name][trial.index], expected[name])
                    np.testing.assert_array_equal(traces[name], expected[name])
                for name in NUMBERS:
                    assert dataset[name][trial.index] == expected[name] == numbers[name][trial.index]
                assert number in sweep.done_trials(point)
            else:
                for name in TRACES:
                    assert np.isnan(dataset[name][trial.index]).all()
                assert np.isnan(dataset["n_edges"][trial.index])
                np.testing.assert_equal(numbers["rate_E"][trial.index], np.nan)
                assert numbers["n_edges"][trial.index] == SWEEP_VARIABLES["n_edges"].fill
                assert number not in sweep.done_trials(point)
                with pytest.raises(ValueError, match="not done"):
                    sweep.traces(point, number)
        assert sweep.status.ravel()[:4].tolist() == [DONE, FAILED, DONE, PENDING]
        assert dataset["error"].values[0, 0, 1] == "did not like p=0 lam=0.5 trial 1"
        assert dataset["mean_v"].attrs["units"] == "mV"


def test_files_are_read_that_xarray_has_open_its_own_way(half_done: Path) -> None:
    """It opens them with locks, which HDF5 does not let us mix with without."""
    with xr.open_dataset(half_done, engine="h5netcdf") as plain, open_sweep(half_done) as dataset:
        plain["status"].load()
        with SweepFile(half_done) as sweep:
            assert (sweep.status == dataset["status"].values).all()
        assert bool(dataset["mean_v"].isnull().any())
        assert not bool(dataset["mean_v"].where(dataset["status"] == DONE, 0).isnull().any())


def test_axes_and_identity(half_done: Path, experiment: Experiment) -> None:
    with SweepFile(half_done) as sweep:
        assert list(sweep.axes.items()) == list(experiment.grid.axes().items())
        assert sweep.shape == (3, 2, 2)
        assert sweep.physics_sha256 == experiment.physics_sha256()
        assert sweep.uuid == "0f"
        np.testing.assert_allclose(sweep.time_ms, np.arange(40) * 0.1)


def test_opening_reads_no_trace(half_done: Path) -> None:
    with open_sweep(half_done) as dataset:
        assert not any(dataset[name].variable._in_memory for name in TRACES)
        assert dataset["mean_v"][0, 0, 0, :3].shape == (3,)
        assert not dataset["mean_v"].variable._in_memory


def index_of(length: int) -> st.SearchStrategy[Any]:
    numbers = st.integers(-length, length - 1)
    forward = st.slices(length).filter(lambda s: s.step is None or s.step > 0)
    return st.one_of(numbers, forward, st.lists(numbers, min_size=1, max_size=3))


@pytest.fixture
def lazy_and_whole(half_done: Path) -> Iterator[tuple[xr.DataArray, xr.DataArray]]:
    with open_sweep(half_done) as dataset:
        yield dataset["mean_v"], dataset["mean_v"].copy(deep=True).load()
        assert not dataset["mean_v"].variable._in_memory


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.tuples(*(index_of(n) for n in (3, 2, 2, 40))))
def test_any_selection_is_the_selection_of_the_whole(
    lazy_and_whole: tuple[xr.DataArray, xr.DataArray], key: tuple[Any, ...]
) -> None:
    selection = dict(zip(("p", "lam", "trial", "time"), key, strict=True))
    lazy, whole = (array.isel(selection) for array in lazy_and_whole)
    np.testing.assert_array_equal(lazy, whole)
