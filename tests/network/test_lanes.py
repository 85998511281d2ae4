"""The random lanes: the generator itself, uniform bits, and normals in detail."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numba import njit
from scipy import stats

from chance import assert_chi2, assert_distance, assert_frequencies, assert_standard_normal, assert_uncorrelated
from hpcmass.grid import trial_seed
from hpcmass.network.lanes import DRAW, LANE_COUNT, LaneState, draw_normals, fill_bits, seed_lanes

MASK = 2**64 - 1


def fill_normals(state: LaneState, out: npt.NDArray[np.float32]) -> None:
    draw_normals(state, out, 0, out.size, 1.0)


def sequence(*key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(20210114, spawn_key=key)


# --- bits -------------------------------------------------------------------------------------------------------


def xoroshiro128plusplus(s0: int, s1: int, n: int) -> list[int]:
    """Blackman & Vigna's generator, in Python's integers: the first n outputs."""

    def rotl(x: int, k: int) -> int:
        return ((x << k) | (x >> (64 - k))) & MASK

    out = []
    for _ in range(n):
        out.append((rotl((s0 + s1) & MASK, 17) + s0) & MASK)
        s1 ^= s0
        s0, s1 = rotl(s0, 49) ^ s1 ^ ((s1 << 21) & MASK), rotl(s1, 28)
    return out


def lanes_of(state: npt.NDArray[np.uint64]) -> list[tuple[int, int]]:
    """(s0, s1) of each lane."""
    return [(int(state[k + i]), int(state[k + 8 + i])) for k in (0, 16) for i in range(8)]


def test_bits_are_those_of_xoroshiro128plusplus_lane_by_lane() -> None:
    state = seed_lanes(sequence(1))
    expected = [xoroshiro128plusplus(s0, s1, 300) for s0, s1 in lanes_of(state)]
    bits = np.empty((300, LANE_COUNT), np.uint64)
    flat = bits.reshape(-1)
    fill_bits(state, flat[: 100 * LANE_COUNT])
    fill_bits(state, flat[100 * LANE_COUNT :])  # continues where the first call stopped
    assert bits.T.tolist() == expected


def test_published_first_numbers() -> None:
    """State (1, 2): the first outputs as the generator's other implementations give them (crate rand_xoshiro)."""
    known = [393217, 669327710093319, 1732421326133921491, 11394790081659126983]
    assert xoroshiro128plusplus(1, 2, 4) == known


def test_every_lane_and_trial_has_its_own_stream() -> None:
    """No two of 16 × 3000 lanes start alike; no all-zero state, from any seed that gives one."""
    grid = itertools.product(range(10), range(10), range(30))
    seeds = [trial_seed(5, {"p": i / 10, "lam": k / 10}, n) for i, k, n in grid]
    assert len(set(seeds)) == len(seeds)
    states = [lanes_of(seed_lanes(np.random.SeedSequence(s))) for s in seeds]
    flat = [lane for state in states for lane in state]
    assert len(set(flat)) == len(flat) == LANE_COUNT * 3000

    class Zeros(np.random.SeedSequence):
        def generate_state(self, n_words: int, dtype: Any = np.uint32) -> npt.NDArray[Any]:
            return np.zeros(n_words, dtype)

    assert all(s0 or s1 for s0, s1 in lanes_of(seed_lanes(Zeros())))


def test_bits_are_uniform_and_independent() -> None:
    """Every bit of every lane, all bytes, and pairs of lanes and of successive words."""
    n = 40_000
    bits = np.empty((n, LANE_COUNT), np.uint64)
    fill_bits(seed_lanes(sequence(2)), bits.reshape(-1))
    unpacked = np.unpackbits(bits.view(np.uint8).reshape(n, LANE_COUNT, 8), axis=2, bitorder="little")
    ones = unpacked.sum(0, dtype=np.int64)
    assert_standard_normal((ones - n / 2) / np.sqrt(n / 4), "frequency of ones, lane by bit")
    assert_frequencies(np.bincount(bits.view(np.uint8).reshape(-1), minlength=256), np.full(256, 1 / 256), "bytes")

    def assert_half_differ(x: npt.NDArray[np.uint64], y: npt.NDArray[np.uint64], what: str) -> None:
        differ = np.bitwise_count(x ^ y).astype(np.int64)
        assert_standard_normal((differ.sum() - 32 * differ.size) / np.sqrt(16 * differ.size), what)

    for a, b in itertools.combinations(range(LANE_COUNT), 2):
        assert_half_differ(bits[:, a], bits[:, b], f"lanes {a} and {b}")
    for lag in (1, 2, 3, 17):
        assert_half_differ(bits[lag:], bits[:-lag], f"words {lag} apart")


# --- normals ----------------------------------------------------------------------------------------------------


def test_normals_are_box_muller_of_the_bits() -> None:
    """Each normal against the formula in float64, from the same bits: to 1.5e-6 (1 + r), tails included.

    For u next to 1, where float32 is coarse, r² is right to 2e-7 instead.
    """
    n = 200_000
    normals, bits = np.empty((n, 2, 16), np.float32), np.empty((n, LANE_COUNT), np.uint64)
    fill_normals(seed_lanes(sequence(6)), normals.reshape(-1))
    fill_bits(seed_lanes(sequence(6)), bits.reshape(-1))
    first, second = bits[:, :8].copy().view(np.uint32), bits[:, 8:].copy().view(np.uint32)
    r = np.sqrt(-2 * np.log(((first >> 1) + 0.5) * 2.0**-31))
    angle = np.pi / 2 * second.view(np.int32) * 2.0**-31
    r = np.where(second & 1, -r, r)
    bound = 1.5e-6 * (1 + np.abs(r)) + np.minimum(1e-7 / np.abs(r), 3e-4)
    assert (np.abs(normals[:, 0] - r * np.cos(angle)) < bound).all()
    assert (np.abs(normals[:, 1] - r * np.sin(angle)) < bound).all()
    assert np.abs(r).max() > 5.0  # so the tails were there


BINS_PER_UNIT = 4096
EDGE = 7  # beyond the largest normal that 32 bits give, 6.7


@njit(nogil=True)
def add_to_histogram(x: Any, histogram: Any) -> None:
    """One histogram for each of the 32 places of a draw."""
    for i in range(x.size):
        histogram[i % 32, int((np.float64(x[i]) + EDGE) * BINS_PER_UNIT)] += 1


@pytest.fixture(scope="module", params=[25, pytest.param(30, marks=pytest.mark.slow)], ids="2^{}".format)
def histogram(request: pytest.FixtureRequest) -> npt.NDArray[np.int64]:
    """Give counts of 2^25 or 2^30 normals in bins of 1/4096, by place in the draw: (32, bins)."""
    state = seed_lanes(sequence(3))
    counts = np.zeros((DRAW, 2 * EDGE * BINS_PER_UNIT), np.int64)
    x = np.empty(1 << 18, np.float32)
    for _ in range(1 << (request.param - 18)):
        fill_normals(state, x)
        add_to_histogram(x, counts)
    return counts


@pytest.fixture(scope="module")
def edges() -> npt.NDArray[np.float64]:
    """Give the edges of the histogram's bins."""
    return np.arange(-EDGE * BINS_PER_UNIT, EDGE * BINS_PER_UNIT + 1) / BINS_PER_UNIT


def test_normals_have_the_normal_distribution(histogram: npt.NDArray[np.int64], edges: npt.NDArray[np.float64]) -> None:
    """Kolmogorov–Smirnov on all normals together (2^30 are right to 7e-5) and on each place of the draw."""
    cdf = stats.norm.cdf(edges[1:])
    together = histogram.sum(0)
    n = int(together.sum())
    assert n >= 2**25
    assert_distance(float(np.abs(together.cumsum() / n - cdf).max()), n, "all")
    for place, counts in enumerate(histogram):
        assert_distance(float(np.abs(counts.cumsum() / counts.sum() - cdf).max()), int(counts.sum()), f"place {place}")


def test_normals_fill_every_bin_as_they_should(
    histogram: npt.NDArray[np.int64], edges: npt.NDArray[np.float64]
) -> None:
    """χ² over bins of 1/64: no seam where a polynomial, an octave or a quadrant ends."""
    fine = np.diff(stats.norm.cdf(edges)).reshape(-1, 64).sum(1)
    assert_frequencies(histogram.sum(0).reshape(-1, 64).sum(1), fine / fine.sum(), "bins of 1/64")


def test_moments_of_the_normals(histogram: npt.NDArray[np.int64], edges: npt.NDArray[np.float64]) -> None:
    """First to fourth moment, of all and of each place: E x^k and its standard error."""
    x = (edges[1:] + edges[:-1]) / 2
    for what, counts in [("all", histogram.sum(0)), *((f"place {i}", c) for i, c in enumerate(histogram))]:
        n = counts.sum()
        moments = np.array([(counts * x**k).sum() / n for k in (1, 2, 3, 4)])
        error = np.sqrt(np.array([1, 2, 15, 96]) / n)
        assert_standard_normal((moments - [0, 1, 0, 3]) / error, f"moments of {what}")


@pytest.mark.parametrize("sigmas", [3.0, 4.0, 5.0, 6.0])
def test_tails_of_the_normals(histogram: npt.NDArray[np.int64], edges: npt.NDArray[np.float64], sigmas: float) -> None:
    """Counts beyond so many standard deviations, on either side: of 2^30, about 1.4e6, 34000, 308 and 1."""
    counts = histogram.sum(0)
    expected = counts.sum() * stats.norm.sf(sigmas)
    for side in (counts[edges[:-1] >= sigmas].sum(), counts[edges[1:] <= -sigmas].sum()):
        low, high = stats.poisson.ppf(5e-6, expected), stats.poisson.isf(5e-6, expected)
        assert low <= side <= high, f"{side} beyond {sigmas}, expected {expected:.1f}"


@pytest.fixture(scope="module", params=[15, pytest.param(18, marks=pytest.mark.slow)], ids="2^{}".format)
def draws(request: pytest.FixtureRequest) -> npt.NDArray[np.float32]:
    """Give 2^15 or 2^18 draws of 32 normals: (draw, place)."""
    x = np.empty((1 << request.param, DRAW), np.float32)
    fill_normals(seed_lanes(sequence(4)), x.reshape(-1))
    return x


@pytest.mark.parametrize("power", [1, 2, 3])
def test_places_of_a_draw_are_independent(draws: npt.NDArray[np.float32], power: int) -> None:
    """No correlation between the 32 places, nor between squares or cubes; the pair r·cos, r·sin among them."""
    assert_uncorrelated(draws.astype(float) ** power, None, f"places, power {power}")
    first, second = draws[:, :16].astype(float), draws[:, 16:].astype(float)
    assert_uncorrelated(first**power, second ** (3 - power if power < 3 else 1), f"pairs, power {power}")


@pytest.mark.parametrize("lag", [1, 2, 3, 8])
def test_successive_draws_are_independent(draws: npt.NDArray[np.float32], lag: int) -> None:
    x = draws.astype(float)
    assert_uncorrelated(x[lag:], x[:-lag], f"lag {lag}")
    assert_uncorrelated(x[lag:] ** 2, x[:-lag] ** 2, f"squares, lag {lag}")


def test_angles_of_the_pairs_are_uniform(draws: npt.NDArray[np.float32]) -> None:
    """(r cos, r sin): the angle goes all the way round, independently of the radius."""
    x, y = draws[:, :16].astype(float).reshape(-1), draws[:, 16:].astype(float).reshape(-1)
    turns = (np.arctan2(y, x) / (2 * np.pi)) % 1.0
    radii = stats.chi2.cdf(x**2 + y**2, 2)
    cells = np.floor(turns * 64).astype(int) * 16 + np.minimum(np.floor(radii * 16), 15).astype(int)
    assert_frequencies(np.bincount(cells, minlength=1024), np.full(1024, 1 / 1024), "angle by radius")


def test_neighbouring_trials_are_independent() -> None:
    """The first 2^14 normals of 100 trials: points side by side and trials of one point."""
    trials = [(0.1 * i, 0.5, n) for i in range(10) for n in range(10)]
    x = np.empty((100, 1 << 14), np.float32)
    for row, (p, lam, number) in zip(x, trials, strict=True):
        seed = trial_seed(1, {"p": p, "lam": lam}, number)
        fill_normals(seed_lanes(np.random.SeedSequence(seed).spawn(5)[3]), row)
    assert_uncorrelated(x.T.astype(float), None, "trials")
    assert_uncorrelated(x.T.astype(float) ** 2, None, "squares of trials")


def test_normals_do_not_depend_on_how_many_are_asked_for() -> None:
    whole, pieces = np.empty(64 * DRAW, np.float32), np.empty(64 * DRAW, np.float32)
    fill_normals(seed_lanes(sequence(5)), whole)
    state = seed_lanes(sequence(5))
    for begin, end in itertools.pairwise((0, 1, 17, 64)):
        fill_normals(state, pieces[begin * DRAW : end * DRAW])
    assert (whole == pieces).all()
    assert_chi2(float((whole.astype(float) ** 2).sum()), whole.size, "squares of a few")
