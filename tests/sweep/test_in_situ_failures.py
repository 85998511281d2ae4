"""`run --compare` with a model or a statistic that fails: the sweep goes on, and says so at the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numba.core.errors import TypingError

from hpcmass.compare import rehearsal
from hpcmass.mass.contract import ModelError
from hpcmass.store.schema import DONE, FAILED, comparison_path
from hpcmass.sweep import point_worker

Run = Callable[..., Any]

OWN = """
import numpy as np
from hpcmass import mass_model, statistic

BROKEN = True

@mass_model("LEAKY")
def leaky(traces, network, mass):
    if BROKEN and traces.phi_E.max() == 0:
        raise ArithmeticError("no input")
    return traces.mean_v.astype(float) + traces.phi_ext

@statistic("roughness", unit="mV/ms")
def roughness(trace, dt_ms):
    made_of_noise = abs(trace.std() - 10 / 12**0.5) < 0.1
    if BROKEN and not made_of_noise and int(1e4 * abs(trace[0])) % 3 == 0:
        return "rough"
    return float(np.abs(np.diff(trace)).mean() / dt_ms)
"""
"""The model fails where no neuron is connected (p = 0), the statistic in some trials; neither of them on noise."""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def words(config: Path, own: Path, sweep: Path, *more: object) -> list[object]:
    models, statistics = f"mass.models=[CFM, '{own}:LEAKY', MFM]", f"statistics=['{own}:roughness']"
    return ["run", config, "-o", sweep, "--compare", "--set", models, "--set", statistics, *more]


def contents(sweep: Path) -> dict[str, Any]:
    with h5py.File(comparison_path(sweep), "r", locking=False) as file:
        return {name: file[name][()] for name in file if file[name].dtype.kind != "O"}


NONE = ("--set", "traces.keep=none")


@pytest.mark.parametrize("more", [(), NONE])
def test_a_model_that_fails_at_some_points_has_no_results_there(
    more: tuple[str, ...], config: Path, own: Path, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, good = tmp_path / "sweep.h5", tmp_path / "good.h5"
    done = command(*words(config, own, sweep, *more), check=False)
    assert done.returncode == 3
    assert "6 of 6 points, 12 trials compared" in done.stdout
    errors = [line for line in done.stderr.splitlines() if "the mass model LEAKY failed" in line]
    assert len(errors) == 1
    assert "at p = 0, lam = " in errors[0]
    assert "ArithmeticError: no input (own.py, line 10); the sweep goes on" in errors[0]
    found = contents(sweep)
    assert (found["status"] == DONE).all()
    fails = np.zeros((3, 2), bool)
    fails[0] = True
    np.testing.assert_array_equal(found["n_diverged"][..., 1], np.where(fails, 2, 0))
    rough = np.isnan(found["roughness_lif"]) | np.isnan(found["roughness"]).any(axis=-1)
    assert 0 < (rough & ~fails).sum() < 4
    np.testing.assert_array_equal(found["compared"], np.where(fails | rough, FAILED, DONE))
    assert f"failed at {(fails | rough).sum()} of 6 points and have no results there (in this run " in done.stderr
    assert "the mass model LEAKY at 2" in done.stderr

    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "own.py").write_text(OWN.replace("BROKEN = True", "BROKEN = False"))
    command(*words(config, whole / "own.py", good, *more))
    expected = contents(good)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if name in ("wall_s", "kernel_s", "compared") or name.endswith("_qvalue"):
            continue
        ours, theirs = found[name], values
        if name.startswith("roughness"):
            kept = ~np.isnan(ours)
            assert 0 < kept.sum() < kept.size
            np.testing.assert_array_equal(ours[kept], theirs[kept], err_msg=name)
            continue
        if ours.ndim > 2 and 3 in ours.shape[2:]:
            axis = 2 + ours.shape[2:].index(3)
            ours, theirs = np.delete(ours, 1, axis), np.delete(theirs, 1, axis)
        np.testing.assert_array_equal(ours, theirs, err_msg=name)

    monkeypatch.setattr(point_worker.ComparingWorker, "run", None)
    again = command(*words(config, own, sweep, *more), check=False)
    assert again.returncode == 3, "also of a start that does nothing"
    assert "nothing to do" in again.stderr
    copied = tmp_path / "copied-cmp.h5"
    if more:
        assert command("compare", sweep, "-o", copied, check=False).returncode == 3
        with h5py.File(copied) as file:
            np.testing.assert_array_equal(file["compared"][()], found["compared"])
        summary = command("summary", copied).stdout
        assert f"a model or a statistic failed at {(fails | rough).sum()} points" in " ".join(summary.split())
    else:
        refused = command("compare", sweep, "-o", copied, check=False)
        assert refused.returncode == 2
        assert "LEAKY failed" in refused.stderr or "roughness returned a str" in refused.stderr


@pytest.mark.process
def test_failures_do_not_depend_on_the_number_of_processes(
    config: Path, own: Path, command: Run, tmp_path: Path
) -> None:
    alone, two = tmp_path / "alone.h5", tmp_path / "two.h5"
    command(*words(config, own, alone, *NONE), check=False)
    done = command(*words(config, own, two, *NONE, "-j", "2"), check=False)
    assert done.returncode == 3
    assert sum("the mass model LEAKY failed" in line for line in done.stderr.splitlines()) == 1
    found, expected = contents(two), contents(alone)
    assert [name for name in expected if found[name].tobytes() != expected[name].tobytes()] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "        phi_E\n",
            "the mass model LEAKY failed, NameError: name 'phi_E' is not defined (own.py, line 10)",
        ),
        ("        traces.phi\n", "the mass model LEAKY failed, AttributeError: "),
        ("        len(3)\n", "the mass model LEAKY failed, TypeError: "),
        ("        import no_such_module\n", "the mass model LEAKY failed, ModuleNotFoundError: "),
        (
            "        traces.phi_E[0] = 1\n",
            "the mass model LEAKY failed, ValueError: assignment destination",
        ),
        ("        return traces.mean_v[1:]\n", "the mass model LEAKY returned an array of shape (1999,)"),
        ("statistic", "the statistic roughness returned a str"),
    ],
    ids=["name", "attribute", "type", "import", "read-only", "length", "statistic"],
)
def test_what_fails_on_noise_is_refused_before_the_sweep(
    text: str, message: str, config: Path, own: Path, command: Run, tmp_path: Path
) -> None:
    if text == "statistic":
        text = OWN.replace("not made_of_noise", "True").replace("% 3 == 0", "> 0")
    else:
        condition, error = "traces.phi_E.max() == 0", '        raise ArithmeticError("no input")\n'
        text = OWN.replace(condition, "True").replace(error, text)
    own.write_text(text)
    refused = command(*words(config, own, tmp_path / "sweep.h5"), check=False)
    assert refused.returncode == 2
    assert "trying own models and statistics on noise" in refused.stderr
    assert f"before the first trial, on a recording of noise: {message}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "sweep.h5").exists()


def test_an_error_that_noise_may_cause_is_a_warning(config: Path, own: Path, command: Run, tmp_path: Path) -> None:
    own.write_text(OWN.replace("traces.phi_E.max() == 0", "abs(traces.mean_v.std() - 10 / 12**0.5) < 0.1"))
    sweep = tmp_path / "sweep.h5"
    done = command("run", config, "-o", sweep, "--compare", "--set", f"mass.models=['{own}:LEAKY']")
    warned = [line for line in done.stderr.splitlines() if "recording of noise" in line]
    assert len(warned) == 1
    assert (
        "on a recording of noise, the mass model LEAKY failed, ArithmeticError: no input (own.py, line 10); at points "
        "where it fails it will have no results" in warned[0]
    )
    assert (contents(sweep)["compared"] == DONE).all()


def test_what_numba_cannot_compile_is_a_bug() -> None:
    error = ModelError("the mass model M failed")
    error.__cause__ = TypingError("no such function")
    assert error.is_bug
    error.__cause__ = ValueError("no convergence")
    assert not error.is_bug


@pytest.mark.parametrize("more", [(), NONE])
def test_a_stop_while_models_are_tried_ends_the_run(
    more: tuple[str, ...], config: Path, own: Path, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, original = tmp_path / "sweep.h5", rehearsal._noise
    made: list[int] = []

    def noise(network: Any, number: int) -> Any:
        made.append(number)
        os.kill(os.getpid(), signal.SIGTERM)
        return original(network, number)

    with monkeypatch.context() as patch:
        patch.setattr(rehearsal, "_noise", noise)
        stopped = command(*words(config, own, sweep, *more), check=False)
    assert stopped.returncode == 75
    assert made == [0], "of two"
    assert "stopped by a signal, 12 trials are left" in stopped.stderr
    assert command(*words(config, own, sweep, *more), check=False).returncode == 3


@pytest.mark.parametrize(("more", "n_simulated"), [((), 0), (NONE, 12)])
def test_a_corrected_model_compares_anew_as_the_refusal_says(
    more: tuple[str, ...],
    n_simulated: int,
    config: Path,
    own: Path,
    command: Run,
    tmp_path: Path,
    simulated: list[tuple[int, ...]],
) -> None:
    sweep = tmp_path / "sweep.h5"
    command(*words(config, own, sweep, *more), check=False)
    before = contents(sweep)
    own.write_text(OWN.replace("BROKEN = True", "BROKEN = False"))
    refused = command(*words(config, own, sweep, *more), check=False)
    assert refused.returncode == 2
    way = "simulates the trials that are done once more" if more else "takes the trials that are done from the sweep"
    assert f"{comparison_path(sweep)} was made with other code of LEAKY, roughness" in refused.stderr
    assert f"move it away and start the same command again, which {way}" in refused.stderr
    if more:
        copied = command("compare", sweep, "-o", tmp_path / "copied.h5", check=False)
        assert "move it away and start the run again, which simulates all trials again" in copied.stderr

    else:
        command("compare", sweep, "-o", tmp_path / "corrected.h5")
    recordings = sweep.read_bytes()
    comparison_path(sweep).rename(tmp_path / "old.h5")
    simulated.clear()
    command(*words(config, own, sweep, *more))
    assert len(simulated) == n_simulated
    assert sweep.read_bytes() == recordings
    found = contents(sweep)
    assert (found["compared"] == DONE).all()
    assert np.isfinite(found["rho"][..., 1]).all()
    np.testing.assert_array_equal(found["rho"][..., 0], before["rho"][..., 0])
