"""The network of equations (7) and (11), in float64, with dense matrices and in the order of the equations.

The kernel of `hpcmass.network` must agree with it. It gets the kernel's own graph, initial potentials, external
spikes and noise, and otherwise shares no code with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from graphs import adjacency
from hpcmass.config import NetworkParameters
from hpcmass.grid import Seed
from hpcmass.network.external import PoissonDrive
from hpcmass.network.lanes import draw_normals
from hpcmass.network.neurons import slot_of
from hpcmass.network.simulation import Network

Reals = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]

KINDS = ("E", "I", "ext")


@dataclass
class Oracle:
    """N neurons, step by step.

    Attributes
    ----------
    q : NetworkParameters
    connected : array of bool, (N, N)
        connected[m, n]: neuron m projects to neuron n.
    connected_ext : array of bool, (M, N)
        External unit m projects to neuron n.
    n_exc : int
        Neurons below it are excitatory.
    v : array, (N,)
        Membrane potentials (mV).
    g : dict of arrays, (N,)
        Conductances in units of the leak, E, I and ext.
    refractory : array of int, (N,)
        Steps for which each neuron is still refractory.
    travelling : list of arrays of bool, (N,)
        Spikes of the last steps that have not yet arrived, oldest first.
    arrived : dict of arrays, (N,)
        Spikes that reached each neuron in the last step.
    synaptic : array, (N,)
        Σ_σ g_σ (v - V_σ) (mV) that acted in the last step, on refractory neurons only in thought.
    ties : int
        How often a neuron was so close to threshold that float32 decided otherwise.
    """

    q: NetworkParameters
    connected: Truths
    connected_ext: Truths
    n_exc: int
    v: Reals
    g: dict[str, Reals] = field(init=False)
    refractory: npt.NDArray[np.int64] = field(init=False)
    travelling: list[Truths] = field(default_factory=list)
    arrived: dict[str, Reals] = field(init=False)
    synaptic: Reals = field(init=False)
    ties: int = 0

    def __post_init__(self) -> None:
        n = self.v.size
        self.g = {kind: np.zeros(n) for kind in KINDS}
        self.refractory = np.zeros(n, np.int64)
        self.arrived = {kind: np.zeros(n) for kind in KINDS}

    def step(
        self,
        xi: Reals,
        events: npt.NDArray[np.int64],
        kernel_spikes: Truths | None = None,
        tolerance_mv: float = 0.0,
    ) -> Truths:
        """One step: advance v with g(t); detect spikes; decay g; add the jumps of the spikes of this step.

        Parameters
        ----------
        xi : array, (N,)
            Standard normals.
        events : array of int
            External units that spike in this step, one entry a spike.
        kernel_spikes : array of bool, (N,), optional
            Where v is closer to threshold than `tolerance_mv`, the kernel's decision is adopted.

        Returns
        -------
        array of bool, (N,)
            Neurons that spiked.
        """
        q, g, v = self.q, self.g, self.v
        reversal = q.reversal_mv()
        n_delay = max(1, round(q.delay_ms / q.dt_ms))

        # (11a)
        self.synaptic = sum(g[kind] * (v - reversal[kind]) for kind in KINDS)
        current = (v - q.v_leak_mv) - self.upstroke() + self.synaptic
        v = v + (-current * q.dt_ms + np.sqrt(q.noise_q * q.dt_ms) * xi) / q.tau_m_ms

        # (11d)
        free = self.refractory == 0
        v = np.where(free, v, q.v_reset_mv)
        spike_mv = q.v_threshold_mv if q.neuron_model == "LIF" else q.v_cutoff_mv
        spikes = free & (v >= spike_mv)
        if kernel_spikes is not None:
            tie = free & (np.abs(v - spike_mv) < tolerance_mv)
            self.ties += int((tie & (spikes != kernel_spikes)).sum())
            spikes = np.where(tie, kernel_spikes, spikes)
        self.v = np.where(spikes, q.v_reset_mv, v)
        self.refractory = np.where(spikes, round(q.t_ref_ms / q.dt_ms), np.maximum(self.refractory - 1, 0))

        # (11c), (7)
        excites = np.arange(v.size) < self.n_exc
        self.travelling.append(spikes)
        arriving = self.travelling.pop(0) if len(self.travelling) == n_delay else np.zeros(v.size, bool)
        self.arrived["E"] = self.connected[arriving & excites].sum(0).astype(float)
        self.arrived["I"] = self.connected[arriving & ~excites].sum(0).astype(float)
        self.arrived["ext"] = self.connected_ext[events].sum(0).astype(float)

        # (11b)
        tau = {"E": q.tau_E_ms, "I": q.tau_I_ms, "ext": q.tau_ext_ms}
        w = {"E": q.w_E, "I": q.w_I, "ext": q.w_ext}
        self.g = {kind: (1 - q.dt_ms / tau[kind]) * g[kind] + w[kind] * self.arrived[kind] for kind in KINDS}
        return spikes

    def upstroke(self) -> Reals:
        """What each neuron drives itself by, psi(v) (mV)."""
        return self.upstroke_at(self.v)

    def upstroke_at(self, v: Any) -> Any:
        """The same at any potential."""
        q = self.q
        if q.neuron_model == "EIF":
            return q.delta_t_mv * np.exp((v - q.v_threshold_mv) / q.delta_t_mv)
        if q.neuron_model == "QIF":
            return (v - q.v_leak_mv) ** 2 / (q.v_threshold_mv - q.v_leak_mv)
        return 0.0 * v

    def decayed(self, kind: str) -> Reals:
        """g before the jumps of the last step, which is where the kernel stops between two steps."""
        return self.g[kind] - {"E": self.q.w_E, "I": self.q.w_I, "ext": self.q.w_ext}[kind] * self.arrived[kind]

    def phi(self, kind: str) -> float:
        """Population mean of the spikes received (1/ms) in the last step."""
        return float(self.arrived[kind].mean()) / self.q.dt_ms


class Inputs:
    """The random inputs of a network that has just been made, a second time.

    Parameters
    ----------
    net : Network
    seed : tuple of 4 int
        The one that `net` was made with.
    """

    def __init__(self, net: Network, seed: Seed) -> None:
        q = net.parameters
        to_drive = np.random.SeedSequence(seed).spawn(5)[2]
        per_ms = q.n_external * q.external_rate_hz / 1e3
        self._drive = PoissonDrive(to_drive, q.n_external, per_ms * q.dt_ms)
        self._lanes = net.state.lanes.copy()
        self._normals = np.empty(64 * net.wiring.width, np.float32)
        self._slots = slot_of(np.arange(q.n_neurons))

    def next(self) -> tuple[Reals, npt.NDArray[np.int64]]:
        """Noise and external spikes of the next step."""
        draw_normals(self._lanes, self._normals, 0, self._normals.size, 1.0)
        units, _ = self._drive.take(1)
        return self._normals[self._slots].astype(float), units


def oracle_of(net: Network) -> Oracle:
    """The oracle of a network that has just been made: same graph, same initial potentials."""
    to_all = np.zeros((net.parameters.n_external, net.parameters.n_neurons), bool)
    to_all[:, : net.graph_ext.n_targets] = adjacency(net.graph_ext)
    return Oracle(net.parameters, adjacency(net.graph), to_all, net.n_exc, kernel_v(net))


def kernel_v(net: Network) -> Reals:
    """The kernel's potentials (mV), by neuron."""
    slots = slot_of(np.arange(net.parameters.n_neurons))
    return net.state.u[slots].astype(float) + net.parameters.v_leak_mv


def kernel_g(net: Network, kind: str) -> Reals:
    """The kernel's conductances, by neuron, without the jumps of the last step."""
    slots = slot_of(np.arange(net.parameters.n_neurons))
    i = KINDS.index(kind)
    return (net.state.g_e, net.state.g_i, net.state.g_x)[i][slots] * net.state.scales[i]


def spikes_of(net: Network, chunks: list[tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]]) -> Truths:
    """Neurons that spiked in the single step that `net.run(1)` has just made."""
    ((neurons, counts),) = chunks
    assert counts.tolist() == [neurons.size]
    fired = np.zeros(net.parameters.n_neurons, bool)
    fired[neurons] = True
    return fired
