"""Which traces a sweep file keeps: all, those of the first trial, means, or none."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hpcmass import open_sweep, run_sweep
from hpcmass.config.file import load_experiment, parse_experiment
from hpcmass.errors import ConfigError, UserError
from hpcmass.store.check import check_sweep
from hpcmass.store.files import METADATA_BYTES
from hpcmass.store.kept import window_means
from hpcmass.store.layout import sweep_bytes
from hpcmass.store.parts import SweepParts
from hpcmass.store.schema import COMPARISON_ATTRIBUTE, NUMBERS, TRACES
from hpcmass.store.sweep_file import SweepFile
from hpcmass.sweep.resimulate import resimulate

Run = Callable[..., Any]
SETTINGS = ("keep=none", "keep=first_trial", "every_ms=1")


@pytest.fixture(scope="module")
def sweeps(config: Path, reference: Path, command: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sweep of `config` with each of the settings."""
    directory = tmp_path_factory.mktemp("traces")
    paths = {setting: directory / f"{number}.h5" for number, setting in enumerate(SETTINGS)}
    for setting, path in paths.items():
        command("run", config, "-o", path, "--set", f"traces.{setting}", "--compare")
    return paths


def everything(path: Path) -> dict[str, Any]:
    with h5py.File(path, "r", locking=False) as file:
        return {name: file[name][()] for name in (*TRACES, *NUMBERS, "status", "time") if name in file}


def test_numbers_do_not_depend_on_what_is_kept(sweeps: dict[str, Path], reference: Path) -> None:
    whole = everything(reference)
    for setting, path in sweeps.items():
        found = everything(path)
        for name in (*NUMBERS, "status"):
            assert found[name].tobytes() == whole[name].tobytes(), (setting, name)


def test_what_is_kept(sweeps: dict[str, Path], reference: Path) -> None:
    whole = everything(reference)
    none, first, means = (everything(sweeps[setting]) for setting in SETTINGS)
    assert not set(TRACES) & set(none)
    for name in TRACES:
        assert first[name].tobytes() == whole[name][..., :1, :].tobytes()
        expected = whole[name].astype(float).reshape(*whole[name].shape[:-1], -1, 10).mean(axis=-1)
        np.testing.assert_array_equal(means[name], expected.astype(np.float32))
    np.testing.assert_array_equal(means["time"], whole["time"][::10])


def test_a_mean_preserves_the_number_of_spikes() -> None:
    phi = np.random.default_rng(1).poisson(2, 1003).astype(np.float32)
    means = window_means(phi, 10)
    assert means.size == 100, "the last three steps are left out"
    assert means.dtype == np.float32
    assert float(means.sum()) * 10 == pytest.approx(float(phi[:1000].sum()), rel=1e-6)


def test_xarray_reads_what_is_kept(sweeps: dict[str, Path], reference: Path) -> None:
    whole = everything(reference)
    with open_sweep(sweeps["keep=first_trial"]) as data:
        assert data["phi_E"].dims == ("p", "lam", "kept_trial", "time")
        assert data["kept_trial"].values.tolist() == [0]
        assert data["phi_E"].sel(p=0.1, lam=0.9, kept_trial=0).values.tobytes() == whole["phi_E"][1, 1, 0].tobytes()
    with open_sweep(sweeps["every_ms=1"]) as data:
        assert data["phi_E"].attrs["cell_methods"] == "time: mean (interval: 0.1 ms)"
        assert data["time"].values[:3].tolist() == [0.0, 1.0, 2.0]
        assert "window of 1 ms" in data["time"].attrs["long_name"]
        assert np.isfinite(data["mean_v"].values).all()
    with open_sweep(sweeps["keep=none"]) as data:
        assert "mean_v" not in data


def test_files_are_as_large_as_predicted(sweeps: dict[str, Path]) -> None:
    for path in sweeps.values():
        with SweepFile(path) as file:
            predicted = sweep_bytes(file.experiment)
        assert 0 <= predicted - path.stat().st_size <= METADATA_BYTES
    assert sweeps["keep=none"].stat().st_size < sweeps["every_ms=1"].stat().st_size


@pytest.mark.parametrize("setting", SETTINGS)
def test_check_merge_and_pack(setting: str, sweeps: dict[str, Path], command: Run, tmp_path: Path) -> None:
    path = sweeps[setting]
    assert check_sweep(path) == []
    assert resimulate(path, 3, choice_seed=1) == []
    for option in ([], ["--pack"]):
        copy = tmp_path / f"copy{len(option)}.h5"
        command("merge", *option, "-o", copy, path)
        assert check_sweep(copy) == []
        ours, theirs = everything(copy), everything(path)
        assert {name: values.tobytes() for name, values in ours.items()} == {
            name: values.tobytes() for name, values in theirs.items()
        }


def test_resimulation_notices_a_wrong_mean(sweeps: dict[str, Path], tmp_path: Path) -> None:
    spoiled = tmp_path / "spoiled.h5"
    shutil.copy(sweeps["every_ms=1"], spoiled)
    with h5py.File(spoiled, "r+", locking=False) as file:
        file["phi_ext"][..., 3] = np.float32(0.125)
    assert all("phi_ext" in problem for problem in resimulate(spoiled, 2))
    assert len(resimulate(spoiled, 2)) == 2


def test_a_window_of_every_step(sweeps: dict[str, Path], reference: Path) -> None:
    whole = everything(reference)["phi_E"]
    with SweepParts([sweeps["every_ms=1"]]) as sweep:
        found = sweep.window("phi_E", (1, 1), 0, slice(505, 525))
    means = window_means(whole[1, 1, 0], 10)
    assert found.tolist() == [*[means[50]] * 5, *[means[51]] * 10, *[means[52]] * 5]
    with SweepParts([sweeps["keep=first_trial"]]) as sweep:
        assert sweep.window("phi_E", (1, 1), 0, slice(5, 9)).tobytes() == whole[1, 1, 0, 5:9].tobytes()
        assert np.isnan(sweep.window("phi_E", (1, 1), 1, slice(5, 9))).all()
        assert sweep.traces((1, 1), 1) == {}


@pytest.mark.parametrize("setting", SETTINGS)
def test_compare_refuses_what_is_not_every_step(
    setting: str, config: Path, reference: Path, command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    command("run", config, "-o", path, "--set", f"traces.{setting}", "--reuse", reference)
    done = command("compare", path, "-o", tmp_path / "c.h5", check=False)
    assert done.returncode == 2
    key = setting.replace("=", " = ").replace("ms = 1", "ms = 1.0")
    assert f"does not keep every step of every trial (traces.{key})" in done.stderr
    assert "it was not compared during the run either" in done.stderr
    assert not (tmp_path / "c.h5").exists()


def test_a_resume_keeps_what_the_file_keeps(
    config: Path, sweeps: dict[str, Path], command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    shutil.copy(sweeps["keep=first_trial"], path)
    before = everything(path)
    with h5py.File(path, "r+", locking=False) as file:
        file["status"][1] = 0
        file["mean_v"][1] = 0
        del file.attrs[COMPARISON_ATTRIBUTE]  # as in a merged file
    lost = command("run", config, "-o", path, check=False)
    assert lost.returncode == 2
    assert f"with traces.keep = first_trial nothing could compare {path} after the run; add --compare" in lost.stderr
    done = command("run", config, "-o", path, "--compare")
    assert "traces.keep (first_trial, now all)" in done.stderr
    assert {name: values.tobytes() for name, values in everything(path).items()} == {
        name: values.tobytes() for name, values in before.items()
    }


def test_reuse_makes_of_all_traces_what_is_asked_for(
    config: Path, reference: Path, sweeps: dict[str, Path], command: Run, tmp_path: Path
) -> None:
    for number, (setting, path) in enumerate(sweeps.items()):
        new = tmp_path / f"{number}.h5"
        command("run", config, "-o", new, "--set", f"traces.{setting}", "--reuse", reference)
        ours, theirs = everything(new), everything(path)
        assert {name: values.tobytes() for name, values in ours.items()} == {
            name: values.tobytes() for name, values in theirs.items()
        }
    refused = command("run", config, "-o", tmp_path / "new.h5", "--reuse", sweeps["every_ms=1"], check=False)
    assert refused.returncode == 2
    assert "keeps other traces (traces.every_ms = 1.0) than asked for (traces.keep = all)" in refused.stderr


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_sweep_that_nothing_could_compare_is_refused(
    setting: str, config: Path, reference: Path, command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", config, "-o", path, "--set", f"traces.{setting}")
    key = setting.replace("=", " = ").replace("ms = 1", "ms = 1.0")
    for more in ((), ("--part", "2/2"), ("--reuse", reference, "--set", "trials=3")):
        done = command(*words, *more, check=False)
        assert done.returncode == 2
        assert f"with traces.{key} nothing could compare {path} after the run; add --compare, or leave" in done.stderr
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="nothing could compare"):
        run_sweep(load_experiment(config, [f"traces.{setting}"]), path)


def test_ranks_refuse_it_once(config: Path, mpi_run: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", config, "-o", path, "--set", "traces.keep=none")
    done = mpi_run(2, "-m", "hpcmass", *words, check=False)
    assert done.returncode == 2
    assert done.stderr.count("nothing could compare") == 1
    assert not path.exists()


def test_files_that_keep_different_traces_are_not_merged(
    reference: Path, sweeps: dict[str, Path], command: Run, tmp_path: Path
) -> None:
    done = command("merge", "-o", tmp_path / "m.h5", reference, sweeps["keep=none"], check=False)
    assert done.returncode == 2
    assert "keeps other traces (traces.keep = none)" in done.stderr


@pytest.mark.parametrize(
    ("traces", "problem"),
    [
        ("{every_ms: 0.15}", "traces.every_ms: must be a whole number of steps of dt_ms = 0.1, at least two, not 0.15"),
        ("{every_ms: 0.1}", "at least two, not 0.1"),
        ("{every_ms: 40000}", "traces.every_ms: is longer than duration_ms = 30000"),
        ("{keep: some}", "traces.keep: should be 'all', 'first_trial' or 'none', not 'some'"),
    ],
)
def test_wrong_settings(traces: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem.replace(".", r"\.")):
        parse_experiment(f"grid: {{p: 0.1, lam: 0.5}}\ntraces: {traces}\n")


def test_the_setting_is_no_physics() -> None:
    first, second = (
        parse_experiment(f"grid: {{p: 0.1, lam: 0.5}}\ntraces: {{keep: {keep}}}\n") for keep in ("all", "none")
    )
    assert first.physics_sha256() == second.physics_sha256()


def test_unfinished_trials_are_missing_in_xarray(sweeps: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    shutil.copy(sweeps["keep=first_trial"], path)
    with h5py.File(path, "r+", locking=False) as file:
        file["status"][0, 0, 0] = 0
    with open_sweep(path) as data:
        assert np.isnan(data["mean_v"].values[0, 0, 0]).all()
        assert np.isfinite(data["mean_v"].values[0, 1, 0]).all()


def test_parts_of_a_sweep_with_a_broken_attribute_are_refused(sweeps: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    shutil.copy(sweeps["keep=none"], path)
    with h5py.File(path, "r+", locking=False) as file:
        file.attrs["traces"] = "all"
    with pytest.raises(UserError, match="is damaged: it has no mean_v"):
        SweepFile(path)
