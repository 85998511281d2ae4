"""Every template of jobs/slurm, as it is, under a real Slurm: the sweep equals an undisturbed one, bit for bit."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from slurm_cluster import ROOT, Slurm, chain, halfway, until_signalled
from sweep_contents import fingerprint, n_done

TEMPLATES = sorted(path.name for path in (ROOT / "jobs" / "slurm").glob("*.sbatch"))
LAUNCHERS = ["srun", "mpirun", "mpiexec"]

Undisturbed = Callable[[Path], dict[str, str]]


@pytest.mark.parametrize("template", TEMPLATES)
def test_unedited_template_is_accepted(slurm: Slurm, template: str) -> None:
    slurm.call("sbatch", "--test-only", f"jobs/slurm/{template}")


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_mpi(slurm: Slurm, small: Path, undisturbed: Undisturbed, tmp_path: Path, launcher: str) -> None:
    """With every launcher the three processes are one job."""
    sweep = tmp_path / "new directory" / "sweep.h5"
    job = slurm.submit("mpi.sbatch", "--ntasks=3", "--time=20", CONFIG=small, SWEEP=sweep, LAUNCH=launcher)
    job.completes()
    assert "by 2 workers" in job.log.read_text()
    assert fingerprint(sweep) == undisturbed(small)


def test_rank_0_may_share_a_core(slurm: Slurm, small: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """One process more than the job has cores, as the template's comment says."""
    sweep = tmp_path / "sweep.h5"
    launch = "srun --overcommit --ntasks=4 --cpu-bind=none"
    job = slurm.submit("mpi.sbatch", "--ntasks=3", "--time=20", CONFIG=small, SWEEP=sweep, LAUNCH=launch)
    job.completes()
    assert "by 3 workers" in job.log.read_text()
    assert fingerprint(sweep) == undisturbed(small)


def test_whole_nodes_as_plan_asks_for_them(slurm: Slurm, small: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.h5"
    nodes = ("--nodes=1", "--ntasks=3", "--ntasks-per-node=3", "--exclusive", "--mem-per-cpu=512M")
    job = slurm.submit("mpi.sbatch", *nodes, "--time=20", CONFIG=small, SWEEP=sweep)
    job.completes()
    assert "by 2 workers" in job.log.read_text()
    assert fingerprint(sweep) == undisturbed(small)


def test_mpi_stops_before_its_limit_and_continues(
    slurm: Slurm, middling: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    undisturbed(middling)
    sweep = tmp_path / "sweep.h5"
    options = ("mpi.sbatch", "--ntasks=2", "--time=20")
    begin = time.monotonic()
    first = slurm.submit(*options, CONFIG=middling, SWEEP=sweep, TIME_LIMIT="00:00:30")
    with halfway(first, sweep, 2):
        first.reaches("RUNNING")
        time.sleep(max(0.0, 32 - (time.monotonic() - begin)))
    assert first.ends() == "FAILED"
    assert first.fields()["ExitCode"] == "75:0", first.story()
    compare = slurm.submit("compare.sbatch", CONFIG=middling, SWEEP=sweep)
    assert compare.ends() == "FAILED"
    assert "not complete" in compare.log.read_text()
    slurm.submit(*options, CONFIG=middling, SWEEP=sweep, TIME_LIMIT="00:15:00").completes()
    assert fingerprint(sweep) == undisturbed(middling)


def test_requeue_before_the_time_limit(slurm: Slurm, middling: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """The template's own signal, sent by Slurm itself: the limit is moved near when the sweep is in its middle."""
    undisturbed(middling)
    sweep = tmp_path / "sweep.h5"
    job = slurm.submit("requeue.sbatch", "--ntasks=2", "--time=20", CONFIG=middling, SWEEP=sweep)
    with halfway(job, sweep, 2) as ranks:
        job.limit(minutes_from_now=3)
        until_signalled(job, ranks)
    job.reaches("PENDING")
    log = job.log.read_text()
    assert "stopped by a signal" in log, job.story()
    assert "time is up: requeued" in log, job.story()
    job.limit(minutes_from_now=20)
    job.completes()
    assert int(job.fields()["Restarts"]) == 1, job.story()
    assert "are done already" in job.log.read_text()
    assert fingerprint(sweep) == undisturbed(middling)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_requeue_survives_signals_and_kills(
    slurm: Slurm, middling: Path, undisturbed: Undisturbed, tmp_path: Path, launcher: str
) -> None:
    """The signal with every launcher, then a requeue as for a preemption: SIGKILL within seconds."""
    undisturbed(middling)
    sweep = tmp_path / "sweep.h5"
    job = slurm.submit("requeue.sbatch", "--ntasks=3", "--time=20", CONFIG=middling, SWEEP=sweep, LAUNCH=launcher)
    with halfway(job, sweep, 3) as ranks:
        slurm.call("scancel", "--batch", "--signal=USR1", job.number)
        until_signalled(job, ranks)
    job.reaches("PENDING")
    assert "stopped by a signal" in job.log.read_text(), job.story()
    before = n_done(sweep)
    job.start_soon()
    with halfway(job, sweep, 3, more_than=before):
        slurm.call("scontrol", "requeue", job.number)
    job.completes()
    assert int(job.fields()["Restarts"]) == 2
    assert fingerprint(sweep) == undisturbed(middling)


def test_requeue_without_waiting_for_ranks_that_take_too_long(
    slurm: Slurm, middling: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """Ranks that do not end in time (stopped processes cannot) do not keep the job from its next start."""
    sweep = tmp_path / "sweep.h5"
    job = slurm.submit("requeue.sbatch", "--ntasks=3", "--time=20", CONFIG=middling, SWEEP=sweep, GRACE_S=3)
    with halfway(job, sweep, 3):
        slurm.call("scancel", "--batch", "--signal=USR1", job.number)
        job.reaches("PENDING")
    assert "too long to stop: requeued" in job.log.read_text(), job.story()
    job.completes()
    assert fingerprint(sweep) == undisturbed(middling)


def test_cancelled_job_is_not_requeued(slurm: Slurm, middling: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.h5"
    job = slurm.submit("requeue.sbatch", "--ntasks=3", "--time=20", CONFIG=middling, SWEEP=sweep)
    with halfway(job, sweep, 3, more_than=0):
        slurm.call("scancel", job.number)
    assert job.ends() == "CANCELLED"
    assert job.fields()["Restarts"] == "0"


def test_bad_input_is_not_requeued(slurm: Slurm, tmp_path: Path) -> None:
    config = tmp_path / "bad.yml"
    config.write_text("nonsense: 1\n")
    job = slurm.submit("requeue.sbatch", "--ntasks=3", "--time=20", CONFIG=config, SWEEP=tmp_path / "sweep.h5")
    assert job.ends() == "FAILED"
    assert job.fields()["ExitCode"] == "2:0", job.story()
    assert job.fields()["Restarts"] == "0"


def test_array_part_is_requeued(slurm: Slurm, middling: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """One part alone, signalled, continues under its own number."""
    undisturbed(middling)
    part = tmp_path / "part-2-of-2.h5"
    job = slurm.submit("array.sbatch", "--array=2", "--time=20", CONFIG=middling, PARTS=2, PARTS_DIR=tmp_path)
    with halfway(job, part, 1) as ranks:
        slurm.call("scancel", "--batch", "--signal=USR1", f"{job.number}_2")
        until_signalled(job, ranks)
    job.reaches("PENDING")
    job.completes()
    assert job.fields()["Restarts"] == "1"
    assert n_done(part) == 60


def test_chain_of_array_merge_comparison_and_maps(
    slurm: Slurm, small: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    sweep = tmp_path / "sweep.h5"
    parts = tmp_path / "parts"
    settings = {"PARTS": 3, "PARTS_DIR": parts, "MERGE": "yes", "PACK": "yes", "SWEEP": sweep}
    jobs = chain(slurm, tmp_path, "array", small, "--time=20", **settings)
    assert list(jobs) == ["sweep", "merge", "compare"]
    assert all(f"afterany:{jobs['sweep'].number}" in jobs[job].fields()["Dependency"] for job in ("merge", "compare"))
    jobs["compare"].completes()
    assert len(list(parts.glob("part-*-of-3.h5"))) == 3
    assert "6 of 6 points, 12 trials compared" in jobs["compare"].log.read_text()
    assert (tmp_path / "sweep-cmp.h5").is_file()
    assert list((tmp_path / "sweep-maps").glob("*.png"))
    jobs["merge"].completes()
    assert fingerprint(sweep) == undisturbed(small)


def test_chain_of_mpi_and_comparison(slurm: Slurm, small: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.h5"
    jobs = chain(slurm, tmp_path, "mpi", small, "--ntasks=3", "--time=20", SWEEP=sweep)
    assert list(jobs) == ["sweep", "compare"]
    assert f"afterany:{jobs['sweep'].number}" in jobs["compare"].fields()["Dependency"]
    jobs["sweep"].completes()
    assert fingerprint(sweep) == undisturbed(small)
    jobs["compare"].reaches("RUNNING")
    slurm.call("scancel", jobs["compare"].number)


def test_rank_0_writes_for_all_on_request(slurm: Slurm, small: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.h5"
    job = slurm.submit("mpi.sbatch", "--ntasks=3", "--time=20", CONFIG=small, SWEEP=sweep, RUN_ARGS="--gather")
    job.completes()
    assert "(gather)" in job.log.read_text()
    assert fingerprint(sweep) == undisturbed(small)


def test_merge_names_the_missing_part(slurm: Slurm, small: Path, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """And when that part has been run, under the same numbering, makes the file."""
    sweep = tmp_path / "sweep.h5"
    files = {"CONFIG": small, "PARTS": 3, "PARTS_DIR": tmp_path / "parts"}
    slurm.submit("array.sbatch", "--array=1,3", **files).completes()
    merge = slurm.submit("merge.sbatch", SWEEP=sweep, **files)
    assert merge.ends() == "FAILED"
    assert "part 2 of 3" in merge.log.read_text(), merge.story()
    assert not sweep.exists()
    slurm.submit("array.sbatch", "--array=2", **files).completes()
    again = slurm.submit("merge.sbatch", SWEEP=sweep, **files)
    again.completes()
    assert f"{sweep}: 12 of 12 trials, from 3 files" in again.log.read_text()
    assert fingerprint(sweep) == undisturbed(small)
