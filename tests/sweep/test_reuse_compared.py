"""`run --compare --reuse` without traces: the results of finished points are copied, and every variable is the same."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from sweep_state import history, require_same, states

import hpcmass.sweep.reuse_compared as reuse_compared
from hpcmass.store.files import RawFile
from hpcmass.store.schema import DONE, FAILED, PENDING, comparison_path
from hpcmass.sweep import in_situ, point_worker
from hpcmass.sweep.limits import Clock

Run = Callable[..., Any]

OWN = """
import numpy as np
from hpcmass import mass_model, statistic

@mass_model("SUM")
def total(traces, network, mass):
    return network.v_leak_mv + 10 * np.cumsum(traces.phi_E.astype(float) - traces.phi_I) * network.dt_ms / 100

@statistic("step", unit="mV", pvalue=True)
def step(trace, dt_ms):
    return float(np.abs(np.diff(trace)).mean()), 0.5
"""


@pytest.fixture(scope="module")
def configs(config: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A coarse grid without traces, with a fitted model, an own one and an own statistic; and a finer one."""
    directory = tmp_path_factory.mktemp("configs")
    own = directory / "own.py"
    own.write_text(OWN)
    coarse, fine = directory / "coarse.yml", directory / "fine.yml"
    text = config.read_text().replace("compare: {", f"compare: {{statistics: ['{own}:step'], ")
    coarse.write_text(f"{text}mass: {{models: [CFM, LIN, '{own}:SUM']}}\ntraces: {{keep: none}}\n")
    fine.write_text(coarse.read_text().replace("p: [0.0, 0.1, 1.0]", "p: [0.0, 0.05, 0.1, 1.0]"))
    return coarse, fine


@pytest.fixture(scope="module")
def sweeps(configs: tuple[Path, Path], command: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Both, each run on its own."""
    directory = tmp_path_factory.mktemp("sweeps")
    paths = directory / "coarse.h5", directory / "fine.h5"
    for config, path in zip(configs, paths, strict=True):
        command("run", config, "-o", path, "--compare")
    return paths


NEW = {(1, j, k) for j in (0, 1) for k in (0, 1)}
"""Trials that the finer grid has and the coarse one has not."""


def require_only_new(path: Path, sweeps: tuple[Path, Path], simulated: list[tuple[int, ...]]) -> None:
    """Only the new trials were simulated; sweep and comparison have the bits of the finer sweep on its own."""
    assert sorted(simulated) == sorted(NEW)
    require_same(comparison_path(path), comparison_path(sweeps[1]))
    require_same(path, sweeps[1], but=("kernel_s", "wall_s", "rank"))


def test_the_comparison_is_that_of_the_whole_sweep(
    configs: tuple[Path, Path],
    sweeps: tuple[Path, Path],
    command: Run,
    tmp_path: Path,
    simulated: list[tuple[int, ...]],
) -> None:
    path = tmp_path / "new.h5"
    before = [file.read_bytes() for file in (sweeps[0], comparison_path(sweeps[0]))]
    words = ("run", configs[1], "-o", path, "--compare", "--reuse", sweeps[0])
    done = command(*words)
    what = f"12 trials and the comparison of 6 points copied from {sweeps[0]} and {comparison_path(sweeps[0])}"
    assert what in done.stderr
    assert "4 of 16 trials to do (12 are done already)" in done.stderr
    assert "8 of 8 points, 16 trials compared" in done.stdout
    require_only_new(path, sweeps, simulated)
    to_copy = "12 trials and the comparison of 6 points to copy from"
    assert any(f"{to_copy} coarse.h5" in line for line in history(path))
    assert any(f"{to_copy} coarse-cmp.h5" in line for line in history(comparison_path(path)))
    assert [file.read_bytes() for file in (sweeps[0], comparison_path(sweeps[0]))] == before
    assert "nothing to do" in command(*words).stderr
    assert len(simulated) == len(NEW)


def test_a_sweep_of_which_every_point_is_there(
    configs: tuple[Path, Path], sweeps: tuple[Path, Path], command: Run, tmp_path: Path, simulated: list[Any]
) -> None:
    path = tmp_path / "new.h5"
    command("run", configs[0], "-o", path, "--compare", "--reuse", sweeps[1])
    assert simulated == []
    require_same(comparison_path(path), comparison_path(sweeps[0]))


def test_parts_and_a_sweep_with_every_trace(
    configs: tuple[Path, Path], sweeps: tuple[Path, Path], command: Run, tmp_path: Path, simulated: list[Any]
) -> None:
    part, every, path = (tmp_path / name for name in ("part.h5", "every.h5", "new.h5"))
    command("run", configs[0], "-o", part, "--compare", "--part", "1/2")
    command("run", configs[0], "-o", every, "--set", "traces.keep=all")
    words = ("run", configs[1], "-o", path, "--compare", "--reuse", part, "--reuse", every)
    refused = command(*words, check=False)
    assert refused.returncode == 2
    assert f"{every} has no comparison to copy" in refused.stderr
    assert f"make one with `hpcmass compare {every} --config CONFIG -o {comparison_path(every)}`" in refused.stderr
    assert not path.exists()
    command("compare", every, "-o", comparison_path(every))
    simulated.clear()
    command(*words)
    require_only_new(path, sweeps, simulated)


def test_incomplete_points_are_simulated_again(
    configs: tuple[Path, Path], sweeps: tuple[Path, Path], command: Run, tmp_path: Path, simulated: list[Any]
) -> None:
    old, path = tmp_path / "old.h5", tmp_path / "new.h5"
    command("run", configs[0], "-o", old, "--compare")
    with h5py.File(old, "r+", locking=False) as file:
        file["status"][0, 0, 1] = FAILED
        file["status"][1, 1] = PENDING
    with h5py.File(comparison_path(old), "r+", locking=False) as file:
        file["n_compared"][2, 0] = 1
        file["compared"][2, 1] = PENDING
    simulated.clear()
    done = command("run", configs[1], "-o", path, "--compare", "--reuse", old)
    assert "4 trials and the comparison of 2 points copied" in done.stderr
    again = {(i, j, k) for i, j in ((0, 0), (2, 1), (3, 0), (3, 1)) for k in (0, 1)}
    assert sorted(simulated) == sorted(NEW | again)
    require_same(comparison_path(path), comparison_path(sweeps[1]))


def test_a_failed_trial_of_the_new_sweep_keeps_its_point(
    configs: tuple[Path, Path], sweeps: tuple[Path, Path], command: Run, tmp_path: Path, simulated: list[Any]
) -> None:
    path = tmp_path / "new.h5"
    words = ("run", configs[1], "-o", path, "--compare", "--reuse", sweeps[0])
    command(*words)
    with h5py.File(path, "r+", locking=False) as file:
        file["status"][0, 0] = (FAILED, PENDING)
    simulated.clear()
    done = command(*words, check=False)
    assert done.returncode == 3
    assert "0 trials and the comparison of 0 points copied" in done.stderr, "the old comparison is of two trials"
    assert simulated == [(0, 0, 1)]
    with h5py.File(comparison_path(path), "r", locking=False) as file:
        assert file["n_compared"][0, 0] == 1
    simulated.clear()
    done = command(*words, "--retry-failed")
    assert simulated == []
    assert "1 trial and the comparison of 1 point copied" in done.stderr
    require_same(comparison_path(path), comparison_path(sweeps[1]))


class Killed(BaseException):
    """Ends a run at once."""


Puts = list[tuple[str, tuple[int, ...], int]]


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> Puts:
    """Marks of points and trials while points are copied, two at a time, as they are written; and `sync`s."""
    seen: Puts = []
    put, sync = RawFile.put, RawFile.sync

    def noting(self: RawFile, name: str, index: Any, value: Any) -> None:
        if name in ("compared", "status") and index:
            seen.append((name, index, int(value)))
        put(self, name, index, value)

    def syncing(self: RawFile) -> None:
        seen.append(("sync", (), 0))
        sync(self)

    monkeypatch.setattr(RawFile, "put", noting)
    monkeypatch.setattr(RawFile, "sync", syncing)
    monkeypatch.setattr(reuse_compared, "POINTS_AT_ONCE", 2)
    return seen


def nth_block(patch: pytest.MonkeyPatch, number: int, act: Callable[[], None], *, of: str) -> None:
    """Act when the results (`_copy_results`), or the trials (`copy_found`), of that block are to be copied."""
    original, calls = getattr(reuse_compared, of), []

    def counting(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == number:
            act()
        original(*arguments)

    patch.setattr(reuse_compared, of, counting)


@pytest.mark.parametrize("where", ["_copy_results", "copy_found"])
def test_a_kill_while_it_copies(
    where: str,
    configs: tuple[Path, Path],
    sweeps: tuple[Path, Path],
    command: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    simulated: list[Any],
    puts: Puts,
) -> None:
    path = tmp_path / "new.h5"
    words = ("run", configs[1], "-o", path, "--compare", "--reuse", sweeps[0])

    def kill(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        nth_block(patch, 2, kill, of=where)
        with pytest.raises(Killed):
            command(*words)
    first = list(puts)
    copied = {(0, 0), (0, 1)}
    assert set(map(tuple, np.argwhere((states(path) == DONE).all(axis=-1)).tolist())) == copied
    assert (states(path) == DONE).sum() == 4
    assert any("12 trials and the comparison of 6 points to copy from coarse.h5" in line for line in history(path))
    assert "2 of 8 points" in command("compare", path, "-o", tmp_path / "fresh.h5").stdout
    with h5py.File(comparison_path(path), "r", locking=False) as file:
        assert (file["compared"][()] == DONE).sum() == (2 if where == "_copy_results" else 4)
    puts.clear()
    with monkeypatch.context() as patch:
        patch.setattr(in_situ.InSitu, "_begin", kill)  # before the others are simulated
        with pytest.raises(Killed):
            command(*words)
    for name, n in (("compared", 6), ("status", 12)):
        marked = [index for what, index, _ in first + puts if what == name]
        assert len(marked) == len(set(marked)) == n, "each is copied once"
    assert simulated == []
    command(*words)
    require_only_new(path, sweeps, simulated)


@pytest.mark.parametrize("how", ["signal", "time limit"])
def test_a_stop_while_it_copies(
    how: str,
    configs: tuple[Path, Path],
    sweeps: tuple[Path, Path],
    command: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    simulated: list[Any],
    puts: Puts,
) -> None:
    path = tmp_path / "new.h5"
    words = ("run", configs[1], "-o", path, "--compare", "--reuse", sweeps[0])

    def stop() -> None:
        if how == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            patch.setattr(Clock, "is_up", lambda self: True)
            patch.setattr(Clock, "fits", lambda self, cost, n_compared: False)

    with monkeypatch.context() as patch:
        nth_block(patch, 2, stop, of="copy_found")
        stopped = command(*words, check=False)
    assert stopped.returncode == 75
    assert "8 trials and the comparison of 4 points copied from" in stopped.stderr
    assert "; the next start copies 2 more points" in stopped.stderr
    why = "by a signal" if how == "signal" else "at the time limit"
    assert f"stopped {why}, 8 trials are left; the same command continues" in stopped.stderr
    assert "4 of 8 points, 8 trials compared" in stopped.stdout
    assert simulated == []
    assert (states(path) == DONE).sum() == 8
    puts.clear()
    command(*words)
    marked = {index for name, index, value in puts if name == "compared" and value == DONE}
    assert marked == {(1, 0), (1, 1), (3, 0), (3, 1)}
    require_only_new(path, sweeps, simulated)


def test_results_reach_the_disk_before_their_trials_are_marked(
    configs: tuple[Path, Path],
    sweeps: tuple[Path, Path],
    command: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    puts: Puts,
) -> None:
    def kill(self: Any) -> None:
        raise Killed

    monkeypatch.setattr(in_situ.InSitu, "_begin", kill)
    with pytest.raises(Killed):
        command("run", configs[1], "-o", tmp_path / "new.h5", "--compare", "--reuse", sweeps[0])
    block = ["sync", *["compared"] * 2, "sync", "sync", *["status"] * 4, "sync"]
    assert [name for name, _, _ in puts] == 3 * block, "four syncs a block"


def test_a_long_copy_shows_its_progress(
    configs: tuple[Path, Path],
    sweeps: tuple[Path, Path],
    command: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("run", configs[1], "--compare", "--reuse", sweeps[0], "-o")
    monkeypatch.setattr(reuse_compared, "POINTS_AT_ONCE", 2)
    assert "copied points" not in command(*words, tmp_path / "short.h5").stderr
    monkeypatch.setattr(reuse_compared, "CADENCE_S", 0.0)
    assert "6/6 copied points (100 %), " in command(*words, tmp_path / "long.h5").stderr


def test_a_stop_after_the_copy_is_continued_without_reuse(
    configs: tuple[Path, Path],
    sweeps: tuple[Path, Path],
    command: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    simulated: list[Any],
) -> None:
    path = tmp_path / "new.h5"
    words = ("run", configs[1], "-o", path, "--compare")
    noting = point_worker.ComparingWorker.simulate

    def stopping(self: Any, task: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return noting(self, task)

    with monkeypatch.context() as patch:
        patch.setattr(point_worker.ComparingWorker, "simulate", stopping)
        assert command(*words, "--reuse", sweeps[0], check=False).returncode == 75
    assert (states(path) == DONE).sum() == 12
    simulated.clear()
    command(*words)
    assert sorted(simulated) == sorted(NEW)
    require_same(comparison_path(path), comparison_path(sweeps[1]))


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("mass.tau_s_ms=7", "was made with other settings (mass.tau_s_ms is 5.0 there and 7.0 here)"),
        ("mass.models=[CFM]", "was made with other settings (mass.models is ('CFM', 'LIN', 'SUM') there and ('CFM',)"),
        ("compare.alpha=0.2", "was made with other settings (compare.alpha is 0.01 there and 0.2 here)"),
        ("trials=3", "compares 2 trials of each point, and trials is 3 here"),
        ("network.w_E=0.03", "has other physics (network.w_E is 0.02 there and 0.03 here)"),
    ],
)
def test_another_setting_is_refused(
    setting: str, why: str, configs: tuple[Path, Path], sweeps: tuple[Path, Path], command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "new.h5"
    words = ("run", configs[1], "-o", path, "--compare", "--reuse", sweeps[0], "--set", setting)
    refused = command(*words, check=False)
    assert refused.returncode == 2
    assert why in refused.stderr
    assert refused.stderr.endswith("leave out --reuse, or give another file\n")
    assert list(tmp_path.iterdir()) == []


def test_a_file_keeps_its_own_settings(
    configs: tuple[Path, Path], sweeps: tuple[Path, Path], command: Run, tmp_path: Path
) -> None:
    """On a resume the file's settings count, not those of the configuration."""
    path = tmp_path / "new.h5"
    command("run", configs[1], "-o", path, "--compare", "--set", "mass.tau_s_ms=7")
    with h5py.File(path, "r+", locking=False) as file:
        file["status"][0] = PENDING
    refused = command("run", configs[1], "-o", path, "--compare", "--reuse", sweeps[0], check=False)
    assert refused.returncode == 2
    assert "mass.tau_s_ms is 5.0 there and 7.0 here" in refused.stderr
    assert (states(path)[0] == PENDING).all()


def test_other_code_is_refused(configs: tuple[Path, Path], command: Run, tmp_path: Path) -> None:
    own, old = tmp_path / "mine.py", tmp_path / "old.h5"
    own.write_text(OWN)
    models = ("--set", f"mass.models=['{own}:SUM']", "--set", "statistics=[]")
    command("run", configs[0], "-o", old, "--compare", *models)
    own.write_text(OWN.replace("10 *", "11 *"))
    words = ("run", configs[1], "-o", tmp_path / "new.h5", "--compare", "--reuse", old, *models)
    refused = command(*words, check=False)
    assert refused.returncode == 2
    assert "was made with other code of SUM; leave out --reuse" in refused.stderr
    assert not (tmp_path / "new.h5").exists()


def test_refine_prints_the_command(
    configs: tuple[Path, Path], sweeps: tuple[Path, Path], command: Run, tmp_path: Path, simulated: list[Any]
) -> None:
    refined, path = tmp_path / "refined.yml", tmp_path / "refined.h5"
    cmp = comparison_path(sweeps[0])
    done = command("refine", cmp, "--difference", "1e-9", "--by", "rate_E", "-o", refined)
    assert f"next: hpcmass run {refined} --compare --reuse {sweeps[0]} -o {path}" in done.stderr
    command("run", refined, "--compare", "--reuse", sweeps[0], "-o", path)
    assert len(simulated) == (states(path) == DONE).sum() - 12
    alone = tmp_path / "alone.h5"
    command("run", refined, "--compare", "-o", alone)
    require_same(comparison_path(path), comparison_path(alone))
    with h5py.File(comparison_path(path), "r", locking=False) as file:
        assert np.isfinite(file["rho_qvalue"][()]).any()
