"""Spike-contrast of thousands of trains, by replay.

Spike-contrast (Ciba, Isomura, Jimbo, Bahmer & Thielemann 2018, J. Neurosci. Methods 293:136) counts the spikes
θ_k and the active trains n_k in half-overlapping bins of width b,

    C(b) = Σ_k |θ_{k+1} - θ_k| / (2 Σ spikes),    A(b) = (Σ_k n_k θ_k / Σ_k θ_k - 1) / (N - 1),    S = max_b C A,

for widths that shrink by 0.9 from half the duration to the larger of 10 ms and half the shortest interspike interval.
The bins' edges are those of elephant's `spike_contrast`, shifted by that interval.

All widths are computed in one replay of the spikes. A set of trains is a row of bits; each width collects the
trains of its current half bin, and at a half bin's end the number of ones in the union of two neighbours is n_k. Spikes
enter in chunks of 16 steps: a width with no edge inside the chunk takes the chunk's set as a whole.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpcmass.network.kernel import kernel
from hpcmass.network.simd import add_up_words, aligned, count_ones_each, load_u64, splat_u64, store_u64
from hpcmass.network.spikes import Counts, Neurons, SpikeTrains

SMALLEST_BIN_MS = 10.0
SHRINK = 0.9

CHUNK = 16
"""Steps whose spikes enter the wide bins together."""

Words = npt.NDArray[np.uint64]


def bin_widths_ms(duration_ms: float, shortest_isi_ms: float) -> npt.NDArray[np.float64]:
    """Bin widths b, from half the duration down; empty if the recording is shorter than two smallest bins."""
    smallest = max(shortest_isi_ms / 2, SMALLEST_BIN_MS)
    widths = []
    width = duration_ms / 2
    while width >= smallest:
        widths.append(width)
        width *= SHRINK
    return np.array(widths)


def spike_contrast(trains: SpikeTrains, dt_ms: float, shortest_isi: int) -> tuple[float, float]:
    """Spike-contrast S and the bin width at which it peaks.

    Parameters
    ----------
    trains : SpikeTrains
        All N trains, silent ones too; a spike of step k is at time k·dt, the recording ends at n_steps·dt.
    dt_ms : float
    shortest_isi : int
        Shortest interspike interval (steps), from `train_statistics`; 0 if no train has two spikes.

    Returns
    -------
    s : float
    bin_ms : float
        Both NaN where Spike-contrast is undefined: no train with two spikes, or a recording under 20 ms.
    """
    duration_ms = trains.n_steps * dt_ms
    isi_ms = shortest_isi * dt_ms
    widths = bin_widths_ms(duration_ms, isi_ms)
    if shortest_isi == 0 or widths.size == 0:
        return np.nan, np.nan
    times = np.arange(trains.n_steps) * dt_ms
    edges = []  # steps at which the half bins of each width begin; spikes before the first belong to none
    for width in widths:
        limits = np.arange(-isi_ms, duration_ms + isi_ms + width / 2, width / 2)
        edges.append(np.searchsorted(times, limits))
    starts = np.concatenate([[0], np.cumsum([e.size for e in edges])])
    counts, active = _replay(trains, np.concatenate(edges), starts)
    curve = np.empty(widths.size)
    for i in range(widths.size):
        theta = counts[starts[i] : starts[i + 1] - 2].astype(float)  # one bin less than half bins
        n = active[starts[i] : starts[i + 1] - 2].astype(float)
        contrast = np.abs(np.diff(theta)).sum() / (2 * trains.n_spikes)
        curve[i] = contrast * ((n * theta).sum() / theta.sum() - 1) / (trains.n_neurons - 1)
    best = int(np.argmax(curve))
    return float(curve[best]), float(widths[best])


def _replay(trains: SpikeTrains, edges: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> tuple[Counts, Counts]:
    """θ_k and n_k of all widths: entry k of a width's chunk is its bin from edge k to edge k + 2."""
    n_widths = starts.size - 1
    words = 8 * -(-trains.n_neurons // 512)
    theta = np.zeros(edges.size, np.int64)
    active = np.zeros(edges.size, np.int64)
    sets = aligned(((2 * n_widths + 1) * words,), np.uint64)  # two half bins a width, and the chunk's own set
    now = starts[:-1].copy()  # the edge that ends the current half bin
    half = np.zeros((n_widths, 2), np.int64)  # spikes of the previous and the current half bin
    step = 0
    for neurons, counts in trains.chunks:
        _replay_chunk(neurons, counts, step, edges, starts, now, half, sets, words, theta, active)
        step += counts.size
    for i in range(n_widths):  # half bins that end at or after the last spike
        while now[i] < starts[i + 1]:
            _end_half_bin(i, starts, now, half, sets, words, theta, active)
    return theta, active


@kernel
def _end_half_bin(
    i: int, starts: Counts, now: Counts, half: Counts, sets: Words, words: int, theta: Counts, active: Counts
) -> None:
    """Close width i's current half bin and with it the bin made of the last two."""
    old, new = 2 * i * words, (2 * i + 1) * words
    k = now[i] - starts[i]  # edges passed so far: half bin k - 1 ends here
    total = splat_u64(np.uint64(0))
    for c in range(0, words, 8):
        current = load_u64(sets, new + c)
        total = total + count_ones_each(load_u64(sets, old + c) | current)
        store_u64(sets, old + c, current)
        store_u64(sets, new + c, splat_u64(np.uint64(0)))
    if k >= 2:
        theta[now[i] - 2] = half[i, 0] + half[i, 1]
        active[now[i] - 2] = np.int64(add_up_words(total))
    half[i, 0], half[i, 1] = half[i, 1], 0
    if k == 0:  # before the first edge lies no half bin
        half[i, 0] = 0
        for c in range(0, words, 8):
            store_u64(sets, old + c, splat_u64(np.uint64(0)))
    now[i] += 1


@kernel
def _replay_chunk(
    neurons: Neurons,
    counts: Counts,
    step: int,
    edges: Counts,
    starts: Counts,
    now: Counts,
    half: Counts,
    sets: Words,
    words: int,
    theta: Counts,
    active: Counts,
) -> None:
    n_widths = starts.size - 1
    chunk = 2 * n_widths * words
    at = 0
    for begin in range(0, counts.size, CHUNK):
        end = min(begin + CHUNK, counts.size)
        n_chunk = 0
        for t in range(begin, end):
            n_chunk += counts[t]
        for k in range(at, at + n_chunk):
            sets[chunk + (neurons[k] >> 6)] |= np.uint64(1) << np.uint64(neurons[k] & 63)
        for i in range(n_widths):
            if now[i] == starts[i + 1] or edges[now[i]] >= step + end:  # the whole chunk lies in one half bin
                if n_chunk > 0:
                    into = (2 * i + 1) * words
                    half[i, 1] += n_chunk
                    for c in range(0, words, 8):
                        store_u64(sets, into + c, load_u64(sets, into + c) | load_u64(sets, chunk + c))
                continue
            k = at
            for t in range(begin, end):
                while now[i] < starts[i + 1] and edges[now[i]] <= step + t:
                    _end_half_bin(i, starts, now, half, sets, words, theta, active)
                half[i, 1] += counts[t]
                into = (2 * i + 1) * words
                for _ in range(counts[t]):
                    sets[into + (neurons[k] >> 6)] |= np.uint64(1) << np.uint64(neurons[k] & 63)
                    k += 1
        at += n_chunk
        for c in range(0, words, 8):
            store_u64(sets, chunk + c, splat_u64(np.uint64(0)))
