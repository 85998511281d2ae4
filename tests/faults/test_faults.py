"""The fault campaign in short; `make faults` runs the whole of it."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # its programs import each other

from damage import DAMAGE, broken_checksum, damaged_files
from files import disk_full, job_array, small_disk
from harness import Installation, Truth, reference, this_installation, write_config
from kills import kill_campaign, stop_campaign


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
@pytest.mark.parametrize(("victim", "shards"), [("worker", False), ("all", True)])
def test_kills_lose_nothing(
    victim: str, shards: bool, here: Installation, config: Path, truth: Truth, tmp_path: Path
) -> None:
    toll = kill_campaign(here, config, truth, tmp_path, kills=2, victim=victim, shards=shards, chance=random.Random(4))
    assert toll.kills == 2
    assert toll.clean, toll


def test_the_truth_notices_a_wrong_trial(truth: Truth, config: Path, tmp_path: Path) -> None:
    spoiled = tmp_path / "spoiled.h5"
    spoiled.write_bytes(config.with_suffix(".reference.h5").read_bytes())
    assert truth.wrong_in(spoiled)[1] == 0
    with h5py.File(spoiled, "r+", locking=False) as file:
        file["phi_E"][2, 1, 3, 5] = np.float32(0.123)
        file["rate_E"][4, 0, 1] = 1.0
    done, wrong = truth.wrong_in(spoiled)
    assert (len(done), wrong) == (200, 2)
    assert not truth.equals(spoiled)


def test_stops_at_the_time_limit(here: Installation, config: Path, truth: Truth, tmp_path: Path) -> None:
    stopped, problems = stop_campaign(
        here, config, truth, tmp_path / "sweep.h5", stops=1, limit="0.1s", ranks=0, options=[]
    )
    assert (stopped, problems) == (1, 0)


@pytest.fixture
def disk(tmp_path: Path, config: Path, truth: Truth) -> Iterator[Path]:
    size = 3 * config.with_suffix(".reference.h5").stat().st_size
    try:
        with small_disk(tmp_path / "disk", size) as mounted:
            yield mounted
    except PermissionError as error:
        pytest.skip(str(error))


def test_a_full_disk(here: Installation, config: Path, truth: Truth, disk: Path) -> None:
    assert disk_full(here, config, truth, disk, ranks=0, options=[], leave=2**17) == ""


def test_a_job_array(here: Installation, config: Path, truth: Truth, tmp_path: Path) -> None:
    assert job_array(here, config, truth, tmp_path) == []


def test_damaged_files(here: Installation, tmp_path: Path) -> None:
    config = write_config(tmp_path / "small.yml", trials=4, n=64)
    reference(here, config)
    good, compared = config.with_suffix(".reference.h5"), tmp_path / "cmp.h5"
    assert here.run(0, "compare", good, "-o", compared).returncode == 0
    names = ["empty", "cut to half", "metadata zeroed", "foreign HDF5", "a broken configuration", "no axis"]
    assert set(names) <= set(DAMAGE)
    files, tries, problems = damaged_files(here, good, config, compared, tmp_path, names)
    assert (files, problems) == (6, [])
    assert tries == 66
    assert broken_checksum(here, good, tmp_path) == ""
