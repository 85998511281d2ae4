"""The kernel follows the equations: step by step beside the oracle, then statistically where chaos separates them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from chance import FALSE_ALARM
from hpcmass.config import NetworkParameters
from hpcmass.network.simulation import Network
from hpcmass.network.spikes import SpikeChunk, SpikeTrains, train_statistics
from hpcmass.network.synchrony import spike_contrast
from oracle import KINDS, Inputs, kernel_g, kernel_v, oracle_of, spikes_of

SEED = (20210114, 7, 11, 13)

V_TOLERANCE_MV = 1e-4
"""u is a float32 below 32 mV (half a unit in the last place: 1e-6 mV), a step is a dozen roundings, tau_m 200 steps."""

G_TOLERANCE = 3e-6
"""Relative: the decay over up to 512 steps is one float32 factor, jumps add one rounding each."""

CASES: dict[str, tuple[int, float, float, int, dict[str, Any]]] = {
    # N, p, λ, steps, parameters
    "reference, N below a word": (61, 0.3, 0.8, 1500, {"w_E": 0.7, "w_I": 0.5, "n_external": 400, "w_ext": 0.35}),
    "N not a multiple of a word": (613, 0.1, 0.8, 1200, {"w_E": 0.15, "w_I": 0.1, "n_external": 700, "w_ext": 0.2}),
    "complete graph": (601, 1.0, 0.6, 1200, {"w_E": 0.01, "w_I": 0.02, "n_external": 900, "w_ext": 0.15}),
    "sparse": (700, 0.0018, 0.5, 700, {"w_E": 9.0, "w_I": 3.0, "n_external": 500, "w_ext": 0.3}),
    "only excitation, all at once": (
        697, 1.0, 1.0, 700,
        {"w_E": 0.05, "n_external": 50, "external_rate_hz": 2000.0, "p_ext": 1.0, "w_ext": 0.03},
    ),
    "counts above 255 from outside": (
        130, 0.5, 0.7, 700,
        {"n_external": 90, "external_rate_hz": 40_000.0, "p_ext": 0.9, "w_ext": 1e-4, "w_E": 0.06, "w_I": 0.02},
    ),
    "only inhibition": (200, 0.4, 0.0, 600, {"v_leak_mv": -50.0, "w_I": 0.05, "n_external": 10}),
    "no refractory period": (
        150, 0.3, 0.8, 700, {"t_ref_ms": 0.0, "w_E": 0.02, "w_I": 0.05, "n_external": 300, "w_ext": 0.5},
    ),
    "a spike a step": (
        40, 0.5, 0.5, 300,
        {"t_ref_ms": 0.0, "v_leak_mv": 200.0, "tau_m_ms": 1.0, "w_E": 0.01, "w_I": 0.01, "n_external": 10},
    ),
    "strong noise, other reversals": (
        300, 0.2, 0.7, 900,
        {"noise_q": 40.0, "v_exc_mv": -10.0, "v_ext_mv": -20.0, "v_inh_mv": -75.0, "n_external": 300, "w_ext": 0.9,
         "w_E": 0.2, "w_I": 0.05},
    ),
    "fast synapses": (
        257, 0.3, 0.8, 900,
        {"tau_E_ms": 0.3, "tau_I_ms": 0.25, "tau_ext_ms": 0.2, "w_E": 0.3, "w_I": 0.8, "w_ext": 13.0,
         "n_external": 300},
    ),
    "external units to inhibitory neurons": (
        531, 0.1, 0.6, 900, {"w_E": 0.15, "w_I": 0.1, "n_external": 700, "w_ext": 0.2, "p_ext_I": 0.05},
    ),
    "another density in each pathway": (
        413, 0.1, 0.6, 900,
        {"w_E": 0.2, "w_I": 0.1, "n_external": 700, "w_ext": 0.25, "p_EE": 0.5, "p_EI": 3.0, "p_IE": 1.0, "p_II": 0.0},
    ),
    "complete but for one pathway": (
        300, 1.0, 0.6, 600, {"w_E": 0.02, "w_I": 0.04, "n_external": 900, "w_ext": 0.15, "p_EI": 0.5},
    ),
    "a delay": (
        413, 0.1, 0.6, 900, {"w_E": 0.2, "w_I": 0.1, "n_external": 700, "w_ext": 0.25, "delay_ms": 1.7},
    ),
    "a delay of two steps, complete graph": (
        300, 1.0, 0.6, 600, {"w_E": 0.02, "w_I": 0.04, "n_external": 900, "w_ext": 0.15, "delay_ms": 0.2},
    ),
    "a delay, a spike a step": (
        40, 0.5, 0.5, 300,
        {"t_ref_ms": 0.0, "v_leak_mv": 200.0, "tau_m_ms": 1.0, "w_E": 0.01, "w_I": 0.01, "n_external": 10,
         "delay_ms": 6.4},
    ),
    "exponential upstroke": (
        413, 0.1, 0.7, 900,
        {"neuron_model": "EIF", "v_cutoff_mv": -40.0, "w_E": 0.2, "w_I": 0.1, "n_external": 700, "w_ext": 0.3},
    ),
    "sharp exponential upstroke, delay, input to I": (
        300, 0.3, 0.6, 900,
        {"neuron_model": "EIF", "delta_t_mv": 0.8, "v_cutoff_mv": -46.0, "w_E": 0.1, "w_I": 0.1, "n_external": 500,
         "w_ext": 0.3, "p_ext_I": 0.08, "delay_ms": 1.0, "noise_q": 5.0},
    ),
    "quadratic upstroke": (
        413, 0.1, 0.7, 1200, {"neuron_model": "QIF", "w_E": 0.2, "w_I": 0.1, "n_external": 700, "w_ext": 0.3},
    ),
    "another step": (300, 0.2, 0.8, 600, {"dt_ms": 0.25, "w_E": 0.03, "w_I": 0.1, "n_external": 500, "w_ext": 0.3}),
}  # fmt: skip


def network(n_neurons: int, **changed: Any) -> NetworkParameters:
    """Reference parameters but for those named; long enough for every test."""
    return NetworkParameters(**({"n_neurons": n_neurons, "duration_ms": 1000.0, "transient_ms": 0.0} | changed))


@pytest.mark.parametrize("name", CASES)
def test_kernel_follows_the_equations_step_by_step(name: str) -> None:
    """v, g, spikes, Φ, means of v and of the synaptic current; the oracle takes the kernel's side at float32 ties.

    During an upstroke psi(v) a small difference grows as fast as the potential: the tolerance is relative to psi in mV.
    """
    n_neurons, p, lam, n_steps, changed = CASES[name]
    net = Network(network(n_neurons, **changed), p, lam, SEED)
    oracle, inputs = oracle_of(net), Inputs(net, SEED)
    worst_v, worst_g, most = 0.0, 0.0, 0.0
    a = net.wiring.leak
    # near the potential at which an upstroke begins, a difference grows while v and psi hardly do
    tolerance_mv = V_TOLERANCE_MV if net.parameters.neuron_model == "LIF" else 5 * V_TOLERANCE_MV
    at_cutoff = tolerance_mv * max(1.0, oracle.upstroke_at(net.parameters.v_cutoff_mv))
    n_spikes = np.zeros(n_neurons, np.int64)
    for t in range(n_steps):
        mean_v, phi, chunks, mean_i = net.run(1)
        fired = spikes_of(net, chunks)
        noise, events = inputs.next()
        expected = oracle.step(noise, events, fired, at_cutoff)
        assert (fired == expected).all(), f"step {t}: neurons {np.flatnonzero(fired != expected)}"
        growth = np.maximum(1.0, oracle.upstroke())
        worst_v = max(worst_v, (np.abs(kernel_v(net) - oracle.v) / growth).max())
        for i, kind in enumerate(KINDS):
            g = oracle.decayed(kind)
            worst_g = max(worst_g, (np.abs(kernel_g(net, kind) - g) / (g + 1e-6)).max())
            assert phi[i, 0] == pytest.approx(oracle.phi(kind), rel=1e-12, abs=0.0), f"step {t}: Φ_{kind}"
        assert mean_v[0] == pytest.approx(oracle.v.mean(), abs=tolerance_mv * growth.mean()), f"step {t}"
        # the kernel takes it from the change of u, a few ulp of which are 1/a times as much in the current
        assert mean_i[0] == pytest.approx(oracle.synaptic.mean(), rel=1e-4, abs=1e-6 / a), f"step {t}: synaptic current"
        assert worst_v < tolerance_mv, f"step {t}: v is off by {worst_v:.1e} mV"
        assert worst_g < G_TOLERANCE, f"step {t}: g is off by {worst_g:.1e}, relatively"
        n_spikes += fired
        most = max(most, *(float(oracle.arrived[kind].max()) for kind in KINDS))
    assert n_spikes[: net.n_exc].sum() >= net.n_exc / 4
    assert n_spikes[net.n_exc :].sum() >= (n_neurons - net.n_exc) / 4
    assert oracle.ties <= 1 + 2e-3 * n_spikes.sum()  # a neuron drifts by 0.05 mV a step, so few come that close
    if name in ("only excitation, all at once", "counts above 255 from outside"):
        assert most > 255


@pytest.mark.parametrize("delay_ms", [0.0, 3.0])
def test_steps_do_not_depend_on_how_many_are_asked_for(delay_ms: float) -> None:
    """Bit by bit: 700 steps at once, and in pieces."""
    q = network(300, w_E=0.02, w_ext=0.05, delay_ms=delay_ms)
    whole, pieces = (Network(q, 0.1, 0.8, SEED) for _ in range(2))
    mean_v, phi, chunks, mean_i = whole.run(700)
    parts = [pieces.run(n) for n in (1, 2, 61, 0, 64, 1, 500, 71)]
    assert (mean_v == np.concatenate([m for m, _, _, _ in parts])).all()
    assert (phi == np.concatenate([f for _, f, _, _ in parts], axis=1)).all()
    assert (mean_i == np.concatenate([i for *_, i in parts])).all()
    neurons, steps = SpikeTrains(chunks, 300).events()
    neurons2, steps2 = SpikeTrains([s for _, _, part, _ in parts for s in part], 300).events()
    assert neurons.size > 300
    assert (neurons == neurons2).all()
    assert (steps == steps2).all()


STEPS, BURN_IN = 2500, 500
BANDS_HZ = ((2.0, 20.0), (20.0, 60.0), (60.0, 200.0), (200.0, 1000.0))


def statistics(mean_v: npt.NDArray[np.float64], chunks: list[SpikeChunk], net: Network) -> dict[str, float]:
    """What summarises a run after the burn-in: rates, variance and band powers of the mean potential, S, CV."""
    dt_ms = net.parameters.dt_ms
    trains = SpikeTrains(chunks, net.parameters.n_neurons)
    numbers = train_statistics(trains)
    power = np.abs(np.fft.rfft((mean_v - mean_v.mean()) * np.hamming(mean_v.size))) ** 2
    frequency = np.fft.rfftfreq(mean_v.size, dt_ms / 1e3)
    found = {
        "rate E": float(numbers.n_per_neuron[: net.n_exc].mean()),
        "rate I": float(numbers.n_per_neuron[net.n_exc :].mean()),
        "mean of v": float(mean_v.mean()),
        "log variance of v": float(np.log(mean_v.var())),
        "Spike-contrast": spike_contrast(trains, dt_ms, numbers.shortest_isi)[0],
        "CV of intervals": numbers.cv_isi,
    }
    for low, high in BANDS_HZ:
        found[f"log power {low:g} to {high:g} Hz"] = float(
            np.log(power[(frequency >= low) & (frequency < high)].mean())
        )
    return found


def free_run(net: Network, rng: np.random.Generator) -> tuple[npt.NDArray[np.float64], list[SpikeChunk]]:
    """The oracle after the burn-in, with NumPy's noise and NumPy's external spikes."""
    q, oracle = net.parameters, oracle_of(net)
    mean_v, neurons, counts = np.empty(STEPS), [], np.zeros(STEPS, np.int64)
    for t in range(STEPS):
        per_unit = rng.poisson(q.external_rate_hz * q.dt_ms / 1e3, q.n_external)
        events = np.repeat(np.arange(q.n_external), per_unit)
        fired = np.flatnonzero(oracle.step(rng.standard_normal(q.n_neurons), events))
        mean_v[t] = oracle.v.mean()
        counts[t] = fired.size
        if t >= BURN_IN:
            neurons.append(fired.astype(np.uint16))
    return mean_v[BURN_IN:], [(np.concatenate(neurons), counts[BURN_IN:])]


@pytest.mark.parametrize(
    ("p", "lam", "changed"),
    [
        pytest.param(0.1, 0.8, {"w_E": 0.5, "w_I": 0.3, "w_ext": 0.35}, id="irregular", marks=pytest.mark.long),
        pytest.param(
            0.6, 0.7, {"w_E": 0.1, "w_I": 0.05, "w_ext": 0.35, "noise_q": 5.0}, id="synchronous", marks=pytest.mark.slow
        ),
    ],
)
def test_statistics_agree_where_single_spikes_do_not(p: float, lam: float, changed: dict[str, Any]) -> None:
    """The kernel against the oracle with independent inputs from other generators: two samples of one distribution.

    20 graphs, paired t-tests of ten statistics; the false-alarm rate of the whole test is `FALSE_ALARM` (Bonferroni).
    """
    q = network(120, n_external=400, **changed)
    rng = np.random.default_rng(20210114)
    kernel, oracle = [], []
    for k in range(20):
        net = Network(q, p, lam, (20210114, 3, 5, k))
        oracle.append(statistics(*free_run(net, rng), net))
        net.run(BURN_IN)
        mean_v, _, chunks, _ = net.run(STEPS - BURN_IN)
        kernel.append(statistics(mean_v, chunks, net))
    for name in kernel[0]:
        a, b = np.array([[x[name] for x in kernel], [x[name] for x in oracle]])
        assert np.isfinite(a).all(), name
        p_value = stats.ttest_1samp(a - b, 0.0).pvalue
        assert p_value > FALSE_ALARM / len(kernel[0]), f"{name}: {a.mean():.4g} against {b.mean():.4g}, {p_value:.1e}"
