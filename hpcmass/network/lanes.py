"""Random numbers in parallel lanes: xoroshiro128++ bits and Box–Muller normals, 32 at a time.

A *lane* is one generator of 128 bits of state; 16 of them advance together, two vectors of 8. One advance gives
two vectors of 16 random uint32: one becomes 16 radii, the other 16 angles, together 32 independent normals.

    lanes 0…7  → 16 × 32 bits → u in (0, 1]           → r = sqrt(-2 ln u)
    lanes 8…15 → 16 × 32 bits → t in [-1, 1), a sign  → r·±cos(π t / 2), ±r·sin(π t / 2)

The states come from a SeedSequence; two of the 2^128 positions being closer than a trial's 10^9 draws has
probability below 10^-25. Reference: Blackman & Vigna (2021), ACM Trans. Math. Softw. 47:36.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hpcmass.network.kernel import kernel
from hpcmass.network.simd import (
    aligned,
    as_bits,
    as_floats,
    fma,
    halves,
    load_u64,
    rotate,
    shift_signed,
    signed_to_float,
    splat_f32,
    splat_u32,
    sqrt,
    store_f32,
    store_u64,
)

LANE_COUNT = 16
"""Generators that advance together."""

DRAW = 32
"""Normals per advance of all lanes."""

LaneState = npt.NDArray[np.uint64]


def seed_lanes(sequence: np.random.SeedSequence) -> LaneState:
    """States of all lanes.

    Returns
    -------
    array of uint64, (4 * 8,)
        s0 of lanes 0–7, s1 of lanes 0–7, s0 of lanes 8–15, s1 of lanes 8–15.
    """
    state = aligned(2 * LANE_COUNT, np.uint64)
    state[:] = sequence.generate_state(2 * LANE_COUNT, np.uint64)
    for lane in range(LANE_COUNT):  # an all-zero state would stay zero for ever
        s0 = 16 * (lane // 8) + lane % 8
        if state[s0] == 0 and state[s0 + 8] == 0:
            state[s0] = 1
    return state


@kernel
def scramble(s0: Any, s1: Any) -> Any:
    """The 64 output bits of xoroshiro128++ in each lane."""
    return rotate(s0 + s1, 17) + s0


@kernel
def step_first(s0: Any, s1: Any) -> Any:
    """Next s0."""
    t = s1 ^ s0
    return rotate(s0, 49) ^ t ^ (t << 21)


@kernel
def step_second(s0: Any, s1: Any) -> Any:
    """Next s1."""
    return rotate(s1 ^ s0, 28)


@kernel
def radius(bits: Any) -> Any:
    """sqrt(-2 ln u) for 16 uniform u in (0, 1] made from the upper 31 bits.

    u = 2^e (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), so -2 ln u = -2 e ln 2 - 2 ln(1 + f); the second term
    is f times a minimax polynomial (relative error 2e-6). The sum is never negative and reaches 6.56².
    """
    u = fma(signed_to_float(bits >> 1), splat_f32(np.float32(2.0**-31)), splat_f32(np.float32(2.0**-32)))
    pattern = as_bits(u)
    exponent = shift_signed(pattern - splat_u32(np.uint32(0x3F3504F3)), np.uint32(23))
    f = as_floats(pattern - (exponent << 23)) - splat_f32(np.float32(1.0))
    q = fma(f, splat_f32(np.float32(-0.24421969)), splat_f32(np.float32(0.3756547)))
    q = fma(f, q, splat_f32(np.float32(-0.4090951)))
    q = fma(f, q, splat_f32(np.float32(0.49793583)))
    q = fma(f, q, splat_f32(np.float32(-0.66632056)))
    q = fma(f, q, splat_f32(np.float32(1.0000280)))
    q = fma(f, q, splat_f32(np.float32(-2.0000017)))
    return sqrt(fma(signed_to_float(exponent), splat_f32(np.float32(-2 * np.log(2.0))), f * q))


@kernel
def half_turn(bits: Any) -> Any:
    """16 uniform t in [-1, 1): angles in units of a quarter turn."""
    return signed_to_float(bits) * splat_f32(np.float32(2.0**-31))


@kernel
def cosine(t: Any) -> Any:
    """cos(π t / 2) for |t| <= 1, absolute error 1e-7 (minimax in t²)."""
    s = t * t
    q = fma(s, splat_f32(np.float32(0.00085819064)), splat_f32(np.float32(-0.020810628)))
    q = fma(s, q, splat_f32(np.float32(0.25365075)))
    q = fma(s, q, splat_f32(np.float32(-1.2336982)))
    return fma(s, q, splat_f32(np.float32(1.0)))


@kernel
def sine(t: Any) -> Any:
    """sin(π t / 2) for |t| <= 1, absolute error 1e-6 (minimax in t²)."""
    s = t * t
    q = fma(s, splat_f32(np.float32(-0.0043710149)), splat_f32(np.float32(0.07950065)))
    q = fma(s, q, splat_f32(np.float32(-0.64592594)))
    return t * fma(s, q, splat_f32(np.float32(1.5707952)))


@kernel
def with_sign(x: Any, bits: Any) -> Any:
    """x, its sign flipped where the lowest of `bits` is set: the half circle of `half_turn` becomes a whole one.

    The conversion to a float of 24 bits has dropped that bit from t, so the sign is independent of the angle.
    """
    return as_floats(as_bits(x) ^ (bits << 31))


@kernel
def draw_normals(state: LaneState, out: npt.NDArray[np.float32], begin: int, end: int, scale: float) -> None:
    """Write normals of standard deviation `scale` to out[begin:end]; end - begin must be a multiple of `DRAW`.

    `state` is advanced in place. Every normal of the network comes from here, in this order.
    """
    factor = splat_f32(np.float32(scale))
    a0, a1 = load_u64(state, 0), load_u64(state, 8)
    b0, b1 = load_u64(state, 16), load_u64(state, 24)
    for i in range(begin, end, 32):
        r = radius(halves(scramble(a0, a1)))
        bits = halves(scramble(b0, b1))
        a0, a1 = step_first(a0, a1), step_second(a0, a1)
        b0, b1 = step_first(b0, b1), step_second(b0, b1)
        t = half_turn(bits)
        r = with_sign(r, bits) * factor
        store_f32(out, i, r * cosine(t))
        store_f32(out, i + 16, r * sine(t))
    store_u64(state, 0, a0)
    store_u64(state, 8, a1)
    store_u64(state, 16, b0)
    store_u64(state, 24, b1)


@kernel
def fill_bits(state: LaneState, out: npt.NDArray[np.uint64]) -> None:
    """Fill `out` (a multiple of 16 long) with random 64-bit words, lanes 0–7 and 8–15 in turn."""
    a0, a1 = load_u64(state, 0), load_u64(state, 8)
    b0, b1 = load_u64(state, 16), load_u64(state, 24)
    for i in range(0, out.size, 16):
        store_u64(out, i, scramble(a0, a1))
        store_u64(out, i + 8, scramble(b0, b1))
        a0, a1 = step_first(a0, a1), step_second(a0, a1)
        b0, b1 = step_first(b0, b1), step_second(b0, b1)
    store_u64(state, 0, a0)
    store_u64(state, 8, a1)
    store_u64(state, 16, b0)
    store_u64(state, 24, b1)
