"""`run --compare` against the two-step way: every variable of the comparison is the same to the bit."""

import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import pytest
from sweep_state import require_same, states

from hpcmass import compile_lock
from hpcmass.compare import pipeline
from hpcmass.compare.comparison_file import comparison_bytes
from hpcmass.config.file import load_experiment
from hpcmass.costs import Part, assign, point_costs
from hpcmass.errors import UserError
from hpcmass.grid import trials as all_trials
from hpcmass.mass.registry import known_models
from hpcmass.progress import duration
from hpcmass.store.files import RawFile
from hpcmass.store.lock import SweepLock
from hpcmass.store.schema import DONE, FAILED, PENDING
from hpcmass.sweep import in_situ, point_worker
from hpcmass.sweep.limits import Clock, Limits
from hpcmass.sweep.points import PointTask, SpreadPoints
from hpcmass.sweep.prepare import comparison_path
from hpcmass.sweep.scatter import Outcome, Tally, Task

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
        require_same(path, two_steps[0], but=("kernel_s", "wall_s", "rank"))
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
    original = point_worker.ComparingWorker.run

    def noting(self: Any, task: Any) -> Any:
        kinds.append(type(task).__name__)
        return original(self, task)

    monkeypatch.setattr(point_worker.ComparingWorker, "run", noting)
    spread_trials(keep, monkeypatch)
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
    simulated: list[tuple[int, ...]],
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
    simulated.clear()
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
    monkeypatch.setattr(point_worker.ComparingWorker, "simulate", None)
    done = command("run", compared_config, "-o", path, "--compare")
    assert "all 18 trials are done; 6 points to compare" in done.stderr
    require_same(comparison_path(path), two_steps[1])


def test_parts_have_comparisons_that_compare_collects(
    compared_config: Path, two_steps: tuple[Path, Path], command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "POINTS_AT_ONCE", 1)
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


def test_wrong_uses(compared_config: Path, two_steps: tuple[Path, Path], command: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    few = ("--set", "trials=1", "--set", "mass.models=[CFM]", "--set", "statistics=[]")
    command("run", compared_config, "-o", path, "--compare", *few)
    without = command("run", compared_config, "-o", path, *few, check=False)
    assert without.returncode == 2
    assert f"{path} was begun with --compare, which wrote sweep-cmp.h5; give --compare again" in without.stderr
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


def test_a_locked_comparison_changes_nothing(compared_config: Path, command: Run, tmp_path: Path) -> None:
    """With --force the sweep would be backed up before the comparison is refused."""
    path = tmp_path / "sweep.h5"
    words = ("run", compared_config, "-o", path, "--compare", "--set", "trials=1", "--set", "mass.models=[CFM]")
    command(*words)
    before = {each.name: each.read_bytes() for each in tmp_path.glob("*.h5")}
    lock = SweepLock(comparison_path(path))
    lock.acquire()
    try:
        done = command(*words, "--force", check=False)
    finally:
        lock.release()
    assert done.returncode == 2
    assert f"another job is writing {comparison_path(path)}" in done.stderr
    assert {each.name: each.read_bytes() for each in tmp_path.glob("*.h5")} == before
    command(*words, "--force")
    assert {each.name for each in tmp_path.glob("*.h5")} == {*before, "sweep.1.h5", "sweep-cmp.1.h5"}


def test_the_comparison_of_another_sweep_is_left_alone(compared_config: Path, command: Run, tmp_path: Path) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", compared_config, "-o", path, "--compare", "--set", "trials=1", "--set", "mass.models=[CFM]")
    command(*words)
    path.rename(tmp_path / "sweep.1.h5")
    before = comparison_path(path).read_bytes()
    done = command(*words, check=False)
    assert done.returncode == 2
    assert "compares another sweep than" in done.stderr
    assert "move it away (it may belong to a backup of the sweep)" in done.stderr
    assert comparison_path(path).read_bytes() == before


def test_a_stop_leaves_the_point_as_it_was(
    compared_config: Path, two_steps: tuple[Path, Path], command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", compared_config, "-o", path, "--compare", "--set", "traces.keep=none")
    original, calls = point_worker.ComparingWorker.simulate, []

    def stopping(self: Any, task: Any) -> Any:
        calls.append(task)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, task)

    with monkeypatch.context() as patch:
        patch.setattr(point_worker.ComparingWorker, "simulate", stopping)
        assert command(*words, check=False).returncode == 75
    assert len(calls) == 5
    assert (states(path) == DONE).sum() == 3
    # what is there so far is a whole comparison
    fresh = tmp_path / "fresh.h5"
    command("compare", path, "-o", fresh)
    require_same(fresh, comparison_path(path))
    command(*words)
    require_same(comparison_path(path), two_steps[1])


def stop_at(n: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Send SIGTERM before the n-th trial (from 1); returns the trials that are begun, a list that grows."""
    original, begun = point_worker.ComparingWorker.simulate, list[tuple[int, ...]]()

    def stopping(self: Any, task: Any) -> Any:
        begun.append(task.trial.index)
        if len(begun) == n:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, task)

    monkeypatch.setattr(point_worker.ComparingWorker, "simulate", stopping)
    return begun


def spread_trials(keep: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials are tasks of their own, also in one process."""

    def spread(self: Any, points: Any, may_begin: Any) -> Any:
        return in_situ.SpreadPoints(points, may_begin, kept=keep == "all")

    monkeypatch.setattr(in_situ.InSitu, "spread", spread)


@pytest.mark.parametrize("spread", [False, True], ids=["points", "trials"])
def test_a_stop_keeps_the_trials_of_a_sweep_that_keeps_all_traces(
    spread: bool,
    compared_config: Path,
    two_steps: tuple[Path, Path],
    command: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", compared_config, "-o", path, "--compare")
    if spread:
        spread_trials("all", monkeypatch)
    with monkeypatch.context() as patch:
        begun = stop_at(6, patch)
        stopped = command(*words, check=False)
    assert stopped.returncode == 75
    assert (states(path) == DONE).sum() == 5, "three of a point that is compared, two of the next"
    assert f"{comparison_path(path)}: 1 of 6 points, 3 trials compared" in stopped.stdout
    assert "13 trials are left" in stopped.stderr
    with h5py.File(comparison_path(path), "r", locking=False) as file:
        assert sorted(np.unique(file["n_compared"][()])) == [0, 3]
    assert "1 of 6 points compared" in command("summary", comparison_path(path)).stdout
    assert "5 of 18 trials done" in command("status", path).stdout
    with monkeypatch.context() as patch:
        resumed = stop_at(0, patch)
        command(*words)
    assert sorted([*begun[:5], *resumed]) == sorted(np.ndindex(3, 2, 3)), "none is simulated twice"
    require_same(comparison_path(path), two_steps[1])
    require_same(path, two_steps[0], but=("kernel_s", "wall_s", "rank"))


def test_a_stop_before_the_last_points_are_compared_is_no_end(
    compared_config: Path, two_steps: tuple[Path, Path], command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", compared_config, "-o", path, "--compare")
    shutil.copy(two_steps[0], path)
    original = point_worker.ComparingWorker.run

    def stopping(self: Any, task: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self, task)

    with monkeypatch.context() as patch:
        patch.setattr(point_worker.ComparingWorker, "run", stopping)
        stopped = command(*words, check=False)
    assert stopped.returncode == 75
    assert "18 of 18 trials done" in stopped.stdout
    assert "5 points are left to compare; the same command continues" in stopped.stderr
    command(*words)
    require_same(comparison_path(path), two_steps[1])


FEW = ("--set", "mass.models=[CFM]", "--set", "statistics=[]")


@pytest.mark.parametrize(("keep", "n_done"), [("all", 1), ("none", 0)])
def test_trials_that_fit_the_time_limit_are_kept_with_all_traces_only(
    keep: str, n_done: int, compared_config: Path, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", compared_config, "-o", path, "--compare", *FEW, "--set", f"traces.keep={keep}")
    monkeypatch.setattr("hpcmass.sweep.limits.Clock.expected_s", lambda self, cost, n: 0.0 if not self._paces else 1e9)
    stopped = command(*words, "--time-limit", "60m", check=False)
    assert stopped.returncode == 75, "the point would fit: the fastest trial took milliseconds"
    assert (states(path) == DONE).sum() == n_done


@pytest.mark.parametrize(("keep", "code"), [("all", 0), ("none", 75)])
def test_with_all_traces_a_point_is_begun_if_one_trial_fits(
    keep: str, code: int, compared_config: Path, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("run", compared_config, "-o", tmp_path / "sweep.h5", "--compare", *FEW, "--set", f"traces.keep={keep}")
    of_trials = {0.0, *point_costs(load_experiment(compared_config)).ravel().tolist()}
    monkeypatch.setattr(Clock, "fits", lambda self, cost, n: cost in of_trials)
    assert command(*words, check=False).returncode == code


class FullDisk:
    """A writer that refuses the second trial."""

    def write(self, trial: Any, values: Any) -> None:
        if trial.number == 1:
            raise UserError("the disk is full")


@pytest.mark.parametrize(("keep", "n_stored"), [("all", 2), ("none", 0)])
def test_a_point_with_a_trial_that_is_not_on_the_disk_is_not_compared(
    keep: str, n_stored: int, compared_config: Path, tmp_path: Path
) -> None:
    experiment = load_experiment(compared_config, ["mass.models=[CFM]", "statistics=[]", f"traces.keep={keep}"])
    about = point_worker.Comparing(tmp_path / "sweep.h5", experiment.mass, experiment.compare, {})
    worker = about.worker(experiment, Clock(Limits()), 1, cast("Any", FullDisk()), False)
    tasks = tuple(Task(trial, 1.0) for trial in all_trials(experiment)[:3])
    outcomes = worker.run(PointTask((0, 0), tasks, (), (), 3.0))
    assert [outcome.unwritable for outcome in outcomes if outcome.unwritable] == ["the disk is full"]
    assert sum(bool(outcome.values) for outcome in outcomes) == n_stored
    assert all(outcome.compared is None for outcome in outcomes)


@pytest.mark.parametrize("spread", [False, True], ids=["points", "trials"])
def test_a_time_limit_shorter_than_every_point_is_refused(
    spread: bool, compared_config: Path, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", compared_config, "-o", path, "--compare", *FEW, "--set", "traces.keep=none")
    with monkeypatch.context() as patch:
        original = Clock.note
        patch.setattr(Clock, "note", lambda self, cost, seconds: original(self, cost, 10_000 * cost))
        patch.setattr(Clock, "fits", lambda self, cost, n: len(self._paces) < 2)
        if spread:
            spread_trials("none", patch)
        refused = command(*words, "--time-limit", "10m", check=False)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    least = duration(10_000 * 3 * point_costs(load_experiment(compared_config)).min())
    assert f"--time-limit is too short for every point: one takes at least {least}, and 9 min 48 s" in refused.stderr
    assert "give more time, or at least 2 processes that simulate" in refused.stderr
    assert (states(path) == PENDING).all()
    command(*words)


def test_workers_say_how_fast_trials_were_that_are_not_stored(compared_config: Path) -> None:
    task = Task(all_trials(load_experiment(compared_config))[0], 4.0)
    point = PointTask(task.trial.index[:-1], (task, task), (), (), 8.0)
    tally = Tally(Clock(Limits()))
    assert tally.best_pace == 0
    for pace in (3.0, 0.0, 2.0):
        outcome = Outcome(task, {"wall_s": 8.0}, pace=pace)
        kept = SpreadPoints([point], lambda task: True, kept=True).completed([outcome])
        assert kept == [outcome], "it is stored"
        left = SpreadPoints([point], lambda task: True, kept=False).completed([outcome])
        assert not any(each.values for each in left)
        tally.store(left, Anything(), Anything())
    assert tally.best_pace == 2.0
    clock = Clock(Limits(job_s=100.0))
    clock.note(2.0, 9.0)
    assert Tally(clock, own_clock=True).best_pace == 0, "the first trial loads the kernels"
    clock.note(2.0, 3.0)
    assert Tally(clock, own_clock=True).best_pace == 1.5


class Anything:
    """A writer and a progress that do nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def test_a_wait_for_another_process_that_compiles_ends_with_a_stop(
    compared_config: Path, two_steps: tuple[Path, Path], command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sweep.h5"
    words = ("run", compared_config, "-o", path, "--compare")
    lock = compile_lock.CompileLock(tmp_path)
    monkeypatch.setattr(lock, "_locked", lambda name: False)
    original = point_worker.compared_at

    def waiting(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        lock.acquire("a.kernel")
        return original(*arguments)

    monkeypatch.setattr(compile_lock, "PATIENCE_S", 5.0)
    with monkeypatch.context() as patch:
        patch.setattr(point_worker, "compared_at", waiting)
        assert command(*words, check=False).returncode == 75
    assert (states(path) == DONE).sum() == 3
    with h5py.File(comparison_path(path), "r", locking=False) as file:
        assert not file["n_compared"][()].any()
    command(*words)
    require_same(comparison_path(path), two_steps[1])
