"""Labelled arrays for xarray: only trials that are done can be seen, and a trace is read when it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_examples import Write, as_format_1, ended, invented

from hpcmass.grid import Trial
from hpcmass.store.labelled import comparison_dataset, open_sweep
from hpcmass.store.merge import merge
from hpcmass.store.schema import COMPARED_VARIABLES, DONE, NUMBERS, SWEEP_VARIABLES, TRACES
from hpcmass.store.sweep_file import SweepFile
from hpcmass.store.writer import SweepWriter


@pytest.fixture(params=["today's", "packed", "format 1"])
def half_done(request: pytest.FixtureRequest, tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> Path:
    """Every other trial is done, number 1 failed, the others have data but no status."""
    path = write_sweep(tmp_path / "sweep.h5", all_trials[::2], (all_trials[1],))
    with h5py.File(path, "r+", locking=False) as file:
        for trial in all_trials[3::2]:
            for name in (*TRACES, *NUMBERS):
                file[name][trial.index] = 99
    if request.param == "format 1":
        as_format_1(path)
    elif request.param == "packed":
        merge([path], tmp_path / "packed.h5", packed=True, partial=True)
        return tmp_path / "packed.h5"
    return path


def test_only_trials_that_are_done_are_seen(half_done: Path, all_trials: list[Trial]) -> None:
    with open_sweep(half_done) as dataset:
        for i, trial in enumerate(all_trials):
            expected = invented(trial)
            for name in TRACES:
                shown = dataset[name][trial.index].values
                np.testing.assert_array_equal(shown, expected[name] if i % 2 == 0 else np.full(40, np.nan))
            for name in NUMBERS:
                np.testing.assert_equal(float(dataset[name][trial.index]), expected[name] if i % 2 == 0 else np.nan)
        assert str(dataset["error"].values[0, 0, 1]) == f"did not converge at {all_trials[1].label()}, λ too large"
        for name in (*TRACES, *NUMBERS):
            assert dataset[name].attrs["long_name"] == SWEEP_VARIABLES[name].long_name
        assert dataset["mean_v"].attrs["units"] == "mV"
        assert dataset["mean_v"].dtype == np.float32
        assert set(dataset.data_vars) >= {*TRACES, *NUMBERS}


def test_a_trial_that_is_done_later_is_seen_in_the_traces(
    tmp_path: Path, write_sweep: Write, all_trials: list[Trial]
) -> None:
    """A sweep that grows is read while it does."""
    path = write_sweep(tmp_path / "sweep.h5", all_trials[:3])
    with open_sweep(path) as dataset:
        assert np.isnan(dataset["mean_v"][all_trials[3].index]).all()
        with SweepWriter(path) as writer:
            writer.store(ended(all_trials[3:4]))
        assert np.isfinite(dataset["mean_v"][all_trials[3].index]).all()


def test_files_are_read_that_xarray_has_open_its_own_way(half_done: Path) -> None:
    """It opens them with locks, which HDF5 does not allow to be mixed with opening without."""
    with xr.open_dataset(half_done, engine="h5netcdf") as plain, open_sweep(half_done) as dataset:
        plain["status"].load()
        with SweepFile(half_done) as sweep:
            assert (sweep.status == dataset["status"].values).all()
        assert bool(dataset["mean_v"].isnull().any())
        assert not bool(dataset["mean_v"].where(dataset["status"] == DONE, 0).isnull().any())


def test_opening_reads_no_trace(half_done: Path) -> None:
    with open_sweep(half_done) as dataset:
        assert not any(dataset[name].variable._in_memory for name in TRACES)
        assert dataset["mean_v"][0, 0, 0, :3].shape == (3,)
        assert not dataset["mean_v"].variable._in_memory


def test_a_relative_path_outlives_a_change_of_directory(
    tmp_path: Path, write_sweep: Write, all_trials: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sweep(tmp_path / "sweep.h5", all_trials)
    monkeypatch.chdir(tmp_path)
    with open_sweep("sweep.h5") as dataset:
        monkeypatch.chdir("/")
        assert np.isfinite(dataset["phi_E"]).all()


def index_of(length: int) -> st.SearchStrategy[Any]:
    numbers = st.integers(-length, length - 1)
    forward = st.slices(length).filter(lambda s: s.step is None or s.step > 0)
    return st.one_of(numbers, forward, st.lists(numbers, min_size=1, max_size=3))


@pytest.fixture
def lazy_and_whole(half_done: Path) -> Iterator[tuple[xr.DataArray, xr.DataArray]]:
    with open_sweep(half_done) as dataset:
        yield dataset["mean_v"], dataset["mean_v"].copy(deep=True).load()
        assert not dataset["mean_v"].variable._in_memory


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(key=st.tuples(*(index_of(n) for n in (3, 2, 2, 40))))
def test_any_selection_is_the_selection_of_the_whole(
    lazy_and_whole: tuple[xr.DataArray, xr.DataArray], key: tuple[Any, ...]
) -> None:
    selection = dict(zip(("p", "lam", "trial", "time"), key, strict=True))
    lazy, whole = (array.isel(selection) for array in lazy_and_whole)
    np.testing.assert_array_equal(lazy, whole)


def test_a_comparison_has_all_its_variables(made: Path) -> None:
    with comparison_dataset(made / "comparison.h5") as dataset:
        assert set(COMPARED_VARIABLES) <= set(dataset.variables)
        assert dataset["rho"].dims == ("p", "lam", "model")
        assert {"status", "compared"} <= set(dataset.coords)
        assert dataset["rho"].sel(model="MFM", p=1.0, lam=0.8).ndim == 0
