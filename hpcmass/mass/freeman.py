"""The conventional and the modified Freeman model, CFM and MFM, driven by the recorded spike input.

Both obey, with the network's membrane time constant tau_m and one synaptic time constant tau_s,

    [tau_m d/dt + 1] [tau_s d/dt + 1] V = J

    J_CFM = V_L - Σ_σ g̃_σ (V̄    - V_σ) Φ_σ(t)      (19, 20)
    J_MFM = V_L - Σ_σ g̃_σ (V(t) - V_σ) Φ_σ(t)      (24)         σ ∈ {E, I, ext}

with g̃_σ = w_σ tau_σ and V̄ the temporal mean of the network's mean potential after the transient. This is
Freeman's equation (1) with rates α = 1/tau_m and β = 1/tau_s. In the MFM the input is a parametric forcing:
K(t) = 1 + Σ g̃_σ Φ_σ is a stiffness that varies in time, and V may diverge.
"""

from __future__ import annotations

import numpy as np

from hpcmass.compiled import compiled
from hpcmass.config import MassParameters, NetworkParameters
from hpcmass.mass.registry import mass_model
from hpcmass.mass.traces import KINDS, V_BOUND_MV, Potential, Trace, Traces, mean_after


@compiled()
def _integrate(
    phi_E: Trace,
    phi_I: Trace,
    phi_ext: Trace,
    g: Potential,
    reversal: Potential,
    v_leak: float,
    v_mean: float,
    modified: bool,
    step_m: float,
    step_s: float,
    bound: float,
) -> Potential:
    """Forward Euler on tau_s dV/dt = y - V, tau_m dy/dt = J - y, steps in units of the time constants."""
    n_steps = phi_E.size
    potential = np.full(n_steps, np.nan)
    g_E, g_I, g_ext = g[0], g[1], g[2]
    v_E, v_I, v_ext = reversal[0], reversal[1], reversal[2]
    v = v_mean
    y = v_mean  # dV/dt = 0 at the start
    for k in range(n_steps):
        if not abs(v) <= bound:  # true for NaN, too
            break
        potential[k] = v
        v_drive = v if modified else v_mean
        drive = v_leak
        drive -= g_E * (v_drive - v_E) * phi_E[k]
        drive -= g_I * (v_drive - v_I) * phi_I[k]
        drive -= g_ext * (v_drive - v_ext) * phi_ext[k]
        v, y = v + step_s * (y - v), y + step_m * (drive - y)
    return potential


def _freeman(traces: Traces, network: NetworkParameters, mass: MassParameters, modified: bool) -> Potential:
    g, reversal = network.g_tilde_ms(), network.reversal_mv()
    return np.asarray(
        _integrate(
            traces.phi_E,
            traces.phi_I,
            traces.phi_ext,
            np.array([g[kind] for kind in KINDS]),
            np.array([reversal[kind] for kind in KINDS], dtype=np.float64),
            network.v_leak_mv,
            mean_after(traces.mean_v, network.n_transient),
            modified,
            network.dt_ms / network.tau_m_ms,
            network.dt_ms / mass.tau_s_ms,
            V_BOUND_MV,
        )
    )


@mass_model("CFM")
def cfm(traces: Traces, network: NetworkParameters, mass: MassParameters) -> Potential:
    """Potential of the conventional Freeman model, equations (19) and (20): V[0] = V̄, at rest."""
    return _freeman(traces, network, mass, modified=False)


@mass_model("MFM")
def mfm(traces: Traces, network: NetworkParameters, mass: MassParameters) -> Potential:
    """Potential of the modified Freeman model, equation (24), likewise."""
    return _freeman(traces, network, mass, modified=True)
