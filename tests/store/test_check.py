"""`check_sweep` notices every change in a good file, and finds nothing in the good one."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from store_examples import invented

from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.store.check import check_sweep
from hpcmass.store.merge import merge
from hpcmass.store.provenance import provenance
from hpcmass.store.writer import Ended, SweepWriter, create_sweep_file


@pytest.fixture
def good(tmp_path: Path, experiment: Experiment, all_trials: list[Trial]) -> Path:
    """A file that a simulation could have written: two trials pending, one failed."""
    path = tmp_path / "good.h5"
    identity = {"uuid": "0f", **provenance(n_ranks=1, mpi_library="none")}
    create_sweep_file(path, experiment, driver="serial", provenance=identity)
    seconds = 3e-3
    with SweepWriter(path) as writer:
        for trial in all_trials[:-3]:
            values = invented(trial)
            n_exc = round(10 * trial.values["lam"])
            values |= {name: np.abs(values[name]) for name in values if name.startswith("phi")}
            values |= {"rate_E": 2 / n_exc / seconds, "rate_I": 1 / (10 - n_exc) / seconds, "n_spikes": 3}
            values |= {"silent": 0, "spike_contrast": 0.5, "spike_contrast_bin": 10.0, "n_edges": 4, "cv_isi": np.nan}
            writer.store([Ended(trial, values | {"rank": 0})])
        writer.store([Ended(all_trials[-3], {"rank": 0, "wall_s": 1.0}, "diverged")])
    return path


def test_a_good_file_has_no_problem(good: Path, tmp_path: Path) -> None:
    assert check_sweep(good) == []
    for packed in (False, True):
        merge([good], tmp_path / f"merged-{packed}.h5", packed=packed, partial=True)
        assert check_sweep(tmp_path / f"merged-{packed}.h5") == []


@pytest.mark.parametrize(
    ("name", "index", "value", "problem"),
    [
        ("mean_v", (0, 1, 1, 20), np.nan, "p=0 lam=0.8 trial 1: it is done, but mean_v has values that are not finite"),
        ("phi_E", (1, 0, 0, 3), -0.5, "p=0.25 lam=0.5 trial 0: it is done, but phi_E has negative values"),
        ("seed", (2, 1, 1, 2), 7, "p=1 lam=0.8 trial 1: the seed does not follow from the values"),
        ("status", (2, 1, 1), 1, "it is done, but wall_s is not finite"),
        ("status", (2, 1, 1), 5, "status is not one of pending, done, failed"),
        ("error", (2, 0, 1), np.zeros(240, "S1"), "p=1 lam=0.5 trial 1: it failed without a reason"),
        ("rate_E", (0, 0, 0), 0.0, "n_spikes contradicts the rates"),
        ("n_spikes", (0, 0, 0), 4, "n_spikes contradicts the rates"),
        ("n_edges", (0, 0, 0), -1, "n_edges is negative"),
        ("silent", (0, 0, 0), 1, "silent contradicts spike_contrast"),
        ("p", (1,), 0.3, "its axes are not those of its configuration"),
        ("time", (1,), 0.3, "its time is not that of its configuration"),
    ],
)
def test_a_wrong_value_is_noticed(good: Path, name: str, index: tuple[int, ...], value: object, problem: str) -> None:
    with h5py.File(good, "r+", locking=False) as file:
        file[name][index] = value
    assert any(problem in found for found in check_sweep(good)), check_sweep(good)


def test_other_physics_than_the_hash_is_noticed(good: Path) -> None:
    with h5py.File(good, "r+", locking=False) as file:
        file.attrs["config_yaml"] = str(file.attrs["config_yaml"]).replace("n_external: 5", "n_external: 6")
    assert check_sweep(good) == ["config_sha256 is not the hash of its configuration's physics"]


def test_a_wrong_unit_is_noticed(good: Path) -> None:
    with h5py.File(good, "r+", locking=False) as file:
        file["mean_v"].attrs["units"] = "V"
    assert check_sweep(good) == ["mean_v does not have the unit mV"]


def test_invalid_dimensions_are_noticed(good: Path) -> None:
    with h5py.File(good, "r+", locking=False) as file:
        file["rate_E"].attrs["DIMENSION_LIST"] = np.zeros(3, "f4")
    assert any("cannot be read" in problem or "dimensions" in problem for problem in check_sweep(good))


def test_a_flipped_bit_of_a_packed_file_is_noticed(good: Path, tmp_path: Path) -> None:
    merge([good], tmp_path / "packed.h5", packed=True, partial=True)
    with h5py.File(tmp_path / "packed.h5", "r", locking=False) as file:
        chunk = file["phi_I"].id.get_chunk_info(4)
    data = bytearray((tmp_path / "packed.h5").read_bytes())
    data[chunk.byte_offset + 30] ^= 1
    (tmp_path / "packed.h5").write_bytes(bytes(data))
    assert any("cannot be read" in problem for problem in check_sweep(tmp_path / "packed.h5"))


def test_what_is_no_sweep_at_all_is_refused(good: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.h5"
    for name in ("status", "seed", "mean_v", "lam"):
        shutil.copyfile(good, broken)
        with h5py.File(broken, "r+", locking=False) as file:
            del file[name]
        with pytest.raises(UserError, match="is damaged"):
            check_sweep(broken)
