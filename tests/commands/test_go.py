"""`hpcmass go`: the steps, their exit codes, and what a rerun does again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import hpcmass.network
from command_line import refused
from hpcmass.cli import main
from hpcmass.errors import TrialFailure
from sweep_contents import n_done

CONFIG = """
trials: 2
root_seed: 5
network: {n_neurons: 100, n_external: 100, duration_ms: 400.0, transient_ms: 50.0, external_rate_hz: 60.0, w_ext: 0.5}
grid: {p: [0.1, 1.0], lam: [0.5, 0.8]}
compare: {max_lag_ms: 20.0}
"""

SWEEP, COMPARISON, PAGE = Path("results/my.h5"), Path("results/my-cmp.h5"), Path("results/my-maps/report.html")

Go = Callable[..., tuple[int, list[str], str]]

pytestmark = pytest.mark.long


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a configuration, made the working directory; figures are not drawn."""
    monkeypatch.chdir(tmp_path)
    Path("my.yml").write_text(CONFIG)

    def drawn(comparison: Path, directory: Path, **how: Any) -> None:
        directory.mkdir(exist_ok=True)
        (directory / "report.html").write_text("a page")

    monkeypatch.setattr(import_module("hpcmass.report.draw"), "draw", drawn)
    return tmp_path


@pytest.fixture
def go(place: Path, capsys: pytest.CaptureFixture[str]) -> Go:
    """Give `go(*options)`: exit code, lines on standard output, standard error."""

    def call(*options: object) -> tuple[int, list[str], str]:
        capsys.readouterr()
        code = main(["go", "my.yml", "-j", "1", *map(str, options)])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return call


def times() -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (SWEEP, COMPARISON, PAGE)}


def made_again(before: dict[Path, int]) -> list[str]:
    return [path.name for path, made in times().items() if made != before[path]]


def touch(path: Path, seconds: float = 1) -> None:
    """Make a file so much newer than now."""
    os.utime(path, (time.time() + seconds,) * 2)


def test_the_page_comes_last_and_a_rerun_does_nothing(go: Go) -> None:
    code, said, err = go()
    assert code == 0
    assert said[:2] == [f"{SWEEP}: 8 of 8 trials done", f"{COMPARISON}: 4 of 4 points, 8 trials compared"]
    assert "The paper's six claims" in said
    assert said[-2:] == ["", str(PAGE)]
    assert "8 of 8 trials to do" in err
    before = times()
    code, again, err = go()
    assert (code, again) == (0, said)
    assert made_again(before) == []
    assert "all 8 trials are done" in err


def test_what_is_outdated_is_made_again(go: Go) -> None:
    go()
    before = times()
    code, _, err = go("--set", "compare.alpha=0.05")
    assert code == 0
    assert "my-cmp.h5 is made again: it was made with other settings (compare.alpha is 0.01 there and 0.05 here)" in err
    assert "my-cmp.h5" in made_again(before)
    assert "report.html" in made_again(before)
    before = times()
    assert go("--set", "compare.alpha=0.05")[0] == 0
    assert made_again(before) == []
    touch(SWEEP)
    before = times()
    _, _, err = go("--set", "compare.alpha=0.05")
    assert "my-cmp.h5 is made again: it is older than the sweep or the program" in err
    assert made_again(before) == ["my-cmp.h5", "report.html"]
    PAGE.unlink()
    go("--set", "compare.alpha=0.05")
    assert PAGE.exists()
    assert sorted(path.name for path in Path("results").iterdir()) == ["my-cmp.h5", "my-maps", "my.h5"]


def test_another_sweep_s_comparison_is_kept(go: Go) -> None:
    go()
    first = COMPARISON.read_bytes()
    code, said, _ = go("--force")
    assert code == 0
    assert said[-1] == str(PAGE)
    assert Path("results/my-cmp.1.h5").read_bytes() == first
    assert n_done(Path("results/my.1.h5")) == 8


def test_a_sweep_that_is_stopped_is_not_compared(go: Go) -> None:
    code, said, err = go("--time-limit", "0.000001s")
    assert code == 75
    assert said == [f"{SWEEP}: 0 of 8 trials done"]
    assert "the same command continues" in err
    assert not COMPARISON.exists()
    assert go()[0] == 0
    assert PAGE.exists()


def test_failed_trials_are_exit_code_3_and_the_others_are_compared(go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate = hpcmass.network.simulate

    def some(network: Any, p: float, lam: float, seed: Any, **options: Any) -> Any:
        if network.n_neurons == 100 and (p, lam) == (1.0, 0.5):
            raise TrialFailure("it exploded")
        return simulate(network, p, lam, seed, **options)

    monkeypatch.setattr(hpcmass.network, "simulate", some)
    code, said, err = go()
    assert code == 3
    assert said[-1] == str(PAGE)
    assert "3 of 4 points, 6 trials compared" in said[1]
    assert "2 trials failed" in err
    assert go()[0] == 3


def test_mistakes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'trials'?" in refused(capsys, "go", "my.yml", "--set", "trails=3")
    assert "there is no mass model 'CFN'" in refused(capsys, "go", "my.yml", "--set", "mass.models=[CFN]")
    assert "max_lag_ms = 1000" in refused(capsys, "go", "my.yml", "--set", "compare.max_lag_ms=1000")
    assert not Path("results").exists(), "before anything is made"
    assert "my.yml is a file; give a directory with -o" in refused(capsys, "go", "my.yml", "-o", "my.yml")
    Path("there").mkdir()
    Path("there/my-cmp.h5").write_text("notes")
    assert "not an HDF5 file" in refused(capsys, "go", "my.yml", "-o", "there")
    assert [(path.name, path.read_text()) for path in Path("there").iterdir()] == [("my-cmp.h5", "notes")]


@pytest.mark.slow
@pytest.mark.process
def test_with_processes_and_real_figures(tmp_path: Path, python_run: Callable[..., Any]) -> None:
    (tmp_path / "my.yml").write_text(CONFIG)
    done = python_run("-m", "hpcmass", "go", "my.yml", "-o", "a/b", "-j", "2", "--set", "trials=1", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "a/b/my-maps/report.html"
    assert "by 2 workers" in done.stderr
    assert (tmp_path / "a/b/my-maps/overview.png").exists()


@pytest.mark.slow
@pytest.mark.mpi
def test_under_mpiexec_it_is_refused(tmp_path: Path, mpi_run: Callable[..., Any]) -> None:
    (tmp_path / "my.yml").write_text(CONFIG)
    done = mpi_run(2, "-m", "hpcmass", "go", "my.yml", check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("works on one machine") == 1
    assert "Traceback" not in done.stderr
