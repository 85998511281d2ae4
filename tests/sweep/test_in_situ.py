"""`run --compare` against the two-step way: every variable of the comparison is the same to the bit."""

import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hpcmass.compare.comparison_file import comparison_bytes
from hpcmass.config.file import load_experiment
from hpcmass.costs import Part, assign
from hpcmass.mass.registry import known_models
from hpcmass.store.files import RawFile
from hpcmass.store.schema import DONE, FAILED, PENDING
from hpcmass.sweep import in_situ
from hpcmass.sweep.prepare import comparison_path

Run = Callable[..., Any]

OWN = """
import numpy as np
from hpcmass import mass_model, statistic

@mass_model("LEAKY")
def leaky(traces, network, mass):
    v = np.empty(traces.phi_E.size)
    v[0] = traces.mean_v[0]
    for k in range(1, v.size):
        v[k] = v[k - 1] + network.dt_ms / 20 * (network.v_leak_mv - v[k - 1] + 10 * traces.phi_E[k])
    return v

@statistic("roughness", unit="mV/ms")
def roughness(trace, dt_ms):
    return float(np.abs(np.diff(trace)).mean() / dt_ms)
"""


@pytest.fixture(scope="module")
def compared_config(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`config` with all models of hpcmass, an own one and an own statistic; three trials, for the fitted ones."""
    directory = tmp_path_factory.mktemp("compared")
    own = directory / "own.py"
    own.write_text(OWN)
    models = json.dumps([*known_models(), f"{own}:LEAKY"])
    text = config.read_text().replace("trials: 2", "trials: 3")
    path = directory / "compared.yml"
    path.write_text(
        text.replace("compare: {", f"compare: {{statistics: ['{own}:roughness'], ") + f"mass: {{models: {models}}}\n"
    )
    return path


@pytest.fixture(scope="module")
def two_steps(compared_config: Path, command: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sweep and its comparison, one after the other."""
    directory = tmp_path_factory.mktemp("two-steps")
    sweep, comparison = directory / "sweep.h5", directory / "cmp.h5"
    command("run", compared_config, "-o", sweep)
    command("compare", sweep, "-o", comparison)
    return sweep, comparison


def contents(path: Path) -> dict[str, bytes]:
    with h5py.File(path, "r", locking=False) as file:
        return {
            name: repr(file[name][()].tolist()).encode() if file[name].dtype.kind == "O" else file[name][()].tobytes()
            for name in file
        }


def require_same(path: Path, other: Path) -> None:
    ours, theirs = contents(path), contents(other)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def states(sweep: Path) -> Any:
    with h5py.File(sweep, "r", locking=False) as file:
        return file["status"][()]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["keep=all"], id="all"),
        pytest.param(["keep=none"], id="none"),
        pytest.param(["keep=first_trial", "-j", "2"], id="two processes", marks=pytest.mark.process),
    ],
)
def test_every_variable_is_that_of_two_steps(
    options: list[str], compared_config: Path, two_steps: tuple[Path, Path], command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    keep, *jobs = options
    done = command("run", compared_config, "-o", path, "--compare", "--set", f"traces.{keep}", *jobs)
    assert "6 of 6 points, 18 trials compared" in done.stdout
    require_same(comparison_path(path), two_steps[1])
    if keep == "keep=all":
        ours, theirs = contents(path), contents(two_steps[0])
        for name in ("kernel_s", "wall_s", "rank"):
            del ours[name], theirs[name]
        assert ours == theirs
    again = command("run", compared_config, "-o", path, "--compare", "--set", f"traces.{keep}", *jobs)
    assert "nothing to do" in again.stderr


@pytest.mark.process
def test_a_point_is_done_by_one_of_few_processes(
    compared_config: Path, two_steps: tuple[Path, Path], command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpcmass.order.POINTS_PER_WORKER", 3)
    path = tmp_path / "sweep.h5"
    command("run", compared_config, "-o", path, "--compare", "--set", "traces.keep=none", "-j", "2")
    require_same(comparison_path(path), two_steps[1])
    with h5py.File(path, "r", locking=False) as file:
        rank = file["rank"][()]
    assert (rank == rank[..., :1]).all()


@pytest.mark.parametrize("keep", ["all", "none"])
def test_trials_of_a_point_on_different_workers(
    keep: str,
    compared_config: Path,
    two_steps: tuple[Path, Path],
    command: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", compared_config, "-o", path, "--compare", "--set", f"traces.keep={keep}")
    kinds: list[str] = []
    original = in_situ.ComparingWorker.run

    def noting(self: Any, task: Any) -> Any:
        kinds.append(type(task).__name__)
        return original(self, task)

    def spread(self: Any, points: Any, may_begin: Any) -> Any:
        return in_situ.SpreadPoints(points, may_begin)

    monkeypatch.setattr(in_situ.ComparingWorker, "run", noting)
    monkeypatch.setattr(in_situ.InSitu, "spread", spread)
    command(*words)
    assert kinds == [*["Task"] * 3, "PointTask"] * 6
    require_same(comparison_path(path), two_steps[1])
    with h5py.File(comparison_path(path), "r+", locking=False) as file:
        file["compared"][0, 0] = PENDING
    make_pending(path, [(1, 1)])
    kinds.clear()
    command(*words)
    assert kinds.count("PointTask") == 2
    assert kinds.count("Task") == (3 if keep == "all" else 6)
    require_same(comparison_path(path), two_steps[1])
    assert (states(path) == DONE).all()


@pytest.mark.parametrize("options", [(), pytest.param(("--gather",), marks=pytest.mark.slow)])
def test_ranks_compare(
    options: tuple[str, ...], compared_config: Path, two_steps: tuple[Path, Path], mpi_run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", compared_config, "-o", path, "--compare", "--set", "traces.keep=first_trial", *options)
    mpi_run(3, "-m", "hpcmass", *words)
    require_same(comparison_path(path), two_steps[1])


def test_compare_says_that_the_comparison_was_made(compared_config: Path, command: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    keep = ("--set", "traces.keep=none", "--set", "trials=1", "--set", "mass.models=[CFM]", "--set", "statistics=[]")
    command("run", compared_config, "-o", path, "--compare", *keep)
    copy = tmp_path / "copy.h5"
    command("compare", path, "-o", copy)
    require_same(copy, comparison_path(path))
    other = command("compare", path, "-o", tmp_path / "other.h5", "--models", "MFM", check=False)
    assert other.returncode == 2
    assert (
        "does not keep every step of every trial (traces.keep = none), so that its only comparison is the one of"
        in (other.stderr)
    )
    assert "mass.models is ('CFM',) there and ('MFM',) here" in other.stderr
    before = comparison_path(path).read_bytes()
    forced = command("compare", path, "-o", comparison_path(path), "--force", check=False)
    assert forced.returncode == 2
    assert f"{comparison_path(path)} is the only comparison that sweep.h5 can have" in forced.stderr
    assert comparison_path(path).read_bytes() == before
    assert not (tmp_path / "sweep-cmp.1.h5").exists()
    comparison_path(path).unlink()
    gone = command("compare", path, "-o", copy, "--force", check=False)
    assert gone.returncode == 2
    assert f"{comparison_path(path)} is not there" in gone.stderr
    # the run makes it again
    command("run", compared_config, "-o", path, "--compare", *keep)
    require_same(copy, comparison_path(path))
    assert (states(path) == DONE).all()


def test_compare_finds_the_comparison_under_another_name(compared_config: Path, command: Run, tmp_path: Path) -> None:
    few = ("--set", "traces.keep=none", "--set", "trials=1", "--set", "mass.models=[CFM]", "--set", "statistics=[]")
    old, other, new = tmp_path / "old.h5", tmp_path / "other.h5", tmp_path / "new.h5"
    for path in (old, other):
        command("run", compared_config, "-o", path, "--compare", *few)
    old.rename(new)
    shutil.copy(comparison_path(other), comparison_path(new))
    comparison_path(old).rename(tmp_path / "kept.h5")
    refused = command("compare", new, "-o", tmp_path / "copy.h5", check=False)
    assert refused.returncode == 2
    assert f"{comparison_path(old)} is not there" in refused.stderr, "the other one is of another sweep"
    (tmp_path / "kept.h5").rename(comparison_path(new))
    command("compare", new, "-o", tmp_path / "copy.h5")
    require_same(tmp_path / "copy.h5", comparison_path(new))


def test_the_refined_sweep_of_one_without_traces_is_compared_during_its_run(
    compared_config: Path, command: Run, tmp_path: Path
) -> None:
    path, refined = tmp_path / "sweep.h5", tmp_path / "refined.yml"
    few = ("--set", "traces.keep=none", "--set", "trials=2", "--set", "mass.models=[CFM]", "--set", "statistics=[]")
    command("run", compared_config, "-o", path, "--compare", *few)
    done = command("refine", comparison_path(path), "--difference", "1e-9", "--by", "rate_E", "-o", refined)
    assert f"next: hpcmass run {refined} --compare -o {refined.with_suffix('.h5')}" in done.stderr


def make_pending(sweep: Path, points: list[tuple[int, ...]]) -> None:
    """Bring points into the state that they had before they were run, but for the results in the comparison."""
    with h5py.File(sweep, "r+", locking=False) as file:
        for point in points:
            file["status"][point] = PENDING
            file["rate_E"][point] = np.nan


@pytest.mark.parametrize("keep", [pytest.param("all", marks=pytest.mark.slow), "none"])
def test_a_resume_does_what_is_missing(
    keep: str,
    compared_config: Path,
    two_steps: tuple[Path, Path],
    command: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", compared_config, "-o", path, "--compare", "--set", f"traces.keep={keep}")
    command(*words)
    make_pending(path, [(1, 1)])
    with h5py.File(path, "r+", locking=False) as file:
        file["status"][2, 0, 1] = PENDING
    with h5py.File(comparison_path(path), "r+", locking=False) as file:
        file["compared"][0, 0] = PENDING  # killed while it was written
        for name in ("rho", "spectrum", "example_v"):
            file[name][1, 1] = 7
    simulated: list[tuple[int, ...]] = []
    original = in_situ.ComparingWorker.simulate

    def counting(self: Any, task: Any) -> Any:
        simulated.append(task.trial.index)
        return original(self, task)

    monkeypatch.setattr(in_situ.ComparingWorker, "simulate", counting)
    command(*words)
    require_same(comparison_path(path), two_steps[1])
    wanted = {(1, 1, 0), (1, 1, 1), (1, 1, 2), (2, 0, 1)}
    if keep == "none":  # their traces are needed once more
        wanted |= {(2, 0, 0), (2, 0, 2), (0, 0, 0), (0, 0, 1), (0, 0, 2)}
    assert set(simulated) == wanted
    assert len(simulated) == len(wanted)


def test_results_are_stored_before_the_status(
    compared_config: Path, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sweep.h5"
    order: list[tuple[str, Any]] = []
    original = RawFile.put

    def noting(self: RawFile, name: str, index: Any, value: Any) -> None:
        if name in ("compared", "status") and len(index) >= 2 and value == DONE:
            order.append((name, index[:2]))
        original(self, name, index, value)

    monkeypatch.setattr(RawFile, "put", noting)
    command("run", compared_config, "-o", path, "--compare", "--set", "traces.keep=none", "--set", "mass.models=[CFM]")
    for point in np.ndindex(3, 2):
        events = [name for name, place in order if place == point]
        assert events == ["compared", "status", "status", "status"]


def test_a_sweep_with_all_traces_is_compared_without_simulating(
    two_steps: tuple[Path, Path], compared_config: Path, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sweep.h5"
    shutil.copy(two_steps[0], path)
    monkeypatch.setattr(in_situ.ComparingWorker, "simulate", None)
    done = command("run", compared_config, "-o", path, "--compare")
    assert "all 18 trials are done; 6 points to compare" in done.stderr
    require_same(comparison_path(path), two_steps[1])


def test_parts_have_comparisons_that_compare_collects(
    compared_config: Path, two_steps: tuple[Path, Path], command: Run, tmp_path: Path
) -> None:
    parts = [tmp_path / f"part-{i}.h5" for i in (1, 2, 3, 4)]
    for i, path in enumerate(parts, 1):
        command("run", compared_config, "-o", path, "--compare", "--part", f"{i}/4", "--set", "traces.keep=none")
    counts = [(states(path) == DONE).sum(axis=-1) for path in parts]
    assert all(set(np.unique(count)) <= {0, 3} for count in counts), "a part has whole points"
    with h5py.File(comparison_path(parts[0]), "r", locking=False) as file:
        assert (file["n_compared"][()] == counts[0]).all()
    collected = tmp_path / "cmp.h5"
    done = command("compare", *parts, "-o", collected)
    assert "6 of 6 points, 18 trials compared" in done.stdout
    require_same(collected, two_steps[1])
    refused = command("compare", *parts, "-o", comparison_path(parts[0]), check=False)
    assert refused.returncode == 2
    assert "is the comparison of one part; give another -o" in refused.stderr
    make_pending(parts[0], [(0, 0)])
    behind = command("compare", *parts, "-o", tmp_path / "new.h5")
    assert "left out: 3 trials that are not done" in behind.stderr


def test_curves_of_other_parts_take_no_space(config: Path, command: Run, tmp_path: Path) -> None:
    grid = ("--set", "grid.p={linspace: [0, 0.01, 20]}", "--set", "network.duration_ms=600", "--set", "trials=1")
    part, whole = tmp_path / "part.h5", tmp_path / "whole.h5"
    command("run", config, "-o", part, "--compare", *grid, "--part", "1/8")
    command("run", config, "-o", whole, "--compare", *grid)
    sizes = [comparison_path(path).stat() for path in (part, whole)]
    assert sizes[0].st_size == pytest.approx(sizes[1].st_size, rel=0.01)
    assert 512 * sizes[0].st_blocks < 0.5 * sizes[1].st_size
    assert 0 <= comparison_bytes(load_experiment(config, [w for w in grid if w != "--set"])) - sizes[1].st_size < 3e5


def test_parts_are_whole_points(config: Path) -> None:
    experiment = load_experiment(config)
    for count in (1, 2, 4, 9):
        ranges = [assign(experiment, Part(i, count), whole_points=True) for i in range(1, count + 1)]
        assert (ranges[0].start, ranges[-1].stop) == (0, 12)
        assert all(a.stop == b.start for a, b in itertools.pairwise(ranges))
        assert all(each.start % 2 == 0 for each in ranges)


def test_a_failed_trial_is_left_out(
    compared_config: Path, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hpcmass.network

    path, original = tmp_path / "sweep.h5", hpcmass.network.simulate
    words = ("run", compared_config, "-o", path, "--compare", "--set", "mass.models=[CFM]")
    calls = []

    def failing(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise ValueError("deliberately")
        return original(*arguments, **named)

    monkeypatch.setattr(hpcmass.network, "simulate", failing)
    assert command(*words, check=False).returncode == 3
    (failed,) = map(tuple, np.argwhere(states(path) == FAILED))
    with h5py.File(comparison_path(path), "r", locking=False) as file:
        assert file["n_compared"][failed[:-1]] == 2
        assert np.isnan(file["rho_trial"][failed]).all()
    fresh = tmp_path / "fresh.h5"
    command("compare", path, "-o", fresh)
    require_same(fresh, comparison_path(path))
    command(*words, "--retry-failed")
    with h5py.File(comparison_path(path), "r", locking=False) as file:
        assert (file["n_compared"][()] == 3).all()


def test_a_point_whose_trials_all_fail(
    compared_config: Path, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hpcmass.network

    path, original = tmp_path / "sweep.h5", hpcmass.network.simulate

    def failing(network: Any, p: float, lam: float, *rest: Any, **named: Any) -> Any:
        if (p, lam) == (0.1, 0.5):
            raise ValueError("deliberately")
        return original(network, p, lam, *rest, **named)

    monkeypatch.setattr(hpcmass.network, "simulate", failing)
    words = ("run", compared_config, "-o", path, "--compare", "--set", "mass.models=[CFM]")
    assert command(*words, check=False).returncode == 3
    assert (states(path)[1, 0] == FAILED).all()
    fresh = tmp_path / "fresh.h5"
    command("compare", path, "-o", fresh)
    require_same(fresh, comparison_path(path))
    assert "nothing to do" in command(*words, check=False).stderr


def test_a_model_that_fails_stops_the_sweep_in_one_sentence(
    compared_config: Path, command: Run, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(OWN.replace("return v\n", "return v if traces.phi_E.max() == 0 else 1 / 0\n"))
    path = tmp_path / "sweep.h5"
    words = ("run", compared_config, "-o", path, "--compare", "--set", f"mass.models=['{broken}:LEAKY']")
    done = command(*words, check=False)
    assert done.returncode == 2
    assert "LEAKY" in done.stderr
    assert "at p = " in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_uses(compared_config: Path, two_steps: tuple[Path, Path], command: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    few = ("--set", "trials=1", "--set", "mass.models=[CFM]", "--set", "statistics=[]")
    command("run", compared_config, "-o", path, "--compare", *few)
    without = command("run", compared_config, "-o", path, *few, check=False)
    assert without.returncode == 2
    assert f"{path} was begun with --compare, which wrote sweep-cmp.h5; give --compare again" in without.stderr
    reuse = ("--reuse", two_steps[0], "--set", "traces.keep=none")
    done = command("run", compared_config, "-o", tmp_path / "new.h5", "--compare", *reuse, check=False)
    assert done.returncode == 2
    assert "--reuse copies no comparison" in done.stderr
    new = tmp_path / "new.h5"
    for wrong in ("mass.models=[XYZ]", "statistics=[nothing]", "max_lag_ms=100", "mass.models=[CFM-closed]"):
        done = command("run", compared_config, "-o", new, "--compare", *few[:2], "--set", wrong, check=False)
        assert done.returncode == 2
        assert "the sweep runs" not in done.stderr
        assert not new.exists(), "the settings would be the file's"
    part = tmp_path / "part.h5"
    command("run", compared_config, "-o", part, "--part", "1/4")
    done = command("run", compared_config, "-o", part, "--part", "1/4", "--compare", check=False)
    assert done.returncode == 2
    assert "was begun without --compare, and its part divides a point" in done.stderr


def test_a_stop_leaves_the_point_as_it_was(
    compared_config: Path, two_steps: tuple[Path, Path], command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", compared_config, "-o", path, "--compare", "--set", "traces.keep=none")
    original, calls = in_situ.ComparingWorker.simulate, []

    def stopping(self: Any, task: Any) -> Any:
        calls.append(task)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, task)

    with monkeypatch.context() as patch:
        patch.setattr(in_situ.ComparingWorker, "simulate", stopping)
        assert command(*words, check=False).returncode == 75
    assert len(calls) == 5
    assert (states(path) == DONE).sum() == 3
    # what is there so far is a whole comparison
    fresh = tmp_path / "fresh.h5"
    command("compare", path, "-o", fresh)
    require_same(fresh, comparison_path(path))
    command(*words)
    require_same(comparison_path(path), two_steps[1])


def test_the_time_limit_counts_whole_points(
    compared_config: Path, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", compared_config, "-o", path, "--compare", "--set", "mass.models=[CFM]")
    monkeypatch.setattr("hpcmass.sweep.limits.Clock.expected_s", lambda self, cost: 0.0 if not self._paces else 1e9)
    assert command(*words, "--time-limit", "60m", check=False).returncode == 75
    assert (states(path) == DONE).sum() in (0, 3)
