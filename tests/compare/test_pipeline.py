"""A whole comparison, from a sweep file to a comparison file."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from hpcmass.compare.comparison_file import compares_nothing
from hpcmass.compare.pipeline import compare_sweep
from hpcmass.compare.point import compare_point
from hpcmass.config import CompareParameters, MassParameters
from hpcmass.config.file import parse_experiment
from hpcmass.errors import UserError
from hpcmass.mass import Traces
from hpcmass.parallel.executors import Workers
from hpcmass.store.labelled import comparison_dataset
from hpcmass.store.schema import COMPARISON_VARIABLES, DONE, FAILED, NUMBERS, PENDING, SWEEP_VARIABLES, TRACES


@pytest.fixture
def comparison(make_sweep, compared, tmp_path):
    """The same, to be changed at will."""
    return make_sweep(), Path(shutil.copy(compared[1], tmp_path)), compared[2]


def test_summary_counts_what_was_left_out(compared):
    _, path, summary = compared
    assert summary.path == path
    assert (summary.n_points, summary.n_points_compared) == (8, 8)
    # at both values of the third axis: one trial pending, one failed, one in which both models diverge
    assert (summary.n_trials, summary.n_pending, summary.n_failed) == (20, 2, 2)
    assert summary.n_diverged == {"CFM": 2, "MFM": 2}


def test_file_has_the_schema_with_its_dimensions_and_units(comparison, experiment):
    with comparison_dataset(comparison[1]) as data:
        for name, variable in COMPARISON_VARIABLES.items():
            assert data[name].dims == variable.dimensions(("p", "lam", "tau_m_ms")), name
            if variable.unit not in ("flag", "text"):
                assert data[name].attrs["units"] == variable.unit
        assert data["model"].values.tolist() == ["CFM", "MFM"]
        assert data["frequency"].attrs["units"] == "Hz"
        np.testing.assert_allclose(data["frequency"], np.arange(1, 200, 2))
        assert (data["n_components"] == 6).all()
        np.testing.assert_array_equal(data["tau_m_ms"], experiment.grid.axes()["tau_m_ms"])
        np.testing.assert_allclose(data["window"], 500 + 0.5 * np.arange(1000))
        assert set(data.variables) >= {*NUMBERS, "status"}
        assert data.attrs["filetype"] == "hpcmass-comparison"
        assert data.attrs["sweep_uuid"] == "a-sweep"
        assert data.attrs["config_sha256"] == experiment.physics_sha256()
        assert parse_experiment(data.attrs["config_yaml"]) == experiment
        assert (comparison[1].parent / data.attrs["sweep_path"]).samefile(comparison[0])


def test_numbers_are_the_sweeps(comparison):
    with h5py.File(comparison[0]) as sweep, h5py.File(comparison[1]) as compared:
        np.testing.assert_array_equal(compared["status"][()], sweep["status"][()])
        done = sweep["status"][()] == 1
        for name in NUMBERS:
            np.testing.assert_array_equal(compared[name][()][done], sweep[name][()][done])
            assert np.array_equal(compared[name][()][~done][0], SWEEP_VARIABLES[name].fill, equal_nan=True)


def test_each_point_has_its_own_statistics(comparison, experiment, trial_values):
    with h5py.File(comparison[1]) as file:
        for point, done in (((1, 0, 0), (0, 1, 2)), ((0, 0, 1), (0, 2)), ((0, 1, 0), (1, 2))):
            done = [k for k in range(3) if file["status"][(*point, k)] == 1]
            recordings = [(k, Traces(**{n: trial_values((*point, k))[n] for n in TRACES})) for k in done]
            network = experiment.network_at({"tau_m_ms": experiment.grid.axes()["tau_m_ms"][point[2]]})
            expected = compare_point(recordings, 3, network, experiment.mass, experiment.compare)
            assert expected["n_compared"] == len(done) == file["n_compared"][point]
            for name, values in expected.items():
                stored = np.asarray(values, dtype=file[name].dtype)
                np.testing.assert_array_equal(file[name][point], stored, err_msg=name)


def test_swept_parameter_reaches_the_models(comparison):
    """With the same kind of input, a slower membrane fluctuates less."""
    with comparison_dataset(comparison[1]) as data:
        sd = data["sd_v_model"].sel(p=0.1, lam=0.7)
        assert (sd.sel(tau_m_ms=20.0) < 0.9 * sd.sel(tau_m_ms=10.0)).all()


def test_gaps_are_results(comparison):
    with comparison_dataset(comparison[1]) as data:
        assert data["n_compared"].sel(lam=0.7, p=0.1, tau_m_ms=10.0) == 2  # one trial pending
        assert np.isnan(data["rho_trial"].sel(lam=0.7, p=0.1).isel(trial=1)).all()
        assert np.isnan(data["rho_trial"].sel(lam=0.8, p=0.1).isel(trial=0)).all()
        diverged = data.sel(lam=0.7, p=0.2)
        assert (diverged["n_diverged"] == 1).all()
        assert (diverged["n_compared"] == 3).all()
        for name in ("rho", "rho_pvalue", "lag", "chi2", "chi2_pvalue", "chi2_dof", "log_ratio_pvalue", "spectrum",
                     "median_frequency", "mean_v_model", "sd_v_model", "n_eff"):  # fmt: skip
            assert np.isnan(diverged[name]).all(), name
        assert (diverged["rho_agrees"] == 0).all()
        assert np.isfinite(diverged["rho_trial"].isel(trial=[0, 1])).all()
        assert np.isfinite(diverged["median_frequency_lif"]).all()
        silent = data.sel(lam=0.8, p=0.2)  # constant potentials: nothing to correlate, no power, nothing diverged
        assert (silent["n_diverged"] == 0).all()
        assert np.isfinite(silent["mean_v_model"]).all()
        assert (silent["sd_v_model"] == 0).all()
        for name in ("rho", "lag", "chi2", "log_ratio", "median_frequency", "median_frequency_lif"):
            assert np.isnan(silent[name]).all(), name
        assert (silent["rho_agrees"] == 0).all()


@pytest.mark.process
def test_points_without_a_done_trial_stay_empty(tmp_path, experiment):
    from hpcmass.store.writer import create_sweep_file

    create_sweep_file(tmp_path / "s.h5", experiment, driver="serial", provenance={"uuid": "u"})
    summary = compare_sweep(tmp_path / "s.h5", tmp_path / "c.h5", jobs=2)
    assert (summary.n_points_compared, summary.n_pending) == (0, 24)
    with comparison_dataset(tmp_path / "c.h5") as data:
        assert (data["n_compared"] == 0).all()
        assert np.isnan(data["n_diverged"]).all()
        assert np.isnan(data["rho"]).all()
        assert np.isnan(data["rho_agrees"].where(data["rho_agrees"] >= 0)).all()


@pytest.mark.process
def test_two_processes_and_an_executor_give_the_same_file(comparison, tmp_path, same_contents):
    sweep, path, _ = comparison
    calls = []
    compare_sweep(sweep, tmp_path / "two.h5", jobs=2, progress=lambda *counts: calls.append(counts))
    same_contents(path, tmp_path / "two.h5")
    assert calls == [(k, 8) for k in range(9)]
    with ThreadPoolExecutor(1) as executor:
        compare_sweep(sweep, tmp_path / "given.h5", workers=Workers(executor, 1))
        assert executor.submit(int, 3).result() == 3  # it is left open
    same_contents(path, tmp_path / "given.h5")


def test_existing_output_is_kept(comparison, tmp_path):
    sweep, path, _ = comparison
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"other settings \(mass.tau_s_ms is 5.0 there and 3.0 here\)"):
        compare_sweep(sweep, path, mass=MassParameters(tau_s_ms=3.0))
    assert compare_sweep(sweep, path).n_points_new == 0  # nothing to do, nothing touched
    assert path.read_bytes() == before
    compare_sweep(sweep, path, force=True)
    assert (tmp_path / "cmp.1.h5").read_bytes() == before


FAILING = """
from hpcmass import mass_model

@mass_model("FAILS")
def fails(traces, network, mass):
    raise ValueError("not yet")
"""


def test_a_comparison_without_results_is_not_backed_up(comparison, tmp_path):
    """What every failed attempt at a model of one's own would leave."""
    sweep = comparison[0]
    own = tmp_path / "own.py"
    own.write_text(FAILING)
    path = tmp_path / "own.h5"
    for _ in range(2):
        with pytest.raises(UserError, match=r"FAILS.*not yet"):
            compare_sweep(sweep, path, models=[f"{own}:FAILS"], force=True)
        assert list(tmp_path.glob("own*.h5")) == [path]
    compare_sweep(sweep, path, force=True)
    assert list(tmp_path.glob("own*.h5")) == [path]
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"FAILS.*not yet"):
        compare_sweep(sweep, path, models=[f"{own}:FAILS"], force=True)
    assert (tmp_path / "own.1.h5").read_bytes() == before, "something was compared"
    with h5py.File(tmp_path / "own.1.h5", "r+") as file:
        file["compared"][:] = np.where(file["compared"][()] == DONE, FAILED, PENDING)
    assert not compares_nothing(tmp_path / "own.1.h5"), "the other models have results"
    shutil.copy(sweep, path)
    compare_sweep(sweep, path, force=True)
    assert (tmp_path / "own.2.h5").read_bytes() == sweep.read_bytes(), "no comparison at all"


@pytest.mark.long
def test_a_resumed_sweep_is_read_again(make_sweep, tmp_path, experiment, trial_values):
    """A second comparison in the same process, or by the same workers, sees what was finished since the first."""
    from hpcmass.grid import trials
    from hpcmass.store.writer import Ended, SweepWriter

    sweep = make_sweep()
    with ThreadPoolExecutor(1) as executor:
        for name, given in (("1.h5", None), ("2.h5", executor)):
            assert compare_sweep(sweep, tmp_path / name, workers=given and Workers(given, 1)).n_trials == 20
        with SweepWriter(sweep) as writer:
            for trial in trials(experiment):
                writer.store([Ended(trial, trial_values(trial.index))])
        for name, given in (("3.h5", None), ("4.h5", executor)):
            assert compare_sweep(sweep, tmp_path / name, workers=given and Workers(given, 1)).n_trials == 24


def test_settings_in_place_of_the_sweeps_are_used_and_recorded(make_sweep, tmp_path):
    settings = CompareParameters(max_lag_ms=10.0, bin_hz=5.0, band_hz=(0.0, 100.0), histogram_count=1000.0)
    mass = MassParameters(models=("MFM",), tau_s_ms=3.0)
    compare_sweep(make_sweep(), tmp_path / "c.h5", mass=mass, compare=settings)
    with comparison_dataset(tmp_path / "c.h5") as data:
        assert data["model"].values.tolist() == ["MFM"]
        assert data.sizes["frequency"] == 20
        assert (data["histogram_count"] == 1000).all()
        assert np.nanmax(np.abs(data["lag_trial"])) <= 10
        recorded = parse_experiment(data.attrs["config_yaml"])
    assert (recorded.compare, recorded.mass) == (settings, mass)


@pytest.mark.long
def test_the_sweeps_own_settings_leave_its_text_as_it_was_written(make_sweep, experiment, tmp_path):
    """Comments say where a number comes from; a new dump of the text would have none."""
    text = f"# where the numbers come from\n{experiment.text}"
    sweep = make_sweep(experiment=parse_experiment(text))
    for k, given in enumerate(({}, {"mass": experiment.mass, "compare": experiment.compare})):
        compare_sweep(sweep, tmp_path / f"{k}.h5", **given)
        with comparison_dataset(tmp_path / f"{k}.h5") as data:
            assert data.attrs["config_yaml"] == text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mass": MassParameters(models=("CFM", "XYZ"))}, "no mass model 'XYZ'; known models: .*CFM.*MFM"),
        ({"mass": MassParameters(models=("CFM", "CFM"))}, "'CFM' is given twice"),
        ({"compare": CompareParameters(max_lag_ms=800.0)}, "compare.max_lag_ms = 800"),
        ({"compare": CompareParameters(band_hz=(0.0, 0.2))}, "compare.band_hz"),
        ({"compare": CompareParameters(band_hz=(1000.0, 2000.0))}, "compare.band_hz"),
        ({"jobs": 0}, "jobs = 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(make_sweep, tmp_path, settings, message):
    with pytest.raises(UserError, match=message) as error:
        compare_sweep(make_sweep(), tmp_path / "c.h5", **settings)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.h5"]


def test_a_comparison_is_not_a_sweep(comparison, tmp_path):
    with pytest.raises(UserError, match="hpcmass-comparison"):
        compare_sweep(comparison[1], tmp_path / "other.h5")


def test_xarray_opens_it_without_options(comparison):
    with xr.open_dataset(comparison[1], engine="h5netcdf") as data:
        assert data["rho"].sel(model="MFM", lam=0.8).dims == ("p", "tau_m_ms")


@pytest.mark.process
def test_killed_worker_is_one_sentence(make_sweep, tmp_path):
    from os import kill
    from signal import SIGKILL

    from hpcmass.parallel.executors import processes

    sweep = make_sweep()

    def compare_with_dead_workers() -> None:
        with processes(2) as workers:
            workers.executor.submit(int).result()
            for worker in list(workers.executor._processes):
                kill(worker, SIGKILL)
            compare_sweep(sweep, tmp_path / "c.h5", workers=workers)

    with pytest.raises(UserError, match="worker process was killed"):
        compare_with_dead_workers()
    assert compare_sweep(sweep, tmp_path / "c.h5").n_points_new == 8
