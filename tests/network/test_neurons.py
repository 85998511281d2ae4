"""Neurons without a network: what theory says of the membrane, of the conductances, of intervals and refractoriness."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from chance import assert_distance, assert_standard_normal, assert_uncorrelated
from graphs import adjacency
from hpcmass.config import NetworkParameters
from hpcmass.network.neurons import slot_of
from hpcmass.network.simulation import Network
from hpcmass.network.spikes import SpikeTrains
from oracle import KINDS, kernel_g, kernel_v

SEED = (20210114, 17, 19, 23)

SILENT: dict[str, Any] = {"w_E": 0.0, "w_I": 0.0, "w_ext": 0.0, "n_external": 0, "transient_ms": 0.0}
"""No connections at all."""


def intervals(net: Network, n_steps: int) -> list[npt.NDArray[np.int64]]:
    """Interspike intervals (steps) of each neuron."""
    _, _, chunks, _ = net.run(n_steps)
    neuron, step = SpikeTrains(chunks, net.parameters.n_neurons).events()
    return [np.diff(step[neuron == k]) for k in range(net.parameters.n_neurons)]


def test_slots_are_a_permutation_within_512() -> None:
    slots = slot_of(np.arange(2048))
    assert sorted(slots) == list(range(2048))
    assert (slots // 512 == np.arange(2048) // 512).all()
    # bit b of 32-bit word l goes to 16 b + l: sixteen neighbours are one bit of sixteen words
    assert slots[[0, 1, 31, 32, 511, 512]].tolist() == [0, 16, 496, 1, 511, 512]


# --- the membrane under noise alone -----------------------------------------------------------------------------

DT, TAU, Q = 2.0, 20.0, 30.0
A = DT / TAU
VARIANCE = Q / (2 * TAU) / (1 - A / 2)
"""Stationary variance (mV²) of u ← (1 - a) u + sqrt(Q dt)/tau ξ: Q/(2 tau) and Euler's correction, 5 % here."""


@pytest.fixture(scope="module")
def membrane() -> npt.NDArray[np.float64]:
    """Give v - V_L (mV) of 3000 neurons far from threshold, every 100 steps (5 tau each): (snapshot, neuron)."""
    q = NetworkParameters(
        n_neurons=3000, dt_ms=DT, tau_m_ms=TAU, noise_q=Q, v_reset_mv=-74.0, v_threshold_mv=-50.0,
        duration_ms=1e4, tau_E_ms=5.0, **SILENT,
    )  # fmt: skip
    net = Network(q, 0.0, 0.5, SEED)
    net.run(300)  # 24 mV, the most at the start, have decayed to 5e-13
    snapshots = []
    for _ in range(60):
        net.run(100)
        snapshots.append(kernel_v(net) - q.v_leak_mv)
    return np.array(snapshots)


def test_stationary_membrane_variance(membrane: npt.NDArray[np.float64]) -> None:
    n = membrane.size
    assert_standard_normal(membrane.mean() / np.sqrt(VARIANCE / n), "mean")
    assert_standard_normal((np.mean(membrane**2) / VARIANCE - 1) / np.sqrt(2 / n), "variance")
    below = np.sort(membrane.reshape(-1))
    cdf = stats.norm.cdf(below / np.sqrt(VARIANCE))
    assert_distance(float(np.abs(cdf - (np.arange(n) + 0.5) / n).max()), n, "distribution")


def test_noise_is_independent_between_neurons(membrane: npt.NDArray[np.float64]) -> None:
    """Variance of the population mean; and correlations among blocks of neighbours and between distant neurons."""
    means = membrane.mean(1) / np.sqrt(VARIANCE / membrane.shape[1])
    assert stats.chi2.ppf(5e-6, means.size) < (means**2).sum() < stats.chi2.isf(5e-6, means.size)
    z = (membrane[:, :-1] * membrane[:, 1:]).sum() / VARIANCE / np.sqrt(membrane[:, 1:].size)
    assert_standard_normal(z, "neighbours")
    # neurons of one chunk of 512 and of the next consume the same lanes one after the other
    z = (membrane[:, :-512] * membrane[:, 512:]).sum() / VARIANCE / np.sqrt(membrane[:, 512:].size)
    assert_standard_normal(z, "one chunk apart")


def test_membrane_forgets_at_its_own_rate() -> None:
    """Correlation of v one step apart is 1 - dt/tau_m."""
    q = NetworkParameters(
        n_neurons=2000, dt_ms=DT, tau_m_ms=TAU, noise_q=Q, v_reset_mv=-74.0, v_threshold_mv=-50.0,
        duration_ms=1e4, tau_E_ms=5.0, **SILENT,
    )  # fmt: skip
    net = Network(q, 0.0, 0.5, SEED)
    net.run(300)
    increments, before = [], []
    for _ in range(40):
        u = kernel_v(net) - q.v_leak_mv
        net.run(1)
        before.append(u)
        increments.append(kernel_v(net) - q.v_leak_mv - (1 - A) * u)
        net.run(50)
    noise = np.array(increments) / (np.sqrt(Q * DT) / TAU)
    assert_standard_normal((np.mean(noise**2) - 1) / np.sqrt(2 / noise.size), "variance of the noise")
    x = np.array(before).reshape(-1, 1)
    assert_uncorrelated(x, noise.reshape(-1, 1), "noise and potential")


# --- spikes without noise ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("t_ref_ms", [0.0, 0.1, 2.0, 5.0])
@pytest.mark.parametrize("dt_ms", [0.1, 0.02])
def test_interspike_interval_under_constant_drive(t_ref_ms: float, dt_ms: float) -> None:
    """T = t_ref + tau ln((V_L - V_reset)/(V_L - V_th)), Euler's exactly, the formula's to two steps."""
    q = NetworkParameters(
        n_neurons=70, dt_ms=dt_ms, t_ref_ms=t_ref_ms, noise_q=0.0, v_leak_mv=-50.0, duration_ms=500.0, **SILENT
    )
    found = intervals(Network(q, 0.5, 0.5, SEED), round(200 / dt_ms))
    ratio = (q.v_leak_mv - q.v_reset_mv) / (q.v_leak_mv - q.v_threshold_mv)
    steps = math.ceil(math.log(ratio) / -math.log1p(-dt_ms / q.tau_m_ms)) + round(t_ref_ms / dt_ms)
    assert all(len(i) >= 5 for i in found)
    assert {int(x) for i in found for x in i} == {steps}
    assert steps * dt_ms == pytest.approx(t_ref_ms + q.tau_m_ms * math.log(ratio), abs=2 * dt_ms)


def test_interspike_interval_under_constant_conductance() -> None:
    """A thousand units at 20 kHz each are a constant g up to 0.3 %: the membrane is faster by 1 + g."""
    q = NetworkParameters(
        n_neurons=100, noise_q=0.0, n_external=1000, p_ext=1.0, external_rate_hz=2e4, w_ext=1e-5, duration_ms=3000.0,
        transient_ms=0.0, w_E=0.0, w_I=0.0,
    )  # fmt: skip
    g = q.w_ext * q.tau_ext_ms * q.n_external * q.external_rate_hz / 1e3
    assert g == pytest.approx(1.0)
    v_inf = (q.v_leak_mv + g * q.v_ext_mv) / (1 + g)
    rise = math.log((v_inf - q.v_reset_mv) / (v_inf - q.v_threshold_mv))
    expected = q.t_ref_ms + q.tau_m_ms / (1 + g) * rise
    net = Network(q, 0.5, 1.0, SEED)
    net.run(1000)  # g settles within 20 tau
    found = np.concatenate(intervals(net, 3000)) * q.dt_ms
    assert found.mean() == pytest.approx(expected, abs=q.dt_ms)  # detection on the grid: later by half a step
    assert found.std() < q.dt_ms


@pytest.mark.parametrize("t_ref_ms", [0.0, 0.1, 0.2, 1.0, 5.0, 30.0])
def test_refractory_period_is_exact_to_the_step(t_ref_ms: float) -> None:
    """Driven over threshold in a single step, a neuron spikes every t_ref + dt, and waits at V_reset."""
    q = NetworkParameters(
        n_neurons=600, t_ref_ms=t_ref_ms, noise_q=0.0, v_leak_mv=1e4, tau_m_ms=1.0, duration_ms=500.0, **SILENT
    )
    n_refractory = round(t_ref_ms / q.dt_ms)
    net = Network(q, 0.0, 0.5, SEED)
    mean_v, _, chunks, _ = net.run(5 * (n_refractory + 1))
    neuron, step = SpikeTrains(chunks, q.n_neurons).events()
    assert step.tolist() == [k * (n_refractory + 1) for k in range(5) for _ in range(600)]
    assert neuron.tolist() == 5 * list(range(600))
    np.testing.assert_allclose(mean_v, q.v_reset_mv, atol=1e-3)  # float32 of u = -10060 mV


def test_refractory_neurons_do_not_feel_noise_or_input() -> None:
    """The population's mean is V_reset while all neurons are refractory, whatever arrives."""
    q = NetworkParameters(
        n_neurons=600, t_ref_ms=4.0, noise_q=100.0, v_leak_mv=1e4, tau_m_ms=1.0, n_external=50, p_ext=1.0,
        external_rate_hz=1e4, w_ext=0.01, duration_ms=500.0, transient_ms=0.0,
    )  # fmt: skip
    net = Network(q, 1.0, 0.5, SEED)
    mean_v, _, chunks, _ = net.run(41)
    assert chunks[0][1].tolist() == [600] + 40 * [0]
    np.testing.assert_allclose(mean_v, q.v_reset_mv, atol=1e-3)
    assert (kernel_v(net) == kernel_v(net)[0]).all()
    assert net.run(1)[2][0][1].tolist() == [600]


# --- conductances of the external drive -------------------------------------------------------------------------


@pytest.mark.parametrize(("tau_ms", "dt_ms"), [(5.0, 0.1), (2.0, 0.5)])
def test_external_conductance_is_shot_noise(tau_ms: float, dt_ms: float) -> None:
    """Campbell: mean w K ν tau, variance w² K ν tau / (2 - dt/tau), for the population mean and for single neurons.

    Snapshots 12 tau apart are independent. A neuron receives its own units' spikes, the population mean those of all
    units, weighted by out-degree; a sample variance scatters by the shot noise's fourth cumulant, too.
    """
    q = NetworkParameters(
        n_neurons=600, n_external=80, p_ext=0.3, external_rate_hz=60.0, w_ext=0.01, tau_ext_ms=tau_ms, dt_ms=dt_ms,
        w_E=0.0, w_I=0.0, v_threshold_mv=1e6, duration_ms=1e5, transient_ms=0.0, noise_q=0.0,
    )  # fmt: skip
    net = Network(q, 0.0, 0.8, SEED)
    connected = adjacency(net.graph_ext)
    assert connected.shape == (80, 480)
    step = round(12 * tau_ms / dt_ms)
    net.run(2 * step)
    g = []
    for _ in range(400):
        net.run(step)
        g.append(kernel_g(net, "ext"))
    snapshots = np.array(g)
    assert not snapshots[:, net.n_exc :].any()  # inhibitory neurons have no external input

    events, keep = q.external_rate_hz * dt_ms / 1e3, 1 - dt_ms / tau_ms
    # between two steps the kernel's g is after the decay, before the jumps
    signals = {"population": (snapshots.mean(1), connected.sum(1) * q.w_ext / q.n_neurons)}
    signals |= {f"neuron {k}": (snapshots[:, k], connected[:, k] * q.w_ext) for k in (0, 1, 77, 479)}
    for what, (x, jumps) in signals.items():
        mean = keep * jumps.sum() * events / (1 - keep)
        variance = keep**2 * (jumps**2).sum() * events / (1 - keep**2)
        fourth = keep**4 * (jumps**4).sum() * events / (1 - keep**4)
        assert_standard_normal((x.mean() - mean) / np.sqrt(variance / x.size), f"mean g of {what}")
        scatter = np.sqrt((fourth + 2 * variance**2) / x.size)
        assert_standard_normal((np.mean((x - mean) ** 2) - variance) / scatter, f"variance of g of {what}")
    # the same in the words of the mass models, after the jumps: <g> = g̃ Φ
    phi = q.n_external * q.external_rate_hz / 1e3 * connected.sum(1).mean() / q.n_neurons
    mean = signals["population"][1].sum() * events / (1 - keep)
    assert mean == pytest.approx(q.g_tilde_ms()["ext"] * phi, rel=1e-12)


def test_conductances_decay_to_zero() -> None:
    """A conductance without input follows (1 - dt/tau)^n through many rescalings, and never gets stuck."""
    q = NetworkParameters(
        n_neurons=100, duration_ms=2000.0, transient_ms=0.0, external_rate_hz=0.0, noise_q=0.0, w_E=0.0, w_I=0.0
    )
    net = Network(q, 0.0, 0.5, SEED)
    for g in (net.state.g_e, net.state.g_i, net.state.g_x):
        g[:] = 1e-3
    taus = (q.tau_E_ms, q.tau_I_ms, q.tau_ext_ms)
    for n in (1, 10, 500, 1024):
        net.run(n)
        passed = int(net.state.clock[0])
        for kind, tau in zip(KINDS, taus, strict=True):
            expected = 1e-3 * (1 - q.dt_ms / tau) ** passed
            np.testing.assert_allclose(kernel_g(net, kind), expected, rtol=2e-6, atol=1e-36)
    for _ in range(16):
        net.run(500)
        for g in (net.state.g_e, net.state.g_i, net.state.g_x):
            assert ((g == 0) | (g > 1e-30)).all()  # never denormal, which would be slow
    assert all(not kernel_g(net, kind).any() for kind in KINDS)
