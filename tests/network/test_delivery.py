"""Bit-sliced sums against sums of dense matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from graphs import adjacency, pack
from hpcmass.network.delivery import MAX_PLANES, add_complete_rows, add_rows, nibbles, spread
from hpcmass.network.digraph import Digraph
from hpcmass.network.neurons import slot_of
from hpcmass.network.simd import aligned, store_u64, words

POISON = np.uint64(0xAAAAAAAAAAAAAAAA)
"""Initial contents of planes: sums must not depend on them."""


def summed(graph: Digraph, units: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint64], int]:
    """Planes and their number, from the kernel."""
    width = graph.rows.shape[1]
    planes = aligned(MAX_PLANES * width, np.uint64)
    planes[:] = POISON
    rows = np.full(units.size + 16, -1, np.int64)
    rows[: units.size] = units * width
    n_planes = add_rows(graph.rows.reshape(-1), width, rows, units.size, planes, width)
    return planes, n_planes


def counts_in(planes: npt.NDArray[np.uint64], width: int, n_planes: int, first: int = 0) -> npt.NDArray[np.int64]:
    """Counts of all 64 · width columns, from the binary digits that planes `first` and up hold."""
    bits = np.unpackbits(planes[: n_planes * width].view(np.uint8), bitorder="little").reshape(n_planes, -1)
    return sum((bits[k].astype(np.int64) << k for k in range(first, n_planes)), start=np.zeros(bits.shape[1], np.int64))


@njit
def lowest_digits(planes: Any, width: int, c: int, out: Any) -> None:
    """The 8 × 4 vectors that `nibbles` gives, one nibble each: out[q, r] are the counts of bit 4 q + r."""
    n0, n1, n2, n3 = nibbles(planes, width, 0, c)
    for q in range(8):
        store_u64(out, 32 * q, words(n0))
        store_u64(out, 32 * q + 8, words(n1))
        store_u64(out, 32 * q + 16, words(n2))
        store_u64(out, 32 * q + 24, words(n3))
        n0, n1, n2, n3 = n0 >> 4, n1 >> 4, n2 >> 4, n3 >> 4


def assert_delivers(graph: Digraph, units: npt.NDArray[np.int64]) -> None:
    """Sums, the lowest four digits as `neurons.advance` reads them, and the digits above as `spread` adds them."""
    width, n_targets = graph.rows.shape[1], graph.n_targets
    dense = adjacency(graph)[units].sum(0, dtype=np.int64)
    planes, n_planes = summed(graph, units)
    if units.size == 0:
        assert n_planes == 0
        n_planes = 4  # they are zero, for every reader
    assert 4 <= n_planes <= MAX_PLANES
    counts = counts_in(planes, width, n_planes)
    assert (counts[:n_targets] == dense).all()
    assert not counts[n_targets:].any()

    low = np.empty(64 * width, np.int64)
    for c in range(0, width, 8):
        out = np.empty(256, np.uint64)
        lowest_digits(planes, width, c, out)
        digits = out.view(np.uint32).reshape(8, 4, 16) & 15  # q, r, lane: bit 32 lane + 4 q + r of the 512
        low[64 * c : 64 * c + 512] = digits.transpose(2, 0, 1).reshape(-1)
    assert (low[:n_targets] == dense % 16).all()

    weight, before = 0.25, np.arange(64 * width, dtype=np.float32)
    g = aligned(64 * width, np.float32)
    g[:] = before
    spread(planes, width, n_planes, weight, g)
    added = (g - before)[slot_of(np.arange(64 * width))]
    assert (added[:n_targets] == weight * (dense - dense % 16)).all()
    assert not added[n_targets:].any()


@given(
    seed=st.integers(0, 2**32 - 1),
    n_sources=st.integers(1, 40),
    n_targets=st.integers(1, 1100),
    density=st.sampled_from([0.02, 0.5, 0.97, 1.0]),
    n_rows=st.one_of(st.integers(0, 40), st.sampled_from([255, 256, 257, 1000])),
)
def test_any_rows_of_any_graph(seed: int, n_sources: int, n_targets: int, density: float, n_rows: int) -> None:
    """Rows may repeat, as an external unit may spike twice in a step."""
    rng = np.random.default_rng(seed)
    graph = pack(rng.random((n_sources, n_targets)) < density)
    assert_delivers(graph, rng.integers(0, n_sources, n_rows))


@pytest.mark.parametrize("n_rows", [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 511, 4095, 4096])
@pytest.mark.parametrize("n_targets", [1, 512, 513])
def test_numbers_of_rows_at_which_the_adder_turns(n_rows: int, n_targets: int) -> None:
    """Blocks of 8 rows and powers of two, in a complete graph: every count is the number of rows."""
    graph = pack(np.ones((3, n_targets), bool))
    assert_delivers(graph, np.arange(n_rows) % 3)


def test_thousands_of_distinct_rows() -> None:
    rng = np.random.default_rng(8)
    graph = pack(rng.random((6000, 600)) < rng.random(600))
    assert_delivers(graph, rng.permutation(6000))
    assert_delivers(graph, rng.integers(0, 6000, 50_000))


@pytest.mark.parametrize("n_rows", [0, 1, 8, 30, 1000])
def test_rows_that_end_before_those_of_all_neurons(n_rows: int) -> None:
    """Sums in planes that are longer than the rows: the rest of the planes keeps its zeros."""
    rng = np.random.default_rng(9)
    short = rng.random((50, 600)) < 0.7
    long = np.hstack([short, np.zeros((50, 1500), bool)])
    units = rng.integers(0, 50, n_rows)
    expected, n_expected = summed(pack(long), units)
    graph, stride = pack(short), pack(long).rows.shape[1]
    width = graph.rows.shape[1]
    assert width < stride
    planes = aligned(MAX_PLANES * stride, np.uint64)
    planes.reshape(MAX_PLANES, stride)[:, :width] = POISON
    rows = np.full(n_rows + 16, -1, np.int64)
    rows[:n_rows] = units * width
    n_planes = add_rows(graph.rows.reshape(-1), width, rows, n_rows, planes, stride)
    assert n_planes == n_expected
    written = max(n_planes, 4) * stride
    assert (planes[:written] == expected[:written]).all()


def test_sums_far_above_any_network() -> None:
    """A quarter of a million rows, 18 planes: more than any parameters ask for."""
    graph = pack(np.arange(100)[None, :] % 3 == 0)
    assert_delivers(graph, np.zeros(262_147, np.int64))


@given(st.integers(2, 1100), st.floats(0, 1), st.sampled_from([0.0, 0.001, 0.1, 0.9, 1.0]), st.integers(0, 2**32 - 1))
def test_complete_graphs_are_summed_without_being_read(n: int, lam: float, activity: float, seed: int) -> None:
    """The same planes as from the rows of the complete graph, for spikes of either kind."""
    graph = pack(~np.eye(n, dtype=bool))
    width, neuron = graph.rows.shape[1], np.arange(64 * graph.rows.shape[1])

    def bits(which: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
        return np.packbits(which, bitorder="little").view(np.uint64)

    fired = (np.random.default_rng(seed).random(neuron.size) < activity) & (neuron < n)
    for kind in (neuron < round(lam * n), (neuron >= round(lam * n)) & (neuron < n)):
        units = np.flatnonzero(fired & kind)
        planes = aligned(MAX_PLANES * width, np.uint64)
        planes[:] = POISON
        n_planes = add_complete_rows(bits(fired), bits(kind), bits(neuron < n), units.size, planes)
        expected, n_expected = summed(graph, units)
        assert n_planes == n_expected
        written = max(n_planes, 4)
        assert (counts_in(planes, width, written) == counts_in(expected, width, written)).all()
