"""Packed graphs as matrices of truth values, and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpcmass.network.digraph import Digraph, words_per_row
from hpcmass.network.simd import aligned


def adjacency(graph: Digraph) -> npt.NDArray[np.bool_]:
    """The graph as a matrix, (n_sources, n_targets)."""
    flat = np.unpackbits(graph.rows[:-1].view(np.uint8), axis=1, bitorder="little")
    return flat[:, : graph.n_targets].astype(bool)


def pack(matrix: npt.NDArray[np.bool_]) -> Digraph:
    """The graph of an adjacency matrix, (n_sources, n_targets)."""
    n_sources, n_targets = matrix.shape
    rows = aligned((n_sources + 1, words_per_row(n_targets)), np.uint64)
    packed = np.packbits(matrix, axis=1, bitorder="little")
    rows.view(np.uint8)[:-1, : packed.shape[1]] = packed
    return Digraph(rows, n_targets, np.append(matrix.sum(axis=1), 0))
