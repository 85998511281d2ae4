"""What is too large is refused as it is read, in a time that does not grow with the size."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcmass.cli import main
from hpcmass.commands import advice
from hpcmass.commands.advice import bytes_text
from hpcmass.commands.run import _inspect as inspect
from hpcmass.config import Experiment, NetworkParameters, limits
from hpcmass.config.file import load_experiment, parse_experiment
from hpcmass.config.network import SWEEPABLE
from hpcmass.errors import ConfigError, UserError
from hpcmass.network import Network
from hpcmass.network.simulation import LONGEST_CHUNK
from hpcmass.store.schema import SWEEP_VARIABLES

TINY = """\
trials: 2
network: {n_neurons: 200, n_external: 200, p_ext: 1.0, w_ext: 0.1, duration_ms: 400.0, transient_ms: 100.0}
grid: {p: [0.1, 0.5, 1.0], lam: [0.5, 0.8, 1.0]}
"""
HUGE = "grid: {p: {linspace: [0, 1, 100000]}, lam: {linspace: [0, 1, 100000]}}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yml"
    path.write_text(TINY)
    return path


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_experiment(text, "my.yml")
    (line,) = caught.value.problems
    return line


def test_a_sweep_of_too_many_trials():
    assert refusal(HUGE) == (
        "grid: 100000 x 100000 points with 10 trials each are 100 000 000 000 trials, and a sweep may have 10 000 000; "
        "make the grid coarser, or run several sweeps"
    )


@pytest.mark.parametrize(("trials", "good"), [(10, True), (11, False)])
def test_the_limit_itself_is_allowed(trials: int, good: bool):
    text = f"trials: {trials}\ngrid: {{p: {{linspace: [0, 1, 1000]}}, lam: {{linspace: [0, 1, 1000]}}}}\n"
    if good:
        parse_experiment(text)
    else:
        assert "11 000 000 trials" in refusal(text)


@pytest.mark.parametrize("command", ["validate", "plan", "run", "trial"])
def test_every_command_refuses_it(command: str, config: Path, python_run: Callable[..., Any]):
    config.write_text(HUGE)
    more = {"run": ["-o", config.with_suffix(".h5")], "trial": ["--p", "0.5", "--lam", "0.5"]}.get(command, [])
    done = python_run("-m", "hpcmass", command, config, *more, check=False)
    assert done.returncode == 2
    assert "100 000 000 000 trials" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(config.parent.iterdir()) == [config]


def test_the_file_of_the_largest_sweep_can_be_addressed():
    """With 63 bits: what is refused for its trials and its steps need not be refused for its file."""
    per_step = sum(np.dtype(v.dtype).itemsize for v in SWEEP_VARIABLES.values() if v.role == "trace")
    assert limits.MOST_TRIALS * limits.MOST_STEPS * per_step < 2**63


@pytest.mark.parametrize(
    ("network", "printed"),
    [
        ("duration_ms: 1.0e+12", "network.duration_ms: must be at most 1 000 000 000 steps of dt_ms = 0.1, not 1000"),
        ("duration_ms: 1.0e+308", "network.duration_ms: must be at most"),
        ("dt_ms: 5.0e-324", "network.duration_ms: must be at most"),
        (
            "dt_ms: 1.0e-8",
            "network.duration_ms: must be at most 1 000 000 000 steps of dt_ms = 1e-08, not 30000.0, its",
        ),
        ("t_ref_ms: 1.0e+308", "network.t_ref_ms: must be at most"),
        ("external_rate_hz: 1.0e+12", "network: one trial with n_neurons = 10000, n_external = 10000, duration_ms"),
        ("external_rate_hz: 1.0e+300", "GiB of memory, and the limit is 1024 GiB"),
        ("n_neurons: 65535, t_ref_ms: 9.0e+7, duration_ms: 9.0e+7", "one trial with n_neurons = 65535"),
    ],
)
def test_a_trial_too_large_for_any_machine(network: str, printed: str):
    with pytest.raises(ConfigError) as caught:
        parse_experiment(f"grid: {{p: 0.5, lam: 0.8}}\nnetwork: {{{network}}}\n", "my.yml")
    assert printed in str(caught.value)


def test_a_swept_parameter_counts_with_its_largest_value():
    assert "external_rate_hz = 1e+12" in refusal("grid: {p: 0.5, lam: 0.8, external_rate_hz: [5, 1.0e+12]}\n")


@pytest.mark.parametrize(
    "changed",
    [
        {"n_neurons": 5000, "n_external": 3000},
        {"t_ref_ms": 300.0},
        {"delay_ms": 90.0},
        {"n_external": 20_000},
        {"n_external": 20_000, "p_ext_I": 0.1},
        {"n_neurons": 3},
    ],
)
def test_the_memory_of_a_trial_is_that_of_its_arrays(changed: dict[str, float]):
    """The graphs and the refractory steps, as a network has them; the traces, by what was measured."""
    parameters = NetworkParameters.model_validate({"duration_ms": 500.0, "transient_ms": 100.0, **changed})
    network = Network(parameters, 0.1, 0.4, (1, 2, 3, 4))
    arrays = network.graph.rows.nbytes + network.graph_ext.rows.nbytes + network.state.ring.nbytes
    if network.state.travelling is not None:
        arrays += network.state.travelling.nbytes
    if parameters.p_ext_I > 0:  # its connections are drawn as a graph of their own
        arrays += network.graph_ext.rows[:-1].nbytes
    traces = limits.BYTES_PER_STEP * parameters.n_steps
    events = limits.BYTES_PER_EVENT * parameters.n_external * 0.0005 * parameters.n_steps
    assert limits.trial_bytes({**parameters.model_dump(), "lam": 0.4}) == pytest.approx(
        arrays + traces + events, abs=1000
    )


def test_external_spikes_of_many_steps_are_not_made_at_a_time():
    long, longer = (
        {**NetworkParameters().model_dump(), "lam": 0.8, "external_rate_hz": 500.0, "duration_ms": d}
        for d in (1e4, 2e4)
    )
    grown = limits.trial_bytes(longer) - limits.trial_bytes(long)
    assert grown == limits.BYTES_PER_STEP * 100_000


def test_that_many_steps_are_made_at_a_time():
    assert limits.STEPS_AT_A_TIME == LONGEST_CHUNK


def test_twenty_axes_are_checked_in_pairs(monkeypatch: pytest.MonkeyPatch):
    """Their corners are a million."""
    looked = []
    at = Experiment.network_at
    monkeypatch.setattr(Experiment, "network_at", lambda self, values: looked.append(1) or at(self, values))
    network = NetworkParameters()
    names = SWEEPABLE[2:22]
    above = {name: max(getattr(network, name) * 1.001, getattr(network, name) + 0.001) for name in names}
    above |= {"n_neurons": 10_001, "n_external": 10_001}
    grid = {name: [getattr(network, name), above[name]] for name in names}
    assert math.prod(len(values) for values in grid.values()) > 400_000
    Experiment.model_validate({"trials": 1, "grid": {"p": 0.5, "lam": 0.5, **grid}})
    assert len(looked) < 1000


def test_a_condition_between_two_of_many_axes():
    lines = refusal(
        "grid: {p: 0.1, lam: 0.8, w_E: [0, 1], v_reset_mv: [-60, -50], w_I: [0, 1], v_threshold_mv: [-55, -40]}"
    )
    assert lines == (
        "grid: at v_reset_mv = -50, v_threshold_mv = -55, w_E = 0, w_I = 0: v_threshold_mv must be above "
        "v_reset_mv = -50"
    )


def test_a_machine_that_cannot_hold_one_trial(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Refused where it would run; otherwise a warning."""
    monkeypatch.setattr(advice, "machine_bytes", lambda: 500_000)
    for command in (["plan"], ["trial", "--p", "0.5", "--lam", "0.5"]):
        assert main([command[0], str(config), *command[1:]]) == 2
        assert "one trial takes at least 0.6" in capsys.readouterr().err
    with pytest.raises(UserError, match="one trial takes at least"):
        inspect(load_experiment(config), False)  # what `run` does, without its MPI
    assert main(["validate", str(config)]) == 0
    printed = capsys.readouterr()
    assert f"hpcmass: {config}: one trial takes at least" in printed.err
    assert "is valid" in printed.out


def test_a_machine_that_cannot_hold_the_recordings_of_a_point(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """They count where the run compares, as the one of `plan` does where not all traces are kept."""
    of_one_trial = 700_000
    monkeypatch.setattr(advice, "machine_bytes", lambda: of_one_trial)
    why = "to compare 2 trials of a point during the run takes at least 0.93 MB of memory, and this machine has 0.7 MB"
    few_traces = ["--set", "traces.keep=none", "--set", "compare.max_lag_ms=20"]
    assert main(["plan", str(config), *few_traces]) == 2
    assert why in capsys.readouterr().err
    assert main(["validate", str(config), *few_traces]) == 0
    assert why in capsys.readouterr().err
    experiment = load_experiment(config)
    inspect(experiment, False)
    with pytest.raises(UserError, match="make the trials fewer or shorter, or use a larger machine"):
        inspect(experiment, True)


def test_a_machine_of_unknown_memory_accepts_anything(config: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(advice, "machine_bytes", lambda: None)
    assert main(["validate", str(config)]) == 0


def test_validate_prints_the_size(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["validate", str(config)]) == 0
    assert "axes p (3), lam (3), 9 points, 18 trials of 0.4 s, sweep file 1.7 MB, physics " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("size", "text"), [(1.2e5, "0.12 MB"), (1.23e7, "12 MB"), (1.234e9, "1.23 GB"), (5e12, "5 TB"), (2e17, "200 PB")]
)
def test_sizes(size: float, text: str):
    assert bytes_text(size) == text


def test_the_memory_of_this_machine():
    there = advice.machine_bytes()
    assert there is None or there > 10**8
