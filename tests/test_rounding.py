"""A time that is not a whole number of steps is rounded, with a message: the key, the time given, the time used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcmass.cli import main
from hpcmass.commands.run import _inspect as inspect
from hpcmass.config import NetworkParameters
from hpcmass.config.file import load_experiment
from hpcmass.config.rounding import rounded_times
from hpcmass.network import Network

CONFIG = """
trials: 1
network: {n_neurons: 200, n_external: 200, p_ext: 1.0, w_ext: 0.1, duration_ms: 400.0, transient_ms: 100.04}
grid: {p: 0.5, lam: 0.8, t_ref_ms: [2.0, 2.05, 2.07]}
"""
TRANSIENT = "network.transient_ms: 100.04 ms is not a multiple of dt_ms = 0.1; 100 ms is used"


def rounded(**network: Any) -> list[str]:
    return rounded_times(NetworkParameters.model_validate(network), {})


def test_each_key_is_named_with_what_is_given_and_what_is_used():
    assert rounded(duration_ms=500.06, transient_ms=100.04, t_ref_ms=0.04) == [
        "network.duration_ms: 500.06 ms is not a multiple of dt_ms = 0.1; 500.1 ms is used",
        TRANSIENT,
        "network.t_ref_ms: 0.04 ms is not a multiple of dt_ms = 0.1; 0 ms is used",
    ]


def test_a_delay_is_one_step_at_the_least():
    assert rounded(delay_ms=0.04) == ["network.delay_ms: 0.04 ms is not a multiple of dt_ms = 0.1; 0.1 ms is used"]
    assert rounded(delay_ms=1.26) == ["network.delay_ms: 1.26 ms is not a multiple of dt_ms = 0.1; 1.3 ms is used"]
    assert [NetworkParameters(delay_ms=d).n_delay for d in (0.0, 0.04, 0.1, 0.16, 1.26)] == [1, 1, 1, 2, 13]
    assert rounded(delay_ms=0.0) == []


def test_the_rounded_time_in_the_message_is_the_one_used():
    network = NetworkParameters.model_validate(
        {"n_neurons": 64, "dt_ms": 0.3, "duration_ms": 100.0, "transient_ms": 10.0, "t_ref_ms": 1.0}
    )
    printed = rounded_times(network, {})
    for sentence, steps in zip(printed, (network.n_steps, network.n_transient, _held(network)), strict=True):
        assert float(sentence.split("; ")[1].split(" ms")[0]) == pytest.approx(steps * 0.3)


def _held(network: NetworkParameters) -> int:
    """Steps of the refractory period, as a network keeps them: a row of bits each, and one for the step itself."""
    found = Network(network, 0.1, 0.5, (1, 2, 3, 4))
    return found.state.ring.size // found.wiring.width - 1


@given(steps=st.integers(100, 10**8), dt=st.sampled_from([0.1, 0.05, 0.01, 0.2, 0.3, 0.7, 1 / 3, 1e-3, 0.025]))
def test_floating_point_alone_is_no_rounding(steps: int, dt: float):
    """0.3 / 0.1 is 2.9999999999999996."""
    times = {"duration_ms": steps * dt, "transient_ms": (steps // 3) * dt, "t_ref_ms": (steps // 7) * dt}
    assert rounded_times(NetworkParameters.model_construct(dt_ms=dt, **times), {}) == []
    decimals = {name: float(f"{value:.12g}") for name, value in times.items()}
    assert rounded_times(NetworkParameters.model_construct(dt_ms=dt, **decimals), {}) == []


def test_the_defaults_are_multiples():
    assert rounded_times(NetworkParameters(), {}) == []


def test_swept_values_replace_the_networks_own():
    network = NetworkParameters.model_validate({"t_ref_ms": 0.04})
    assert rounded_times(network, {"t_ref_ms": [2.0, 3.0]}) == []
    assert rounded_times(network, {"t_ref_ms": [2.0, 2.06, 2.17]}) == [
        "grid.t_ref_ms: 2.06 ms is not a multiple of dt_ms = 0.1; 2.1 ms is used, and 1 more of its values likewise"
    ]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "my.yml"
    path.write_text(CONFIG)
    return path


def test_commands_say_it(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["validate", str(config)]) == 0
    printed = capsys.readouterr()
    assert f"hpcmass: {config}: {TRANSIENT}\n" in printed.err
    assert "grid.t_ref_ms: 2.05 ms is not a multiple of dt_ms = 0.1; 2 ms is used, and 1 more" in printed.err
    assert "is valid" in printed.out
    inspect(load_experiment(config), False)  # what `run` does first, on rank 0
    printed = capsys.readouterr()
    assert TRANSIENT in printed.err
    assert "grid.t_ref_ms" in printed.err
    assert main(["trial", str(config), "--p", "0.5", "--lam", "0.8", "--at", "t_ref_ms=2.0"]) == 0
    printed = capsys.readouterr()
    assert TRANSIENT in printed.err
    assert "t_ref_ms" not in printed.err
    assert main(["trial", str(config), "--p", "0.5", "--lam", "0.8", "--at", "t_ref_ms=2.17", "-q"]) == 0
    assert capsys.readouterr().err == ""
