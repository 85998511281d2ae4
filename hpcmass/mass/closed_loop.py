"""CFM-closed: the conventional Freeman model that predicts its own spikes, driven by the external input alone.

The other models get the network's recorded spikes. A mass model that stands for a network in a larger one has to
predict them, Φ_σ from V by a transfer function. Here that is a sigmoid for each type of neuron,

    Φ_σ = F_σ(V) = M_σ/(1 + exp(-(V - θ_σ)/s_σ)),      σ ∈ {E, I}
    [tau_m d/dt + 1] [tau_s d/dt + 1] V = V_L - Σ_σ g̃_σ (V̄ - V_σ) Φ_σ - g̃_ext (V̄ - V_ext) Φ_ext

with the recorded Φ_ext. The coefficients M, θ, s and V̄ come from the point's *other* trials: the least squares between
their recorded Φ_σ and F_σ of the potential that the CFM predicts for them from these Φ. A mass model is off by some mV,
so a transfer function of the network's own potential would not fit the model's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from hpcmass.compiled import compiled
from hpcmass.config import MassParameters, NetworkParameters
from hpcmass.mass.freeman import cfm
from hpcmass.mass.registry import MassModel, mass_model
from hpcmass.mass.traces import KINDS, V_BOUND_MV, Potential, Trace, Traces, mean_after

FIT_MS: Final = 1.0
"""The fit takes one sample in this time."""

GROUPS: Final = 100
"""Samples of neighbouring V are averaged into so many groups, of equal size."""

THRESHOLDS, SLOPES, ROUNDS = 33, 25, 6
"""Values of θ and s that are tried in each round; each round looks closer around the best of the one before."""

Groups = Potential
"""(n, 3): mean V (mV), Φ_E and Φ_I (1/ms) of each group, by increasing V."""

Sigmoid = tuple[float, float, float]
"""M (1/ms), θ (mV), s (mV)."""


@dataclass(frozen=True)
class Lesson:
    """What one trial says about the transfer functions: groups of samples, and the network's V̄ (mV)."""

    groups: Groups
    mean_v: float


class ClosedLoop:
    """The model in two steps, see `FittedModel`."""

    least_trials = 2

    def summarise(self, traces: Traces, network: NetworkParameters, mass: MassParameters) -> Lesson:
        """Recorded input in groups of neighbouring V, the potential of the CFM that this input drives."""
        stride = max(1, round(FIT_MS / network.dt_ms))
        after = slice(network.n_transient, None, stride)
        v = cfm(traces, network, mass)[after]
        samples = np.column_stack((v, traces.phi_E[after], traces.phi_I[after])).astype(np.float64)
        return Lesson(_grouped(samples[np.isfinite(v)]), mean_after(traces.mean_v, network.n_transient))

    def fit(self, summaries: Mapping[int, Lesson], held_out: int, network: NetworkParameters) -> MassModel:
        """The model of one trial, with the transfer functions of the others."""
        others = [lesson for trial, lesson in sorted(summaries.items()) if trial != held_out]
        groups = _grouped(np.concatenate([lesson.groups for lesson in others]))
        mean_v = float(np.mean([lesson.mean_v for lesson in others]))
        sigmoids = tuple(fitted(groups[:, 0], groups[:, 1 + k]) for k in range(2))
        return partial(_predict, mean_v=mean_v, sigmoids=sigmoids)


mass_model("CFM-closed")(ClosedLoop())


def _grouped(samples: Groups) -> Groups:
    """Samples sorted by V and averaged in at most GROUPS groups."""
    ordered = samples[np.argsort(samples[:, 0], kind="stable")]
    n = len(ordered)
    if n <= GROUPS:
        return ordered
    first = np.arange(GROUPS) * n // GROUPS
    return np.asarray(np.add.reduceat(ordered, first) / np.diff(first, append=n)[:, None])


def fitted(v: Potential, phi: Potential) -> Sigmoid:
    """The sigmoid that fits best, by a search over θ and s; M follows from them by linear least squares.

    Parameters
    ----------
    v : array, (n,)
        mV.
    phi : array, (n,)
        1/ms.
    """
    spread = float(v.max() - v.min()) if v.size else 0.0
    if not spread > 0:  # a potential that does not move says nothing but the mean
        return 2 * float(phi.mean()) if v.size else 0.0, float(v.mean()) if v.size else 0.0, 1.0
    theta, theta_step = float(v.min() + v.max()) / 2, 3 * spread / (THRESHOLDS - 1)
    log_s, log_step = float(np.log(spread / 3)), float(np.log(1000)) / (SLOPES - 1)
    best = (0.0, 0.0, 1.0)
    for _ in range(ROUNDS):
        thetas = theta + theta_step * (np.arange(THRESHOLDS) - THRESHOLDS // 2)
        slopes = np.exp(log_s + log_step * (np.arange(SLOPES) - SLOPES // 2))
        shape = _sigmoid((v - thetas[:, None, None]) / slopes[:, None])  # (θ, s, n)
        square = np.einsum("ijk,ijk->ij", shape, shape)
        product = np.einsum("ijk,k->ij", shape, phi)
        maximum = np.maximum(product, 0) / np.where(square > 0, square, 1)
        error = maximum**2 * square - 2 * maximum * product
        i, j = np.unravel_index(int(np.argmin(error)), error.shape)
        best = float(maximum[i, j]), float(thetas[i]), float(slopes[j])
        theta, log_s = best[1], float(np.log(best[2]))
        theta_step, log_step = theta_step / 5, log_step / 5
    return best


def _sigmoid(x: Potential) -> Potential:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))  # does not overflow


@compiled()
def _integrate(
    phi_ext: Trace,
    coefficients: Potential,
    gain: Potential,
    v_leak: float,
    v_mean: float,
    step_m: float,
    step_s: float,
    bound: float,
) -> Potential:
    """Forward Euler on tau_s dV/dt = y - V, tau_m dy/dt = J - y; `gain` is g̃_σ (V̄ - V_σ)."""
    potential = np.full(phi_ext.size, np.nan)
    v = y = v_mean
    for k in range(phi_ext.size):
        if not abs(v) <= bound:  # true for NaN, too
            break
        potential[k] = v
        drive = v_leak - gain[2] * phi_ext[k]
        for kind in range(2):
            most, theta, slope = coefficients[kind]
            drive -= gain[kind] * most * 0.5 * (1 + np.tanh(0.5 * (v - theta) / slope))
        v, y = v + step_s * (y - v), y + step_m * (drive - y)
    return potential


def _predict(
    traces: Traces,
    network: NetworkParameters,
    mass: MassParameters,
    *,
    mean_v: float,
    sigmoids: tuple[Sigmoid, ...],
) -> Potential:
    """V (mV) from the external input alone: V[0] = V̄ of the other trials, at rest."""
    g, reversal = network.g_tilde_ms(), network.reversal_mv()
    return np.asarray(
        _integrate(
            traces.phi_ext,
            np.array(sigmoids, dtype=np.float64),
            np.array([g[kind] * (mean_v - reversal[kind]) for kind in KINDS]),
            network.v_leak_mv,
            mean_v,
            network.dt_ms / network.tau_m_ms,
            network.dt_ms / mass.tau_s_ms,
            V_BOUND_MV,
        )
    )
