"""Random directed graphs packed in bits: one row a source, one bit a target.

    row 0      0110…1 | 0…      bit j of row i: an edge from i to j; 64 targets a word, lowest bit first
    …
    row n      0000…0 | 0…      a row of zeros, to fill up lists of rows

10 000 × 10 000 possible edges take 12.5 MB for any number of edges, and the input of all neurons is the column sum
of the rows of those that spiked (`hpcmass.network.delivery`).

Two generators draw G(n, p): geometric skips from edge to edge (Batagelj & Brandes 2005, adapted to directed
graphs) where edges are rare, and otherwise whole words of Bernoulli bits at a time, made from the binary digits of p.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcmass.network.kernel import kernel
from hpcmass.network.lanes import LaneState, fill_bits, scramble, seed_lanes, step_first, step_second
from hpcmass.network.simd import (
    add_up_words,
    aligned,
    count_ones_each,
    load_u64,
    splat_u64,
    store_u64,
)

SKIP_BELOW = 0.002
"""Edge probability under which skipping from edge to edge is the faster generator."""

DIGITS = 32
"""Binary digits of p in the dense generator: 10^8 edges are then off by 0.01 edges on average."""

_VECTOR_BITS = 512


@dataclass(frozen=True)
class Digraph:
    """A packed random graph.

    Attributes
    ----------
    rows : array of uint64, (n_sources + 1, words)
        Bit j of row i is the edge from i to j; the last row and the bits beyond `n_targets` are zero.
    n_targets : int
    out_degree : array of int64, (n_sources + 1,)
    """

    rows: npt.NDArray[np.uint64]
    n_targets: int
    out_degree: npt.NDArray[np.int64]

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return int(self.out_degree.sum())


def words_per_row(n_targets: int) -> int:
    """Length of a row in 64-bit words: whole vectors of 512 bits."""
    return 8 * max(1, -(-n_targets // _VECTOR_BITS))


def draw(
    sequence: np.random.SeedSequence,
    n_sources: int,
    n_targets: int,
    p: float,
    *,
    loops: bool,
    words: int | None = None,
    drawn: int | None = None,
) -> Digraph:
    """Draw a directed graph in which every possible edge exists with probability `p`, independently.

    Parameters
    ----------
    sequence : numpy.random.SeedSequence
        Used up: another graph needs another sequence.
    n_sources, n_targets : int
    p : float
        In [0, 1].
    loops : bool
        False for a graph from a population to itself: no edge from i to i.
    words : int, optional
        Length of a row, if it is to be longer than `words_per_row(n_targets)`.
    drawn : int, optional
        Random words that are drawn for each row, of which it keeps the first, if they are more than its length. Two
        graphs from one sequence have the same edges only where this is the same.
    """
    rows = aligned((n_sources + 1, words or words_per_row(n_targets)), np.uint64)
    state = seed_lanes(sequence)
    if p < SKIP_BELOW:
        _skip_edges(state, rows, n_sources, n_targets, p, loops)
    else:
        _fill_bernoulli(state, rows[:-1].reshape(-1), rows.shape[1], drawn or rows.shape[1], round(p * 2**DIGITS))
        _clear_beyond(rows, n_targets)
        if not loops:
            _clear_diagonal(rows, min(n_sources, n_targets))
    return Digraph(rows, n_targets, _degrees(rows))


def with_block(graph: Digraph, other: Digraph, sources: slice, targets: npt.NDArray[np.uint64]) -> Digraph:
    """A graph that has the edges of another one from some sources to some targets.

    Parameters
    ----------
    graph : Digraph
        Changed in place.
    other : Digraph
        With rows as long as those of `graph`.
    sources : slice
    targets : array of uint64, (words,)
        Bit set: a target.
    """
    rows = graph.rows[sources]
    rows ^= (rows ^ other.rows[sources]) & targets
    return Digraph(graph.rows, max(graph.n_targets, other.n_targets), _degrees(graph.rows))


def _degrees(rows: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    degrees = np.zeros(rows.shape[0], np.int64)
    _count_rows(rows.reshape(-1), degrees, rows.shape[1])
    return degrees


def _skip_edges(
    state: LaneState, rows: npt.NDArray[np.uint64], n_sources: int, n_targets: int, p: float, loops: bool
) -> None:
    """Draw edges by skipping over the possible ones, in geometrically distributed steps with parameter p."""
    possible = n_targets if loops else n_targets - 1
    n_slots = n_sources * possible
    if p <= 0 or n_slots <= 0:
        return
    position = -1
    block = aligned(4096, np.uint64)
    while position < n_slots:
        fill_bits(state, block)
        uniform = ((block >> np.uint64(11)) + 0.5) * 2.0**-53
        # a skip longer than all slots ends the walk; clipping keeps the sum within 64 bits
        with np.errstate(over="ignore"):  # at p below 1e-307
            length = np.floor(np.log(uniform) / np.log1p(-p))
        skips = np.minimum(length, n_slots).astype(np.int64) + 1
        edges = position + np.cumsum(skips)
        position = int(edges[-1])
        edges = edges[edges < n_slots]
        source, target = np.divmod(edges, possible)
        if not loops:
            target += target >= source  # the slot of the loop does not exist
        _set_bits(rows, source, target)


@kernel
def _set_bits(rows: npt.NDArray[np.uint64], source: npt.NDArray[np.int64], target: npt.NDArray[np.int64]) -> None:
    for k in range(source.size):
        rows[source[k], target[k] >> 6] |= np.uint64(1) << np.uint64(target[k] & 63)


@kernel
def _fill_bernoulli(state: LaneState, words: npt.NDArray[np.uint64], width: int, drawn: int, digits: int) -> None:
    """Fill rows of `width` words with independent bits that are 1 with probability digits / 2^32, 1024 at a time.

    For each row `drawn` words are made, and those beyond its width are dropped.

    From the lowest digit of p to the highest: OR with a random word for a 1, AND for a 0. Each step halves what
    was there and adds half of the digit, so the bits' probability becomes 0.d1 d2 d3 … in base 2.
    """
    if digits >= 1 << 32:
        words[:] = np.uint64(0xFFFFFFFFFFFFFFFF)
        return
    if digits == 0:
        return
    first = 0
    while not (digits >> first) & 1:
        first += 1
    a0, a1 = load_u64(state, 0), load_u64(state, 8)
    b0, b1 = load_u64(state, 16), load_u64(state, 24)
    row = column = 0
    for _ in range(0, words.size // width * drawn, 16):
        x = splat_u64(np.uint64(0))
        y = splat_u64(np.uint64(0))
        for d in range(first, 32):
            p, q = scramble(a0, a1), scramble(b0, b1)
            a0, a1 = step_first(a0, a1), step_second(a0, a1)
            b0, b1 = step_first(b0, b1), step_second(b0, b1)
            if (digits >> d) & 1:
                x, y = x | p, y | q
            else:
                x, y = x & p, y & q
        for vector in (x, y):
            if column < width and row < words.size:
                store_u64(words, row + column, vector)
            column += 8
            if column == drawn:
                row += width
                column = 0


@kernel
def _clear_beyond(rows: npt.NDArray[np.uint64], n_targets: int) -> None:
    """Zero the bits that stand for no target."""
    last = n_targets >> 6
    keep = (np.uint64(1) << np.uint64(n_targets & 63)) - np.uint64(1)
    for i in range(rows.shape[0]):
        for w in range(last, rows.shape[1]):
            rows[i, w] &= keep if w == last else np.uint64(0)


@kernel
def _clear_diagonal(rows: npt.NDArray[np.uint64], n: int) -> None:
    for i in range(n):
        rows[i, i >> 6] &= ~(np.uint64(1) << np.uint64(i & 63))


@kernel
def _count_rows(words: npt.NDArray[np.uint64], degrees: npt.NDArray[np.int64], per_row: int) -> None:
    for i in range(degrees.size):
        total = splat_u64(np.uint64(0))
        for w in range(i * per_row, (i + 1) * per_row, 8):
            total = total + count_ones_each(load_u64(words, w))
        degrees[i] = np.int64(add_up_words(total))
