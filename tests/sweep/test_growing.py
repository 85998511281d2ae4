"""Parts, merged files that go on, and larger sweeps that take over what smaller ones have: always the same bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hpcmass.store.chain import configurations_of
from hpcmass.store.sources import shard_paths

from hpcmass.store.provenance import history_of
from hpcmass.store.schema import DONE

Run = Callable[..., Any]
Fingerprint = Callable[[Path], dict[str, str]]


def wall_times(path: Path) -> np.ndarray:
    with h5py.File(path, "r", locking=False) as file:
        return np.where(file["status"][()] == DONE, file["wall_s"][()], np.nan)


@pytest.fixture
def parts(config: Path, python_run: Run, tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"part-{i}.h5" for i in (1, 2)]
    for i, path in enumerate(paths, start=1):
        done = python_run("-m", "hpcmass", "run", config, "-o", path, "--part", f"{i}/2")
        assert f"6 of 6 trials of part {i}/2 to do" in done.stderr
    return paths


def test_parts_merge_into_what_one_run_gives(
    parts: list[Path], config: Path, reference: Path, python_run: Run, fingerprint: Fingerprint, tmp_path: Path
) -> None:
    again = python_run("-m", "hpcmass", "run", config, "-o", parts[0], "--part", "1/2")
    assert "nothing to do, all 6 trials of part 1/2 are done" in again.stderr
    for other in (["--part", "2/2"], ["--part", "1/3"], []):
        refused = python_run("-m", "hpcmass", "run", config, "-o", parts[0], *other, check=False)
        assert refused.returncode == 2
        assert f"{parts[0]} holds part 1/2, but" in refused.stderr
    for options in ([], ["--pack"]):
        path = tmp_path / f"all{len(options)}.h5"
        python_run("-m", "hpcmass", "merge", "-o", path, *options, *parts)
        assert fingerprint(path) == fingerprint(reference)
        content = path.read_bytes()
        done = python_run("-m", "hpcmass", "run", config, "-o", path)
        assert "nothing to do, all 12 trials are done" in done.stderr
        assert path.read_bytes() == content


@pytest.mark.mpi
@pytest.mark.parametrize("pack", [False, True], ids=["view", "packed"])
def test_a_merged_file_goes_on(
    pack: bool,
    parts: list[Path],
    config: Path,
    reference: Path,
    mpi_run: Run,
    python_run: Run,
    fingerprint: Fingerprint,
    tmp_path: Path,
) -> None:
    path = tmp_path / "all.h5"
    part = parts[0].read_bytes()
    merged = python_run(
        "-m", "hpcmass", "merge", "-o", path, "--partial", *(["--pack"] if pack else []), parts[0], check=False
    )
    assert merged.returncode == 75
    before = wall_times(path)
    changed = tmp_path / "changed.yml"
    changed.write_text(config.read_text().replace("title: small", "title: other"))
    done = mpi_run(3, "-m", "hpcmass", "run", changed, "-o", path)
    assert "6 of 12 trials to do (6 are done already)" in done.stderr
    assert fingerprint(path) == fingerprint(reference)
    after = wall_times(path)
    np.testing.assert_array_equal(after[np.isfinite(before)], before[np.isfinite(before)])
    assert parts[0].read_bytes() == part, "parts are others' files"
    with h5py.File(path, "r", locking=False) as file:
        assert any("merged" in line for line in history_of(file))
        assert [c.text for c in configurations_of(file)] == [config.read_text(), changed.read_text()]
    content = path.read_bytes()
    python_run("-m", "hpcmass", "run", changed, "-o", path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("shards", [False, True], ids=["one file", "shards"])
def test_a_larger_sweep_takes_over_what_is_there(
    shards: bool,
    parts: list[Path],
    config: Path,
    reference: Path,
    python_run: Run,
    fingerprint: Fingerprint,
    tmp_path: Path,
) -> None:
    larger = tmp_path / "larger.yml"
    larger.write_text(config.read_text().replace("p: [0.0, 0.1, 1.0]", "p: [0.0, 0.05, 0.1, 1.0]").replace(
        "trials: 2", "trials: 3"))  # fmt: skip
    path, whole = tmp_path / "larger.h5", tmp_path / "whole.h5"
    done = python_run("-m", "hpcmass", "run", larger, "-o", path, "--reuse", parts[0], "--reuse", parts[1],
                      *(["--shards"] if shards else []))  # fmt: skip
    assert "6 trials are taken over from" in done.stderr
    assert "12 of 24 trials to do (12 are done already)" in done.stderr
    python_run("-m", "hpcmass", "run", larger, "-o", whole)
    assert fingerprint(path) == fingerprint(whole)
    old, new = wall_times(reference), wall_times(path)
    assert old.shape != new.shape
    taken = wall_times(parts[0])
    there = new[[0, 2, 3]][:, :, :2]
    np.testing.assert_array_equal(there[np.isfinite(taken)], taken[np.isfinite(taken)])
    files = shard_paths(path) or [path]
    lines = []
    for name in files:
        with h5py.File(name, "r", locking=False) as file:
            lines += history_of(file)
    assert sum("6 trials taken over from part-" in line for line in lines) == 2


def test_a_view_of_the_file_to_write_is_not_reused(
    parts: list[Path], config: Path, python_run: Run, tmp_path: Path
) -> None:
    view = tmp_path / "all.h5"
    python_run("-m", "hpcmass", "merge", "-o", view, *parts)
    content = parts[0].read_bytes()
    refused = python_run("-m", "hpcmass", "run", config, "-o", parts[0], "--part", "1/2", "--force", "--reuse", view,
                         check=False)  # fmt: skip
    assert refused.returncode == 2
    assert "is, or refers to, the file to write" in refused.stderr
    assert parts[0].read_bytes() == content


def test_reuse_with_nothing_to_take_over_leaves_no_trace_and_force_keeps_the_old_file(
    config: Path, reference: Path, python_run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    path.write_bytes(reference.read_bytes())
    python_run("-m", "hpcmass", "run", config, "-o", path, "--shards", "--reuse", reference)
    assert not (tmp_path / "sweep.h5.parts").exists()
    python_run("-m", "hpcmass", "run", config, "-o", path, "--force")
    assert (tmp_path / "sweep.1.h5").read_bytes() == reference.read_bytes()


def test_other_physics_are_not_taken_over(config: Path, reference: Path, python_run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.yml"
    other.write_text(config.read_text().replace("w_E: 0.02", "w_E: 0.03"))
    refused = python_run("-m", "hpcmass", "run", other, "-o", tmp_path / "other.h5", "--reuse", reference, check=False)
    assert refused.returncode == 2
    assert "has other physics (network.w_E is 0.02 there and 0.03 here)" in refused.stderr
    assert not (tmp_path / "other.h5").exists()


def test_check_simulates_again_and_notices_one_bit(
    config: Path, reference: Path, python_run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    path.write_bytes(reference.read_bytes())
    good = python_run("-m", "hpcmass", "check", path, "--resimulate", "12")
    assert good.stdout == f"{path}: no problem found\n"
    with h5py.File(path, "r+", locking=False) as file:
        value = file["mean_v"][1, 1, 0, 50]
        file["mean_v"][1, 1, 0, 50] = np.nextafter(value, np.float32(0))
    bad = python_run("-m", "hpcmass", "check", path, "--resimulate", "12", check=False)
    assert bad.returncode == 2
    assert bad.stdout == "p=0.1 lam=0.9 trial 0: simulated again it differs in mean_v\n"
