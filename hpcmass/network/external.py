"""The external drive: M independent Poisson units as one Poisson process of rate M ν.

The union of the units' spike trains is a Poisson process, each of whose events belongs to a uniformly chosen unit
(7a–c; the trick of Zenke & Gerstner 2014, Front. Neuroinform. 8:76). Events are made in blocks of fixed size from
exponential gaps, so the train does not depend on how many steps are asked for at a time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpcmass.network.lanes import LaneState, fill_bits, seed_lanes
from hpcmass.network.simd import aligned

BLOCK = 4096


class PoissonDrive:
    """Spikes of the external units, step after step.

    Parameters
    ----------
    sequence : numpy.random.SeedSequence
        Consumed whole.
    n_units : int
    events_per_step : float
        Mean number of spikes of all units per step, M ν dt.
    """

    def __init__(self, sequence: np.random.SeedSequence, n_units: int, events_per_step: float) -> None:
        gaps, units = sequence.spawn(2)
        self._gap_lanes, self._unit_lanes = seed_lanes(gaps), seed_lanes(units)
        self._n_units = n_units
        self._events_per_step = events_per_step if n_units > 0 else 0.0
        self._step = 0  # next step
        self._last = 0.0  # time of the last event made, in steps
        self._times: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._units: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def take(self, n_steps: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The spikes of the next `n_steps` steps.

        Returns
        -------
        units : array of int64, (n,)
            The unit of each spike, in order of time.
        offsets : array of int64, (n_steps + 1,)
            Spikes of step k are `units[offsets[k]:offsets[k + 1]]`.
        """
        stop = self._step + n_steps
        times, units = [self._times], [self._units]
        while self._events_per_step > 0 and self._last < stop:
            gaps = -np.log(_uniform(self._gap_lanes)) / self._events_per_step
            block = self._last + np.cumsum(gaps)
            self._last = float(block[-1])
            times.append(np.minimum(block, 2.0**62).astype(np.int64))
            units.append((_uniform(self._unit_lanes) * self._n_units).astype(np.int64))
        all_times, all_units = np.concatenate(times), np.concatenate(units)
        n = int(np.searchsorted(all_times, stop))
        self._times, self._units = all_times[n:], all_units[n:]
        offsets = np.searchsorted(all_times[:n], np.arange(self._step, stop + 1))
        self._step = stop
        return all_units[:n], offsets


def _uniform(lanes: LaneState) -> npt.NDArray[np.float64]:
    """A block of uniform numbers in (0, 1)."""
    bits = aligned(BLOCK, np.uint64)
    fill_bits(lanes, bits)
    return np.asarray(((bits >> np.uint64(12)) + 0.5) * 2.0**-52, np.float64)
