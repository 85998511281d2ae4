"""The LIF neurons: one Euler–Maruyama step of equation (11) for the whole population.

Potentials are u = v - V_L in float32 (the noise of a step, 3.5e-4 mV, would be lost next to -74 mV). Conductances
decay by one factor for all neurons, so the decay is never applied to the arrays: they hold g / c, where c = (1 -
dt/tau)^n shrinks from step to step and is multiplied in every few hundred steps. One step is then, per neuron,

    g_σ/c_σ += (w_σ/c_σ) count_σ                                                           spikes of the last step
    u ← u (1 - a - a Σ_σ g_σ) + a Σ_σ g_σ (V_σ - V_L) + s ξ,    a = dt/tau_m, s = sqrt(Q dt)/tau_m

Order of the neurons: bit 512 k + 32 l + b of a packed row stands at *slot* 512 k + 16 b + l of the arrays, so that
16 neighbours in an array are one bit of 16 words and masks need no shuffling. Slots beyond N hold u = 0 for ever.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from hpcmass.network.delivery import lowest_count, nibbles
from hpcmass.network.lanes import (
    LaneState,
    cosine,
    half_turn,
    radius,
    scramble,
    sine,
    step_first,
    step_second,
    with_sign,
)
from hpcmass.network.simd import (
    add_up,
    fma,
    halves,
    load_f32,
    load_u64,
    lowest,
    minimum,
    nonzero,
    select,
    splat_f32,
    splat_u32,
    store_f32,
    store_u64,
    where_set,
    words,
)

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]

TINY = 1e-30
"""A conductance that nobody feeds is zeroed below this: denormal numbers are slow."""


def slot_of(neuron: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Position in the arrays of the neuron at a bit of a packed row."""
    chunk, bit = np.divmod(neuron, 512)
    lane, b = np.divmod(bit, 32)
    return np.asarray(512 * chunk + 16 * b + lane, np.int64)


@njit(nogil=True, cache=True)
def rescale(g: Floats, factor: float) -> None:
    """Multiply the pending decay into g."""
    f = np.float32(factor)
    for i in range(g.size):
        x = g[i] * f
        g[i] = x if x > np.float32(TINY) else np.float32(0.0)


@njit(nogil=True, cache=True)
def fed(g: Floats, i: int, weight: Any, counts: Any) -> Any:
    """16 conductances after their jumps, also written back."""
    x = fma(weight, lowest_count(counts), load_f32(g, i))
    store_f32(g, i, x)
    return x


@njit(nogil=True, cache=True)
def integrated(u: Any, g_e: Any, g_i: Any, g_x: Any, noise: Any, consts: Any) -> Any:
    """u after one step, before the threshold."""
    decay, pull_e, pull_i, pull_x, drive_e, drive_i, drive_x = consts
    factor = fma(g_e, pull_e, fma(g_i, pull_i, fma(g_x, pull_x, decay)))
    return fma(u, factor, fma(g_e, drive_e, fma(g_i, drive_i, fma(g_x, drive_x, noise))))


@njit(nogil=True, cache=True)
def advance(
    u: Floats,
    g_e: Floats,
    g_i: Floats,
    g_x: Floats,
    planes_e: Words,
    planes_i: Words,
    planes_x: Words,
    held: Words,
    fired: Words,
    lanes: LaneState,
    constants: Floats,
) -> tuple[float, float]:
    """One step of all neurons.

    Parameters
    ----------
    u : array of float32, (64 * width,)
        v - V_L (mV), by slot; updated.
    g_e, g_i, g_x : arrays of float32, (64 * width,)
        Conductances over their pending decay; receive the jumps of the last step's spikes (up to 15 each;
        `delivery.spread` adds the rest).
    planes_e, planes_i, planes_x : arrays of uint64
        Spike counts of the last step, from `delivery.add_rows`.
    held : array of uint64, (width,)
        Bit set: the neuron is refractory (or does not exist) and keeps its u.
    fired : array of uint64, (width,)
        Receives the spikes of this step.
    lanes : array of uint64, (32,)
        Generators of the noise; advanced.
    constants : array of float32, (13,)
        Three weights w/c for E, I, ext; 1 - a; three -a c; three a c (V_σ - V_L); s; threshold and reset of u.

    Returns
    -------
    total, least : float
        Sum and minimum of u after the step (mV).
    """
    width = held.size
    w_e, w_i, w_x = splat_f32(constants[0]), splat_f32(constants[1]), splat_f32(constants[2])
    consts = (
        splat_f32(constants[3]), splat_f32(constants[4]), splat_f32(constants[5]), splat_f32(constants[6]),
        splat_f32(constants[7]), splat_f32(constants[8]), splat_f32(constants[9]),
    )  # fmt: skip
    s = splat_f32(constants[10])
    threshold, reset = splat_f32(constants[11]), splat_f32(constants[12])
    a0, a1 = load_u64(lanes, 0), load_u64(lanes, 8)
    b0, b1 = load_u64(lanes, 16), load_u64(lanes, 24)
    total = splat_f32(np.float32(0.0))
    least = total
    for c in range(0, width, 8):
        e0, e1, e2, e3 = nibbles(planes_e, width, 0, c)
        i0, i1, i2, i3 = nibbles(planes_i, width, 0, c)
        x0, x1, x2, x3 = nibbles(planes_x, width, 0, c)
        waiting = halves(load_u64(held, c))
        spikes = splat_u32(np.uint32(0))
        bit = splat_u32(np.uint32(1))
        for j in range(64 * c, 64 * c + 512, 64):
            for half in range(2):
                r = radius(halves(scramble(a0, a1)))
                bits = halves(scramble(b0, b1))
                a0, a1 = step_first(a0, a1), step_second(a0, a1)
                b0, b1 = step_first(b0, b1), step_second(b0, b1)
                t = half_turn(bits)
                r = with_sign(r, bits) * s

                k = j + 32 * half
                before = load_f32(u, k)
                after = integrated(
                    before, fed(g_e, k, w_e, e0), fed(g_i, k, w_i, i0), fed(g_x, k, w_x, x0), r * cosine(t), consts
                )
                after = select(nonzero(waiting & bit), before, after)
                spiked = after >= threshold
                after = select(spiked, reset, after)
                spikes = spikes | where_set(spiked, bit)
                bit = bit << 1
                total = total + after
                least = minimum(after, least)
                store_f32(u, k, after)

                k += 16
                before = load_f32(u, k)
                after = integrated(
                    before, fed(g_e, k, w_e, e1), fed(g_i, k, w_i, i1), fed(g_x, k, w_x, x1), r * sine(t), consts
                )
                after = select(nonzero(waiting & bit), before, after)
                spiked = after >= threshold
                after = select(spiked, reset, after)
                spikes = spikes | where_set(spiked, bit)
                bit = bit << 1
                total = total + after
                least = minimum(after, least)
                store_f32(u, k, after)
                # the other two nibbles' turn; after both halves each has been read once
                e0, e2, e1, e3 = e2, e0, e3, e1
                i0, i2, i1, i3 = i2, i0, i3, i1
                x0, x2, x1, x3 = x2, x0, x3, x1
            e0, e1, e2, e3 = e0 >> 4, e1 >> 4, e2 >> 4, e3 >> 4
            i0, i1, i2, i3 = i0 >> 4, i1 >> 4, i2 >> 4, i3 >> 4
            x0, x1, x2, x3 = x0 >> 4, x1 >> 4, x2 >> 4, x3 >> 4
        store_u64(fired, c, words(spikes))
    store_u64(lanes, 0, a0)
    store_u64(lanes, 8, a1)
    store_u64(lanes, 16, b0)
    store_u64(lanes, 24, b1)
    return add_up(total), lowest(least)
