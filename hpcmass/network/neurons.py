"""The neurons: one Euler–Maruyama step of equation (11) for the whole population.

Potentials are u = v - V_L in float32 (the noise of a step, 3.5e-4 mV, would be lost next to -74 mV). Conductances
decay by one factor for all neurons, so the decay is never applied to the arrays: they hold g / c, where c = (1 -
dt/tau)^n shrinks from step to step and is multiplied in every few hundred steps. One step is then, per neuron,

    g_σ/c_σ += (w_σ/c_σ) count_σ                                                           spikes of the last step
    u ← u (1 - a - a Σ_σ g_σ) + a Σ_σ g_σ (V_σ - V_L) + s ξ,    a = dt/tau_m, s = sqrt(Q dt)/tau_m

for LIF neurons; `hpcmass.network.upstroke` has what the other models add.

Order of the neurons: bit 512 k + 32 l + b of a packed row stands at *slot* 512 k + 16 b + l of the arrays, so that
16 neighbours in an array are one bit of 16 words and masks need no shuffling. Slots beyond N keep u = 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hpcmass.network.delivery import nibbles
from hpcmass.network.kernel import kernel
from hpcmass.network.lanes import LaneState, draw_normals
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
    unsigned_to_float,
    where_set,
    words,
)
from hpcmass.network.upstroke import rise

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]

TINY = 1e-30
"""A conductance without input is zeroed below this: denormal numbers are slow."""

WEIGHT_E, WEIGHT_I, WEIGHT_X, DECAY, PULL_E, PULL_I, PULL_X, DRIVE_E, DRIVE_I, DRIVE_X = range(10)
NOISE_SD, THRESHOLD, RESET = range(10, 13)
N_CONSTANTS = 13
"""Places of a step's constants: w/c of each kind; 1 - a; -a c; a c (V_σ - V_L); s; threshold and reset of u."""


def slot_of(neuron: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Position in the arrays of the neuron at a bit of a packed row."""
    chunk, bit = np.divmod(neuron, 512)
    lane, b = np.divmod(bit, 32)
    return np.asarray(512 * chunk + 16 * b + lane, np.int64)


@kernel
def rescale(g: Floats, factor: float) -> None:
    """Multiply the pending decay into g."""
    f = np.float32(factor)
    for i in range(g.size):
        x = g[i] * f
        g[i] = x if x > np.float32(TINY) else np.float32(0.0)


@kernel
def counts_of(planes: Words | None, width: int, c: int) -> Any:
    """Nibbles of column c; Nones where no spike of the kind arrives, so that the compiler drops the rest."""
    return (None, None, None, None) if planes is None else nibbles(planes, width, 0, c)


@kernel
def fed(g: Floats, at: int, weight: Any, counts: Any, digit: Any) -> Any:
    """16 conductances after their jumps, also written back."""
    if counts is None:
        return load_f32(g, at)
    x = fma(weight, unsigned_to_float(counts & digit), load_f32(g, at))
    store_f32(g, at, x)
    return x


@kernel
def moved(before: Any, ge: Any, gi: Any, gx: Any, noise: Any, k: Any, own: Any) -> Any:
    """16 potentials after a step, as if free and without threshold, and their synaptic change.

    With an upstroke (`own`, which may be infinite) the synaptic change is computed by itself.
    """
    decay, pull_e, pull_i, pull_x, drive_e, drive_i, drive_x = k[:7]
    if own is None:
        factor = fma(ge, pull_e, fma(gi, pull_i, fma(gx, pull_x, decay)))
        after = fma(before, factor, fma(ge, drive_e, fma(gi, drive_i, fma(gx, drive_x, noise))))
        return after, after - fma(before, decay, noise)
    synaptic = fma(ge, fma(before, pull_e, drive_e), fma(gi, fma(before, pull_i, drive_i),
                   gx * fma(before, pull_x, drive_x)))  # fmt: skip
    return fma(before, decay, noise) + synaptic + own, synaptic


@kernel
def updated(
    u: Floats,
    g_e: Floats,
    g_i: Floats,
    g_x: Floats,
    at: int,
    noise: Any,
    w: Any,
    e: Any,
    i: Any,
    x: Any,
    digit: Any,
    refractory: Any,
    k: Any,
    exponential: Floats | None,
    quadratic: Floats | None,
) -> Any:
    """One step of the 16 neurons at slot `at`: u, also written back; which of them spiked; synaptic change of u.

    The last is -a Σ_σ g_σ (v - V_σ), including refractory neurons.
    """
    threshold, reset = k[7:]
    ge, gi, gx = fed(g_e, at, w[0], e, digit), fed(g_i, at, w[1], i, digit), fed(g_x, at, w[2], x, digit)
    before = load_f32(u, at)
    after, synaptic = moved(before, ge, gi, gx, noise, k, rise(before, exponential, quadratic))
    after = select(nonzero(refractory), before, after)
    spiked = after >= threshold
    after = select(spiked, reset, after)
    store_f32(u, at, after)
    return after, spiked, synaptic


@kernel
def advance(
    u: Floats,
    g_e: Floats,
    g_i: Floats,
    g_x: Floats,
    planes_e: Words | None,
    planes_i: Words | None,
    planes_x: Words | None,
    refractory: Words,
    fired: Words,
    lanes: LaneState,
    noise: Floats,
    constants: Floats,
    exponential: Floats | None,
    quadratic: Floats | None,
) -> tuple[float, float, float]:
    """One step of all neurons.

    Parameters
    ----------
    u : array of float32, (64 * width,)
        v - V_L (mV), by slot; updated.
    g_e, g_i, g_x : arrays of float32, (64 * width,)
        Conductances over their pending decay; receive the jumps of the last step's spikes (up to 15 each;
        `delivery.spread` adds the rest).
    planes_e, planes_i, planes_x : arrays of uint64
        Spike counts of the last step, from `delivery.add_rows`; None, known at compile time, where there are none.
    refractory : array of uint64, (width,)
        Bit set: the neuron is refractory (or does not exist) and keeps its u.
    fired : array of uint64, (width,)
        Receives the spikes of this step.
    lanes : array of uint64, (32,)
        Generators of the noise; advanced.
    noise : array of float32, (512,)
        Work space: the noise of one chunk, which stays in the first-level cache.
    constants : array of float32, (N_CONSTANTS,)
        Of this step, in the places above.
    exponential, quadratic : arrays of float32
        From `upstroke.constants`; None, known at compile time, for another model.

    Returns
    -------
    total, least, synaptic : float
        Sum and minimum of u after the step (mV), sum of what the synapses changed it by, or would have if refractory
        neurons were free.
    """
    width = refractory.size
    w = (splat_f32(constants[WEIGHT_E]), splat_f32(constants[WEIGHT_I]), splat_f32(constants[WEIGHT_X]))
    k = (
        splat_f32(constants[DECAY]),
        splat_f32(constants[PULL_E]), splat_f32(constants[PULL_I]), splat_f32(constants[PULL_X]),
        splat_f32(constants[DRIVE_E]), splat_f32(constants[DRIVE_I]), splat_f32(constants[DRIVE_X]),
        splat_f32(constants[THRESHOLD]), splat_f32(constants[RESET]),
    )  # fmt: skip
    sixteenth = splat_f32(np.float32(1 / 16))
    total = splat_f32(np.float32(0.0))
    least = synaptic = total
    for c in range(0, width, 8):
        # a separate loop: its long chain of dependent operations would stall the other one
        draw_normals(lanes, noise, 0, 512, constants[NOISE_SD])
        e0, e1, e2, e3 = counts_of(planes_e, width, c)
        i0, i1, i2, i3 = counts_of(planes_i, width, c)
        x0, x1, x2, x3 = counts_of(planes_x, width, c)
        waiting = halves(load_u64(refractory, c))
        spikes = splat_u32(np.uint32(0))
        bit0, bit1 = splat_u32(np.uint32(1)), splat_u32(np.uint32(2))
        bit2, bit3 = splat_u32(np.uint32(4)), splat_u32(np.uint32(8))
        digit = splat_u32(np.uint32(15))
        w_q = w
        for j in range(0, 512, 64):
            at = 64 * c + j
            v, s, i = updated(
                u, g_e, g_i, g_x, at, load_f32(noise, j), w_q, e0, i0, x0, digit,
                waiting & bit0, k, exponential, quadratic,
            )  # fmt: skip
            spikes, total, least = spikes | where_set(s, bit0), total + v, minimum(v, least)
            synaptic = synaptic + i
            v, s, i = updated(
                u, g_e, g_i, g_x, at + 16, load_f32(noise, j + 16), w_q, e1, i1, x1, digit,
                waiting & bit1, k, exponential, quadratic,
            )  # fmt: skip
            spikes, total, least = spikes | where_set(s, bit1), total + v, minimum(v, least)
            synaptic = synaptic + i
            v, s, i = updated(
                u, g_e, g_i, g_x, at + 32, load_f32(noise, j + 32), w_q, e2, i2, x2, digit,
                waiting & bit2, k, exponential, quadratic,
            )  # fmt: skip
            spikes, total, least = spikes | where_set(s, bit2), total + v, minimum(v, least)
            synaptic = synaptic + i
            v, s, i = updated(
                u, g_e, g_i, g_x, at + 48, load_f32(noise, j + 48), w_q, e3, i3, x3, digit,
                waiting & bit3, k, exponential, quadratic,
            )  # fmt: skip
            spikes, total, least = spikes | where_set(s, bit3), total + v, minimum(v, least)
            synaptic = synaptic + i
            # the next nibble counts 16 times as much
            digit = digit << 4
            w_q = (w_q[0] * sixteenth, w_q[1] * sixteenth, w_q[2] * sixteenth)
            bit0, bit1, bit2, bit3 = bit0 << 4, bit1 << 4, bit2 << 4, bit3 << 4
        store_u64(fired, c, words(spikes))
    return add_up(total), lowest(least), add_up(synaptic)
