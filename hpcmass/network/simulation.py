"""One trial: parameters, grid values and a seed in, a `Recording` out."""

from __future__ import annotations

import math
import time

import numpy as np
import numpy.typing as npt

from hpcmass.config import NetworkParameters
from hpcmass.errors import TrialFailure, TrialTimeout
from hpcmass.grid import Seed
from hpcmass.network import upstroke
from hpcmass.network.delivery import MAX_PLANES
from hpcmass.network.digraph import draw, with_block, words_per_row
from hpcmass.network.external import PoissonDrive
from hpcmass.network.lanes import seed_lanes
from hpcmass.network.loop import NON_FINITE, STEPS, State, Wiring, run_steps
from hpcmass.network.machine_code import warn_if_scalar
from hpcmass.network.neurons import N_CONSTANTS, slot_of
from hpcmass.network.recording import Recording
from hpcmass.network.simd import aligned
from hpcmass.network.spikes import SpikeChunk, SpikeTrains, train_statistics
from hpcmass.network.synchrony import spike_contrast

CHUNK_SPIKES = 4_000_000
"""Space for spikes per chunk of steps; it bounds the length of a chunk, never the result."""

LONGEST_CHUNK = 20_480
"""Most steps between two checks of the deadline; a multiple of 64."""

SMALLEST_PENDING_DECAY = 1e-9
"""Conductances are rescaled before their common decay falls below this."""


Real = npt.NDArray[np.float64]


class Network:
    """One random network with its drive, ready to run.

    Parameters
    ----------
    parameters : NetworkParameters
    p, lam : float
        Connection probability and excitatory fraction.
    seed : tuple of 4 int
        From `hpcmass.grid.trial_seed`; with the parameters it fixes everything that follows.

    Attributes
    ----------
    n_exc : int
        Neurons 0 … n_exc - 1 are excitatory, the others inhibitory.
    graph, graph_ext : Digraph
        Connections within the network and from the external units.
    """

    def __init__(self, parameters: NetworkParameters, p: float, lam: float, seed: Seed) -> None:
        q = self.parameters = parameters.at({"p": p, "lam": lam})
        n = q.n_neurons
        self.n_exc = round(lam * n)
        # one sequence per use; this order must never change, new uses are at its end
        sequences = np.random.SeedSequence(seed).spawn(10)
        to_graph, to_graph_ext, to_drive, to_noise, to_start, to_graph_ext_inh, *to_pathways = sequences
        width = words_per_row(n)
        neuron = np.arange(64 * width)
        exc, inh = _bits(neuron < self.n_exc), _bits((neuron >= self.n_exc) & (neuron < n))
        self.graph = draw(to_graph, n, n, p, loops=False)
        sources, targets = {"E": slice(self.n_exc), "I": slice(self.n_exc, n)}, {"E": exc, "I": inh}
        for sequence, (way, probability) in zip(to_pathways, q.pathway_probabilities(p).items(), strict=True):
            if probability != p:
                other = draw(sequence, n, n, probability, loops=False)
                self.graph = with_block(self.graph, other, sources[way[0]], targets[way[1]])
        width_ext = external_words(q, lam)
        self.graph_ext = draw(to_graph_ext, q.n_external, self.n_exc, q.p_ext, loops=True, words=width_ext, drawn=width)
        if q.p_ext_I > 0:
            to_inh = draw(to_graph_ext_inh, q.n_external, n, q.p_ext_I, loops=True)
            self.graph_ext = with_block(self.graph_ext, to_inh, slice(q.n_external), inh)
        per_step = q.n_external * q.external_rate_hz * q.dt_ms / 1e3
        self.drive = PoissonDrive(to_drive, q.n_external, per_step)

        slots = 64 * width
        n_refractory = round(q.t_ref_ms / q.dt_ms)
        u = aligned(slots, np.float32)
        # slots without a neuron must stay below threshold, and u = 0 does not where v_leak_mv is above it
        u[:] = min(0.0, q.v_reset_mv - q.v_leak_mv)
        self._padding_mv = float(u[0]) * (slots - n) / n
        start = np.random.Generator(np.random.PCG64(to_start)).random(n)
        u[slot_of(np.arange(n))] = q.v_reset_mv - q.v_leak_mv + (q.v_threshold_mv - q.v_reset_mv) * start
        fired, n_travelling = aligned(width, np.uint64), min(q.n_delay - 1, q.n_steps)
        self.state = State(
            u=u,
            g_e=aligned(slots, np.float32),
            g_i=aligned(slots, np.float32),
            g_x=aligned(slots, np.float32),
            planes_e=aligned(MAX_PLANES * width, np.uint64),
            planes_i=aligned(MAX_PLANES * width, np.uint64),
            planes_x=aligned(MAX_PLANES * width, np.uint64),
            n_planes=np.zeros(3, np.int64),
            refractory=aligned(width, np.uint64),
            fired=fired,
            ring=aligned(min(n_refractory + 1, q.n_steps + 1) * width, np.uint64),
            arriving=aligned(width, np.uint64) if n_travelling else fired,
            travelling=aligned(n_travelling * width, np.uint64) if n_travelling else None,
            lanes=seed_lanes(to_noise),
            rows_e=np.zeros(n + 16, np.int64),
            rows_i=np.zeros(n + 16, np.int64),
            rows_x=np.zeros(16, np.int64),
            clock=np.zeros(2, np.int64),
            constants=np.zeros(N_CONSTANTS, np.float32),
            noise=aligned(512, np.float32),
            scales=np.ones(3),
        )
        self.state.refractory[:] = _bits(neuron >= n)

        decays = np.array([1 - q.dt_ms / tau for tau in (q.tau_E_ms, q.tau_I_ms, q.tau_ext_ms)])
        reversal = np.array([q.v_exc_mv, q.v_inh_mv, q.v_ext_mv])
        # without noise u stays above the lowest reversal potential; a margin of ten standard deviations allows for it
        sd = math.sqrt(q.noise_q / (2 * q.tau_m_ms))
        lowest = min(0.0, q.v_reset_mv - q.v_leak_mv, *(reversal - q.v_leak_mv))
        exponential, quadratic = upstroke.constants(q)
        self.wiring = Wiring(
            self.graph.rows.reshape(-1),
            self.graph_ext.rows.reshape(-1),
            self.graph.out_degree,
            self.graph_ext.out_degree,
            self.graph.n_edges == n * (n - 1),
            _bits(neuron < n),
            exc,
            inh,
            width,
            width_ext,
            n,
            self.n_exc,
            decays,
            np.array([q.w_E, q.w_I, q.w_ext]),
            reversal - q.v_leak_mv,
            leak=q.dt_ms / q.tau_m_ms,
            noise=math.sqrt(q.noise_q * q.dt_ms) / q.tau_m_ms,
            threshold=(q.v_threshold_mv if q.neuron_model == "LIF" else q.v_cutoff_mv) - q.v_leak_mv,
            reset=q.v_reset_mv - q.v_leak_mv,
            floor=lowest - 10 * sd - 1e-3,
            period=max(1, min(512, int(math.log(SMALLEST_PENDING_DECAY) / math.log(decays.min())))),
            exponential=exponential,
            quadratic=quadratic,
        )
        self._shortest_isi = n_refractory + 1

    def run(self, n_steps: int, deadline: float | None = None) -> tuple[Real, Real, list[SpikeChunk], Real]:
        """Advance by `n_steps`.

        Parameters
        ----------
        n_steps : int
        deadline : float, optional
            Time of `time.monotonic` (s) at which to give up.

        Returns
        -------
        mean_v : array of float64, (n_steps,)
            mV.
        phi : array of float64, (3, n_steps)
            Mean number of E, I and external spikes per neuron that arrive, to act from the next step on, 1/ms.
        chunks : list of SpikeChunk
            The spikes, as `SpikeTrains` keeps them.
        mean_i_syn : array of float64, (n_steps,)
            Population mean of the synaptic current that acts in each step, mV.

        Raises
        ------
        TrialFailure
            If the potentials become non-finite or leave the range that equation (11) allows.
        TrialTimeout
            If the deadline passes before the last step.
        """
        q, n = self.parameters, self.parameters.n_neurons
        mean_u, mean_i = np.empty(n_steps), np.empty(n_steps)
        arrived = np.empty((3, n_steps), np.int64)
        chunks: list[SpikeChunk] = []
        longest = min(LONGEST_CHUNK, max(64, (CHUNK_SPIKES // n) * self._shortest_isi // 64 * 64))
        for begin in range(0, n_steps, longest):
            if deadline is not None and time.monotonic() > deadline:
                at_ms = float(self.state.clock[STEPS]) * q.dt_ms
                raise TrialTimeout(f"stopped at {at_ms:g} ms of {q.duration_ms:g} ms")
            size = min(longest, n_steps - begin)
            units, offsets = self.drive.take(size)
            most = int(np.diff(offsets).max(initial=0)) + 16
            if most > self.state.rows_x.size:
                self.state = self.state._replace(rows_x=np.zeros(2 * most, np.int64))
            spikes = np.empty(n * -(-size // self._shortest_isi), np.uint16)
            counts = np.zeros(size, np.int64)
            part = np.empty((3, size), np.int64)
            before = int(self.state.clock[STEPS])
            here = slice(begin, begin + size)
            done, reason = run_steps(
                self.state, self.wiring, units, offsets, mean_u[here], mean_i[here], part, spikes, counts
            )
            if reason:
                what = "became non-finite" if reason == NON_FINITE else "fell below every reversal potential"
                raise TrialFailure(
                    f"the membrane potential {what} at {(before + done) * q.dt_ms:g} ms; "
                    f"dt_ms = {q.dt_ms:g} may be too long for these conductances"
                )
            arrived[:, here] = part
            chunks.append((spikes[: counts.sum()].copy(), counts))
        return mean_u - self._padding_mv + q.v_leak_mv, arrived / (n * q.dt_ms), chunks, mean_i


def external_words(network: NetworkParameters, lam: float) -> int:
    """Length of an external unit's row in 64-bit words: the inhibitory neurons are left out if none is driven."""
    return words_per_row(network.n_neurons if network.p_ext_I > 0 else round(lam * network.n_neurons))


def simulate(
    network: NetworkParameters,
    p: float,
    lam: float,
    seed: Seed,
    *,
    keep_spikes: bool = False,
    deadline: float | None = None,
) -> Recording:
    """Simulate one trial.

    Parameters
    ----------
    network : NetworkParameters
    p : float
        Connection probability, in [0, 1].
    lam : float
        Excitatory fraction, in [0, 1].
    seed : tuple of 4 int
        From `hpcmass.grid.trial_seed`.
    keep_spikes : bool
        Return every spike, too.
    deadline : float, optional
        Time of `time.monotonic` (s) at which to give up.

    Raises
    ------
    TrialFailure
        If the network leaves the physical regime.
    TrialTimeout
        If the deadline passes.
    """
    started = time.perf_counter()
    net = Network(network, p, lam, seed)
    kernel = time.process_time()
    head, tail = network.n_transient, network.n_steps - network.n_transient
    mean_v0, phi0, transient, mean_i0 = net.run(head, deadline)
    mean_v1, phi1, chunks, mean_i1 = net.run(tail, deadline)
    kernel = time.process_time() - kernel
    warn_if_scalar()
    trains = SpikeTrains(chunks, network.n_neurons)
    statistics = train_statistics(trains)
    contrast, width_ms = spike_contrast(trains, network.dt_ms, statistics.shortest_isi)
    seconds = tail * network.dt_ms / 1e3
    n_exc = net.n_exc
    phi = np.concatenate([phi0, phi1], axis=1).astype(np.float32)
    neuron = times = None
    if keep_spikes:
        neuron, step = SpikeTrains(transient + chunks, network.n_neurons).events()
        times = np.asarray(step * network.dt_ms, np.float64)
    return Recording(
        mean_v=np.concatenate([mean_v0, mean_v1]).astype(np.float32),
        phi_E=phi[0],
        phi_I=phi[1],
        phi_ext=phi[2],
        mean_i_syn=np.concatenate([mean_i0, mean_i1]).astype(np.float32),
        spike_contrast=contrast,
        spike_contrast_bin=width_ms,
        rate_E=_mean(statistics.n_per_neuron[:n_exc]) / seconds,
        rate_I=_mean(statistics.n_per_neuron[n_exc:]) / seconds,
        cv_isi=statistics.cv_isi,
        n_spikes=trains.n_spikes,
        n_edges=net.graph.n_edges,
        n_edges_ext=net.graph_ext.n_edges,
        silent=int(math.isnan(contrast)),
        wall_s=time.perf_counter() - started,
        kernel_s=kernel,
        spike_neuron=neuron,
        spike_time=times,
    )


def warm_up(*networks: NetworkParameters) -> None:
    """Compile every kernel, or load it from the cache, by a small trial.

    Parameters
    ----------
    *networks : NetworkParameters
        What will be simulated: a neuron model, and a delay of several steps, have kernels of their own. Without any,
        those of the default network.
    """
    for model, delayed in sorted({(q.neuron_model, q.n_delay > 1) for q in networks or (NetworkParameters(),)}):
        small = NetworkParameters(
            n_neurons=64, n_external=64, p_ext=1.0, duration_ms=60.0, transient_ms=5.0, w_ext=0.5, neuron_model=model,
            delay_ms=0.2 if delayed else 0.0,
        )  # fmt: skip
        for p in (0.001, 0.5):  # both generators of graphs
            simulate(small, p, 0.5, (1, 2, 3, 4))


def _bits(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """Truth values packed as the rows of a graph are, on a cache line."""
    packed = aligned(flags.size // 64, np.uint64)
    packed[:] = np.packbits(flags, bitorder="little").view(np.uint64)
    return packed


def _mean(counts: npt.NDArray[np.int64]) -> float:
    return float(counts.mean()) if counts.size else math.nan
