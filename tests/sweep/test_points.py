"""Sweeps that simulate only some points of their grid: the same bits, and nothing else is counted as missing."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from sweep_state import make_pending, require_true, trials_done

from hpcmass.errors import ConfigError
from hpcmass.store.status import sweep_status
from hpcmass.store.sweep_file import SweepFile

Run = Callable[..., Any]

POINTS = "points: [[0.0, 0.5], [0.1, 0.9], [1.0, 0.5], [1.0, 0.9]]\n"
REQUESTED = {(i, j, k) for i, j in ((0, 0), (1, 1), (2, 0), (2, 1)) for k in (0, 1)}


@pytest.fixture(scope="session")
def some(config: Path) -> Path:
    """Four of six points, eight of twelve trials."""
    path = config.with_name("some.yml")
    path.write_text(config.read_text() + POINTS)
    return path


@pytest.fixture(scope="session")
def some_reference(some: Path, command: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("some") / "some.h5"
    command("run", some, "-o", path)
    return path


def test_only_the_requested_points_are_simulated_and_their_bits_are_those_of_the_whole_grid(
    some_reference: Path, reference: Path, command: Run
) -> None:
    assert require_true(some_reference, reference) == REQUESTED
    assert command("check", some_reference).stdout == f"{some_reference}: no problem found\n"
    status = sweep_status(some_reference)
    assert (status.total, status.done, status.pending) == (8, 8, 0)
    assert "8 of 8 trials done, 0 failed, 0 pending" in command("status", some_reference).stdout


def test_a_resume_does_only_requested_points(some: Path, some_reference: Path, command: Run, tmp_path: Path) -> None:
    path = tmp_path / "some.h5"
    shutil.copy(some_reference, path)
    make_pending(path, [(1, 1, 0)])
    assert "1 of 8 trials to do (7 are done already)" in command("run", some, "-o", path).stderr
    assert trials_done(path) == REQUESTED
    assert "nothing to do, all 8 trials are done" in command("run", some, "-o", path).stderr


@pytest.mark.parametrize("n", [2, 3, 11])
def test_parts_divide_the_requested_trials(
    n: int, some: Path, some_reference: Path, command: Run, tmp_path: Path
) -> None:
    paths = [tmp_path / f"part-{i}.h5" for i in range(1, n + 1)]
    for i, path in enumerate(paths, start=1):
        command("run", some, "-o", path, "--part", f"{i}/{n}")
    counts = [sweep_status(path).total for path in paths]
    assert sum(counts) == 8
    assert max(counts) - min(counts) <= 2
    merged = tmp_path / "merged.h5"
    assert "merged.h5: 8 of 8 trials" in command("merge", "-o", merged, *paths).stdout
    assert require_true(merged, some_reference) == REQUESTED
    with_gap = command("merge", "-o", tmp_path / "gap.h5", *paths[1:], check=False)
    assert with_gap.returncode == 2
    assert f"part 1 of {n} is missing ({counts[0]} of 8 trials are not done)" in with_gap.stderr


def test_worker_processes_do_the_same(some: Path, some_reference: Path, python_run: Run, tmp_path: Path) -> None:
    path = tmp_path / "some.h5"
    python_run("-m", "hpcmass", "run", some, "-o", path, "-j", "2")
    assert require_true(path, some_reference) == REQUESTED


@pytest.mark.slow
@pytest.mark.mpi
def test_ranks_do_the_same(some: Path, some_reference: Path, mpi_run: Run, tmp_path: Path) -> None:
    path = tmp_path / "some.h5"
    mpi_run(3, "-m", "hpcmass", "run", some, "-o", path)
    assert require_true(path, some_reference) == REQUESTED


def test_the_whole_grid_reuses_some_points_and_some_reuse_the_whole_grid(
    config: Path, some: Path, reference: Path, some_reference: Path, command: Run, tmp_path: Path
) -> None:
    whole, part = tmp_path / "whole.h5", tmp_path / "part.h5"
    assert (
        f"8 trials copied from {some_reference}"
        in command("run", config, "-o", whole, "--reuse", some_reference).stderr
    )
    assert len(require_true(whole, reference)) == 12
    done = command("run", some, "-o", part, "--reuse", reference)
    assert f"8 trials copied from {reference}" in done.stderr
    assert "nothing to do" in done.stderr
    assert trials_done(part) == REQUESTED


def test_other_points_are_another_sweep(config: Path, some_reference: Path, command: Run, tmp_path: Path) -> None:
    path, other = tmp_path / "some.h5", tmp_path / "other.yml"
    shutil.copy(some_reference, path)
    other.write_text(config.read_text() + POINTS.replace("[0.0, 0.5]", "[0.0, 0.9]"))
    for given in (config, other):
        refused = command("run", given, "-o", path, check=False)
        assert refused.returncode == 2
        assert "holds another sweep (points has 4 points there and" in refused.stderr
        assert f"`--reuse {path}` with another -o copies what it has" in refused.stderr
    same = tmp_path / "same.yml"
    same.write_text(config.read_text() + "points: [[1, 0.9], [1, 0.5], [0.1, 0.9], [0, 0.5]]\n")
    assert "nothing to do" in command("run", same, "-o", path).stderr


def test_a_trial_of_a_point_that_is_not_requested_is_a_problem(
    some_reference: Path, command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "some.h5"
    shutil.copy(some_reference, path)
    with h5py.File(path, "r+", locking=False) as file:
        file["status"][0, 1, 0] = 1
    found = command("check", path, check=False)
    assert found.returncode == 2
    assert "p=0 lam=0.9 trial 0: its point is not requested" in found.stdout + found.stderr
    assert "belongs to another part" not in found.stdout + found.stderr


def test_a_comparison_has_the_requested_points(some: Path, some_reference: Path, command: Run, tmp_path: Path) -> None:
    out = tmp_path / "some-cmp.h5"
    done = command("compare", some_reference, "-o", out)
    assert "4 of 4 points, 8 trials compared" in done.stdout
    assert "left out" not in done.stderr
    with h5py.File(out, "r") as file:
        assert (file["n_compared"][()] > 0).sum() == 4
    beside = tmp_path / "at-once.h5"
    done = command("run", some, "-o", beside, "--compare")
    assert "at-once-cmp.h5: 4 of 4 points, 8 trials compared" in done.stdout
    with h5py.File(out, "r") as two, h5py.File(tmp_path / "at-once-cmp.h5", "r") as one:
        for name in ("rho", "chi2", "spectrum_lif", "n_compared", "synchronised", "rho_qvalue"):
            asked = two["n_compared"][()] > 0
            assert np.array_equal(one[name][()][asked], two[name][()][asked], equal_nan=True), name


@pytest.mark.process
def test_what_is_said_about_a_sweep_counts_requested_points(some: Path, some_reference: Path, command: Run) -> None:
    said = command("validate", some).stdout
    assert "axes p (3), lam (2), 4 of 6 points requested, 8 trials of 0.2 s" in said
    planned = command("plan", some, "-n", "3", "--seconds", "0.01").stdout
    assert "8 trials of 0.2 s" in planned
    seen = command("watch", some_reference, "--once").stdout
    assert "empty cells are not requested" in seen
    rows = [re.split("[│|]", line)[1] for line in seen.splitlines() if re.search("[│|]", line)]  # │ is | in ASCII
    assert [len(re.findall("[█#]+", row)) for row in rows] == [2, 2]  # of three points: nothing else is drawn
    assert all(set(row) <= set("█# ") for row in rows)


def test_the_file_takes_the_space_of_requested_points_only(some_reference: Path, reference: Path) -> None:
    with SweepFile(some_reference) as file:
        traces = sum(file.hdf5[name].nbytes for name in file.trace_names)
    saved = (reference.stat().st_blocks - some_reference.stat().st_blocks) * 512
    assert saved > 0.8 * traces / 3  # a third of the points is left out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("points: []", "points: give a list of points"),
        ("points: [0.1, 0.9]", "a number for each axis, such as [[0.1, 0.8], [0.2, 0.8]], not 0.1"),
        ("points: [[0.1]]", "points: a point has a value for each of the axes p, lam, but there is [0.1]"),
        ("points: [[0.1, 0.7]]", "points: lam = 0.7 of [0.1, 0.7] is not on its axis"),
        ("points: [[0.1, 0.9], [0.1, 0.90]]", "points: [0.1, 0.9] is there twice"),
    ],
)
def test_wrong_points_are_refused_in_one_sentence(config: Path, text: str, message: str) -> None:
    from hpcmass.config.file import parse_experiment

    with pytest.raises(ConfigError) as refused:
        parse_experiment(f"{config.read_text()}{text}\n")
    assert message in str(refused.value)
