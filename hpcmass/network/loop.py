"""The time loop: many steps of the network, compiled as one function.

Order within step t: the jumps of the spikes of step t - 1 enter the conductances; v advances with g(t); neurons at
threshold spike and become refractory for t_ref; the spikes of step t, internal and external, are recorded and wait for
step t + 1. With a delay of D steps the internal ones that wait for step t + 1 are those of step t - D + 1. In the
equations decay and jumps end a step, here they begin one: the order is the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hpcmass.network.delivery import add_complete_rows, add_rows, spread
from hpcmass.network.kernel import kernel
from hpcmass.network.lanes import LaneState
from hpcmass.network.neurons import (
    DECAY,
    DRIVE_E,
    DRIVE_I,
    DRIVE_X,
    NOISE_SD,
    PULL_E,
    PULL_I,
    PULL_X,
    RESET,
    THRESHOLD,
    WEIGHT_E,
    WEIGHT_I,
    WEIGHT_X,
    advance,
    rescale,
)
from hpcmass.network.simd import (
    load_u64,
    merge_words,
    prefetch,
    prefetch_second_level,
    store_u64,
    trailing_zeros,
)

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

PREFETCHED_ROWS = 16
"""Rows of spiking neurons that are prefetched as soon as they are known; they fit the first-level cache."""

STEPS, UNSCALED = 0, 1
"""Indices of the clock: steps done, steps since the last rescale."""

EXC, INH, EXT = 0, 1, 2
"""Indices of the three kinds of spikes in arrays."""

NON_FINITE, TOO_LOW = 1, 2
"""Reasons to stop the loop."""


class State(NamedTuple):
    """Everything that changes from step to step; arrays or None, so that numba passes it as is."""

    u: Floats  # (slots,) v - V_L, mV
    g_e: Floats  # (slots,) conductances over their pending decay
    g_i: Floats
    g_x: Floats
    planes_e: Words  # (MAX_PLANES * width,) arrivals of the last step, not yet in g
    planes_i: Words
    planes_x: Words
    n_planes: Indices  # (3,) how many of them are in use
    refractory: Words  # (width,) refractory or padding
    fired: Words  # (width,) spikes of the last step
    ring: Words  # (n_refractory + 1, width) flat: spikes of the last steps
    arriving: Words  # (width,) spikes that arrived in the last step, of D - 1 steps earlier; `fired` if D = 1
    travelling: Words | None  # (D - 1, width) flat: spikes that have not arrived; None if D = 1
    lanes: LaneState  # (32,)
    rows_e: Indices  # (neurons + 16,) offsets of rows to add
    rows_i: Indices
    rows_x: Indices  # (most external spikes of a step + 16,)
    clock: Indices  # (2,) steps done, steps since the last rescale
    constants: Floats  # (N_CONSTANTS,) of a step, for `neurons.advance`
    noise: Floats  # (512,) work space of `neurons.advance`
    scales: npt.NDArray[np.float64]  # (3,) pending decay c of E, I, ext


class Wiring(NamedTuple):
    """What stays fixed during a trial."""

    graph: Words  # Digraph.rows, flat
    graph_x: Words
    degree: Indices  # out-degrees
    degree_x: Indices
    complete: bool  # all edges exist (p = 1)
    exists: Words  # (width,) bits of all neurons, of the excitatory and of the inhibitory ones
    excitatory: Words
    inhibitory: Words
    width: int  # words per row
    width_x: int  # of graph_x, whose rows may end before those of graph
    n_neurons: int
    n_exc: int
    decays: npt.NDArray[np.float64]  # (3,) 1 - dt/tau of E, I, ext
    weights: npt.NDArray[np.float64]  # (3,) jumps w
    drives: npt.NDArray[np.float64]  # (3,) V_σ - V_L, mV
    leak: float  # a = dt/tau_m
    noise: float  # s, mV
    threshold: float  # of u, mV: where it is reset
    reset: float
    floor: float  # u below this is unphysical, mV
    period: int  # steps between two rescales
    exponential: Floats | None  # constants of the neuron model, from `upstroke.constants`
    quadratic: Floats | None


@kernel
def at_once(travelling: Words | None) -> bool:
    """Whether spikes arrive in the step in which they are fired: known at compile time."""
    return travelling is None


@kernel
def arrivals(
    travelling: Words | None,
    step: int,
    fired: Words,
    arriving: Words,
    graph: Words,
    degree: Indices,
    n_exc: int,
    complete: bool,
    rows_e: Indices,
    rows_i: Indices,
) -> tuple[int, int, int, int]:
    """Exchange the spikes of this step for those that have travelled long enough, and list the rows of these.

    Parameters
    ----------
    travelling : array of uint64, flat
        Of the last D - 1 steps, the oldest of which are replaced.
    step : int
    fired, arriving : arrays of uint64, (width,)
        Spikes of this step; receives those that arrive.
    graph, degree, n_exc, complete, rows_e, rows_i
        From `Wiring` and `State`.

    Returns
    -------
    n_e, n_i, out_e, out_i : int
        Spikes that arrive, and their out-degrees in all, by kind.
    """
    n_e = n_i = 0
    out_e = out_i = 0
    if travelling is None:
        return n_e, n_i, out_e, out_i
    width = fired.size
    at = step * width % travelling.size
    for c in range(0, width, 8):
        due = load_u64(travelling, at + c)
        store_u64(travelling, at + c, load_u64(fired, c))
        store_u64(arriving, c, due)
        if merge_words(due) == 0:
            continue
        for k in range(c, c + 8):
            word = arriving[k]
            while word != 0:
                neuron = 64 * k + trailing_zeros(word)
                word &= word - np.uint64(1)
                if n_e + n_i < PREFETCHED_ROWS and not complete:
                    for begin in range(neuron * width, (neuron + 1) * width, 8):
                        prefetch(graph, begin)
                if neuron < n_exc:
                    rows_e[n_e] = neuron * width
                    out_e += degree[neuron]
                    n_e += 1
                else:
                    rows_i[n_i] = neuron * width
                    out_i += degree[neuron]
                    n_i += 1
    return n_e, n_i, out_e, out_i


@kernel
def run_steps(
    state: State,
    wiring: Wiring,
    units: Indices,
    offsets: Indices,
    mean_u: npt.NDArray[np.float64],
    mean_i: npt.NDArray[np.float64],
    arrived: npt.NDArray[np.int64],
    spikes: npt.NDArray[np.uint16],
    counts: Indices,
) -> tuple[int, int]:
    """Run `mean_u.size` steps.

    Parameters
    ----------
    state, wiring
    units, offsets : arrays of int64
        External spikes, from `PoissonDrive.take`.
    mean_u : array of float64, (n_steps,)
        Receives the population mean of u after each step (mV).
    mean_i : array of float64, (n_steps,)
        Receives the population mean of Σ_σ g_σ (v - V_σ) that acts in each step, on v before it (mV).
    arrived : array of int64, (3, n_steps)
        Receives the numbers of E, I and external spikes that reach neurons and act from the next step on (sums of
        out-degrees).
    spikes : array of uint16, (capacity,)
        Receives the neurons that spiked, step after step, ascending within a step.
    counts : array of int64, (n_steps,)
        Receives the number of spikes of each step.

    Returns
    -------
    steps_done, reason : int
        `reason` is 0, or what was wrong after the last step done: NON_FINITE or TOO_LOW.
    """
    s, w = state, wiring
    width, width_x, n_exc = w.width, w.width_x, w.n_exc
    constants = s.constants
    constants[DECAY] = 1.0 - w.leak
    constants[NOISE_SD] = w.noise
    constants[THRESHOLD] = w.threshold
    constants[RESET] = w.reset
    n_ring = s.ring.size // width
    immediate = at_once(s.travelling)
    n_written = 0
    scale_e, scale_i, scale_x = s.scales
    for t in range(mean_u.size):
        if s.clock[UNSCALED] == w.period:
            rescale(s.g_e, scale_e)
            rescale(s.g_i, scale_i)
            rescale(s.g_x, scale_x)
            scale_e = scale_i = scale_x = 1.0
            s.clock[UNSCALED] = 0
        constants[WEIGHT_E] = w.weights[EXC] / scale_e
        constants[WEIGHT_I] = w.weights[INH] / scale_i
        constants[WEIGHT_X] = w.weights[EXT] / scale_x
        constants[PULL_E] = -w.leak * scale_e
        constants[PULL_I] = -w.leak * scale_i
        constants[PULL_X] = -w.leak * scale_x
        constants[DRIVE_E] = w.leak * scale_e * w.drives[EXC]
        constants[DRIVE_I] = w.leak * scale_i * w.drives[INH]
        constants[DRIVE_X] = w.leak * scale_x * w.drives[EXT]
        if s.n_planes[EXC] > 4:
            spread(s.planes_e, width, s.n_planes[EXC], w.weights[EXC] / scale_e, s.g_e)
        if s.n_planes[INH] > 4:
            spread(s.planes_i, width, s.n_planes[INH], w.weights[INH] / scale_i, s.g_i)
        if s.n_planes[EXT] > 4:
            spread(s.planes_x, width, s.n_planes[EXT], w.weights[EXT] / scale_x, s.g_x)

        # the rows that this step's external spikes will add come from memory while the neurons are updated
        for k in range(offsets[t], offsets[t + 1]):
            for c in range(0, width_x, 8):
                prefetch_second_level(w.graph_x, units[k] * width_x + c)

        # a neuron that spiked n_refractory + 1 steps ago has been refractory for n_refractory steps and is free again
        oldest = (s.clock[STEPS] % n_ring) * width
        for c in range(0, width, 8):
            freed = load_u64(s.refractory, c) ^ load_u64(s.ring, oldest + c)
            store_u64(s.refractory, c, freed)

        # three versions for the three frequent cases: no neuron fired, no inhibitory neuron fired, any may have fired
        if s.n_planes[EXC] + s.n_planes[INH] == 0:
            total, least, synaptic = advance(
                s.u, s.g_e, s.g_i, s.g_x, None, None, s.planes_x, s.refractory, s.fired, s.lanes, s.noise, constants,
                w.exponential, w.quadratic,
            )  # fmt: skip
        elif s.n_planes[INH] == 0:
            total, least, synaptic = advance(
                s.u, s.g_e, s.g_i, s.g_x, s.planes_e, None, s.planes_x, s.refractory, s.fired, s.lanes, s.noise,
                constants, w.exponential, w.quadratic,
            )  # fmt: skip
        else:
            total, least, synaptic = advance(
                s.u, s.g_e, s.g_i, s.g_x, s.planes_e, s.planes_i, s.planes_x, s.refractory, s.fired, s.lanes, s.noise,
                constants, w.exponential, w.quadratic,
            )  # fmt: skip
        mean_u[t] = total / w.n_neurons
        mean_i[t] = -synaptic / (w.leak * w.n_neurons)

        n_e = n_i = np.int64(0)  # a plain 0 would have `add_rows` compiled once more, for a constant
        out_e = out_i = 0
        n_before = n_written
        for c in range(0, width, 8):
            fired = load_u64(s.fired, c)
            store_u64(s.ring, oldest + c, fired)
            if merge_words(fired) == 0:
                continue
            store_u64(s.refractory, c, load_u64(s.refractory, c) | fired)
            for k in range(c, c + 8):
                word = s.fired[k]
                while word != 0:
                    neuron = 64 * k + trailing_zeros(word)
                    word &= word - np.uint64(1)
                    spikes[n_written] = neuron
                    n_written += 1
                    if not immediate:
                        continue
                    if (
                        n_e + n_i < PREFETCHED_ROWS and not w.complete
                    ):  # needed after the external ones; later rows: see add_rows
                        for at in range(neuron * width, (neuron + 1) * width, 8):
                            prefetch(w.graph, at)
                    if neuron < n_exc:
                        s.rows_e[n_e] = neuron * width
                        out_e += w.degree[neuron]
                        n_e += 1
                    else:
                        s.rows_i[n_i] = neuron * width
                        out_i += w.degree[neuron]
                        n_i += 1
        counts[t] = n_written - n_before
        if not immediate:
            n_e, n_i, out_e, out_i = arrivals(
                s.travelling, s.clock[STEPS], s.fired, s.arriving, w.graph, w.degree, n_exc, w.complete, s.rows_e,
                s.rows_i,
            )  # fmt: skip
        n_x = np.int64(0)
        out_x = 0
        for k in range(offsets[t], offsets[t + 1]):
            s.rows_x[n_x] = units[k] * width_x
            out_x += w.degree_x[units[k]]
            n_x += 1
        arrived[0, t], arrived[1, t], arrived[2, t] = out_e, out_i, out_x
        s.n_planes[EXT] = add_rows(w.graph_x, width_x, s.rows_x, n_x, s.planes_x, width)
        if w.complete:
            s.n_planes[EXC] = add_complete_rows(s.arriving, w.excitatory, w.exists, n_e, s.planes_e)
            s.n_planes[INH] = add_complete_rows(s.arriving, w.inhibitory, w.exists, n_i, s.planes_i)
        else:
            s.n_planes[EXC] = add_rows(w.graph, width, s.rows_e, n_e, s.planes_e, width)
            s.n_planes[INH] = add_rows(w.graph, width, s.rows_i, n_i, s.planes_i, width)
        scale_e *= w.decays[EXC]
        scale_i *= w.decays[INH]
        scale_x *= w.decays[EXT]
        s.clock[STEPS] += 1
        s.clock[UNSCALED] += 1
        if not np.isfinite(total):
            return t + 1, NON_FINITE
        if least < w.floor:
            return t + 1, TOO_LOW
    s.scales[EXC], s.scales[INH], s.scales[EXT] = scale_e, scale_i, scale_x
    return mean_u.size, 0
