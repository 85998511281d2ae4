"""Whole trials: limits of every parameter, repeatability, failures with a reason, and no NaN whatever is asked for."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chance import assert_standard_normal
from graphs import adjacency
from hpcmass.config import NetworkParameters
from hpcmass.config.file import parse_experiment
from hpcmass.errors import TrialFailure
from hpcmass.grid import Seed, trial_seed
from hpcmass.network import Recording, simulate, simulation, warm_up
from hpcmass.network.digraph import words_per_row
from hpcmass.network.spikes import SpikeTrains, train_statistics
from hpcmass.network.synchrony import spike_contrast
from oracle import KINDS, kernel_g

SEED = (20210114, 2, 3, 5)

LIVELY: dict[str, Any] = {"w_E": 0.1, "w_I": 0.2, "w_ext": 0.4, "n_external": 400}
"""Weights with which a few hundred neurons are as active as ten thousand with the reference ones."""


def parameters(**changed: Any) -> NetworkParameters:
    return NetworkParameters(**({"n_neurons": 200, "duration_ms": 120.0, "transient_ms": 20.0} | LIVELY | changed))


def assert_sound(r: Recording, q: NetworkParameters, p: float, lam: float) -> None:
    """Properties of every recording: lengths, finiteness, ranges, and numbers that follow from the kept spikes."""
    n, n_exc = q.n_neurons, round(lam * q.n_neurons)
    for trace in (r.mean_v, r.phi_E, r.phi_I, r.phi_ext, r.mean_i_syn):
        assert trace.dtype == np.float32
        assert trace.shape == (q.n_steps,)
        assert np.isfinite(trace).all()
    assert min(r.phi_E.min(), r.phi_I.min(), r.phi_ext.min()) >= 0
    sd = np.sqrt(q.noise_q / q.tau_m_ms)
    lowest = min(q.v_leak_mv, q.v_reset_mv, q.v_exc_mv, q.v_inh_mv, q.v_ext_mv)
    assert lowest - 10 * sd - 0.01 <= r.mean_v.min()
    assert r.mean_v.max() <= (q.v_threshold_mv if q.neuron_model == "LIF" else q.v_cutoff_mv) + 0.01
    assert 0 <= r.n_edges <= n * (n - 1)
    assert 0 <= r.n_edges_ext <= q.n_external * (n_exc if q.p_ext_I == 0 else n)
    if p == 0.0 or set(q.pathway_probabilities(p).values()) == {1.0}:
        assert r.n_edges == p * n * (n - 1)
    assert r.n_spikes >= 0
    assert r.silent == int(np.isnan(r.spike_contrast)) == int(np.isnan(r.spike_contrast_bin))
    assert np.isnan(r.rate_E) == (n_exc == 0)
    assert np.isnan(r.rate_I) == (n_exc == n)
    assert r.wall_s > 0 <= r.kernel_s
    if not r.silent:
        assert 0 <= r.spike_contrast <= 1
        assert 10 <= r.spike_contrast_bin <= (q.n_steps - q.n_transient) * q.dt_ms / 2 + 1e-9
    if r.spike_neuron is None:
        return
    assert r.spike_time is not None
    step = np.rint(r.spike_time / q.dt_ms).astype(int)
    np.testing.assert_allclose(r.spike_time, step * q.dt_ms, rtol=1e-12)
    assert (np.diff(step) >= 0).all()
    assert r.n_spikes == (step >= q.n_transient).sum()
    seconds = (q.n_steps - q.n_transient) * q.dt_ms / 1e3
    late = r.spike_neuron[step >= q.n_transient]
    if n_exc:
        assert r.rate_E == pytest.approx((late < n_exc).sum() / n_exc / seconds)
    if n_exc < n:
        assert r.rate_I == pytest.approx((late >= n_exc).sum() / (n - n_exc) / seconds)
    n_refractory = round(q.t_ref_ms / q.dt_ms)
    by_neuron = np.lexsort((step, r.spike_neuron))
    same = np.diff(r.spike_neuron[by_neuron]) == 0
    assert (np.diff(step[by_neuron])[same] > n_refractory).all()


def same(a: Recording, b: Recording) -> bool:
    """Equal to the last bit in everything but the times it took."""
    for f in dataclasses.fields(Recording):
        x, y = getattr(a, f.name), getattr(b, f.name)
        if f.name not in ("wall_s", "kernel_s") and not np.array_equal(x, y, equal_nan=isinstance(x, float)):
            return False
    return True


# --- limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 1e-4, 0.5, 1.0])
@pytest.mark.parametrize("lam", [0.0, 0.003, 0.8, 1.0])
def test_corners_of_the_plane(p: float, lam: float) -> None:
    q = parameters()
    r = simulate(q, p, lam, SEED, keep_spikes=True)
    assert_sound(r, q, p, lam)
    assert not r.phi_E.any() or (p > 0 and lam > 0)
    assert r.phi_E.any() or p < 0.5 or lam < 0.5
    assert r.phi_ext.any() == (lam > 0)
    if lam == 0.0:
        assert r.silent == 1
        assert r.n_edges_ext == 0


@pytest.mark.parametrize("n", [2, 3, 63, 64, 65, 511, 512, 513, 1000, 1025])
def test_any_number_of_neurons(n: int) -> None:
    q = parameters(n_neurons=n, duration_ms=60.0, w_ext=0.8)
    r = simulate(q, 1.0, 0.7, SEED, keep_spikes=True)
    assert_sound(r, q, 1.0, 0.7)
    assert r.n_edges == n * (n - 1)
    assert r.spike_neuron is not None
    assert r.n_spikes > 0
    if n > 3:  # the last excitatory neuron gets the external drive, the last row and column of the graph are used
        assert round(0.7 * n) - 1 in r.spike_neuron


@pytest.mark.parametrize(
    "changed",
    [
        {"n_external": 0},
        {"n_external": 1},
        {"external_rate_hz": 0.0},
        {"external_rate_hz": 1e5, "w_ext": 1e-5},
        {"n_external": 3, "external_rate_hz": 1e7, "w_ext": 1e-5},
        {"p_ext": 0.0},
        {"p_ext": 1.0, "w_ext": 0.03},
        {"t_ref_ms": 0.0},
        {"t_ref_ms": 0.04},
        {"t_ref_ms": 1000.0},
        {"transient_ms": 0.0},
        {"transient_ms": 119.8},
        {"duration_ms": 0.2, "transient_ms": 0.0},
        {"duration_ms": 15.0, "transient_ms": 0.1},
        {"noise_q": 0.0},
        {"noise_q": 1e4},
        {"v_leak_mv": -50.0},
        {"v_leak_mv": 1000.0, "tau_m_ms": 0.2},
        {"v_inh_mv": -50.0},
        {"v_exc_mv": -74.0, "v_ext_mv": -74.0},
        {"tau_E_ms": 0.2, "tau_I_ms": 0.2, "tau_ext_ms": 0.2},
        {"tau_E_ms": 1e6, "tau_I_ms": 1e6, "tau_ext_ms": 1e6, "w_E": 1e-5, "w_ext": 1e-4},
        {"w_E": 0.0, "w_I": 0.0, "w_ext": 0.0},
        {"w_E": 1e-38, "w_I": 1e-44, "w_ext": 1e-30},
        {"neuron_model": "EIF", "delta_t_mv": 1e-40},
        {"neuron_model": "EIF", "delta_t_mv": 1e-3, "v_cutoff_mv": -53.999},
        {"neuron_model": "EIF", "delta_t_mv": 30.0, "t_ref_ms": 0.0},
        {"neuron_model": "EIF", "v_cutoff_mv": 1e30},
        {"neuron_model": "EIF", "v_leak_mv": -50.0, "v_cutoff_mv": 30.0},
        {"neuron_model": "QIF", "v_cutoff_mv": 1e5},
        {"neuron_model": "QIF", "v_threshold_mv": -59.9, "v_leak_mv": -60.0},
    ],
    ids=str,
)
def test_limits_of_the_parameters(changed: dict[str, Any]) -> None:
    q = parameters(**changed)
    assert_sound(simulate(q, 0.1, 0.8, SEED, keep_spikes=True), q, 0.1, 0.8)


def test_silence_is_a_result() -> None:
    q = parameters(n_external=0)
    r = simulate(q, 0.1, 0.8, SEED)
    assert r.silent == 1
    assert r.n_spikes == 0
    assert r.rate_E == r.rate_I == 0
    assert np.isnan([r.spike_contrast, r.spike_contrast_bin, r.cv_isi]).all()
    # v relaxes from the middle of [V_reset, V_th) to V_L
    assert r.mean_v[0] == pytest.approx(-57.0, abs=1.0)
    decay = (1 - q.dt_ms / q.tau_m_ms) ** (q.n_steps - 1)
    assert r.mean_v[-1] - q.v_leak_mv == pytest.approx((r.mean_v[0] - q.v_leak_mv) * decay, abs=0.01)


def test_statistics_are_those_of_the_spikes_after_the_transient() -> None:
    q = parameters()
    r = simulate(q, 0.2, 0.8, SEED, keep_spikes=True)
    assert r.spike_time is not None
    assert r.spike_neuron is not None
    assert (r.spike_time < q.transient_ms).any()
    raster = np.zeros((q.n_steps, q.n_neurons), bool)
    raster[np.rint(r.spike_time / q.dt_ms).astype(int), r.spike_neuron] = True
    late = raster[q.n_transient :]
    step, neuron = np.nonzero(late)
    trains = SpikeTrains([(neuron.astype(np.uint16), np.bincount(step, minlength=len(late)))], q.n_neurons)
    numbers = train_statistics(trains)
    assert r.cv_isi == numbers.cv_isi
    assert (r.spike_contrast, r.spike_contrast_bin) == spike_contrast(trains, q.dt_ms, numbers.shortest_isi)


def test_phi_is_the_exact_sum_of_out_degrees() -> None:
    """Φ_E and Φ_I of each step, from the kept spikes and the trial's own graph."""
    q = parameters()
    r = simulate(q, 0.2, 0.8, SEED, keep_spikes=True)
    net = simulation.Network(q, 0.2, 0.8, SEED)
    degree = adjacency(net.graph).sum(1)
    assert r.spike_neuron is not None
    assert r.spike_time is not None
    step = np.rint(r.spike_time / q.dt_ms).astype(int)
    for phi, who in ((r.phi_E, r.spike_neuron < net.n_exc), (r.phi_I, r.spike_neuron >= net.n_exc)):
        arrived = np.bincount(step[who], weights=degree[r.spike_neuron[who]], minlength=q.n_steps)
        np.testing.assert_allclose(phi, arrived / q.n_neurons / q.dt_ms, rtol=1e-6)
        assert phi.any()


def test_mean_field_equation_closes() -> None:
    """tau_m d<v>/dt = -(<v> - V_L) - I_syn, to the step, while no neuron spikes and without noise."""
    q = parameters(noise_q=0.0, v_threshold_mv=0.0, v_reset_mv=-74.0, w_ext=0.1)
    r = simulate(q, 0.2, 0.8, SEED, keep_spikes=True)
    assert r.n_spikes == 0
    before = r.mean_v[:-1].astype(float)
    change = -q.dt_ms / q.tau_m_ms * (before - q.v_leak_mv + r.mean_i_syn[1:])
    np.testing.assert_allclose(np.diff(r.mean_v.astype(float)), change, atol=1e-5)
    assert (r.mean_i_syn[300:] < -1.0).all()


# --- repeatability ----------------------------------------------------------------------------------------------


def test_same_seed_same_bits_other_seed_other_trial() -> None:
    q = parameters()
    first, again = (simulate(q, 0.2, 0.8, SEED, keep_spikes=True) for _ in range(2))
    assert same(first, again)
    others = [simulate(q, 0.2, 0.8, trial_seed(1, {"p": 0.2, "lam": 0.8}, k), keep_spikes=True) for k in range(3)]
    for k, r in enumerate(others):
        assert not same(first, r)
        assert all((r.mean_v != other.mean_v).mean() > 0.9 for other in others[:k])
        assert all(r.n_edges != other.n_edges for other in others[:k])


def test_every_random_ingredient_follows_the_seed() -> None:
    """Both graphs, the drive, the noise and the initial state differ from trial to trial; one seed gives one set."""
    q = parameters()
    first, again, other = (simulation.Network(q, 0.2, 0.8, seed) for seed in (SEED, SEED, (*SEED[:3], 6)))
    ingredients = {
        "graph": lambda net: net.graph.rows,
        "external graph": lambda net: net.graph_ext.rows,
        "noise": lambda net: net.state.lanes,
        "initial potentials": lambda net: net.state.u,
        "external spikes": lambda net: net.drive.take(2000)[0][:50],
    }
    for what, of in ingredients.items():
        a, b, c = (of(net).copy() for net in (first, again, other))
        assert (a == b).all(), what
        assert (a != c).any(), what


def test_keeping_spikes_changes_nothing() -> None:
    q = parameters()
    with_spikes = simulate(q, 0.2, 0.8, SEED, keep_spikes=True)
    without = simulate(q, 0.2, 0.8, SEED)
    assert without.spike_neuron is None
    assert same(dataclasses.replace(with_spikes, spike_neuron=None, spike_time=None), without)


@pytest.mark.parametrize("t_ref_ms", [0.0, 5.0])
def test_room_for_spikes_never_changes_the_result(t_ref_ms: float, monkeypatch: pytest.MonkeyPatch) -> None:
    q = parameters(t_ref_ms=t_ref_ms)
    whole = simulate(q, 0.2, 0.8, SEED, keep_spikes=True)
    monkeypatch.setattr(simulation, "CHUNK_SPIKES", 1)
    assert same(whole, simulate(q, 0.2, 0.8, SEED, keep_spikes=True))


def test_a_longer_trial_begins_like_a_shorter_one() -> None:
    short = simulate(parameters(), 0.2, 0.8, SEED)
    long = simulate(parameters(duration_ms=200.0), 0.2, 0.8, SEED)
    assert (long.mean_v[: short.mean_v.size] == short.mean_v).all()
    assert (long.phi_ext[: short.mean_v.size] == short.phi_ext).all()


def test_warm_up_leaves_nothing_behind() -> None:
    q = parameters()
    before = simulate(q, 0.2, 0.8, SEED)
    warm_up()
    assert same(before, simulate(q, 0.2, 0.8, SEED))


ORDINARY = {
    # p, λ → SHA-256 of traces and spikes
    (0.001, 0.8): "4e92623059df203b",
    (0.3, 0.8): "8274ee0b50dc7eb2",
    (1.0, 0.6): "93713bd53b57632a",
    (0.2, 1.0): "500f3290a8384e28",
}


@pytest.mark.parametrize(("p", "lam"), ORDINARY)
def test_the_ordinary_network_keeps_its_bits(p: float, lam: float) -> None:
    """A further ingredient of the network, at its default, changes no result of any sweep."""
    q = NetworkParameters(
        n_neurons=700, n_external=700, dt_ms=0.1, duration_ms=300.0, transient_ms=50.0, noise_q=5e-4,
        external_rate_hz=5.0, p_ext=0.1, tau_m_ms=20.0, v_leak_mv=-74.0, v_reset_mv=-60.0, v_threshold_mv=-54.0,
        t_ref_ms=5.0, v_exc_mv=0.0, v_inh_mv=-80.0, v_ext_mv=0.0, tau_E_ms=3.0, tau_I_ms=7.0, tau_ext_ms=5.0, w_E=0.01,
        w_I=0.057, w_ext=0.19,
    )  # fmt: skip
    r = simulate(q, p, lam, (1, 2, 3, 4), keep_spikes=True)
    digest = hashlib.sha256()
    for array in (r.mean_v, r.phi_E, r.phi_I, r.phi_ext, r.mean_i_syn, r.spike_neuron, r.spike_time):
        digest.update(array.tobytes())
    assert digest.hexdigest().startswith(ORDINARY[p, lam])
    assert r.n_spikes > 2000


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"neuron_model": "EIF"},
        {"neuron_model": "QIF"},
        {"delay_ms": 1.0},
        {"p_ext": 0.001, "w_ext": 2.0},
        {"external_rate_hz": 500.0, "w_ext": 0.01},
    ],
    ids=str,
)
@pytest.mark.parametrize("lam", [0.0, 0.4, 0.95, 1.0])
def test_external_rows_end_with_the_excitatory_population(
    lam: float, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They change no bit: rows as long as those of all neurons give the same trial."""
    q = parameters(n_neurons=1100, n_external=300, **changed)
    n_exc = round(lam * 1100)
    graph = simulation.Network(q, 0.1, lam, SEED).graph_ext
    assert graph.rows.shape == (301, words_per_row(n_exc))
    short = simulate(q, 0.1, lam, SEED, keep_spikes=True)
    assert short.phi_ext.any() == (lam > 0)
    monkeypatch.setattr(simulation, "words_per_row", lambda _: words_per_row(1100))
    assert simulation.Network(q, 0.1, lam, SEED).graph_ext.rows.shape == (301, 24)
    assert same(short, simulate(q, 0.1, lam, SEED, keep_spikes=True))


def test_external_rows_are_as_long_as_others_where_inhibitory_neurons_are_driven() -> None:
    net = simulation.Network(parameters(n_neurons=1100, p_ext_I=0.01), 0.1, 0.4, SEED)
    assert net.graph_ext.rows.shape[1] == net.graph.rows.shape[1] == 24


# --- external units to inhibitory neurons -------------------------------------------------------------------------


def test_external_units_reach_inhibitory_neurons_with_a_probability_of_their_own() -> None:
    """The other random ingredients, and the connections to excitatory neurons, do not change with it."""
    q = parameters(n_neurons=1000, p_ext=0.3)
    without, also = (simulation.Network(q.model_copy(update={"p_ext_I": x}), 0.2, 0.6, SEED) for x in (0.0, 0.15))
    assert (without.graph.rows == also.graph.rows).all()
    assert (without.state.u == also.state.u).all()
    assert without.graph_ext.n_targets == 600
    a, b = adjacency(without.graph_ext), adjacency(also.graph_ext)
    assert b.shape == (400, 1000)
    assert (a == b[:, :600]).all()
    assert_standard_normal((b[:, 600:].sum() - 24_000) / np.sqrt(24_000 * 0.85), "connections to inhibitory neurons")
    assert also.graph_ext.out_degree.tolist() == [*b.sum(1), 0]


def test_phi_ext_counts_the_external_spikes_of_all_neurons() -> None:
    """The mean of Φ_ext is M ν (λ p_ext + (1 - λ) p_ext_I), up to the drawn connections, and each step is exact."""
    q = parameters(p_ext=0.3, p_ext_I=0.5, external_rate_hz=200.0, w_ext=0.0, duration_ms=2000.0)
    r = simulate(q, 0.2, 0.75, SEED)
    net = simulation.Network(q, 0.2, 0.75, SEED)
    units, offsets = net.drive.take(q.n_steps)
    arrived = [net.graph_ext.out_degree[units[i:j]].sum() for i, j in itertools.pairwise(offsets)]
    np.testing.assert_allclose(r.phi_ext, np.array(arrived) / q.n_neurons / q.dt_ms, rtol=1e-6)
    assert r.n_edges_ext == net.graph_ext.n_edges
    mean = q.n_external * q.external_rate_hz / 1e3 * (0.75 * 0.3 + 0.25 * 0.5)
    assert float(r.phi_ext.mean()) == pytest.approx(mean, rel=0.02)


def test_inhibition_driven_from_outside_fires_without_excitation() -> None:
    r = simulate(parameters(p_ext_I=0.1), 0.0, 0.0, SEED)
    assert r.rate_I > 1
    assert r.phi_ext.any()


# --- a density of its own for each pathway ------------------------------------------------------------------------


FACTORS = {"p_EE": 0.5, "p_EI": 2.0, "p_IE": 3.0, "p_II": 0.0}


def blocks(net: simulation.Network) -> dict[str, npt.NDArray[np.bool_]]:
    """The possible edges by pathway, source first."""
    a, exc = adjacency(net.graph), slice(net.n_exc)
    inh = slice(net.n_exc, None)
    return {"p_EE": a[exc, exc], "p_EI": a[exc, inh], "p_IE": a[inh, exc], "p_II": a[inh, inh]}


def test_each_pathway_has_its_own_density() -> None:
    p, n_exc, n_inh = 0.2, 700, 300
    net = simulation.Network(parameters(n_neurons=1000, **FACTORS), p, 0.7, SEED)
    possible = {"p_EE": n_exc * (n_exc - 1), "p_EI": n_exc * n_inh, "p_IE": n_inh * n_exc, "p_II": n_inh * (n_inh - 1)}
    for name, block in blocks(net).items():
        q = p * FACTORS[name]
        if q == 0:
            assert not block.any()
            continue
        z = (block.sum() - q * possible[name]) / np.sqrt(possible[name] * q * (1 - q))
        assert_standard_normal(z, name)
    a = adjacency(net.graph)
    assert not a.diagonal().any()
    assert net.graph.out_degree.tolist() == [*a.sum(1), 0]
    assert net.graph.n_edges == a.sum()


@pytest.mark.parametrize("name", FACTORS)
def test_a_factor_changes_one_pathway_alone(name: str) -> None:
    """All other edges, external connections and inputs are those of the ordinary network."""
    ordinary, changed = (simulation.Network(parameters(**{name: x}), 0.2, 0.7, SEED) for x in (1.0, 1.5))
    before, after = blocks(ordinary), blocks(changed)
    assert [key for key in FACTORS if not (before[key] == after[key]).all()] == [name]
    assert after[name].sum() > 1.3 * before[name].sum()
    assert (ordinary.graph_ext.rows == changed.graph_ext.rows).all()
    assert (ordinary.state.lanes == changed.state.lanes).all()


def test_pathways_are_drawn_independently() -> None:
    """Where factors are equal, edges from and to the same neurons are still independent."""
    net = simulation.Network(parameters(n_neurons=1000, **dict.fromkeys(FACTORS, 2.0)), 0.2, 0.5, SEED)
    found = list(blocks(net).values())
    for a, b in itertools.combinations(found, 2):
        off = ~np.eye(500, dtype=bool)
        overlap = (a & b)[off].sum()
        z = (overlap - 0.16 * off.sum()) / np.sqrt(off.sum() * 0.16 * 0.84)
        assert_standard_normal(z, "edges in the same place of two pathways")


def test_only_a_graph_with_all_edges_is_taken_as_complete() -> None:
    def complete(p: float, **factors: float) -> bool:
        return simulation.Network(parameters(**factors), p, 0.7, SEED).wiring.complete

    assert complete(1.0)
    assert not complete(1.0, p_IE=0.9)
    assert complete(0.5, **dict.fromkeys(FACTORS, 2.0))


def test_a_probability_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"p_EI = 2 times p = 0.6 is a probability above 1"):
        simulation.Network(parameters(p_EI=2.0), 0.6, 0.7, SEED)


# --- delay --------------------------------------------------------------------------------------------------------


def test_a_delay_of_one_step_is_the_shortest() -> None:
    q = parameters()
    first = simulate(q, 0.2, 0.8, SEED, keep_spikes=True)
    assert same(first, simulate(parameters(delay_ms=q.dt_ms), 0.2, 0.8, SEED, keep_spikes=True))
    assert same(first, simulate(parameters(delay_ms=0.14), 0.2, 0.8, SEED, keep_spikes=True))
    assert not same(first, simulate(parameters(delay_ms=2 * q.dt_ms), 0.2, 0.8, SEED, keep_spikes=True))


@pytest.mark.parametrize("delay_ms", [0.0, 0.1, 0.2, 2.5])
def test_phi_has_the_spikes_in_the_step_of_their_arrival(delay_ms: float) -> None:
    """Φ_E and Φ_I, from the kept spikes and the out-degrees of the neurons that fired them; no delay for Φ_ext."""
    q = parameters(delay_ms=delay_ms)
    r = simulate(q, 0.2, 0.8, SEED, keep_spikes=True)
    net = simulation.Network(q, 0.2, 0.8, SEED)
    assert r.spike_neuron is not None
    assert r.spike_time is not None
    later = max(round(delay_ms / q.dt_ms) - 1, 0)
    step = np.rint(r.spike_time / q.dt_ms).astype(int) + later
    for phi, exc in ((r.phi_E, True), (r.phi_I, False)):
        those = ((r.spike_neuron < net.n_exc) == exc) & (step < q.n_steps)
        arrived = np.bincount(step[those], net.graph.out_degree[r.spike_neuron[those]], q.n_steps)
        np.testing.assert_allclose(phi, arrived / q.n_neurons / q.dt_ms, rtol=1e-6)
        assert phi.any()
    undelayed = simulate(parameters(), 0.2, 0.8, SEED)
    assert (r.phi_ext == undelayed.phi_ext).all()


@pytest.mark.parametrize("delay_ms", [0.0, 2.5])
def test_recorded_input_gives_the_mean_conductances(delay_ms: float) -> None:
    """What the mass models rely on: ḡ ← (1 - dt/τ) ḡ + w dt Φ[k] is the network's mean conductance in step k + 1."""
    q = parameters(delay_ms=delay_ms)
    net = simulation.Network(q, 0.2, 0.8, SEED)
    mean = np.zeros(3)
    decay = 1 - q.dt_ms / np.array([q.tau_E_ms, q.tau_I_ms, q.tau_ext_ms])
    for _ in range(400):
        _, phi, _, _ = net.run(1)
        # between two steps the kernel's conductances are without the last step's jumps
        found = [kernel_g(net, kind).mean() for kind in KINDS]
        np.testing.assert_allclose(found, decay * mean, rtol=1e-5, atol=1e-9)
        mean = decay * mean + np.array([q.w_E, q.w_I, q.w_ext]) * phi[:, 0] * q.dt_ms
    assert (mean > 0).all()


def test_a_delay_beyond_the_end_leaves_neurons_unconnected() -> None:
    delayed = simulate(parameters(delay_ms=1e6, duration_ms=120.0), 0.2, 0.8, SEED)
    alone = simulate(parameters(w_E=0.0, w_I=0.0), 0.2, 0.8, SEED)
    assert not delayed.phi_E.any()
    assert (delayed.mean_v == alone.mean_v).all()


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", {("LIF", False)}),
        ("network: {delay_ms: 0.1}", {("LIF", False)}),
        ("network: {delay_ms: 3, neuron_model: EIF}", {("EIF", True)}),
        ("network: {neuron_model: QIF}", {("QIF", False)}),
    ],
)
def test_the_kernels_of_a_sweep_are_compiled_before_it(
    keys: str, expected: set[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []
    monkeypatch.setattr(simulation, "simulate", lambda q, *_: compiled.append((q.neuron_model, q.n_delay > 1)))
    warm_up(*parse_experiment(f"grid: {{p: 0.1, lam: 0.8}}\n{keys}").networks_at_ends())
    assert set(compiled) == expected


def test_an_axis_of_delays_needs_the_kernels_of_both_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(simulation, "simulate", lambda q, *_: compiled.append(q.n_delay > 1))
    warm_up(*parse_experiment("grid: {p: [0.1, 0.2], lam: 0.8, delay_ms: [0, 1, 2]}").networks_at_ends())
    assert set(compiled) == {False, True}


# --- failures ---------------------------------------------------------------------------------------------------


def test_inhibition_beyond_the_step_is_a_failure_with_time_and_reason() -> None:
    """a g_I > 1: forward Euler throws v below V_I."""
    q = parameters(w_I=500.0)
    with pytest.raises(TrialFailure, match=r"fell below every reversal potential at [\d.]+ ms; dt_ms = 0.1") as caught:
        simulate(q, 0.5, 0.5, SEED)
    # the time is right: what ends a little earlier goes well
    at = float(str(caught.value).split(" at ")[1].split(" ms")[0])
    assert 0 < at <= q.duration_ms
    r = simulate(q.model_copy(update={"duration_ms": at - q.dt_ms, "transient_ms": 0.0}), 0.5, 0.5, SEED)
    assert np.isfinite(r.mean_v).all()
    with pytest.raises(TrialFailure):
        simulate(q.model_copy(update={"duration_ms": at, "transient_ms": 0.0}), 0.5, 0.5, SEED)


def assert_sound_or_explained(q: NetworkParameters, p: float, lam: float, seed: Seed) -> None:
    """Either a valid recording, or a failure with time and reason."""
    try:
        r = simulate(q, p, lam, seed, keep_spikes=True)
    except TrialFailure as failure:
        reason = str(failure)
    else:
        assert_sound(r, q, p, lam)
        return
    assert re.fullmatch(r"the membrane potential (became non-finite|fell below .*) at [\d.e+]+ ms; .*", reason)


@pytest.mark.parametrize("changed", [{"w_E": 1e30}, {"w_ext": 1e38}, {"w_ext": 1e300}, {"noise_q": 1e90}], ids=str)
def test_numbers_without_end_are_a_failure(changed: dict[str, Any]) -> None:
    assert_sound_or_explained(parameters(**{"duration_ms": 2000.0, "t_ref_ms": 0.0} | changed), 1.0, 0.9, SEED)


def test_non_finite_potentials_are_found_at_once() -> None:
    net = simulation.Network(parameters(), 0.1, 0.5, SEED)
    net.run(10)
    net.state.u[3] = np.nan
    with pytest.raises(TrialFailure, match=r"became non-finite at 1.1 ms"):
        net.run(10)


def over_decades(first: int, last: int) -> st.SearchStrategy[float]:
    """0, or a number of any magnitude from 10^first to 10^last."""
    return st.one_of(st.just(0.0), st.floats(first, last).map(lambda x: 10.0**x))


numbers = {
    "neuron_model": st.sampled_from(["LIF", "EIF", "QIF"]),
    "delta_t_mv": st.floats(0.05, 20.0),
    "v_cutoff_mv": st.floats(-29.0, 50.0),
    "n_neurons": st.integers(2, 80),
    "n_external": st.integers(0, 60),
    "dt_ms": st.sampled_from([0.05, 0.1, 0.25]),
    "duration_ms": st.floats(21.0, 50.0),
    "transient_ms": st.floats(0.0, 20.0),
    "noise_q": over_decades(-6, 3),
    "external_rate_hz": over_decades(0, 5),
    "p_ext": st.floats(0.0, 1.0),
    "p_ext_I": st.one_of(st.just(0.0), st.floats(0.0, 1.0)),
    "p_EE": st.floats(0.0, 1.0),
    "p_II": st.floats(0.0, 1.0),
    "tau_m_ms": st.floats(0.5, 100.0),
    "v_leak_mv": st.floats(-90.0, -30.0),
    "v_reset_mv": st.floats(-90.0, -60.0),
    "v_threshold_mv": st.floats(-59.0, -30.0),
    "t_ref_ms": st.one_of(st.just(0.0), st.floats(0.0, 30.0)),
    "delay_ms": st.one_of(st.just(0.0), st.floats(0.0, 60.0)),
    "v_exc_mv": st.floats(-70.0, 50.0),
    "v_inh_mv": st.floats(-120.0, -40.0),
    "v_ext_mv": st.floats(-70.0, 50.0),
    "tau_E_ms": st.floats(0.5, 100.0),
    "tau_I_ms": st.floats(0.5, 100.0),
    "tau_ext_ms": st.floats(0.5, 100.0),
    "w_E": over_decades(-4, 3),
    "w_I": over_decades(-4, 3),
    "w_ext": over_decades(-4, 3),
}


@settings(max_examples=300)
@given(st.fixed_dictionaries(numbers), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_whatever_is_asked_for_is_finite_or_fails(changed: dict[str, Any], p: float, lam: float, seed: int) -> None:
    """Never a crash, never a NaN in a trace: a sound recording, or a failure with time and reason."""
    if changed["neuron_model"] == "QIF":
        changed["v_leak_mv"] = min(changed["v_leak_mv"], -60.0)
    assert_sound_or_explained(NetworkParameters(**changed), p, lam, (seed, 1, 2, 3))
