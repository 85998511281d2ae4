"""The fault campaign in short; `make faults` runs the whole of it."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # its programs import each other

from copies import compare_kills, merge_kills
from damage import DAMAGE, broken_checksum, damaged_files
from disks import disk_full, full_while_merging, full_while_packing, job_array, size_limits, small_disk
from harness import (
    GATHER,
    MPIO,
    ONE_PROCESS,
    PROCESSES,
    Installation,
    Truth,
    Writer,
    reference,
    this_installation,
    write_config,
)
from in_situ import in_situ_kills
from kills import kill_campaign
from stops import time_limits

from hpcmass.store.schema import FAILED


@pytest.fixture(scope="module")
def here() -> Installation:
    return this_installation()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("faults") / "faults.yml", trials=20)


@pytest.fixture(scope="module")
def truth(here: Installation, config: Path) -> Truth:
    return reference(here, config)


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("victim", "writer"), [("a worker", MPIO), ("storing", MPIO), ("all", GATHER), ("a worker", PROCESSES)]
)
def test_kills_lose_nothing(
    victim: str, writer: object, here: Installation, config: Path, truth: Truth, tmp_path: Path
) -> None:
    if writer is MPIO and not here.parallel_hdf5:
        pytest.skip("h5py is serial")
    toll = kill_campaign(
        here, config, truth, tmp_path, kills=2, victim=victim, writer=writer, chance=random.Random(4)  # type: ignore[arg-type]
    )  # fmt: skip
    assert toll.kills == 2
    assert toll.clean, toll


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("writer", "keep"),
    [
        pytest.param(MPIO, "none", id="mpio"),
        pytest.param(PROCESSES, "none", id="processes"),
        pytest.param(ONE_PROCESS, "none", id="one"),
        pytest.param(MPIO, "all", id="mpio, traces", marks=pytest.mark.slow),
        pytest.param(PROCESSES, "all", id="processes, traces", marks=pytest.mark.slow),
    ],
)
def test_kills_of_a_comparing_sweep_lose_no_point(
    writer: Writer, keep: str, here: Installation, tmp_path: Path
) -> None:
    if writer is MPIO and not here.parallel_hdf5:
        pytest.skip("h5py is serial")
    config = write_config(tmp_path / "comparing.yml", trials=6)
    truth = reference(here, config)
    toll = in_situ_kills(here, config, truth, tmp_path, kills=2, writer=writer, keep=keep, chance=random.Random(7))
    assert toll.kills == 2
    assert toll.clean, toll


@pytest.mark.parametrize("moment", ["report", "status", "write"])
def test_a_chosen_moment_is_hit(moment: str, here: Installation, config: Path, truth: Truth, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    done = here.execute(here.struck(0, moment, 30, "run", config, "-o", path))
    assert done.returncode == -9
    known, wrong = truth.wrong_in(path)
    # a process stores each trial by itself: 18 numbers, 1 status, and one write into the lock's file before all
    assert (len(known), wrong) == ({"report": 29, "status": 29, "write": 1}[moment], 0)


def test_the_truth_notices_a_wrong_trial(truth: Truth, config: Path, tmp_path: Path) -> None:
    spoiled = tmp_path / "spoiled.h5"
    spoiled.write_bytes(config.with_suffix(".reference.h5").read_bytes())
    assert truth.wrong_in(spoiled)[1] == 0
    with h5py.File(spoiled, "r+", locking=False) as file:
        file["phi_E"][2, 1, 3, 5] = np.float32(0.123)
        file["kernel_s"][4, 0, 1] = -1.0  # what only `check` notices
    done, wrong = truth.wrong_in(spoiled)
    assert (len(done), wrong) == (200, 2)
    assert not truth.equals(spoiled)
    with h5py.File(spoiled, "r+", locking=False) as file:
        file["kernel_s"][4, 0, 1] = 1.0
        file["status"][2, 1, 3] = FAILED  # without a reason
    done, wrong = truth.wrong_in(spoiled)
    assert (len(done), wrong) == (199, 1)


def test_killed_copies_are_continued_or_absent(here: Installation, config: Path, truth: Truth, tmp_path: Path) -> None:
    for packed in (False, True):
        directory = tmp_path / f"packed-{packed}"
        directory.mkdir()
        toll = merge_kills(here, config, truth, directory, kills=1, packed=packed, chance=random.Random(1))
        assert toll.kills >= 1
        assert toll.clean, toll


def test_a_killed_comparison_is_continued(here: Installation, config: Path, truth: Truth, tmp_path: Path) -> None:
    toll = compare_kills(here, config.with_suffix(".reference.h5"), tmp_path, kills=1, ranks=0, chance=random.Random(5))
    assert toll.kills >= 1
    assert toll.clean, toll


def test_stops_at_the_time_limit(here: Installation, config: Path, truth: Truth, tmp_path: Path) -> None:
    stopped, problems = time_limits(
        here, config, truth, tmp_path / "sweep.h5", stops=1, limit="0.1s", writer=ONE_PROCESS
    )
    assert (stopped, problems) == (1, [])


@pytest.fixture
def disk(tmp_path: Path, config: Path, truth: Truth) -> Iterator[Path]:
    size = 3 * config.with_suffix(".reference.h5").stat().st_size
    try:
        with small_disk(tmp_path / "disk", size) as mounted:
            yield mounted
    except PermissionError as error:
        pytest.skip(str(error))


def test_a_full_disk(here: Installation, config: Path, truth: Truth, disk: Path) -> None:
    assert disk_full(here, config, truth, disk, writer=ONE_PROCESS, leave=2**17) == ""


@pytest.mark.parametrize("full", [full_while_merging, full_while_packing])
def test_a_disk_that_fills_up_while_copying(
    full: object, here: Installation, config: Path, truth: Truth, disk: Path
) -> None:
    assert full(here, truth, config.with_suffix(".reference.h5"), disk) == ""  # type: ignore[operator]


@pytest.mark.mpi
def test_limits_on_file_sizes(here: Installation, config: Path, truth: Truth, tmp_path: Path) -> None:
    assert size_limits(here, config, truth, config.with_suffix(".reference.h5"), tmp_path) == []


def test_a_job_array(here: Installation, config: Path, truth: Truth, tmp_path: Path) -> None:
    assert job_array(here, config, truth, tmp_path) == []


def test_damaged_files(here: Installation, tmp_path: Path) -> None:
    config = write_config(tmp_path / "small.yml", trials=4, n=64)
    reference(here, config)
    good, compared = config.with_suffix(".reference.h5"), tmp_path / "cmp.h5"
    assert here.run(0, "compare", good, "-o", compared).returncode == 0
    names = [
        "empty",
        "cut to half",
        "metadata zeroed",
        "foreign HDF5",
        "a broken configuration",
        "a part that cannot be",
    ]
    assert set(names) <= set(DAMAGE)
    files, tries, problems = damaged_files(here, good, config, compared, tmp_path, names)
    assert (files, problems) == (6, [])
    assert tries == 6 * 17
    assert broken_checksum(here, good, tmp_path) == ""
