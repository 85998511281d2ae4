"""The same numbers for all processes, and for all ways of writing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from sweep_state import attribute, history, science

from hpcmass.store.labelled import open_sweep
from hpcmass.store.schema import DONE
from hpcmass.store.sweep_file import SweepFile

Run = Callable[..., Any]


def test_one_process_needs_no_mpiexec(reference: Path) -> None:
    assert attribute(reference, "driver") == "serial"
    assert attribute(reference, "mpi_library") == "none"
    with open_sweep(reference) as dataset:
        assert (dataset["status"] == DONE).all()
        assert (dataset["n_spikes"].sum("trial") > 0).sum() >= 4, "a network that spikes, or the test shows little"
        assert not np.array_equal(dataset["mean_v"][0, 0, 0], dataset["mean_v"][0, 0, 1])
        assert np.isfinite(dataset["mean_v"]).all()
    assert [path.name for path in reference.parent.iterdir()] == ["sweep.h5"]


def require_written_by(path: Path, n: int, driver: str, reference: Path) -> None:
    """The reference's bytes, and rank 0 only distributes."""
    assert science(path) == science(reference)
    assert (attribute(path, "driver"), attribute(path, "n_ranks")) == (driver, n)
    assert "MPI" in attribute(path, "mpi_library")
    with h5py.File(path, "r", locking=False) as file:
        assert set(np.unique(file["rank"])) <= set(range(1, n)) or n == 1
    assert [other.name for other in path.parent.iterdir() if other.suffix not in (".py", ".yml")] == [path.name]


@pytest.mark.mpi
def test_four_ranks_give_the_same_bytes(by_four: tuple[Path, Any], reference: Path) -> None:
    path, done = by_four
    driver = "mpio" if h5py.get_config().mpi else "gather"
    assert done.stdout == f"{path}: 12 of 12 trials done\n"
    assert f"12 of 12 trials to do, by 3 workers, into {path} ({driver})" in done.stderr
    assert "12/12 trials" in done.stderr
    require_written_by(path, 4, driver, reference)


@pytest.mark.mpi
@pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_so_do_one_and_two(n: int, config: Path, reference: Path, mpi_run: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    done = mpi_run(n, "-m", "hpcmass", "run", config, "-o", path)
    assert ("by this process" if n == 1 else "by 1 worker") in done.stderr
    parallel = "mpio" if h5py.get_config().mpi else "gather"
    require_written_by(path, n, "serial" if n == 1 else parallel, reference)


@pytest.mark.mpi
@pytest.mark.parametrize("how", ["--gather", "a serial h5py"])
def test_so_does_rank_0_that_writes_for_all(
    how: str, config: Path, reference: Path, mpi_run: Run, serial_h5py: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    command = ("-m", "hpcmass", "run", config, "-o", path)
    done = mpi_run(3, *command, "--gather") if how == "--gather" else mpi_run(3, *command, env=serial_h5py)
    assert "by 2 workers" in done.stderr
    assert "3 ranks, gather" in history(path)[0]
    require_written_by(path, 3, "gather", reference)


@pytest.mark.slow
@pytest.mark.mpi
@pytest.mark.skipif(not h5py.get_config().mpi, reason="only ranks with a parallel HDF5 write traces in a thread")
def test_so_do_ranks_whose_mpi_allows_no_threads(sabotage: Run, reference: Path, tmp_path: Path) -> None:
    done = sabotage(
        3,
        """
import threading
Communicator.has_threads = lambda self: False
write = ParallelTraceWriter.write
def here(self, trial, values):
    assert threading.current_thread() is threading.main_thread()
    write(self, trial, values)
ParallelTraceWriter.write = here
""",
    )
    assert done.returncode == 0, done.stderr
    require_written_by(tmp_path / "sweep.h5", 3, "mpio", reference)


def test_parts_divide_the_trials_into_ranges_of_the_same_bytes(parts: list[Path], reference: Path) -> None:
    with SweepFile(reference) as whole:
        numbers = np.arange(whole.status.size).reshape(whole.shape)
        found: list[int] = []
        for i, path in enumerate(parts, start=1):
            with SweepFile(path) as part:
                done = part.status == DONE
                assert str(part.part) == f"{i}/3"
                assert (done == part.assigned).all()
                assert done.any()
                found += numbers[done].tolist()
                assert part.variable("rate_E")[done].tobytes() == whole.variable("rate_E")[done].tobytes()
                for index in np.argwhere(done):
                    place = tuple(map(int, index))
                    assert part.value("mean_v", place).tobytes() == whole.value("mean_v", place).tobytes()
    assert found == list(range(12)), "each part is a range, and each trial is in one of them"


def test_merged_and_packed_they_are_what_one_run_gives(
    merged: Path, packed: Path, parts: list[Path], reference: Path
) -> None:
    assert science(merged) == science(packed) == science(reference)
    assert attribute(packed, "driver") == "packed"
    for i in (1, 2, 3):
        assert any(f"started, 1 rank, serial, part {i}/3" in line for line in history(merged))
    assert history(merged)[-1].endswith("merged from 3 files")


def test_a_part_knows_its_trials(parts: list[Path], config: Path, command: Run) -> None:
    before = parts[0].read_bytes()
    again = command("run", config, "-o", parts[0], "--part", "1/3")
    assert "nothing to do, all" in again.stderr
    assert "trials of part 1/3 are done" in again.stderr
    for other in (["--part", "2/3"], ["--part", "1/4"], []):
        refused = command("run", config, "-o", parts[0], *other, check=False)
        assert refused.returncode == 2
        assert f"{parts[0]} holds part 1/3, but" in refused.stderr
    assert parts[0].read_bytes() == before


BOOKKEEPING = {"sweep_uuid", "sweep_uuids", "sweep_path", "history", "date", "n_ranks", "mpi_library"}


def statistics(path: Path) -> dict[str, bytes]:
    """Everything in a comparison file except where and when it was made."""
    with h5py.File(path, "r", locking=False) as file:
        found = {name: np.asarray(dataset[()]).tobytes() for name, dataset in file.items() if name != "model"}
        return found | {name: str(value).encode() for name, value in file.attrs.items() if name not in BOOKKEEPING}


@pytest.mark.slow
def test_parts_are_compared_as_they_are(
    parts: list[Path], merged: Path, packed: Path, reference: Path, command: Run, tmp_path: Path
) -> None:
    """Without being merged, on two processes: every statistic is that of the one file."""
    found = []
    for name, files in {"one": [reference], "parts": parts, "merged": [merged], "packed": [packed]}.items():
        path = tmp_path / f"{name}.h5"
        jobs = ["-j", "2"] if name == "parts" else []
        done = command("compare", *files, "-o", path, *jobs)
        assert f"{path}: 6 of 6 points, 12 trials compared" in done.stdout
        found.append(statistics(path))
    assert found[0]["rho"] != b"\0" * len(found[0]["rho"])
    assert found[1] == found[2] == found[3] == found[0]


@pytest.mark.slow
@pytest.mark.mpi
def test_ranks_compare_parts_too(
    parts: list[Path], reference: Path, mpi_run: Run, command: Run, tmp_path: Path
) -> None:
    path, expected = tmp_path / "ranks.h5", tmp_path / "expected.h5"
    mpi_run(3, "-m", "hpcmass", "compare", *parts, "-o", path)
    command("compare", reference, "-o", expected)
    assert attribute(path, "n_ranks") == 2
    assert statistics(path) == statistics(expected)
