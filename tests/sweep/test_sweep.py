"""The same numbers whoever computes them, however often they are interrupted, wherever they are written."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hpcmass.store.reader import open_sweep, shard_directory
from hpcmass.store.sources import shard_paths
from looks import history, times_of_trials

from hpcmass.store.lock import SweepLock
from hpcmass.store.schema import DONE, FAILED, PENDING
from hpcmass.store.status import Status, sweep_status

Run = Callable[..., Any]
Fingerprint = Callable[[Path], dict[str, str]]


def attribute(path: Path, name: str) -> Any:
    with h5py.File(path, "r", locking=False) as file:
        return file.attrs[name]


def test_one_process_needs_no_mpiexec(reference: Path) -> None:
    assert attribute(reference, "driver") == "serial"
    with open_sweep(reference) as dataset:
        assert (dataset["status"] == DONE).all()
        assert (dataset["n_spikes"].sum("trial") > 0).sum() >= 4, "a network that spikes, or the test shows little"
        assert not np.array_equal(dataset["mean_v"][0, 0, 0], dataset["mean_v"][0, 0, 1])
        assert np.isfinite(dataset["mean_v"]).all()


@pytest.mark.mpi
@pytest.mark.parametrize("n", [1, 2, 4])
def test_any_number_of_ranks_gives_the_same_bytes(
    n: int, config: Path, reference: Path, mpi_run: Run, fingerprint: Fingerprint, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    done = mpi_run(n, "-m", "hpcmass", "run", config, "-o", path)
    assert done.stdout == f"{path}: 12 of 12 trials done\n"
    assert "12/12 trials" in done.stderr
    assert fingerprint(path) == fingerprint(reference)
    assert attribute(path, "n_ranks") == n
    if n > 1:
        parallel = h5py.get_config().mpi
        assert attribute(path, "driver") == ("mpio" if parallel else "shards")
        assert "MPI" in attribute(path, "mpi_library")
        with h5py.File(path, "r", locking=False) as file:
            assert set(np.unique(file["rank"])) <= set(range(1, n)), "rank 0 only scatters"
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.endswith(".parts")) == ["sweep.h5"]


@pytest.mark.mpi
def test_serial_h5py_writes_shards_and_says_so(
    config: Path,
    reference: Path,
    mpi_run: Run,
    serial_h5py: dict[str, str],
    fingerprint: Fingerprint,
    tmp_path: Path,
) -> None:
    path = tmp_path / "sweep.h5"
    done = mpi_run(3, "-m", "hpcmass", "run", config, "-o", path, env=serial_h5py)
    assert "no parallel HDF5: each rank writes a shard" in done.stderr
    assert [p.name for p in shard_paths(path)] == ["shard-00001.h5", "shard-00002.h5"]
    with h5py.File(path, "r", locking=False) as file:
        assert file["mean_v"].is_virtual
        assert file.attrs["driver"] == "shards"
    assert fingerprint(path) == fingerprint(reference)


@pytest.mark.mpi
def test_shards_on_request(
    config: Path, reference: Path, mpi_run: Run, fingerprint: Fingerprint, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    mpi_run(3, "-m", "hpcmass", "run", config, "-o", path, "--shards")
    assert len(shard_paths(path)) == 2
    assert fingerprint(path) == fingerprint(reference)
    assert len({attribute(p, "uuid") for p in (path, *shard_paths(path))}) == 1


def make_pending(path: Path, indices: list[tuple[int, ...]]) -> None:
    with h5py.File(path, "r+", locking=False) as file:
        for index in indices:
            file["status"][index] = PENDING
            file["mean_v"][index] = np.nan
            file["rate_E"][index] = np.nan


@pytest.mark.mpi
@pytest.mark.parametrize("n", [1, 3])
def test_a_rerun_does_only_what_is_missing(
    n: int, config: Path, reference: Path, mpi_run: Run, fingerprint: Fingerprint, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    path.write_bytes(reference.read_bytes())
    make_pending(path, [(0, 1, 1), (2, 0, 0)])
    before = times_of_trials(path)
    done = mpi_run(n, "-m", "hpcmass", "run", config, "-o", path)
    assert "2 of 12 trials to do (10 are done already)" in done.stderr
    after = times_of_trials(path)
    assert {k: v for k, v in after.items() if k in before} == before
    assert len(after) == 12
    assert fingerprint(path) == fingerprint(reference)
    assert "resumed" in history(path)[-1]
    content = path.read_bytes()
    again = mpi_run(n, "-m", "hpcmass", "run", config, "-o", path)
    assert "nothing to do" in again.stderr
    assert path.read_bytes() == content


@pytest.mark.mpi
@pytest.mark.parametrize("shards", [False, True], ids=["one file", "shards"])
def test_killed_at_any_moment_and_resumed_gives_the_same_bytes(
    shards: bool, slow_config: Path, start: Run, mpi_run: Run, python_run: Run, fingerprint: Fingerprint, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    options = ["--shards"] if shards else []
    done: dict[tuple[int, ...], float] = {}
    for wanted in (2, 7):
        job = start(3, "run", slow_config, *options, output=path)
        assert job.wait_for(wanted).running
        job.kill()
        code, _, _ = job.end()
        assert code != 0
        status = settled(path)
        assert wanted <= status.done < 18
        for part in shard_paths(path) or [path]:
            done |= times_of_trials(part)
    mpi_run(3, "-m", "hpcmass", "run", slow_config, "-o", path)
    final = times_of_trials(path)
    assert len(final) == 18
    assert {k: final[k] for k in done} == done, "a trial that was done was done again"
    whole = tmp_path / "whole.h5"
    python_run("-m", "hpcmass", "run", slow_config, "-o", whole)
    assert fingerprint(path) == fingerprint(whole)


def settled(path: Path) -> Status:
    """The status once the last rank has vanished, which mpiexec may do before."""
    end = time.monotonic() + 10
    while (status := sweep_status(path)).running:
        assert time.monotonic() < end, "a killed job still holds the lock"
        time.sleep(0.02)
    return status


@pytest.mark.mpi
def test_told_to_stop_it_ends_cleanly_and_goes_on_later(
    slow_config: Path, start: Run, mpi_run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    job = start(3, "run", slow_config, output=path)
    job.wait_for(2)
    for pid in job.ranks():
        os.kill(pid, signal.SIGUSR1)
    code, out, err = job.end()
    status = sweep_status(path)
    assert code == 75, err
    assert out == f"{path}: {status.done} of 18 trials done\n"
    assert f"stopped as asked, {status.pending} trials are left; the same command goes on" in err
    assert 2 <= status.done < 18
    assert status.failed == 0
    assert "18 of 18" in mpi_run(2, "-m", "hpcmass", "run", slow_config, "-o", path).stdout


def test_one_process_stops_too(slow_config: Path, start: Run, tmp_path: Path, mpi_env: dict[str, str]) -> None:
    path = tmp_path / "sweep.h5"
    job = start(1, "run", slow_config, output=path)
    job.wait_for(2)
    for pid in job.ranks():
        os.kill(pid, signal.SIGTERM)
    code, _, err = job.end()
    assert code == 75, err
    assert 2 <= sweep_status(path).done < 18


@pytest.mark.parametrize("nohup", [False, True])
def test_a_closed_terminal_is_a_stop_unless_nohup(
    nohup: bool, slow_config: Path, tmp_path: Path, mpi_env: dict[str, str]
) -> None:
    path = tmp_path / "sweep.h5"
    ours, theirs = pty.openpty()
    take_terminal = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    command = [sys.executable, "-m", "hpcmass", "run", str(slow_config), "-o", str(path)]
    job = subprocess.Popen(
        [sys.executable, "-c", take_terminal, *(["nohup"] if nohup else []), *command],
        env=mpi_env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, cwd=tmp_path,
    )  # fmt: skip
    os.close(theirs)
    while job.poll() is None and not (path.exists() and sweep_status(path).done):
        time.sleep(0.02)
    os.close(ours)
    assert job.wait(120) == (0 if nohup else 75)
    assert (sweep_status(path).pending == 0) == nohup


@pytest.mark.mpi
@pytest.mark.parametrize("n", [1, 3])
def test_failed_trials_are_marked_and_the_rest_goes_on(n: int, config: Path, mpi_run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text(config.read_text() + "  w_ext: [0.3, 1.0e+38]\n")
    path = tmp_path / "sweep.h5"
    done = mpi_run(n, "-m", "hpcmass", "run", bad, "-o", path, check=False)
    assert done.returncode == 3
    assert f"{path}: 12 of 24 trials done" in done.stdout
    assert "12 trials failed" in done.stderr
    assert "failed: p=0.1 lam=0.9 w_ext=1e+38 trial 1: the membrane potential" in done.stderr
    assert "Traceback" not in done.stderr
    with h5py.File(path, "r", locking=False) as file:
        assert (file["status"][..., 0, :] == DONE).all()
        assert (file["status"][..., 1, :] == FAILED).all()
    assert all("membrane potential" in failure.message for failure in sweep_status(path).failures)


@pytest.mark.mpi
def test_status_while_the_sweep_runs(slow_config: Path, start: Run, python_run: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    job = start(3, "run", slow_config, output=path)
    job.wait_for(1)
    look = python_run("-m", "hpcmass", "status", path, "--json")
    state = json.loads(look.stdout)
    assert state["running"] is True
    assert 1 <= state["done"] <= 18
    assert state["total"] == 18
    with open_sweep(path) as dataset:
        done = dataset["status"].values == DONE
        assert np.isfinite(dataset["mean_v"].values[done]).all()
    assert job.end()[0] == 0


@pytest.mark.mpi
def test_two_jobs_on_one_file_are_one_too_many(config: Path, mpi_run: Run, tmp_path: Path) -> None:
    lock = SweepLock(tmp_path / "sweep.h5")
    lock.acquire()
    second = mpi_run(2, "-m", "hpcmass", "run", config, "-o", tmp_path / "sweep.h5", check=False)
    lock.release()
    assert second.returncode == 2
    assert second.stderr.count("another job is writing") == 1


@pytest.mark.mpi
def test_a_file_continues_as_shards_and_back(
    config: Path,
    reference: Path,
    mpi_run: Run,
    serial_h5py: dict[str, str],
    fingerprint: Fingerprint,
    tmp_path: Path,
) -> None:
    path = tmp_path / "sweep.h5"
    path.write_bytes(reference.read_bytes())
    make_pending(path, [(0, 0, 0), (1, 1, 0), (2, 1, 1)])
    before = times_of_trials(path)
    mpi_run(3, "-m", "hpcmass", "run", config, "-o", path, env=serial_h5py)
    assert shard_paths(path)[-1].name == "shard-base.h5"
    assert fingerprint(path) == fingerprint(reference)
    make_pending(shard_paths(path)[-1], [(0, 1, 0)])
    mpi_run(2, "-m", "hpcmass", "run", config, "-o", path)
    assert fingerprint(path) == fingerprint(reference)
    after = times_of_trials(path)
    assert all(after[k] == before[k] for k in before if k != (0, 1, 0))


@pytest.mark.parametrize("shards", [False, True], ids=["one file", "shards"])
def test_force_starts_anew_and_destroys_nothing(
    shards: bool, config: Path, reference: Path, python_run: Run, fingerprint: Fingerprint, tmp_path: Path
) -> None:
    path, options = tmp_path / "sweep.h5", ["--shards"] if shards else []
    python_run("-m", "hpcmass", "run", config, "-o", path, *options)
    old = times_of_trials(path)
    done = python_run("-m", "hpcmass", "run", config, "-o", path, "--force")
    assert "the old sweep.h5 is kept as sweep.1.h5" in done.stderr
    assert times_of_trials(tmp_path / "sweep.1.h5") == old
    assert fingerprint(tmp_path / "sweep.1.h5") == fingerprint(path) == fingerprint(reference)
    assert times_of_trials(path) != old
    assert not shard_directory(path).exists()


def test_time_passes_between_waking_ranks_without_a_core() -> None:
    """The pause of a waiting rank is a sleep: it leaves the core to a rank that compiles."""
    from hpcmass.sweep import mpi

    class Request:
        calls = 0

        def Test(self) -> bool:
            self.calls += 1
            return self.calls > 10

    busy = time.process_time()
    mpi._wait(Request())
    assert time.process_time() - busy < 0.05
