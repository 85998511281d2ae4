"""The spikes of one trial, kept compactly, and the statistics of single trains.

Two bytes a spike: neuron numbers in order of time, one array per chunk of steps, and one count per step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcmass.network.kernel import kernel

Neurons = npt.NDArray[np.uint16]
Counts = npt.NDArray[np.int64]

SpikeChunk = tuple[Neurons, Counts]
"""Neurons that spiked, in order of time, and the number of spikes of each of some consecutive steps."""


@dataclass(frozen=True)
class SpikeTrains:
    """Spikes of a population over a number of steps.

    Attributes
    ----------
    chunks : list of SpikeChunk
        One after the other.
    n_neurons : int
    """

    chunks: list[SpikeChunk]
    n_neurons: int

    @property
    def n_steps(self) -> int:
        """Number of steps."""
        return sum(counts.size for _, counts in self.chunks)

    @property
    def n_spikes(self) -> int:
        """Number of spikes."""
        return sum(neurons.size for neurons, _ in self.chunks)

    def events(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Neuron and step of every spike, in order of time."""
        neurons = [np.empty(0, np.int32), *(n.astype(np.int32) for n, _ in self.chunks)]
        counts = [np.empty(0, np.int64), *(c for _, c in self.chunks)]
        return np.concatenate(neurons), np.repeat(np.arange(self.n_steps), np.concatenate(counts))


@dataclass(frozen=True)
class TrainStatistics:
    """Numbers of single trains.

    Attributes
    ----------
    n_per_neuron : array of int64, (n_neurons,)
    shortest_isi : int
        In steps; 0 if no neuron spiked twice.
    cv_isi : float
        Mean, over the neurons with two intervals or more, of standard deviation over mean of the intervals; NaN if
        there is no such neuron.
    """

    n_per_neuron: npt.NDArray[np.int64]
    shortest_isi: int
    cv_isi: float


def train_statistics(trains: SpikeTrains) -> TrainStatistics:
    """Counts and interspike intervals of all trains, in one pass."""
    n = np.zeros(trains.n_neurons, np.int64)
    first, last = np.zeros_like(n), np.zeros_like(n)
    squares = np.zeros(trains.n_neurons)
    step, shortest = 0, np.iinfo(np.int64).max
    for neurons, counts in trains.chunks:
        shortest = _intervals(neurons, counts, step, n, first, last, squares, shortest)
        step += counts.size
    several = n >= 3
    cv = np.nan
    if several.any():
        intervals = n[several] - 1
        mean = (last - first)[several] / intervals
        variance = np.maximum(squares[several] / intervals - mean**2, 0.0)
        cv = float(np.mean(np.sqrt(variance) / mean))
    return TrainStatistics(n, int(shortest) if (n >= 2).any() else 0, cv)


@kernel
def _intervals(
    neurons: Neurons,
    counts: Counts,
    step: int,
    n: Counts,
    first: Counts,
    last: Counts,
    squares: npt.NDArray[np.float64],
    shortest: int,
) -> int:
    at = 0
    for t in range(step, step + counts.size):
        for _ in range(counts[t - step]):
            neuron = neurons[at]
            at += 1
            if n[neuron] == 0:
                first[neuron] = t
            else:
                interval = t - last[neuron]
                squares[neuron] += float(interval) * interval
                shortest = min(shortest, interval)
            last[neuron] = t
            n[neuron] += 1
    return shortest
