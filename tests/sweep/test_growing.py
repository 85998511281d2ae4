"""Larger sweeps that copy what smaller ones have: the same bytes, and nothing is computed twice."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from sweep_state import as_format_1, history, make_pending, science, trials_done, wall_times

Run = Callable[..., Any]


@pytest.fixture(scope="session")
def larger(config: Path) -> Path:
    """One more p, in the middle, and one more trial."""
    path = config.with_name("larger.yml")
    text = (
        config.read_text().replace("p: [0.0, 0.1, 1.0]", "p: [0.0, 0.05, 0.1, 1.0]").replace("trials: 2", "trials: 3")
    )
    path.write_text(text)
    return path


@pytest.fixture(scope="session")
def larger_reference(larger: Path, command: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("larger") / "whole.h5"
    command("run", larger, "-o", path)
    return path


def place_in_larger(index: tuple[int, ...]) -> tuple[int, ...]:
    return ([0, 2, 3][index[0]], *index[1:])


def require_copied(path: Path, sources: list[Path]) -> None:
    """Every trial of the sources is there with the wall time that it had, and counts as not run here."""
    after = wall_times(path)
    with h5py.File(path, "r", locking=False) as file:
        ranks = file["rank"][()]
    for source in sources:
        for index, seconds in wall_times(source).items():
            assert after[place_in_larger(index)] == seconds
            assert ranks[place_in_larger(index)] == -1
    assert (ranks == -1).sum() == sum(len(trials_done(source)) for source in sources)


@pytest.mark.parametrize("kind", ["parts", "packed", "format 1", "part of format 1"])
def test_a_larger_sweep_copies_what_is_there(
    kind: str,
    parts: list[Path],
    packed: Path,
    reference: Path,
    larger: Path,
    larger_reference: Path,
    command: Run,
    tmp_path: Path,
) -> None:
    old = tmp_path / "old.h5"
    shutil.copy({"packed": packed, "format 1": reference, "part of format 1": parts[2]}.get(kind, parts[0]), old)
    if "format 1" in kind:
        as_format_1(old)
    sources = parts[:2] if kind == "parts" else [old]
    before = [source.read_bytes() for source in sources]
    path = tmp_path / "larger.h5"
    done = command("run", larger, "-o", path, *(word for source in sources for word in ("--reuse", source)))
    copied = [len(trials_done(source)) for source in sources]
    for source, n in zip(sources, copied, strict=True):
        assert f"{n} trials copied from {source}" in done.stderr
        assert any(line.endswith(f"{n} trials copied from {source.name}") for line in history(path))
    assert f"{24 - sum(copied)} of 24 trials to do ({sum(copied)} are done already)" in done.stderr
    assert science(path) == science(larger_reference)
    require_copied(path, sources)
    assert [source.read_bytes() for source in sources] == before


@pytest.mark.slow
@pytest.mark.mpi
def test_ranks_fill_what_the_smaller_sweep_lacks(
    reference: Path, larger: Path, larger_reference: Path, mpi_run: Run, tmp_path: Path
) -> None:
    path, old = tmp_path / "larger.h5", tmp_path / "old.h5"
    shutil.copy(reference, old)
    make_pending(old, [(0, 0, 0), (2, 1, 1)])
    done = mpi_run(3, "-m", "hpcmass", "run", larger, "-o", path, "--reuse", old)
    assert "14 of 24 trials to do (10 are done already)" in done.stderr
    assert science(path) == science(larger_reference)
    require_copied(path, [old])


def test_a_file_that_is_there_copies_only_what_it_lacks(
    config: Path, reference: Path, by_hand: Path, command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    shutil.copy(by_hand, path)
    missing = [(0, 1, 0), (1, 1, 1)]
    make_pending(path, missing)
    before = wall_times(path)
    done = command("run", config, "-o", path, "--reuse", reference)
    assert f"2 trials copied from {reference}" in done.stderr
    assert "nothing to do, all 12 trials are done" in done.stderr
    after, theirs = wall_times(path), wall_times(reference)
    assert {k: v for k, v in after.items() if k in before} == before
    assert all(after[index] == theirs[index] for index in missing)
    assert science(path) == science(reference)


@pytest.fixture
def by_hand(config: Path, command: Run, tmp_path: Path) -> Path:
    """Another run of the sweep, with its own wall times."""
    path = tmp_path / "another.h5"
    command("run", config, "-o", path)
    return path


def test_reuse_with_nothing_to_copy_changes_nothing(
    config: Path, reference: Path, command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    shutil.copy(reference, path)
    done = command("run", config, "-o", path, "--reuse", reference)
    assert f"0 trials copied from {reference}" in done.stderr
    assert path.read_bytes() == reference.read_bytes()


def test_the_file_to_write_is_not_reused(config: Path, reference: Path, command: Run, tmp_path: Path) -> None:
    path, link = tmp_path / "sweep.h5", tmp_path / "link.h5"
    shutil.copy(reference, path)
    link.symlink_to(path)
    for old in (path, link):
        refused = command("run", config, "-o", path, "--force", "--reuse", old, check=False)
        assert refused.returncode == 2
        assert f"--reuse {old} is the file to write; give another -o and reuse {old} there" in refused.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.h5", "sweep.h5"]
    assert path.read_bytes() == reference.read_bytes()


def test_other_physics_are_not_copied(config: Path, reference: Path, command: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.yml"
    other.write_text(config.read_text().replace("w_E: 0.02", "w_E: 0.03"))
    refused = command("run", other, "-o", tmp_path / "other.h5", "--reuse", reference, check=False)
    assert refused.returncode == 2
    assert "has other physics (network.w_E is 0.02 there and 0.03 here)" in refused.stderr
    assert not (tmp_path / "other.h5").exists()


def test_a_file_that_lacks_a_trace_or_has_other_seeds_is_not_copied(
    config: Path, reference: Path, command: Run, tmp_path: Path
) -> None:
    lacking, seeds, path = tmp_path / "lacking.h5", tmp_path / "seeds.h5", tmp_path / "sweep.h5"
    for old in (lacking, seeds):
        shutil.copy(reference, old)
    as_format_1(lacking)
    with h5py.File(lacking, "r+", locking=False) as file:
        file.attrs["format_version"] = "1.1"
        del file["mean_i_syn"]
    with h5py.File(seeds, "r+", locking=False) as file:
        file["seed"][1, 0, 1, 0] += 1
    refused = command("run", config, "-o", path, "--reuse", lacking, check=False)
    assert refused.returncode == 2
    assert "was written by an older version and lacks mean_i_syn; leave out --reuse, or give another" in refused.stderr
    assert not path.exists()
    refused = command("run", config, "-o", path, "--reuse", seeds, check=False)
    assert refused.returncode == 2
    assert "has another seed for p=0.1 lam=0.5 trial 1" in refused.stderr
    assert not trials_done(path)


def test_check_simulates_again_and_notices_one_bit(reference: Path, command: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    shutil.copy(reference, path)
    good = command("check", path, "--resimulate", "12")
    assert good.stdout == f"{path}: no problem found\n"
    with h5py.File(path, "r+", locking=False) as file:
        value = file["mean_v"][1, 1, 0, 50]
        file["mean_v"][1, 1, 0, 50] = np.nextafter(value, np.float32(0))
    bad = command("check", path, "--resimulate", "12", check=False)
    assert bad.returncode == 2
    assert bad.stdout == "p=0.1 lam=0.9 trial 0: simulated again it differs in mean_v\n"
