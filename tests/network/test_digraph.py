"""Random graphs: both generators draw G(n, p), told apart by nothing but speed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from chance import assert_chi2, assert_frequencies, assert_standard_normal, assert_uncorrelated
from graphs import adjacency, pack
from hpcmass.network import digraph
from hpcmass.network.digraph import Digraph, draw, words_per_row

SKIP, DENSE = 2.0, 0.0
"""Values of SKIP_BELOW that force one generator at every p."""


def sequence(*key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(20210114, spawn_key=key)


@pytest.fixture(params=[SKIP, DENSE], ids=["skips", "dense"])
def generator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """Let `draw` use one generator whatever p is."""
    monkeypatch.setattr(digraph, "SKIP_BELOW", request.param)
    return float(request.param)


@pytest.fixture(params=[0.0007, 0.004, 0.03, 1 / 3, 0.5, 0.95])
def p(request: pytest.FixtureRequest) -> float:
    return float(request.param)


@pytest.mark.usefixtures("generator")
def test_degrees_are_binomial(p: float) -> None:
    """Edges, and in- and out-degrees by mean, variance and distribution; no neuron projects to itself."""
    n = 1200
    graph = draw(sequence(1), n, n, p, loops=False)
    a = adjacency(graph)
    assert not a.diagonal().any()
    possible = n * (n - 1)
    assert_standard_normal((a.sum() - possible * p) / np.sqrt(possible * p * (1 - p)), "number of edges")
    for what, degree in (("out", a.sum(1)), ("in", a.sum(0))):
        mean, variance = (n - 1) * p, (n - 1) * p * (1 - p)
        # Σ (d - mean)² / variance over n independent degrees: mean n, variance n (2 + excess kurtosis)
        spread = n * (2 + (1 - 6 * p * (1 - p)) / variance)
        squares = ((degree - mean) ** 2).sum() / variance
        assert_standard_normal((squares - n) / np.sqrt(spread), f"variance of {what}-degrees")
        exact = stats.binom.pmf(np.arange(n + 1), n - 1, p)
        assert_frequencies(np.bincount(degree, minlength=n + 1), exact / exact.sum(), f"{what}-degrees")


@pytest.mark.usefixtures("generator")
def test_rows_and_columns_are_independent(p: float) -> None:
    """Overlaps of all pairs of rows, of all pairs of columns, and of each edge with its reverse."""
    n = 500
    a = adjacency(draw(sequence(2), n, n, p, loops=False))
    x = np.where(np.eye(n, dtype=bool), 0.0, a - p)
    pairs = np.triu_indices(n, 1)
    sd = p * (1 - p)
    for what, overlap in (("rows", x @ x.T), ("columns", x.T @ x)):
        # products of centred edges are uncorrelated, so their sum has the variance of as many independent ones
        assert_standard_normal(overlap[pairs].sum() / (sd * np.sqrt((n - 2) * pairs[0].size)), f"overlap of {what}")
    reverse = (x * x.T)[pairs].sum() / (sd * np.sqrt(pairs[0].size))
    if p > 0.01:  # else less than a dozen pairs are expected, which is not normal
        assert_standard_normal(reverse, "reciprocal edges")
    if 0.1 < p < 0.9:  # else the overlaps of two rows are too few to be normal in the tails
        wide = adjacency(draw(sequence(2), 250, 4000, p, loops=True)).astype(float)
        assert_uncorrelated(wide.T, None, "rows")
        tall = adjacency(draw(sequence(2), 4000, 250, p, loops=True)).astype(float)
        assert_uncorrelated(tall, None, "columns")


@pytest.mark.usefixtures("generator")
def test_edges_lie_anywhere(p: float) -> None:
    """Uniform over the rows and over the columns, bit of the word and word of the row included."""
    n_sources, n_targets = 900, 1000
    a = adjacency(draw(sequence(3), n_sources, n_targets, p, loops=True))
    for what, counts in (("rows", a.sum(1)), ("columns", a.sum(0))):
        other = a.size // counts.size
        assert_chi2(float(((counts - other * p) ** 2).sum() / (other * p * (1 - p))), counts.size, what)
    by_bit = np.add.reduceat(a.sum(0), range(0, n_targets, 64))
    sizes = np.diff([*range(0, n_targets, 64), n_targets]) * n_sources
    assert_standard_normal((by_bit - sizes * p) / np.sqrt(sizes * p * (1 - p)), "words")
    again = [adjacency(draw(sequence(3, k), 9, 70, 0.5, loops=True)) for k in range(400)]
    often = np.array([[b[0, 0], b[0, -1], b[-1, 0], b[-1, -1]] for b in again]).sum(0)
    assert_standard_normal((often - 200) / 10, "first and last possible edges")


def test_generators_agree_where_they_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same p by either: numbers of edges of many graphs are two samples of one binomial distribution."""
    p, n, m = digraph.SKIP_BELOW, 60, 3000
    totals = []
    for which in (SKIP, DENSE):
        monkeypatch.setattr(digraph, "SKIP_BELOW", which)
        totals.append([draw(sequence(4, k), n, n, p, loops=False).n_edges for k in range(m // 4)])
        exact = stats.binom.pmf(np.arange(60), n * (n - 1), p)
        assert_frequencies(np.bincount(totals[-1], minlength=60), exact / exact.sum(), f"edges, {which}")
    assert stats.ks_2samp(*totals).pvalue > 1e-5


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 511, 512, 513, 700])
@pytest.mark.usefixtures("generator")
def test_any_size(n: int) -> None:
    """p = 0, p = 1 and in between, square and not; bits beyond the targets, and the last row, stay zero."""
    full = ~np.eye(n, dtype=bool)
    with np.errstate(divide="ignore"):  # log1p(-1) of the generator that is not made for p = 1
        assert (adjacency(draw(sequence(5), n, n, 1.0, loops=False)) == full).all()
        assert adjacency(draw(sequence(5), n, 3, 1.0, loops=True)).all()
    assert draw(sequence(5), n, n, 0.0, loops=False).n_edges == 0
    for n_sources, n_targets, loops in ((n, n, False), (n, n, True), (n, 5, True), (3, n, True)):
        graph = draw(sequence(6), n_sources, n_targets, 0.4, loops=loops)
        assert adjacency(graph).shape == (n_sources, n_targets)
        assert_no_bit_beyond(graph)


def assert_no_bit_beyond(graph: Digraph) -> None:
    bits = np.unpackbits(graph.rows.view(np.uint8), axis=1, bitorder="little")
    assert not bits[-1].any()
    assert not bits[:, graph.n_targets :].any()
    assert (graph.out_degree == bits.sum(1, dtype=np.int64)).all()
    assert graph.n_edges == bits.sum(dtype=np.int64)
    assert graph.rows.shape[1] % 8 == 0


@pytest.mark.parametrize("n_targets", [0, 1, 300])
def test_nothing_to_connect(n_targets: int) -> None:
    """No sources, or no targets (an inhibitory population gets no external drive), with rows as long as asked for."""
    for n_sources in (0, 7):
        for p in (0.001, 0.3, 1.0):
            graph = draw(sequence(7), n_sources, n_targets, p, loops=True, words=16)
            assert graph.rows.shape == (n_sources + 1, 16)
            assert_no_bit_beyond(graph)
            if p == 1.0:
                assert graph.n_edges == n_sources * n_targets


@pytest.mark.usefixtures("generator")
@pytest.mark.parametrize("n_sources", [1, 7, 40])
@pytest.mark.parametrize(("n_targets", "drawn"), [(300, 24), (1025, 40), (1025, 24), (0, 16)])
def test_a_row_keeps_the_first_of_the_words_that_are_drawn(
    n_sources: int, n_targets: int, drawn: int, p: float
) -> None:
    """Short rows have the edges of long ones, and no bit beyond."""
    short = draw(sequence(11), n_sources, n_targets, p, loops=True, drawn=drawn)
    long = draw(sequence(11), n_sources, n_targets, p, loops=True, words=drawn)
    width = words_per_row(n_targets)
    assert short.rows.shape == (n_sources + 1, width)
    assert (short.rows == long.rows[:, :width]).all()
    assert (short.out_degree == long.out_degree).all()
    assert_no_bit_beyond(short)


@pytest.mark.parametrize("digits", [1, 2, 4, 12, 20, 32])
def test_dense_generator_reads_every_digit_of_p(digits: int) -> None:
    """p = 2^-k, 1 - 2^-k and with one more digit: the density is right to what 2^24 possible edges tell."""
    n = 4096
    for p in (2.0**-digits, 1 - 2.0**-digits, 0.5 + 2.0**-digits / 2):
        if p < digraph.SKIP_BELOW:
            continue
        count = draw(sequence(8), n, n, p, loops=True).n_edges
        sd = np.sqrt(n * n * p * (1 - p))
        assert abs(count - n * n * p) < max(1.0, 5 * sd), p  # 5 sd: 6e-7 for each of the dozen


def test_same_sequence_same_graph() -> None:
    for p in (0.001, 0.3):
        first, second, other = (draw(sequence(k), 300, 300, p, loops=False) for k in (9, 9, 10))
        assert (first.rows == second.rows).all()
        assert (first.rows != other.rows).any()


@given(hnp.arrays(bool, st.tuples(st.integers(0, 20), st.integers(0, 600))))
def test_packing_is_undone_by_adjacency(matrix: npt.NDArray[np.bool_]) -> None:
    graph = pack(matrix)
    assert (adjacency(graph) == matrix).all()
    assert graph.rows.shape == (len(matrix) + 1, words_per_row(matrix.shape[1]))
    assert_no_bit_beyond(graph)
    assert (graph.out_degree[:-1] == matrix.sum(1)).all()


def test_words_per_row() -> None:
    assert [words_per_row(n) for n in (0, 1, 512, 513, 1024, 10_000)] == [8, 8, 8, 16, 16, 160]
