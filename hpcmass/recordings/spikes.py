"""Spikes of a recording: their steps, and whether their times are those of the recording, in ms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hpcmass.compare.arrays import real_array
from hpcmass.compare.series import Real
from hpcmass.errors import UserError
from hpcmass.text import counted

ROUNDING: Final = 1e-6
"""Part of a step by which a spike may lie before the step that it belongs to: times such as 0.3 are rounded."""

EARLY: Final = 0.01
"""Part of a recording in which all spikes lie if their times are in s."""


def listed(name: str, values: npt.ArrayLike) -> Real:
    """Numbers in one dimension, checked, such as the times of spikes."""
    array = real_array(name, values)
    if array.ndim != 1:
        raise UserError(f"{name} has shape {array.shape}; give one dimension")
    return array


def spike_units(name: str, values: npt.ArrayLike, sizes: str, n_units: int) -> npt.NDArray[np.int64]:
    """The unit of each spike, checked, (n_spikes,); `sizes` names the array of `n_units` that they are counted in."""
    numbers: npt.NDArray[Any] = listed(name, values)
    if (numbers != np.floor(numbers)).any():
        raise UserError(f"{name} must be whole numbers, from 0")
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < n_units):
        wrong = numbers.min() if numbers.min() < 0 else numbers.max()
        raise UserError(f"{name} has the number {wrong:.0f}, and {sizes} the elements 0 to {n_units - 1}; count from 0")
    return numbers.astype(np.int64)


def steps_within(times_ms: Real, dt_ms: float, n_steps: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Whether each spike lies within a trial, and the steps of those that do; times are from its beginning."""
    step = np.floor(times_ms / dt_ms + ROUNDING)
    here = (step >= 0) & (step < n_steps)
    return here, step[here].astype(np.int64)


class SpikesSeen:
    """What the spikes of all trials have in common.

    Parameters
    ----------
    name : str
        Of the array of their times, for messages.
    dt_ms, n_steps : float, int
        Of a trial.
    slack_ms : float
        Distance from the recording up to which spikes are left out without a message: a simulator may date a spike at
        the end of its step.
    start_ms : float
        Beginning (ms) of the recording, for messages.
    """

    def __init__(
        self, name: str, dt_ms: float, n_steps: int, *, slack_ms: float | None = None, start_ms: float = 0.0
    ) -> None:
        self.name, self.dt_ms, self.n_steps, self.start_ms = name, dt_ms, n_steps, start_ms
        self.slack_ms = dt_ms if slack_ms is None else slack_ms
        self.n_spikes = self.n_outside = 0
        self.first_ms, self.last_ms = np.inf, -np.inf
        self.unit_known = True

    @property
    def duration_ms(self) -> float:
        """Of a trial."""
        return self.n_steps * self.dt_ms

    def add(self, times_ms: Real, *, where: str = "", unit_known: bool = False) -> None:
        """Note the spikes of one trial.

        Parameters
        ----------
        times_ms : array, (n_spikes,)
            From the beginning of the trial.
        where : str
            Which trial, for messages.
        unit_known : bool
            Whether the times came with a unit.

        Raises
        ------
        UserError
            If there are spikes, and none lies within.
        """
        here, _ = steps_within(times_ms, self.dt_ms, self.n_steps)
        if times_ms.size == 0:
            return
        first, last = float(times_ms.min()), float(times_ms.max())
        if not here.any():
            raise UserError(f"no spike{where} lies within the recording: {self._span(first, last)}")
        self.n_spikes, self.n_outside = self.n_spikes + here.size, self.n_outside + int((~here).sum())
        self.first_ms, self.last_ms = min(self.first_ms, first), max(self.last_ms, last)
        self.unit_known = self.unit_known and unit_known

    def doubts(self) -> Iterator[str]:
        """A sentence if spikes are left out, and one if their times are probably in s."""
        least, most = -self.slack_ms - ROUNDING * self.dt_ms, self.duration_ms + self.slack_ms
        if self.n_spikes and (self.first_ms < least or self.last_ms > most):
            yield (
                f"{self.n_outside} of {counted(self.n_spikes, 'spike')} lie outside the recording and are left out: "
                f"{self._span(self.first_ms, self.last_ms)}"
            )
        if self.n_spikes and not self.unit_known and self.last_ms < EARLY * self.duration_ms:
            yield (
                f"the last spike is at {self.start_ms + self.last_ms:g} ms of {self.duration_ms:g} ms: {self.name} "
                "seems to be in s; give ms"
            )

    def _span(self, first: float, last: float) -> str:
        start = self.start_ms
        return (
            f"{self.name} is from {start + first:g} to {start + last:g}, and the recording from {start:g} to "
            f"{start + self.duration_ms:g} ms"
        )
