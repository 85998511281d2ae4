"""A comparison that stops anywhere continues there, and ends as if it had never stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hpcmass.compare.comparison_file import ComparisonFile
from hpcmass.compare.pipeline import compare_sweep
from hpcmass.errors import UserError
from hpcmass.grid import trials as all_trials
from hpcmass.parallel.executors import Workers
from hpcmass.store.files import RawFile
from hpcmass.store.labelled import comparison_dataset
from hpcmass.store.lock import SweepLock
from hpcmass.store.sweep_file import SweepFile
from hpcmass.store.writer import Ended, SweepWriter


class Stops(ThreadPoolExecutor):
    """An executor that fails at the n-th point."""

    def __init__(self, n: int) -> None:
        super().__init__(1)
        self.left = n

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().submit(fn, *args, **kwargs)


def test_interrupted_and_resumed_is_the_same_as_in_one_go(make_sweep, compared, same_contents, tmp_path):
    sweep = make_sweep()
    part = tmp_path / "part.h5"
    with pytest.raises(KeyboardInterrupt), Stops(5) as executor:
        compare_sweep(sweep, part, workers=Workers(executor, 1))
    with comparison_dataset(part) as data:
        n_done = int((data["compared"] == 1).sum())
        assert 0 < n_done < 5
        assert (data["n_compared"] > 0).sum() == n_done
        assert np.isnan(data["rho_qvalue"]).all()  # not adjusted until the map is complete
    summary = compare_sweep(sweep, part)
    assert (summary.n_points_new, summary.n_points_compared) == (8 - n_done, 8)
    assert summary.n_diverged == {"CFM": 2, "MFM": 2}
    same_contents(compared[1], part)
    with h5py.File(part) as file:
        history = file.attrs["history"].decode()
    assert f"{8 - n_done} of 8 points to compare" in history


def finish_one(sweep, experiment, trial_values):
    """Do a trial that was pending."""
    with SweepWriter(sweep) as writer:
        for trial in all_trials(experiment):
            if trial.index == (0, 0, 1, 1):
                writer.store([Ended(trial, trial_values(trial.index))])


@pytest.fixture
def comparison(make_sweep, compared, tmp_path) -> tuple[Path, Path]:
    """Give the synthetic sweep and its comparison, to be changed at will."""
    return make_sweep(), Path(shutil.copy(compared[1], tmp_path))


def test_only_points_with_more_trials_are_compared_again(comparison, same_contents, tmp_path, experiment, trial_values):
    sweep, path = comparison
    finish_one(sweep, experiment, trial_values)
    calls: list[tuple[int, int]] = []
    summary = compare_sweep(sweep, path, progress=lambda *counts: calls.append(counts))
    assert (summary.n_points_new, summary.n_trials, calls) == (1, 21, [(7, 8), (8, 8)])
    compare_sweep(sweep, tmp_path / "again.h5")
    same_contents(path, tmp_path / "again.h5")


def test_a_failed_trial_tried_again_is_seen(comparison, experiment):
    """The file's trial status follows the sweep, also where no point has to be compared again."""
    sweep, path = comparison
    with SweepWriter(sweep) as writer:
        for trial in all_trials(experiment):
            if trial.index == (0, 0, 0, 1):  # was pending
                writer.store([Ended(trial, {"rank": 0}, "failed now")])
    summary = compare_sweep(sweep, path)
    assert (summary.n_points_new, summary.n_failed) == (0, 3)
    with comparison_dataset(path) as data:
        assert data["status"].isel(p=0, lam=0, tau_m_ms=0, trial=1) == 2
        assert np.isfinite(data["rho_qvalue"]).sum() == np.isfinite(data["rho_pvalue"]).sum() > 0


def test_stopped_before_the_map_is_adjusted(comparison, same_contents, tmp_path, experiment, trial_values, monkeypatch):
    """A complete map, one point of which is compared again, and a stop between its last point and the adjustment."""
    sweep, path = comparison
    finish_one(sweep, experiment, trial_values)

    def stop(self: ComparisonFile, settings: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ComparisonFile, "finish", stop)
        with pytest.raises(KeyboardInterrupt):
            compare_sweep(sweep, path)
    with comparison_dataset(path) as data:
        assert np.isnan(data["rho_agrees_bh"]).all()  # nothing stale stands beside the new point
    assert compare_sweep(sweep, path).n_points_new == 0
    compare_sweep(sweep, tmp_path / "again.h5")
    same_contents(path, tmp_path / "again.h5")


def test_a_point_is_without_results_while_they_are_written_again(comparison, monkeypatch):
    """Results of a block reach the disk between two states of its points, each of which is synced."""
    _, path = comparison
    events: list[str] = []
    put, sync = RawFile.put, RawFile.sync

    def noting(self: RawFile, name: str, index: tuple[int, ...], value: Any) -> None:
        events.append(f"{name}{index} = {value}")
        put(self, name, index, value)

    def syncing(self: RawFile) -> None:
        events.append("sync")
        sync(self)

    monkeypatch.setattr(RawFile, "put", noting)
    monkeypatch.setattr(RawFile, "sync", syncing)
    old, new = (0, 0, 0), (0, 1, 1)
    with h5py.File(path, "r+", locking=False) as file:
        file["compared"][new] = 0
    begun, results, ended = f"compared{old} = 0", f"n_compared{old} = 2", f"compared{old} = 1"
    with ComparisonFile(path) as file:
        file.write_block([new, old], {"n_compared": [3, 2]}, [2, 1])
        block = [f"n_compared{new} = 3", results, "sync", f"compared{new} = 2", ended, "sync"]
        assert events == [begun, "sync", *block]
        events.clear()
        file.write(new, {"n_compared": 3})
        assert events[0] == f"compared{new} = 0", "it has results since"
        assert [event for event in events if event == "sync"] == ["sync"] * 3
    with h5py.File(path, "r", locking=False) as file:
        assert (file["compared"][old], file["compared"][new]) == (1, 1)
        assert (file["n_compared"][old], file["n_compared"][new]) == (2, 3)


SLOW = """
import sys, threading
import hpcmass.compare.pipeline as pipeline
ready, left = pipeline.compare_point, [1, 2, 3, 4]
def slow(*arguments):
    if not left:
        threading.Event().wait()
    left.pop()
    return ready(*arguments)
pipeline.compare_point = slow
from hpcmass.compare.pipeline import compare_sweep
compare_sweep(sys.argv[1], sys.argv[2])
"""


@pytest.mark.process
def test_killed_in_the_middle_loses_nothing(make_sweep, compared, same_contents, tmp_path):
    sweep, path = make_sweep(), tmp_path / "cmp.h5"
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(sweep), str(path)])

    def n_done() -> int:
        if not path.exists():
            return 0
        with h5py.File(path, "r", locking=False) as file:
            return int((file["compared"][()] == 1).sum())

    try:
        end = time.monotonic() + 300
        while n_done() < 2:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    kept = n_done()
    assert 2 <= kept < 8
    assert compare_sweep(sweep, path).n_points_new == 8 - kept
    same_contents(compared[1], path)


def test_one_writer_at_a_time(make_sweep, tmp_path):
    lock = SweepLock(tmp_path / "cmp.h5")
    lock.acquire()
    with pytest.raises(UserError, match="another job is writing"):
        compare_sweep(make_sweep(), tmp_path / "cmp.h5")
    lock.release()


def test_what_cannot_be_continued_is_refused(comparison, make_sweep, tmp_path, experiment):
    from hpcmass.config.file import parse_experiment

    sweep, path = comparison
    other = parse_experiment(experiment.text.replace("[0.7, 0.8]", "[0.7, 0.8, 0.9]"))
    with pytest.raises(UserError, match="compares another sweep"):
        compare_sweep(make_sweep("other.h5", other), path)
    with pytest.raises(UserError, match="is a file of type 'hpcmass-sweep'"):
        compare_sweep(sweep, tmp_path / "other.h5")
    with h5py.File(path, "r+") as file:
        del file["coherence"]
    with pytest.raises(UserError, match="older hpcmass, which computed fewer statistics"):
        compare_sweep(sweep, path)


def test_models_that_need_what_was_not_recorded_are_refused(make_sweep, tmp_path):
    from hpcmass.config import MassParameters

    sweep = make_sweep()
    with h5py.File(sweep, "r+") as file:
        del file["mean_i_syn"]
        file.attrs["format_version"] = "2.99"  # another minor version may lack it
    mass = MassParameters(models=("CFM", "CLO"))
    with pytest.raises(UserError, match="CLO needs mean_i_syn, which this sweep did not record") as error:
        compare_sweep(sweep, tmp_path / "c.h5", mass=mass)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "c.h5").exists()
    assert compare_sweep(sweep, tmp_path / "c.h5").n_points_new == 8


# --- across ranks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_ranks_write_the_same_file(make_sweep, compared, same_contents, tmp_path: Path, mpi_run, n: int):
    sweep = make_sweep()
    done = mpi_run(n, "-m", "hpcmass", "compare", sweep, "-o", tmp_path / "many.h5")
    assert done.stdout.count("8 of 8 points, 20 trials compared") == 1
    same_contents(compared[1], tmp_path / "many.h5")
    with h5py.File(tmp_path / "many.h5") as file:
        assert file.attrs["n_ranks"] == max(1, n - 1)
        assert ("MPI" in file.attrs["mpi_library"]) == (n > 1)


def test_a_mistake_ends_all_ranks_with_one_sentence(make_sweep, tmp_path: Path, mpi_run):
    done = mpi_run(3, "-m", "hpcmass", "compare", make_sweep(), "-o", tmp_path / "c.h5", "--models", "CFM,XYZ",
                   check=False)  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("no mass model 'XYZ'") == 1
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------------------------------- more files


@pytest.fixture
def halves(make_sweep) -> list[Path]:
    """The sweep in two files, whose trials are those of the first and the second half of the axis p."""
    paths = [make_sweep(f"part-{k}.h5") for k in (1, 2)]
    for k, path in enumerate(paths):
        with SweepFile(path) as sweep:
            axis = list(sweep.axes).index("p")
        with h5py.File(path, "r+") as file:
            status = file["status"][()]
            other = [slice(None)] * status.ndim
            other[axis] = slice(1, None) if k == 0 else slice(0, 1)
            status[tuple(other)] = 0
            file["status"][...] = status
            file.attrs["uuid"] = f"{k}"
    return paths


def test_a_comparison_takes_further_files_of_the_sweep(halves, same_contents, tmp_path):
    path, whole = tmp_path / "c.h5", tmp_path / "whole.h5"
    first = compare_sweep(halves[:1], path)
    both = compare_sweep(halves, path)
    assert 0 < first.n_points_compared < both.n_points_compared
    assert both.n_points_new == both.n_points_compared - first.n_points_compared
    compare_sweep(halves, whole)
    same_contents(path, whole)
    with h5py.File(path) as file, h5py.File(whole) as other:
        assert file.attrs["sweep_uuid"] == other.attrs["sweep_uuid"]
        assert file.attrs["sweep_path"] == other.attrs["sweep_path"] == "part-1.h5\npart-2.h5"
        history = file.attrs["history"].decode().split("\n")
    assert "comparison of" in history[0]
    assert "started" in history[0]
    assert any(line.endswith("part-1.h5 and 1 more continued") for line in history)
    assert compare_sweep(halves[::-1], path).n_points_new == 0
    assert sorted(tmp_path.glob("c*.h5")) == [path], "no backup, for nothing is lost"


def test_a_comparison_refuses_fewer_files_than_it_has(halves, tmp_path):
    path = tmp_path / "c.h5"
    compare_sweep(halves, path)
    before = path.read_bytes()
    with pytest.raises(UserError, match="compares 2 files of this sweep; give all of them"):
        compare_sweep(halves[:1], path)
    assert path.read_bytes() == before
