"""Test infrastructure: marks that are enforced, results computed once, jobs found and ended."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from processes import mpi_environment, ranks_of


@pytest.mark.parametrize("program", [sys.executable, "bash", "make", "/usr/bin/mpiexec", "hpcmass"])
def test_an_unmarked_test_starts_no_program(program: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"is to be marked: @pytest\.mark\.process"):
        subprocess.run([program, "--version"], check=False)


def test_an_unmarked_test_starts_no_workers() -> None:
    with pytest.raises(pytest.fail.Exception, match="is to be marked"):
        multiprocessing.get_context("spawn").Process(target=print).start()


def test_what_starts_programs_is_marked_by_its_fixture(python_run, request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("process")
    assert not request.node.get_closest_marker("mpi")


def test_shared_results_are_made_once(shared: Callable[[str, Callable[[Path], object]], Path]) -> None:
    def make(directory: Path) -> None:
        (directory / "result").write_text("x")
        calls.append(directory)

    calls: list[Path] = []
    first, second = shared("made-once", make), shared("made-once", make)
    assert first == second
    assert [path.name for path in first.iterdir()] == ["result"]
    assert len(calls) == 1


def test_a_shared_result_that_could_not_be_made_is_tried_again(
    shared: Callable[[str, Callable[[Path], object]], Path],
) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").touch()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shared("made-twice", fail)
    made = shared("made-twice", lambda directory: (directory / "whole").touch())
    assert [path.name for path in made.iterdir()] == ["whole"]


@pytest.mark.process
def test_ranks_are_found_by_their_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys, time; print(flush=True); time.sleep(600)", str(tmp_path / "sweep.h5")]
    environment = os.environ | {"OMPI_COMM_WORLD_RANK": "3"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it runs
        try:
            assert ranks_of(tmp_path / "sweep.h5") == {process.pid: 3}
            assert ranks_of(tmp_path / "sweep.h5", sys.executable) == {process.pid: 3}
            assert ranks_of(tmp_path / "sweep.h5", "/another/python") == {}
            assert ranks_of(tmp_path / "other.h5") == {}
        finally:
            process.kill()


@pytest.mark.process
def test_another_environment_brings_its_own_mpiexec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MPIEXEC", "/chosen/mpiexec")
    assert mpi_environment()["MPIEXEC"] == "/chosen/mpiexec"
    assert mpi_environment(tmp_path)["MPIEXEC"] == "mpiexec"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mpiexec").touch(mode=0o755)
    assert mpi_environment(tmp_path)["MPIEXEC"] == str(tmp_path / "bin" / "mpiexec")


@pytest.mark.slow
def test_a_job_that_hangs_is_ended(mpi_run, tmp_path: Path) -> None:
    sleeper = "import os, sys, time; open(f'{sys.argv[1]}/{os.getpid()}', 'w'); time.sleep(600)"
    ranks: list[int] = []
    for limit in (5, 20, 80):  # on a busy machine the ranks take their time to start
        (tmp_path / str(limit)).mkdir()
        with pytest.raises(pytest.fail.Exception, match=f"still ran after {limit} s"):
            mpi_run(2, "-c", sleeper, tmp_path / str(limit), timeout=limit)
        ranks = [int(path.name) for path in (tmp_path / str(limit)).iterdir()]
        if len(ranks) == 2:
            break
    assert len(ranks) == 2
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{rank}").exists() for rank in ranks):
        assert time.monotonic() < deadline, "the ranks outlive their job"
        time.sleep(0.1)
