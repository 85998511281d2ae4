"""EIF and QIF neurons: their exponential function, intervals as theory has them, and the limit in which EIF is LIF."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numba import njit
from scipy import integrate

from hpcmass.config import NetworkParameters
from hpcmass.network import simd, simulate
from hpcmass.network.simulation import Network
from hpcmass.network.spikes import SpikeTrains
from hpcmass.network.upstroke import LARGEST, SMALLEST, exponential_of

SEED = (20210114, 29, 31, 37)

ALONE: dict[str, Any] = {
    "n_neurons": 70, "w_E": 0.0, "w_I": 0.0, "noise_q": 0.0, "transient_ms": 0.0, "duration_ms": 3000.0,
}  # fmt: skip


@njit
def exponentials(x: Any, out: Any) -> None:
    for i in range(0, x.size, 16):
        simd.store_f32(out, i, exponential_of(simd.load_f32(x, i)))


def exponential(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    out = np.empty_like(x)
    exponentials(x, out)
    return out.astype(float)


def test_exponential_function() -> None:
    """Relative error over the whole range, every power of two in it included."""
    x = np.linspace(SMALLEST, LARGEST, 16 * 200_000).astype(np.float32)
    assert np.abs(exponential(x) / np.exp(x.astype(float)) - 1).max() < 2e-7
    halves = (np.arange(-124, 127) + 0.5) * np.log(2)  # where the whole part changes
    x = np.repeat(halves, 16).astype(np.float32) * (1 + np.tile(np.arange(-8, 8), halves.size) * np.float32(2e-7))
    x = x.astype(np.float32)
    assert np.abs(exponential(x) / np.exp(x.astype(float)) - 1).max() < 2e-7


def test_exponential_function_beyond_its_range() -> None:
    x = np.repeat(np.array([-np.inf, -1e30, -100.0, 100.0, 1e30, np.inf], np.float32), 16)
    found = exponential(x).reshape(6, 16)
    assert (found[:3] == exponential(np.full(16, SMALLEST, np.float32))).all()
    assert (found[3:] == exponential(np.full(16, LARGEST, np.float32))).all()
    assert np.isfinite(found).all()


def intervals(q: NetworkParameters, n_steps: int) -> npt.NDArray[np.int64]:
    """Interspike intervals of all neurons (steps)."""
    net = Network(q, 0.5, 1.0, SEED)
    net.run(1000)  # a constant conductance settles
    _, _, chunks, _ = net.run(n_steps)
    neuron, step = SpikeTrains(chunks, q.n_neurons).events()
    return np.concatenate([np.diff(step[neuron == k]) for k in range(q.n_neurons)])


CONSTANT = {"n_external": 1000, "p_ext": 1.0, "external_rate_hz": 2e4, "w_ext": 1e-5}
"""External input that is a constant conductance of 1 up to 0.3 %."""


@pytest.mark.parametrize(
    "changed",
    [
        {"neuron_model": "EIF"},
        {"neuron_model": "EIF", "delta_t_mv": 4.0, "v_cutoff_mv": -30.0},
        {"neuron_model": "QIF"},
        {"neuron_model": "QIF", "v_cutoff_mv": -45.0, "t_ref_ms": 0.0},
    ],
    ids=str,
)
def test_interspike_interval_under_constant_conductance(changed: dict[str, Any]) -> None:
    """T = t_ref + tau_m ∫ dv / [-(v - V_L) + psi(v) - g (v - V_ext)] from reset to cut-off."""
    q = NetworkParameters(**ALONE, **CONSTANT, dt_ms=0.02, **changed)
    g = q.w_ext * q.tau_ext_ms * q.n_external * q.external_rate_hz / 1e3
    assert g == pytest.approx(1.0)

    def velocity(v: float) -> float:
        if q.neuron_model == "EIF":
            own = q.delta_t_mv * np.exp((v - q.v_threshold_mv) / q.delta_t_mv)
        else:
            own = (v - q.v_leak_mv) ** 2 / (q.v_threshold_mv - q.v_leak_mv)
        return float(-(v - q.v_leak_mv) + own - g * (v - q.v_ext_mv)) / q.tau_m_ms

    edges = np.linspace(q.v_reset_mv, q.v_cutoff_mv, 40)
    parts = [integrate.quad(lambda v: 1 / velocity(v), a, b)[0] for a, b in itertools.pairwise(edges)]
    found = intervals(q, round(300 / q.dt_ms)) * q.dt_ms
    assert found.size > 70 * 5
    # Euler's steps are late in an upstroke, whose time constant shrinks to a few steps; and a grid of steps
    assert found.mean() == pytest.approx(q.t_ref_ms + sum(parts), abs=4 * q.dt_ms)
    assert found.std() < 2 * q.dt_ms


def test_with_a_sharp_upstroke_exponential_neurons_are_leaky_ones_that_spike_a_step_later() -> None:
    lif, eif = (
        intervals(NetworkParameters(**ALONE, **CONSTANT, neuron_model=model, delta_t_mv=1e-4), 2000)
        for model in ("LIF", "EIF")
    )
    assert lif.size > 500
    assert eif.mean() - lif.mean() == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("model", ["EIF", "QIF"])
def test_near_the_leak_all_models_are_one(model: str) -> None:
    """Without input the potential decays to V_L with tau_m: psi and its slope are small there."""
    q = NetworkParameters(
        **ALONE, n_external=0, neuron_model=model, v_reset_mv=-74.0, v_threshold_mv=-50.0, v_leak_mv=-74.0
    )
    net = Network(q, 0.0, 0.5, SEED)
    net.run(4000)  # 20 tau_m
    mean_v = net.run(1)[0]
    rest = {"EIF": q.delta_t_mv * np.exp((q.v_leak_mv - q.v_threshold_mv) / q.delta_t_mv), "QIF": 0.0}[model]
    assert mean_v[0] - q.v_leak_mv == pytest.approx(rest, abs=2e-3)


def test_the_synaptic_current_is_without_the_upstroke() -> None:
    """The recorded current stays that of the synapses while neurons are far above threshold."""
    q = NetworkParameters(
        n_neurons=300, neuron_model="EIF", n_external=500, w_ext=0.3, w_E=0.05, w_I=0.1, duration_ms=300.0,
        transient_ms=50.0,
    )  # fmt: skip
    r = simulate(q, 0.2, 0.8, SEED)
    assert r.n_spikes > 1000
    assert np.isfinite(r.mean_i_syn).all()
    bound = 60 * (q.g_tilde_ms()["ext"] * r.phi_ext.max() + q.g_tilde_ms()["E"] * r.phi_E.max() + 1)
    assert np.abs(r.mean_i_syn).max() < bound


def test_a_neuron_model_changes_nothing_that_is_drawn() -> None:
    nets = [
        Network(NetworkParameters(n_neurons=300, neuron_model=model), 0.2, 0.8, SEED) for model in ("LIF", "EIF", "QIF")
    ]
    for net in nets[1:]:
        assert (net.graph.rows == nets[0].graph.rows).all()
        assert (net.graph_ext.rows == nets[0].graph_ext.rows).all()
        assert (net.state.u == nets[0].state.u).all()
        assert (net.state.lanes == nets[0].state.lanes).all()
