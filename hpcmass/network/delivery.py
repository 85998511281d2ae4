"""Bit-sliced sums: how many spikes each neuron receives, 512 neurons at a time.

The spikes that arrive at the neurons are the column sum of the graph's rows of the units that spiked. A carry-save
adder takes three rows to a row of ones and a row of twos with a handful of logic operations, for any
rows; a tree of them takes 8 rows to binary *planes*: bit j of plane k is digit k of neuron j's count.

    row a  0110…        plane 0 (ones)  1010…
    row b  1100…   →    plane 1 (twos)  0100…      counts 1 2 1 0 …
    row c  0000…

Four planes are then transposed to nibbles, 16 counts at a time are turned into floats and added to the conductances.
Reference: Harley–Seal population counts, Muła, Kurz & Lemire (2018), Comput. J. 61:111.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hpcmass.network.kernel import kernel
from hpcmass.network.simd import (
    fma,
    halves,
    load_f32,
    load_u64,
    prefetch,
    signed_to_float,
    splat_f32,
    splat_u32,
    splat_u64,
    store_f32,
    store_u64,
)

MAX_PLANES = 24
"""Enough for counts below 2^24, to which a float32 counts exactly."""

Words = npt.NDArray[np.uint64]


@kernel
def sum_bit(a: Any, b: Any, c: Any) -> Any:
    """Low digit of a + b + c, bit by bit."""
    return a ^ b ^ c


@kernel
def carry_bit(a: Any, b: Any, c: Any) -> Any:
    """High digit of a + b + c, bit by bit."""
    return (a & b) | ((a ^ b) & c)


@kernel
def add_eight(graph: Words, rows: npt.NDArray[np.int64], k: int, c: int, ones: Any, twos: Any, fours: Any) -> Any:
    """Add 8 rows at column c to three planes; returns the planes and the carry into the fourth."""
    r0, r1 = load_u64(graph, rows[k] + c), load_u64(graph, rows[k + 1] + c)
    r2, r3 = load_u64(graph, rows[k + 2] + c), load_u64(graph, rows[k + 3] + c)
    twos_a = carry_bit(ones, r0, r1)
    ones = sum_bit(ones, r0, r1)
    twos_b = carry_bit(ones, r2, r3)
    ones = sum_bit(ones, r2, r3)
    fours_a = carry_bit(twos, twos_a, twos_b)
    twos = sum_bit(twos, twos_a, twos_b)
    r0, r1 = load_u64(graph, rows[k + 4] + c), load_u64(graph, rows[k + 5] + c)
    r2, r3 = load_u64(graph, rows[k + 6] + c), load_u64(graph, rows[k + 7] + c)
    twos_a = carry_bit(ones, r0, r1)
    ones = sum_bit(ones, r0, r1)
    twos_b = carry_bit(ones, r2, r3)
    ones = sum_bit(ones, r2, r3)
    fours_b = carry_bit(twos, twos_a, twos_b)
    twos = sum_bit(twos, twos_a, twos_b)
    return ones, twos, sum_bit(fours, fours_a, fours_b), carry_bit(fours, fours_a, fours_b)


@kernel
def planes_for(n_rows: int) -> int:
    """Number of planes that hold counts up to `n_rows`: four at the least."""
    n_planes = 4
    while n_rows >> n_planes:
        n_planes += 1
    return n_planes


@kernel
def add_rows(graph: Words, width: int, rows: npt.NDArray[np.int64], n_rows: int, planes: Words, stride: int) -> int:
    """Column sums of some rows of a packed graph.

    Parameters
    ----------
    graph : array of uint64, flat
        `Digraph.rows`, whose last row is zero.
    width : int
        Words per row.
    rows : array of int64
        Flat offsets of the rows' first words; up to 15 places after `n_rows` are overwritten.
    n_rows : int
    planes : array of uint64, flat (MAX_PLANES * stride)
        Receives the sums, plane after plane, in the first `width` words of each. The other words are zero and stay so.
    stride : int
        Words from plane to plane: those that all neurons need, where the rows end earlier.

    Returns
    -------
    int
        Number of planes written: those that `n_rows` can fill, four at the least. Without rows all four are zero
        and the answer is 0.
    """
    n_planes = planes_for(n_rows)
    zero = splat_u64(np.uint64(0))
    padded = (n_rows + 7) & ~7
    for k in range(n_rows, padded + 8):
        rows[k] = graph.size - width
    if n_rows == 0:
        for c in range(0, 4 * stride, 8):
            store_u64(planes, c, zero)
        return 0
    for c in range(0, width, 8):
        for k in range(8, 16 if n_rows > 8 else 8):
            prefetch(graph, rows[k] + c)
        ones, twos, fours, carry = add_eight(graph, rows, 0, c, zero, zero, zero)
        store_u64(planes, c, ones)
        store_u64(planes, stride + c, twos)
        store_u64(planes, 2 * stride + c, fours)
        store_u64(planes, 3 * stride + c, carry)
        for d in range(4, n_planes):
            store_u64(planes, d * stride + c, zero)
    for k in range(8, padded, 8):
        for c in range(0, width, 8):
            for ahead in range(k + 8, k + 16):  # the next rows come from beyond the second-level cache
                prefetch(graph, rows[ahead] + c)
            ones, twos, fours = load_u64(planes, c), load_u64(planes, stride + c), load_u64(planes, 2 * stride + c)
            ones, twos, fours, carry = add_eight(graph, rows, k, c, ones, twos, fours)
            store_u64(planes, c, ones)
            store_u64(planes, stride + c, twos)
            store_u64(planes, 2 * stride + c, fours)
            for d in range(3, n_planes):
                plane = load_u64(planes, d * stride + c)
                store_u64(planes, d * stride + c, plane ^ carry)
                carry = plane & carry
    return n_planes


@kernel
def add_complete_rows(fired: Words, kind: Words, exists: Words, n_rows: int, planes: Words) -> int:
    """What `add_rows` gives for a complete graph, without reading it: every neuron receives all spikes but its own.

    Parameters
    ----------
    fired, kind, exists : arrays of uint64, (width,)
        Bits of the neurons that spiked, of those of the kind whose spikes are counted, and of all neurons.
    n_rows : int
        Number of bits in `fired & kind`.
    planes : array of uint64, flat (MAX_PLANES * width)

    Returns
    -------
    int
        As `add_rows`.
    """
    n_planes = planes_for(n_rows)
    ones = np.uint64(0xFFFFFFFFFFFFFFFF)
    for c in range(0, fired.size, 8):
        own = load_u64(fired, c) & load_u64(kind, c)
        others = load_u64(exists, c) ^ own
        for d in range(n_planes):
            plane = others & splat_u64(ones if (n_rows >> d) & 1 else np.uint64(0))
            if n_rows > 0:
                plane = plane | (own & splat_u64(ones if ((n_rows - 1) >> d) & 1 else np.uint64(0)))
            store_u64(planes, d * fired.size + c, plane)
    return n_planes if n_rows > 0 else 0


@kernel
def swap_bits(a: Any, b: Any, shift: int, mask: int) -> Any:
    """Exchange the upper bits of `a` with the lower bits of `b` in each group that `mask` marks."""
    t = ((a >> shift) ^ b) & splat_u32(np.uint32(mask))
    return a ^ (t << shift), b ^ t


@kernel
def nibbles(planes: Words, width: int, first: int, c: int) -> Any:
    """Four planes of column c, from plane `first` on, transposed to counts of 4 bits.

    Returns n0 … n3 (16 uint32 each): nibble q of lane l of n_r is the count of bit 4 q + r of lane l.
    """
    at = first * width + c
    a, b = halves(load_u64(planes, at)), halves(load_u64(planes, at + width))
    c_, d = halves(load_u64(planes, at + 2 * width)), halves(load_u64(planes, at + 3 * width))
    a, b = swap_bits(a, b, 1, 0x55555555)
    c_, d = swap_bits(c_, d, 1, 0x55555555)
    a, c_ = swap_bits(a, c_, 2, 0x33333333)
    b, d = swap_bits(b, d, 2, 0x33333333)
    return a, b, c_, d


@kernel
def lowest_count(n: Any) -> Any:
    """The lowest nibble of each lane as a float."""
    return signed_to_float(n & splat_u32(np.uint32(15)))


@kernel
def spread(planes: Words, width: int, n_planes: int, weight: float, g: npt.NDArray[np.float32]) -> None:
    """g += weight · (count without its lowest four digits), for the rare counts above 15.

    Parameters
    ----------
    planes : array of uint64, flat
        From `add_rows`; planes up to the next multiple of four are zeroed here.
    width, n_planes : int
    weight : float
    g : array of float32, (64 * width,)
        In slots (see `hpcmass.network.neurons`).
    """
    zero = splat_u64(np.uint64(0))
    for k in range(n_planes * width, ((n_planes + 3) & ~3) * width, 8):
        store_u64(planes, k, zero)
    for first in range(4, n_planes, 4):
        w = splat_f32(np.float32(weight * 2.0**first))
        for c in range(0, width, 8):
            n0, n1, n2, n3 = nibbles(planes, width, first, c)
            for i in range(64 * c, 64 * c + 512, 64):
                store_f32(g, i, fma(w, lowest_count(n0), load_f32(g, i)))
                store_f32(g, i + 16, fma(w, lowest_count(n1), load_f32(g, i + 16)))
                store_f32(g, i + 32, fma(w, lowest_count(n2), load_f32(g, i + 32)))
                store_f32(g, i + 48, fma(w, lowest_count(n3), load_f32(g, i + 48)))
                n0, n1, n2, n3 = n0 >> 4, n1 >> 4, n2 >> 4, n3 >> 4
