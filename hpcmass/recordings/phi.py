"""The input Φ of a population from the spikes of its senders and the graph."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hpcmass.compare.arrays import positive, real_array, real_number
from hpcmass.compare.series import Real
from hpcmass.config.limits import MOST_STEPS, steps
from hpcmass.errors import UserError

ROUNDING: Final = 1e-6
"""Part of a step by which a spike may lie before the step that it belongs to: times such as 0.3 are rounded."""


def phi_from_spikes(
    times_ms: npt.ArrayLike,
    senders: npt.ArrayLike,
    out_degrees: npt.ArrayLike,
    *,
    n_neurons: int,
    dt_ms: float,
    duration_ms: float,
    start_ms: float = 0.0,
    delay_ms: float = 0.0,
) -> Real:
    """The spikes that a neuron of a population receives, averaged over the population.

    In step k, which begins at `start_ms` + k dt and lasts dt,

        Φ[k] = 1 / (N dt) · Σ d(s)    over all spikes of step k,

    where N is `n_neurons` and d(s) the out-degree of the spike's sender s. This is the mean of equation (11c) over
    the neurons. It is exact for any graph: no connection probability is assumed.

    The mass models need one Φ for each kind of sender. Give the spikes of one kind only, or those of all kinds with an
    out-degree of 0 for the senders of the other kinds.

    Parameters
    ----------
    times_ms : array, (n_spikes,)
        Times of the spikes (ms), in any order. Those outside the recording are left out.
    senders : array of int, (n_spikes,)
        Number of each spike's sender, from 0.
    out_degrees : array, (n_senders,)
        Number of neurons of the population that each sender reaches. If the synapses of one kind differ in strength,
        it is the sum of their strengths, in units of the strength that the mass models are given.
    n_neurons : int
        Neurons of the population: those that receive, silent ones too.
    dt_ms : float
        Time step (ms) of the result.
    duration_ms : float
        Duration (ms) of the recording.
    start_ms : float
        Beginning (ms) of the first step. A simulator that dates a spike at the end of its step, such as NEST, needs
        the `dt_ms` of its simulation here.
    delay_ms : float
        Time (ms) from a spike to its arrival, the same at all synapses.

    Returns
    -------
    array of float64, (n_steps,)
        Φ (1/ms).

    Raises
    ------
    UserError
        If an argument is not allowed, or no spike lies within the recording.

    Examples
    --------
    Two senders in a population of 10 neurons. The first one reaches 4 neurons and spikes twice, the second one reaches
    6 neurons and spikes once:

    >>> from hpcmass import phi_from_spikes
    >>> phi_from_spikes([0.0, 1.5, 1.5], [0, 0, 1], [4, 6], n_neurons=10, dt_ms=0.5, duration_ms=2.5)
    array([0.8, 0. , 0. , 2. , 0. ])
    """
    dt, duration = positive("dt_ms", dt_ms), positive("duration_ms", duration_ms)
    degrees = _listed("out_degrees", out_degrees)
    if (degrees < 0).any():
        raise UserError(f"out_degrees[{int(np.argmax(degrees < 0))}] is negative; give numbers from 0")
    times, sender = _listed("times_ms", times_ms), _numbers(senders, degrees.size)
    if times.size != sender.size:
        raise UserError(f"times_ms has {times.size} spikes and senders {sender.size}; give one sender for each spike")
    if steps(duration, dt) > MOST_STEPS or round(duration / dt) < 1:
        raise UserError(f"duration_ms = {duration:g} is not a possible number of steps of dt_ms = {dt:g}")
    n_steps = round(duration / dt)
    first = real_number("start_ms", start_ms) - real_number("delay_ms", delay_ms)
    step = np.floor((times - first + _rounding_ms(times_ms)) / dt + ROUNDING)
    here = (step >= 0) & (step < n_steps)
    if times.size and not here.any():
        raise UserError(
            f"no spike lies within the recording: times_ms is from {times.min():g} to {times.max():g}, and the "
            f"recording from {start_ms:g} to {start_ms + duration:g} ms"
        )
    arrived = np.bincount(step[here].astype(np.int64), weights=degrees[sender[here]], minlength=n_steps)
    return np.asarray(arrived / (positive("n_neurons", n_neurons) * dt), dtype=np.float64)


def _rounding_ms(times_ms: npt.ArrayLike) -> float:
    """Error (ms) of times in single precision."""
    given = np.asarray(times_ms)
    return float(np.spacing(np.abs(given).max(initial=0))) if given.dtype == np.float32 else 0.0


def _listed(name: str, values: npt.ArrayLike) -> Real:
    array = real_array(name, values)
    if array.ndim != 1:
        raise UserError(f"{name} has shape {array.shape}; give one dimension")
    return array


def _numbers(senders: npt.ArrayLike, n_senders: int) -> npt.NDArray[np.int64]:
    numbers: npt.NDArray[Any] = _listed("senders", senders)
    if (numbers != np.floor(numbers)).any():
        raise UserError("senders must be whole numbers, from 0")
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < n_senders):
        wrong = numbers.min() if numbers.min() < 0 else numbers.max()
        raise UserError(
            f"senders has the number {wrong:.0f}, and out_degrees is of senders 0 to {n_senders - 1}; count from 0"
        )
    return numbers.astype(np.int64)
