"""The input Φ of a population from the spikes of its senders and the graph."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpcmass.compare.arrays import positive, real_number
from hpcmass.compare.series import Real
from hpcmass.config.limits import MOST_STEPS, steps
from hpcmass.errors import UserError
from hpcmass.messages import logger
from hpcmass.recordings.spikes import SpikesSeen, listed, spike_units, steps_within


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
        Times of the spikes (ms), in any order. Those outside the recording are left out, with a warning.
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
    degrees = listed("out_degrees", out_degrees)
    if (degrees < 0).any():
        raise UserError(f"out_degrees[{int(np.argmax(degrees < 0))}] is negative; give numbers from 0")
    times, sender = listed("times_ms", times_ms), spike_units("senders", senders, "out_degrees", degrees.size)
    if times.size != sender.size:
        raise UserError(f"times_ms has {times.size} spikes and senders {sender.size}; give one sender for each spike")
    if steps(duration, dt) > MOST_STEPS or round(duration / dt) < 1:
        raise UserError(f"duration_ms = {duration:g} is not a possible number of steps of dt_ms = {dt:g}")
    n_steps, n_receiving = round(duration / dt), positive("n_neurons", n_neurons)
    delay = real_number("delay_ms", delay_ms)
    first = real_number("start_ms", start_ms) - delay
    arrival = times - first + _rounding_ms(times_ms)
    seen = SpikesSeen("times_ms", dt, n_steps, slack_ms=dt + abs(delay), start_ms=first)
    seen.add(arrival)
    for sentence in seen.doubts():
        logger.warning("%s", sentence)
    return mean_arrivals(arrival, sender, degrees, n_neurons=n_receiving, dt_ms=dt, n_steps=n_steps)


def mean_arrivals(
    times_ms: Real, senders: npt.NDArray[np.int64], degrees: Real, *, n_neurons: float, dt_ms: float, n_steps: int
) -> Real:
    """Φ of spikes that are checked, of those within the recording; times (ms) are from its beginning."""
    here, step = steps_within(times_ms, dt_ms, n_steps)
    arrived = np.bincount(step, weights=degrees[senders[here]], minlength=n_steps)
    return np.asarray(arrived / (n_neurons * dt_ms), dtype=np.float64)


def _rounding_ms(times_ms: npt.ArrayLike) -> float:
    """Error (ms) of times in single precision."""
    given = np.asarray(times_ms)
    return float(np.spacing(np.abs(given).max(initial=0))) if given.dtype == np.float32 else 0.0
