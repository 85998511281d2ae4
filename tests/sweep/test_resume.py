"""A sweep may be stopped and continued any number of times by any processes: no trial is repeated, same bytes."""

import json
import os
import pty
import shutil
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
from sweep_state import (
    as_format_1,
    attribute,
    history,
    make_pending,
    require_true,
    science,
    trials_done,
    wall_times,
)

from hpcmass.store.labelled import open_sweep
from hpcmass.store.lock import SweepLock
from hpcmass.store.schema import DONE, FAILED
from hpcmass.store.status import Status, sweep_status

Run = Callable[..., Any]
StatusAfter = Callable[[Path], Status]

PARALLEL = "mpio" if h5py.get_config().mpi else "gather"


@pytest.mark.mpi
@pytest.mark.parametrize("n", [0, 3])
def test_a_rerun_does_only_what_is_missing(
    n: int, config: Path, reference: Path, mpi_run: Run, command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    shutil.copy(reference, path)
    make_pending(path, [(0, 1, 1), (2, 0, 0)])
    before = wall_times(path)

    def again() -> Any:
        return mpi_run(n, "-m", "hpcmass", "run", config, "-o", path) if n else command("run", config, "-o", path)

    done = again()
    assert "2 of 12 trials to do (10 are done already)" in done.stderr
    after = wall_times(path)
    assert {k: v for k, v in after.items() if k in before} == before
    assert len(after) == 12
    assert science(path) == science(reference)
    assert f"resumed, {n or 1} rank" in history(path)[-1]
    content = path.read_bytes()
    assert "nothing to do, all 12 trials are done" in again().stderr
    assert path.read_bytes() == content


@pytest.mark.slow
@pytest.mark.mpi
def test_other_ranks_and_other_drivers_continue_one_file(
    by_four: tuple[Path, Any], config: Path, reference: Path, mpi_run: Run, command: Run, tmp_path: Path
) -> None:
    """Begun by four ranks; continued by rank 0 that writes for one worker, by one process, by three ranks."""
    path = tmp_path / "sweep.h5"
    shutil.copy(by_four[0], path)
    run = ("run", config, "-o", path)
    continued: list[tuple[str, list[tuple[int, ...]], Callable[[], Any]]] = [
        ("2 ranks, gather", [(0, 0, 0), (1, 1, 0)], lambda: mpi_run(2, "-m", "hpcmass", *run, "--gather")),
        ("1 rank, serial", [(1, 1, 0), (2, 1, 1)], lambda: command(*run)),
        (f"3 ranks, {PARALLEL}", [(0, 0, 0), (0, 0, 1), (2, 1, 1)], lambda: mpi_run(3, "-m", "hpcmass", *run)),
    ]
    for how, missing, go in continued:
        make_pending(path, missing)
        before = wall_times(path)
        go()
        assert science(path) == science(reference)
        assert {k: v for k, v in wall_times(path).items() if k in before} == before
        assert f"resumed, {how}" in history(path)[-1]
    assert attribute(path, "driver") == PARALLEL, "as it was created"


@pytest.mark.mpi
@pytest.mark.parametrize("n", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_a_file_of_format_1_is_continued_as_it_is(
    n: int, config: Path, reference: Path, mpi_run: Run, command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    shutil.copy(reference, path)
    as_format_1(path)
    make_pending(path, [(0, 1, 1), (2, 0, 0), (2, 1, 0)])
    before = wall_times(path)
    done = mpi_run(n, "-m", "hpcmass", "run", config, "-o", path) if n else command("run", config, "-o", path)
    assert "3 of 12 trials to do (9 are done already)" in done.stderr
    assert science(path) == science(reference)
    assert {k: v for k, v in wall_times(path).items() if k in before} == before
    assert attribute(path, "format_version") == "1.3"


def test_a_part_of_format_1_does_its_own_trials(config: Path, parts: list[Path], command: Run, tmp_path: Path) -> None:
    path = tmp_path / "part-2-of-3.h5"
    shutil.copy(parts[1], path)
    done_before = trials_done(path)
    as_format_1(path)
    make_pending(path, [max(done_before)])
    done = command("run", config, "-o", path, "--part", "2/3")
    assert f"1 of {len(done_before)} trials of part 2/3 to do ({len(done_before) - 1} are done already)" in done.stderr
    assert trials_done(path) == done_before
    assert science(path)["mean_v"] == science(parts[1])["mean_v"]


def test_a_packed_file_is_unpacked_first(
    packed: Path, config: Path, reference: Path, command: Run, tmp_path: Path
) -> None:
    path, unpacked = tmp_path / "packed.h5", tmp_path / "unpacked.h5"
    shutil.copy(packed, path)
    refused = command("run", config, "-o", path, check=False)
    assert refused.returncode == 2
    assert "is packed, and a packed file is never changed" in refused.stderr
    assert f"`hpcmass merge --partial -o NEW.h5 {path}`" in refused.stderr
    assert path.read_bytes() == packed.read_bytes()
    command("merge", "--partial", "-o", unpacked, path)
    make_pending(unpacked, [(0, 0, 0)])
    command("run", config, "-o", unpacked)
    assert science(unpacked) == science(reference)


def test_a_merged_file_of_some_parts_is_continued(
    parts: list[Path], config: Path, reference: Path, command: Run, tmp_path: Path
) -> None:
    path, before = tmp_path / "all.h5", [part.read_bytes() for part in parts]
    assert "trials are missing" in command("merge", "-o", path, "--partial", parts[0]).stderr
    done, done_before = wall_times(path), trials_done(parts[0])
    assert done == wall_times(parts[0])
    continued = command("run", config, "-o", path)
    assert f"{12 - len(done_before)} of 12 trials to do ({len(done_before)} are done already)" in continued.stderr
    assert {k: v for k, v in wall_times(path).items() if k in done_before} == done
    assert science(path) == science(reference)
    assert [part.read_bytes() for part in parts] == before, "parts are others' files"


# ------------------------------------------------------------------------------------------ killed and stopped


@pytest.mark.mpi
@pytest.mark.parametrize(
    "options", [(), pytest.param(("--gather",), marks=pytest.mark.slow)], ids=["all write", "rank 0 writes"]
)
def test_killed_at_any_moment_and_resumed_gives_the_same_bytes(
    options: tuple[str, ...],
    slow_config: Path,
    slow_reference: Path,
    start: Run,
    mpi_run: Run,
    command: Run,
    status_after: StatusAfter,
    tmp_path: Path,
) -> None:
    path = tmp_path / "sweep.h5"
    done: dict[tuple[int, ...], float] = {}
    for wanted in (2, 7):
        job = start(3, "run", slow_config, *options, output=path)
        assert job.wait_for(wanted).running
        job.kill()
        code, _, _ = job.end()
        assert code != 0
        status = status_after(path)
        assert wanted <= status.done < 18
        require_true(path, slow_reference)
        done |= wall_times(path)
    command("run", slow_config, "-o", path)
    final = wall_times(path)
    assert len(final) == 18
    assert {k: final[k] for k in done} == done, "a trial that was done was done again"
    assert science(path) == science(slow_reference)


@pytest.mark.mpi
@pytest.mark.parametrize("number", [pytest.param(signal.SIGUSR1, marks=pytest.mark.slow), signal.SIGTERM])
def test_told_to_stop_it_ends_cleanly_and_is_continued_later(
    number: signal.Signals, slow_config: Path, slow_reference: Path, start: Run, command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    job = start(3, "run", slow_config, output=path)
    job.wait_for(2)
    for pid in job.ranks():
        os.kill(pid, number)
    code, out, err = job.end()
    status = sweep_status(path)
    assert code == 75, err
    assert out == f"{path}: {status.done} of 18 trials done\n"
    assert f"stopped by a signal, {status.pending} trials are left; the same command continues" in err
    assert 2 <= status.done < 18
    assert (status.failed, status.running) == (0, False)
    before = wall_times(path)
    assert "18 of 18" in command("run", slow_config, "-o", path).stdout
    assert {k: v for k, v in wall_times(path).items() if k in before} == before
    assert science(path) == science(slow_reference)


def test_one_process_stops_too(slow_config: Path, start: Run, tmp_path: Path) -> None:
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


# ------------------------------------------------------------------------------------------ failures and states


@pytest.mark.mpi
@pytest.mark.parametrize("n", [0, 3])
def test_failed_trials_are_marked_the_others_are_done_and_a_retry_runs_them(
    n: int, config: Path, mpi_run: Run, command: Run, tmp_path: Path
) -> None:
    bad, path = tmp_path / "bad.yml", tmp_path / "sweep.h5"
    bad.write_text(config.read_text().replace("  lam: [0.5, 0.9]", "  lam: [0.5, 0.9]\n  w_ext: [0.3, 1.0e+38]"))
    words = ("run", bad, "-o", path)
    done = mpi_run(n, "-m", "hpcmass", *words, check=False) if n else command(*words, check=False)
    assert done.returncode == 3
    assert f"{path}: 12 of 24 trials done" in done.stdout
    assert "12 trials failed" in done.stderr
    assert "failed: p=0.1 lam=0.9 w_ext=1e+38 trial 1: the membrane potential" in done.stderr
    assert "Traceback" not in done.stderr
    with h5py.File(path, "r", locking=False) as file:
        assert (file["status"][..., 0, :] == DONE).all()
        assert (file["status"][..., 1, :] == FAILED).all()
    assert all("membrane potential" in failure.message for failure in sweep_status(path).failures)
    content = path.read_bytes()
    again = command(*words, check=False)
    assert again.returncode == 3
    assert "nothing to do, 12 of 24 trials are done, 12 failed before and are left alone" in again.stderr
    assert path.read_bytes() == content
    retried = command(*words, "--retry-failed", check=False)
    assert retried.returncode == 3
    assert "12 of 24 trials to do (12 are done already)" in retried.stderr


@pytest.mark.mpi
def test_status_while_the_sweep_runs(slow_config: Path, start: Run, command: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    job = start(3, "run", slow_config, output=path)
    job.wait_for(1)
    state = json.loads(command("status", path, "--json").stdout)
    assert (state["running"], state["workers"], state["total"]) == (True, 2, 18)
    assert 1 <= state["done"] <= 18
    with open_sweep(path) as dataset:
        done = dataset["status"].values == DONE
        assert np.isfinite(dataset["mean_v"].values[done]).all()
    assert job.end()[0] == 0
    assert not sweep_status(path).running


@pytest.mark.mpi
def test_two_jobs_on_one_file_are_one_too_many(config: Path, mpi_run: Run, tmp_path: Path) -> None:
    with SweepLock(tmp_path / "sweep.h5"):
        second = mpi_run(2, "-m", "hpcmass", "run", config, "-o", tmp_path / "sweep.h5", check=False)
    assert second.returncode == 2
    assert second.stderr.count("another job is writing") == 1
    assert not (tmp_path / "sweep.h5").exists()


def test_force_starts_over_and_destroys_nothing(
    config: Path, reference: Path, packed: Path, command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    shutil.copy(reference, path)
    done = command("run", config, "-o", path, "--force")
    assert "backed up the old sweep.h5 as sweep.1.h5" in done.stderr
    assert (tmp_path / "sweep.1.h5").read_bytes() == reference.read_bytes()
    assert science(path) == science(reference)
    assert wall_times(path) != wall_times(reference)
    shutil.copy(packed, path)  # what cannot be continued can be backed up
    command("run", config, "-o", path, "--force")
    assert (tmp_path / "sweep.2.h5").read_bytes() == packed.read_bytes()
    assert science(path) == science(reference)


def test_a_sweep_in_several_files_of_an_earlier_version_is_not_begun_again(
    config: Path, reference: Path, command: Run, tmp_path: Path
) -> None:
    path, directory = tmp_path / "sweep.h5", tmp_path / "sweep.h5.parts"
    directory.mkdir()
    shutil.copy(reference, directory / "shard-00001.h5")
    refused = command("run", config, "-o", path, check=False)
    assert refused.returncode == 2
    assert f"copy them into one with `hpcmass merge --partial -o {path} {directory}/shard-*.h5`" in refused.stderr
    assert not path.exists()
    command("merge", "--partial", "-o", path, directory / "shard-00001.h5")
    assert "nothing to do" in command("run", config, "-o", path).stderr
