"""How the templates of PBS and LSF continue after they stopped early, with fake batch systems."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

JOBS = Path(__file__).resolve().parents[2] / "jobs"

Submit = Callable[..., str]


def stops_early(directory: Path, times: int, then: str = ":") -> Path:
    """A launcher that prints its command and where it runs, ends with 75 so many times, and then with 0."""
    launcher = directory / "launcher"
    launcher.write_text(
        f'#!/bin/sh\necho start "$@"\necho "$OMP_NUM_THREADS thread"\necho x >>"{directory}/starts"\n{then}\n'
        'echo "in queue ${PBS_O_QUEUE:-none} on $(wc -l <"${PBS_NODEFILE:-/dev/null}") ranks"\n'
        f'if [ "$(wc -l <"{directory}/starts")" -gt {times} ]; then exit 0; fi\nexit 75\n'
    )
    launcher.chmod(0o755)
    return launcher


@pytest.mark.parametrize(("stops", "rounds", "starts"), [(2, 20, 3), (9, 2, 3)])
def test_pbs_job_that_stopped_early_submits_the_next(
    submit: Submit, tmp_path: Path, stops: int, rounds: int, starts: int
) -> None:
    """Until it is done, or has been submitted ROUNDS times."""
    sweep = tmp_path / "sweep.h5"
    variables = f"CONFIG=c.yml,SWEEP={sweep},TIME_LIMIT=00:50:00,VENV={sys.prefix},RESUBMIT=yes,ROUNDS={rounds}"
    few = ("-l", "select=1:ncpus=3:mpiprocs=3")
    printed = submit("qsub", *few, "-v", f"{variables},LAUNCH={stops_early(tmp_path, stops)}", "jobs/pbs/mpi.pbs")
    assert "the job ended with 75" in printed
    logs = [path.read_text() for path in tmp_path.glob("hpcmass.o*")]
    assert len(logs) == starts
    assert all(f"start hpcmass run c.yml -o {sweep} --time-limit 00:50:00\n" in log for log in logs)


SELECT = "select=1:ncpus=2:mpiprocs=1:ompthreads=1:mem=1gb+1:ncpus=1:mpiprocs=2:ompthreads=1:mem=3gb"
STORAGE = "storage=gdata/ab1+scratch/ab1+gdata/cd2+scratch/cd2+gdata/ef3+scratch/ef3"


@pytest.mark.parametrize(
    "site",
    [
        (),
        # NCI, from its manual
        ("-P", "ab1", "-l", f"jobfs=10gb,{STORAGE}"),
        # ALCF
        ("-lfilesystems=home:eagle",),
        ("-W", "group_list=physics"),
    ],
    ids=lambda site: " ".join(site)[:20],
)
def test_pbs_job_submits_the_next_with_what_it_was_given(submit: Submit, tmp_path: Path, site: tuple[str, ...]) -> None:
    """Options from the command line, not the template: otherwise the next job would have 128 ranks, in another queue.

    The fake qsub refuses sums over chunks and what a site's hook has added, which qstat shows, too.
    """
    given = ("-l", SELECT, "-l", "place=pack", "-l", "walltime=00:20:00", "-q", "short", "-A", "account", *site)
    launcher = stops_early(tmp_path, 2)
    variables = f"CONFIG=c.yml,SWEEP={tmp_path / 'sweep.h5'},VENV={sys.prefix},RESUBMIT=yes,LAUNCH={launcher}"
    submit("qsub", *given, "-v", variables, "jobs/pbs/mpi.pbs")
    jobs = [qstat(path) for path in tmp_path.glob("*.qstat")]
    assert len(jobs) == 3
    assert jobs[1:] == [jobs[0]] * 2
    shown = {"Resource_List.select": SELECT.removeprefix("select="), "Resource_List.walltime": "00:20:00"}
    shown |= {"Account_Name": "account", "project": "ab1" if "-P" in site else "_pbs_project_default"}
    if "-P" in site:
        shown |= {"Resource_List.jobfs": "10gb", "Resource_List.storage": STORAGE.removeprefix("storage=")}
    shown |= {"group_list": "physics"} if "-W" in site else {}
    shown |= {"Resource_List.filesystems": "home:eagle"} if "-lfilesystems=home:eagle" in site else {}
    assert shown.items() <= jobs[0].items()
    assert all("in queue short on 3 ranks" in path.read_text() for path in tmp_path.glob("hpcmass.o*"))


def test_pbs_job_without_select_submits_the_next_with_the_one_that_was_made_of_it(
    submit: Submit, tmp_path: Path
) -> None:
    """As at NCI; -l ncpus= and -l select= in one are refused."""
    copy = tmp_path / "copy.pbs"
    lines = (JOBS / "pbs" / "mpi.pbs").read_text().splitlines(keepends=True)
    copy.write_text("".join(line for line in lines if not line.startswith(("#PBS -l select", "#PBS -l place"))))
    variables = f"CONFIG=c.yml,SWEEP={tmp_path / 's.h5'},VENV={sys.prefix},RESUBMIT=yes"
    given = ("-l", f"ncpus=3,mem=2gb,{STORAGE}")
    submit("qsub", *given, "-v", f"{variables},LAUNCH={stops_early(tmp_path, 1)}", copy)
    jobs = [qstat(path) for path in tmp_path.glob("*.qstat")]
    assert len(jobs) == 2
    assert jobs[0] == jobs[1]
    assert jobs[0]["Resource_List.select"] == "1:ncpus=3:mem=2gb"
    assert jobs[0]["Resource_List.storage"] == STORAGE.removeprefix("storage=")


def qstat(path: Path) -> dict[str, str]:
    """The fake qstat's output for a job, except how it was submitted."""
    lines = path.read_text().replace("\n\t", "").splitlines()[1:]
    printed = dict(line.strip().split(" = ", 1) for line in lines)
    del printed["Submit_arguments"]
    return printed


def test_pbs_job_passes_commas_and_quotes_on(submit: Submit, tmp_path: Path) -> None:
    """Values with characters that end a value for qsub's -v; the next job uses the template's copy, like the first."""
    copy = tmp_path / "copy.pbs"
    copy.write_text((JOBS / "pbs" / "mpi.pbs").read_text())
    variables = f'CONFIG=c.yml,SWEEP="{tmp_path}/it\'s.h5",VENV={sys.prefix},RESUBMIT=yes,RUN_ARGS=--reuse a.h5'
    launch = f"{stops_early(tmp_path, 2)} --bind-to none,report"
    submit("qsub", "-l", "select=1:ncpus=3:mpiprocs=3", "-v", f"{variables},LAUNCH='{launch}'", copy)
    logs = [path.read_text() for path in tmp_path.glob("hpcmass.o*")]
    assert len(logs) == 3
    start = f"start --bind-to none,report hpcmass run c.yml -o {tmp_path}/it's.h5 --time-limit 07:50:00 --reuse a.h5\n"
    assert all(start in log for log in logs)
    assert all(f" {copy}\n" in path.read_text().replace("\n\t", "") for path in tmp_path.glob("*.qstat"))


def test_pbs_job_does_not_guess_what_it_was_given(submit: Submit, tmp_path: Path) -> None:
    launcher = stops_early(tmp_path, 2, then=f"rm {tmp_path}/*.qstat")
    variables = f"CONFIG=c.yml,SWEEP={tmp_path / 'sweep.h5'},VENV={sys.prefix},RESUBMIT=yes,LAUNCH={launcher}"
    submit("qsub", "-l", "select=1:ncpus=3:mpiprocs=3", "-v", variables, "jobs/pbs/mpi.pbs")
    (log,) = tmp_path.glob("hpcmass.o*")
    assert "the next one is not submitted" in log.read_text()


def test_lsf_job_that_stopped_early_is_requeued(submit: Submit, tmp_path: Path) -> None:
    log = tmp_path / "log"
    variables = {"CONFIG": "c.yml", "SWEEP": tmp_path / "sweep.h5", "LAUNCH": stops_early(tmp_path, 2)}
    submit("bsub", "-n", 3, "-o", log, stdin=JOBS / "lsf" / "mpi.lsf", RUN_ARGS="--gather", **variables)
    command = f"start hpcmass run c.yml -o {tmp_path}/sweep.h5 --time-limit 07:50:00 --gather\n"
    assert log.read_text().count(command) == 3


@pytest.mark.parametrize("template", ["mpi", "array"])
def test_lsf_job_that_makes_no_progress_ends(submit: Submit, tmp_path: Path, template: str) -> None:
    """Also when LSF would requeue it for ever; and the same job submitted again continues."""
    log = tmp_path / "log"
    program = stops_early(tmp_path, 99)
    variables = {"CONFIG": "c.yml", "SWEEP": tmp_path / "sweep.h5", "PARTS": 3, "PARTS_DIR": tmp_path}
    variables |= {"LAUNCH": program} if template == "mpi" else {"HPCMASS": program}
    few = ("-n", 3) if template == "mpi" else ("-J", "hpcmass-part[2]")
    for times in (1, 2):
        printed = submit("bsub", *few, "-o", log, stdin=JOBS / "lsf" / f"{template}.lsf", MAX_RESTARTS=4, **variables)
        assert printed.count("the job ended with 75") == 5
        assert printed.count("the job ended with 1\n") == 1
        assert log.read_text().count("start ") == 5 * times
        assert log.read_text().count("restarted 4 times and still not done") == times


def test_arrays_stop_in_time_and_continue(submit: Submit, tmp_path: Path) -> None:
    """The command of a part, which PBS is told has stopped early, and LSF starts again."""
    program = stops_early(tmp_path, 1)
    command = (
        f"start run c.yml -o {tmp_path}/part-2-of-3.h5 --part 2/3 --time-limit 03:50:00 --retry-failed\n1 thread\n"
    )
    variables = f"CONFIG=c.yml,PARTS=3,PARTS_DIR={tmp_path},RUN_ARGS=--retry-failed,VENV={sys.prefix},HPCMASS={program}"
    assert "the job ended with 75" in submit("qsub", "-J", "2-2", "-v", variables, "jobs/pbs/array.pbs")
    assert command in next(tmp_path.glob("hpcmass-part.o*")).read_text()
    (tmp_path / "starts").unlink()
    log = tmp_path / "log"
    here = {"CONFIG": "c.yml", "PARTS": 3, "PARTS_DIR": tmp_path, "HPCMASS": program, "OMP_NUM_THREADS": 4}
    here |= {"RUN_ARGS": "--retry-failed"}
    submit("bsub", "-J", "hpcmass-part[2]", "-o", log, stdin=JOBS / "lsf" / "array.lsf", **here)
    assert log.read_text().count(command) == 2
