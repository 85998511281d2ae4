"""Two first-order mean-field models: FOM, closed with the mean conductances, and CLO, which needs no closure.

The average of (11a) over the population, as long as no neuron is at threshold, is equation (16),

    tau_m dV/dt = -(V - V_L) - ⟨Σ_σ g_σ (v - V_σ)⟩          σ ∈ {E, I, ext}

It is not closed: the mean of a product is not the product of the means.

FOM closes it with ⟨g_σ (v - V_σ)⟩ = ḡ_σ (V - V_σ). The mean conductance obeys tau_σ dḡ_σ/dt = -ḡ_σ + g̃_σ Φ_σ exactly,
for (11b) is linear, with each type's own time constant: nothing is lost in the synapses, and V is of first order.
Freeman's models arrive at their second order by one tau_s for all types and a filter behind the product.

CLO evaluates (16) with the network's recorded synaptic current. It lacks threshold, reset and refractoriness, as does
every model that closes (16): it bounds what any closure of this kind can reach. It is not a prediction, because it uses
more of the network than the spikes.
"""

from __future__ import annotations

import numpy as np

from hpcmass.compiled import compiled
from hpcmass.config import MassParameters, NetworkParameters
from hpcmass.mass.registry import mass_model
from hpcmass.mass.traces import KINDS, V_BOUND_MV, Potential, Trace, Traces, mean_after, until_divergence


@compiled()
def _first_order(
    phi_E: Trace,
    phi_I: Trace,
    phi_ext: Trace,
    jump: Potential,
    decay: Potential,
    reversal: Potential,
    v_leak: float,
    v_mean: float,
    step_m: float,
    bound: float,
) -> Potential:
    """Forward Euler in the network's order: ḡ decays, takes up the spikes of step k, and then moves V."""
    n_steps = phi_E.size
    potential = np.full(n_steps, np.nan)
    g_E = g_I = g_ext = 0.0
    v = v_mean
    for k in range(n_steps):
        if not abs(v) <= bound:  # true for NaN, too
            break
        potential[k] = v
        g_E = g_E * decay[0] + jump[0] * phi_E[k]
        g_I = g_I * decay[1] + jump[1] * phi_I[k]
        g_ext = g_ext * decay[2] + jump[2] * phi_ext[k]
        current = g_E * (v - reversal[0]) + g_I * (v - reversal[1]) + g_ext * (v - reversal[2])
        v += step_m * (v_leak - v - current)
    return potential


def synapses(network: NetworkParameters) -> tuple[Potential, Potential]:
    """How mean conductances move in a step: ḡ_σ ← decay_σ ḡ_σ + jump_σ Φ_σ, both (3,), jump in ms."""
    tau_ms = np.array([network.tau_E_ms, network.tau_I_ms, network.tau_ext_ms])
    g_tilde_ms = network.g_tilde_ms()
    share = network.dt_ms / tau_ms
    return share * np.array([g_tilde_ms[kind] for kind in KINDS]), 1 - share


def inputs(traces: Traces, network: NetworkParameters) -> tuple[Trace, Trace, Trace, Potential, Potential]:
    """What drives the mean conductances: the recorded spikes of E, I and ext, and `synapses`."""
    return (traces.phi_E, traces.phi_I, traces.phi_ext, *synapses(network))


@mass_model("FOM")
def first_order(traces: Traces, network: NetworkParameters, mass: MassParameters) -> Potential:
    """Potential of the first-order model with a time constant per type of synapse: V[0] = V̄, no conductance."""
    reversal = network.reversal_mv()
    return np.asarray(
        _first_order(
            *inputs(traces, network),
            np.array([reversal[kind] for kind in KINDS], dtype=np.float64),
            network.v_leak_mv,
            mean_after(traces.mean_v, network.n_transient),
            network.dt_ms / network.tau_m_ms,
            V_BOUND_MV,
        )
    )


@mass_model("CLO", needs=("mean_i_syn",))
def closure_bound(traces: Traces, network: NetworkParameters, mass: MassParameters) -> Potential:
    """Potential of equation (16) with the recorded synaptic current.

    V[k] uses the current of step k, which acted on the network's potential of step k - 1.
    """
    import scipy.signal  # takes a second, and a sweep that only checks the models' names does not need it

    assert traces.mean_i_syn is not None  # it is registered as needed
    a = network.dt_ms / network.tau_m_ms
    start = mean_after(traces.mean_v, network.n_transient)
    drive = network.v_leak_mv - np.asarray(traces.mean_i_syn[1:], dtype=np.float64)
    v, _ = scipy.signal.lfilter([a], [1.0, a - 1.0], drive, zi=[(1 - a) * start])
    return until_divergence(np.concatenate(([start], v)))
