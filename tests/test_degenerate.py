"""Networks that are valid and hardly random: what is said of them, and that ordinary ones are left alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hpcmass import Experiment, run_sweep
from hpcmass.cli import main
from hpcmass.config.file import load_experiment, parse_experiment
from hpcmass.degenerate import degenerate_inputs, largest_conductance, lock_step
from hpcmass.store.parts import SweepParts

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.yml"))
EXAMPLES = {
    found[1]: found[2]
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for found in re.finditer(r'```yaml title="([^"]+)"\n(.*?)```', page.read_text(encoding="utf-8"), re.DOTALL)
    if re.search("^grid:", found[2], re.MULTILINE)
}
"""Name → text of the configurations that the documentation shows."""
SMALL = {"n_neurons": 500, "n_external": 500, "external_rate_hz": 100, "w_E": 0.014, "w_I": 0.08}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_shipped_configurations_are_not_degenerate(path: Path) -> None:
    assert degenerate_inputs(load_experiment(path)) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_nor_are_those_in_the_documentation(name: str) -> None:
    assert degenerate_inputs(parse_experiment(EXAMPLES[name], name)) == []


@pytest.mark.parametrize(
    ("network", "degenerate"),
    [
        ({"p_ext": 1}, True),
        ({"p_ext": 0.9}, False),
        ({"p_ext": 1, "noise_q": 100}, False),  # each neuron has noise of its own, of 1.6 mV
        ({"p_ext": 1, "external_rate_hz": 0}, False),
        ({"p_ext": 1, "n_external": 0}, False),
    ],
)
def test_the_same_input_for_all(network: dict[str, float], degenerate: bool) -> None:
    found = degenerate_inputs(Experiment(grid={"p": 0.2, "lam": 0.8}, network=SMALL | network))
    assert bool(found) is degenerate
    assert not degenerate or "p_ext = 1 gives every excitatory neuron the same external input" in found[0]


def test_the_same_input_for_all_inhibitory_neurons() -> None:
    network = SMALL | {"p_ext_I": 1}
    (found,) = degenerate_inputs(Experiment(grid={"p": 0.2, "lam": 0.8}, network=network))
    assert found.startswith("p_ext_I = 1 gives every inhibitory neuron the same external input")
    assert found.endswith("give p_ext_I below 1, such as 0.1")
    assert degenerate_inputs(Experiment(grid={"p": 0.2, "lam": 1}, network=network)) == []


def test_the_same_input_where_the_external_probability_follows_an_axis() -> None:
    def of(p: list[float], factor: float = 1.0, **noise: object) -> list[str]:
        network = SMALL | {"p_ext": {"times": "p", "factor": factor}} | noise
        return degenerate_inputs(Experiment(grid={"p": p, "lam": 0.8}, network=network))

    assert of([0.1, 1]) == [
        "at p = 1 p_ext = 1 gives every excitatory neuron the same external input, and with little noise they fire in "
        "lock-step; end the axis p below 1, or raise noise_q"
    ]
    assert of([0.1, 0.5], 2.0)[0].endswith("end the axis p below 0.5, or raise noise_q")
    assert of([0.1, 0.9]) == []
    assert of([0.1, 1], noise_q=5e-4, noise_unit="V^2 ms") == []  # 3.5 mV
    assert of([0.1, 1], noise_q=5e-4, noise_unit="mV^2 ms") != []


def test_an_axis_counts_too() -> None:
    assert degenerate_inputs(Experiment(grid={"p": 0.2, "lam": 0.8, "p_ext": [0.1, 1]}, network=SMALL))
    assert not degenerate_inputs(Experiment(grid={"p": 0.2, "lam": 0, "p_ext": [0.1, 1]}, network=SMALL))


def sentences(grid: dict[str, object] | None = None, **network: object) -> list[str]:
    return degenerate_inputs(Experiment(grid={"p": 0.2, "lam": 0.8, **(grid or {})}, network=SMALL | network))


def test_a_resting_neuron_that_fluctuates_beyond_its_threshold() -> None:
    assert sentences(noise_q=500, noise_unit="V^2 ms") == [
        "with noise_q = 500 V^2 ms a resting neuron would fluctuate by 3536 mV (standard deviation), and its threshold "
        "is 20 mV above rest; give a smaller noise_q, or another noise_unit"
    ]
    assert sentences(noise_q=500) == []
    assert sentences(noise_q=16_000) == []  # sqrt(Q / (2 tau_m)) = 20 mV
    assert sentences(noise_q=16_200)[0].startswith(
        "with noise_q = 16200 mV^2 ms a resting neuron would fluctuate by 20.1"
    )
    assert sentences(noise_q=16_200, tau_m_ms=21.0) == []
    assert sentences(noise_q=16_200, v_leak_mv=-75.0) == []
    assert len(sentences({"noise_q": [1, 500]}, noise_unit="V^2 ms")) == 1
    assert len(sentences({"v_leak_mv": [-74, -55]}, noise_q=1000)) == 1, "the end of an axis where there is less room"
    # a threshold below V_L: such a neuron never rests, and the reset counts
    assert sentences(v_leak_mv=-50.0, noise_q=500) == []
    assert len(sentences(v_leak_mv=-50.0, noise_q=500, noise_unit="V^2 ms")) == 1


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("v_inh_mv", 80, "above v_threshold_mv = -54, so that inhibition makes neurons fire; check value and sign"),
        ("v_exc_mv", -60, "below v_threshold_mv = -54, so that its synapses alone make no neuron fire; check"),
        ("v_ext_mv", -60, "below v_threshold_mv = -54, so that its synapses alone make no neuron fire; check"),
    ],
)
def test_a_reversal_potential_on_the_wrong_side_of_the_threshold(key: str, value: float, sentence: str) -> None:
    (found,) = sentences(**{key: value})
    assert found.startswith(f"{key} = {value} is {sentence}")
    assert len(sentences({key: sorted([-54, value])})) == 1
    assert sentences(**{key: -54}) == []
    assert sentences(v_inh_mv=-65) == [], "shunting inhibition"
    without: dict[str, list[dict[str, object]]] = {
        "v_inh_mv": [{"w_I": 0}, {"grid": {"lam": 1}}],
        "v_exc_mv": [{"w_E": 0}, {"grid": {"lam": 0}}],
        "v_ext_mv": [{"w_ext": 0}, {"external_rate_hz": 0}, {"n_external": 0}],
    }
    for nothing in without[key]:
        assert sentences(**{key: value, **nothing}) == [], nothing  # type: ignore[arg-type]


def test_a_step_that_overshoots() -> None:
    grid = {"p": [0.1, 1], "lam": [0.5, 1]}
    (sentence,) = degenerate_inputs(Experiment(grid=grid, network=SMALL | {"dt_ms": 0.5, "w_I": 1.0}))
    assert sentence.startswith("at p = 1, lam = 0.5 dt_ms is 6.3")
    step_ms = float(sentence.split("at most ")[1].split(",")[0])
    assert degenerate_inputs(Experiment(grid=grid, network=SMALL | {"dt_ms": 0.95 * step_ms, "w_I": 1.0})) == []
    assert degenerate_inputs(Experiment(grid=grid, network=SMALL)) == []


def test_the_conductance_of_a_burst_and_of_steady_firing() -> None:
    still = Experiment(grid={"p": 0.2, "lam": 0.8}, network=SMALL | {"external_rate_hz": 0}).network
    assert largest_conductance(still, 0.2, 0.8) == pytest.approx(1 + 100 * (0.8 * 0.014 + 0.2 * 0.08))
    driven = Experiment(grid={"p": 0.2, "lam": 1}, network=SMALL | {"w_I": 0, "w_ext": 0.5}).network
    assert largest_conductance(driven, 0.0, 1.0) == pytest.approx(1 + 0.5 * 5 * 5.0)
    strong = still.model_copy(update={"p_EI": 2.0, "p_II": 0.5})  # now inhibitory neurons get more: 2.24 against 2.02
    assert largest_conductance(strong, 0.2, 0.8) == pytest.approx(
        1 + 100 * max(0.8 * 0.014 + 0.2 * 0.08, 0.8 * 2 * 0.014 + 0.2 * 0.5 * 0.08)
    )
    inhibition = driven.model_copy(update={"p_ext_I": 0.2})
    assert largest_conductance(inhibition, 0.0, 0.5) == pytest.approx(1 + 0.5 * 5 * 10.0)
    assert largest_conductance(inhibition, 0.0, 1.0) == largest_conductance(driven, 0.0, 1.0)


@pytest.mark.long
def test_neurons_in_lock_step_are_noticed_after_the_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "trials: 2\ngrid: {p: [0.1, 0.3], lam: 0.8}\nnetwork: {n_neurons: 500, n_external: 500, p_ext: 1.0"
    text += ", duration_ms: 600.0, transient_ms: 100.0"
    config = tmp_path / "network.yml"
    config.write_text(f"{text}, w_E: 0.0, w_I: 0.0, noise_q: 0.0, w_ext: 0.05}}\n")
    assert main(["run", str(config), "-o", str(tmp_path / "locked.h5")]) == 0
    printed = capsys.readouterr().err
    assert "p_ext = 1 gives every excitatory neuron the same external input" in printed
    assert "trials with spikes the excitatory neurons fire equally often (rates are multiples of 1/T)" in printed
    network = SMALL | {"duration_ms": 600, "transient_ms": 100}
    run_sweep(Experiment(grid={"p": [0.1, 0.3], "lam": 0.8}, network=network, trials=2), tmp_path / "free.h5")
    with SweepParts([tmp_path / "free.h5"]) as sweep:
        assert lock_step(sweep.experiment, sweep.axes, sweep.numbers()["rate_E"], sweep.status) is None
