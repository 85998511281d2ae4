"""Spike-contrast equals elephant's on the same spikes.

Where an edge of a bin falls on a spike, the spike belongs to the later bin in both programs; but the edges are sums of
floating-point numbers, and with dt = 0.1 ms an edge meant to be at a spike may come out one unit in the last place
above it, in elephant even depending on which train has the shortest interval. So equality to 1e-9 is asked for
where times and edges are exact (dt = 1/8 ms) or do not coincide, and a tie that is not exact is shown to move S by no
more than the spikes involved.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from hpcmass.network.spikes import SpikeChunk, SpikeTrains, train_statistics
from hpcmass.network.synchrony import bin_widths_ms, spike_contrast

neo = pytest.importorskip("neo")
pq = pytest.importorskip("quantities")
elephant = pytest.importorskip("elephant.spike_train_synchrony")

Raster = npt.NDArray[np.bool_]


def trains_of(raster: Raster, cuts: list[int] | None = None) -> SpikeTrains:
    """Spike trains from a raster (steps, neurons), cut into chunks before the given steps."""
    chunks: list[SpikeChunk] = []
    for part in np.split(raster, cuts or []):
        step, neuron = np.nonzero(part)
        chunks.append((neuron.astype(np.uint16), np.bincount(step, minlength=len(part)).astype(np.int64)))
    return SpikeTrains(chunks, raster.shape[1])


def ours(raster: Raster, dt_ms: float, cuts: list[int] | None = None) -> tuple[float, float]:
    trains = trains_of(raster, cuts)
    return spike_contrast(trains, dt_ms, train_statistics(trains).shortest_isi)


def theirs(raster: Raster, dt_ms: float) -> tuple[float, float]:
    """Elephant's S and the bin width at which it peaks; silent trains are trains."""
    t_stop = len(raster) * dt_ms * pq.ms
    trains = [neo.SpikeTrain(np.flatnonzero(t) * dt_ms * pq.ms, t_stop=t_stop) for t in raster.T]
    s, trace = elephant.spike_contrast(trains, return_trace=True)
    return float(s), float(trace.bin_size[int(np.argmax(trace.synchrony))].rescale("ms"))


def random(rng: np.random.Generator, n_steps: int, n: int) -> Raster:
    return rng.random((n_steps, n)) < 0.004


def synchronous(rng: np.random.Generator, n_steps: int, n: int) -> Raster:
    """Population bursts of nearly all neurons, with a jitter of some steps."""
    raster = np.zeros((n_steps, n), bool)
    for burst in np.sort(rng.choice(np.arange(20, n_steps - 20), max(2, n_steps // 400), replace=False)):
        who = np.flatnonzero(rng.random(n) < 0.9)
        raster[burst + rng.integers(-5, 6, who.size), who] = True
    return raster


def exactly_synchronous(rng: np.random.Generator, n_steps: int, n: int) -> Raster:
    raster = np.zeros((n_steps, n), bool)
    raster[rng.choice(n_steps, max(2, n_steps // 400), replace=False)] = True
    return raster


def bursting(rng: np.random.Generator, n_steps: int, n: int) -> Raster:
    """Own bursts of each neuron, spikes three steps apart."""
    raster = np.zeros((n_steps, n), bool)
    for k in range(n):
        for start in rng.integers(0, n_steps - 40, 3):
            raster[start : start + 3 * rng.integers(2, 12) : 3, k] = True
    return raster


def sparse(rng: np.random.Generator, n_steps: int, n: int) -> Raster:
    """Most trains silent, two spikes in the others."""
    raster = np.zeros((n_steps, n), bool)
    for k in rng.choice(n, max(1, n // 10), replace=False):
        raster[rng.choice(n_steps, 2, replace=False), k] = True
    return raster


def one_train(rng: np.random.Generator, n_steps: int, n: int) -> Raster:
    raster = np.zeros((n_steps, n), bool)
    raster[rng.choice(n_steps, 10, replace=False), n // 2] = True
    return raster


def long_intervals(rng: np.random.Generator, n_steps: int, n: int) -> Raster:
    """The shortest interval is a third of the record: the smallest bin follows from it, and the shift is large."""
    raster = np.zeros((n_steps, n), bool)
    first = rng.integers(0, n_steps // 3, n)
    raster[first, np.arange(n)] = True
    raster[first + n_steps // 3 + rng.integers(0, 9, n), np.arange(n)] = True
    return raster


POPULATIONS = (random, synchronous, exactly_synchronous, bursting, sparse, one_train, long_intervals)


@pytest.mark.parametrize("population", POPULATIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("n_steps", "n"), [(4001, 13), (2400, 64), (1601, 150)])
def test_equal_to_elephant_where_arithmetic_is_exact(population: type[Raster], n_steps: int, n: int) -> None:
    """dt = 1/8 ms: times, intervals and the ends are exact binary numbers, so ties fall alike."""
    raster = population(np.random.default_rng(n_steps), n_steps, n)
    s, width = ours(raster, 0.125)
    expected_s, expected_width = theirs(raster, 0.125)
    assert s == pytest.approx(expected_s, rel=1e-9)
    assert width == pytest.approx(expected_width, rel=1e-12)


@pytest.mark.parametrize("population", POPULATIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("n_steps", [5003, 3001])
def test_equal_to_elephant_at_the_usual_step(population: type[Raster], n_steps: int) -> None:
    """dt = 0.1 ms and a prime number of steps: hardly any edge meets a spike."""
    raster = population(np.random.default_rng(n_steps), n_steps, 90)
    s, width = ours(raster, 0.1)
    expected_s, expected_width = theirs(raster, 0.1)
    assert s == pytest.approx(expected_s, rel=1e-9)
    assert width == pytest.approx(expected_width, rel=1e-12)


def test_more_trains_than_a_row_of_words() -> None:
    raster = np.random.default_rng(3).random((800, 1100)) < 0.01
    assert ours(raster, 0.125)[0] == pytest.approx(theirs(raster, 0.125)[0], rel=1e-9)


def test_a_tie_moves_no_more_than_its_spikes() -> None:
    """Records of 200 ms at 0.1 ms: the widest bins' edges lie on spikes' times, up to the last bit of a sum."""
    for seed in range(20):
        raster = random(np.random.default_rng(seed), 2000, 40)
        s, expected = ours(raster, 0.1)[0], theirs(raster, 0.1)[0]
        at_an_edge = 3 * raster.sum(1).max()  # three inner edges of the widest bins
        assert abs(s - expected) <= 4 * at_an_edge / raster.sum()


@pytest.mark.parametrize("population", POPULATIONS, ids=lambda f: f.__name__)
def test_stretches_do_not_matter(population: type[Raster]) -> None:
    """The record may be cut anywhere, also into pieces shorter than the 16 steps that the replay takes at a time."""
    rng = np.random.default_rng(9)
    raster = population(rng, 1999, 70)
    whole = ours(raster, 0.1)
    cuts = [[1], [16, 32, 33], [0, 0, 1999], sorted(rng.integers(0, 2000, 60).tolist()), list(range(1, 1999))]
    for where in cuts:
        assert ours(raster, 0.1, where) == whole


def test_undefined_where_elephant_refuses() -> None:
    """Silence, one spike, and one spike a train: NaN where elephant raises."""
    silent = np.zeros((2000, 5), bool)
    one = silent.copy()
    one[7, 2] = True
    each = silent.copy()
    each[[3, 5, 7, 900, 1999], range(5)] = True
    for raster in (silent, one, each):
        assert np.isnan(ours(raster, 0.1)).all()
        with pytest.raises((ValueError, TypeError)):
            theirs(raster, 0.1)


def test_undefined_for_a_record_below_two_bins() -> None:
    raster = np.ones((199, 3), bool)
    assert np.isnan(ours(raster, 0.1)).all()
    assert np.isfinite(ours(np.ones((200, 3), bool), 0.1)).all()


def test_one_short_burst_is_nearly_one() -> None:
    burst = np.zeros((20_000, 50), bool)
    burst[10_000] = burst[10_003] = True
    assert 0.95 < ours(burst, 0.1)[0] <= 1.0


def test_bin_widths() -> None:
    widths = bin_widths_ms(1000.0, 1.0)
    assert widths[0] == 500.0
    assert all(b == pytest.approx(0.9 * a) for a, b in itertools.pairwise(widths))
    assert widths[-1] >= 10.0 > 0.9 * widths[-1]
    assert bin_widths_ms(1000.0, 100.0)[-1] >= 50.0 > 0.9 * bin_widths_ms(1000.0, 100.0)[-1]
    assert bin_widths_ms(19.9, 1.0).size == 0
