"""Networks that are valid and yet hardly meant: no random network, or units and signs that were mistaken.

No random network is one with identical inputs, steps that overshoot, or neurons in lock-step.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment, NetworkParameters
from hpcmass.config.derived import MV2_PER, NoiseUnit, Tie
from hpcmass.costs import mean_field_rate_hz
from hpcmass.store.schema import DONE
from hpcmass.text import counted

Real = npt.NDArray[np.float64]

QUIET_MV: Final = 0.5
"""Standard deviation of the membrane noise below which identical inputs make identical neurons."""

FEWEST_NEURONS: Final = 20
"""Of fewer neurons, the mean number of spikes is often a whole number by chance."""

SHARE: Final = 0.5
"""Share of the spiking trials from which a sweep counts as one in lock-step."""

MOST_CORNERS: Final = 256
"""Most combinations of ends of axes that are examined."""


def degenerate_inputs(experiment: Experiment) -> list[str]:
    """A sentence for each way in which the networks of a configuration are degenerate.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    list of str
        Empty for an ordinary configuration.
    """
    corners = list(itertools.islice(_corners(experiment), MOST_CORNERS))
    found = (
        _same_input(corners, experiment.network.ties),
        _overshoot(corners),
        _noise(corners, experiment.network.noise_unit),
        *_reversals(corners),
    )
    return [sentence for sentence in found if sentence is not None]


def _corners(experiment: Experiment) -> Iterator[tuple[dict[str, float], NetworkParameters]]:
    """The ends of all axes in all combinations: where and which network."""
    axes = experiment.grid.axes()
    for values in itertools.product(*(dict.fromkeys((axis[0], axis[-1])) for axis in axes.values())):
        at = dict(zip(axes, values, strict=True))
        yield at, experiment.network_at(at)


def _same_input(corners: list[tuple[dict[str, float], NetworkParameters]], ties: Mapping[str, Tie]) -> str | None:
    """Whether neurons of one kind differ in nothing but little noise; `ties` are those of the configuration."""
    for at, network in corners:
        drive = network.n_external * network.external_rate_hz * network.w_ext
        if drive == 0 or resting_sd_mv(network) >= QUIET_MV:
            continue
        lam = at["lam"]
        for key, kind, exist in (("p_ext", "excitatory", lam > 0), ("p_ext_I", "inhibitory", lam < 1)):
            if not exist or getattr(network, key) != 1:
                continue
            same = f"{key} = 1 gives every {kind} neuron the same external input"
            if key in ties:
                axis = ties[key].times
                return (
                    f"at {axis} = {at[axis]:g} {same}, and with little noise they fire in lock-step; "
                    f"end the axis {axis} below {at[axis]:g}, or raise noise_q"
                )
            return f"{same}, so that they fire in lock-step whatever p is; give {key} below 1, such as 0.1"
    return None


def _overshoot(corners: list[tuple[dict[str, float], NetworkParameters]]) -> str | None:
    """The point where forward Euler is farthest beyond the largest step that does not overshoot."""
    worst, where, step_ms = 1.0, {}, 0.0
    for at, network in corners:
        conductance = largest_conductance(network, at["p"], at["lam"])
        steps = network.dt_ms / network.tau_m_ms * conductance
        if steps > worst:
            worst, where, step_ms = steps, at, network.tau_m_ms / conductance
    if not where:
        return None
    place = ", ".join(f"{name} = {value:g}" for name, value in where.items())
    return (
        f"at {place} dt_ms is {worst:.3g} times the effective membrane time constant when many neurons fire at once, "
        f"and a step of forward Euler overshoots from 1 on; give dt_ms of at most {step_ms:.2g}, or smaller weights"
    )


def resting_sd_mv(network: NetworkParameters) -> float:
    """Standard deviation (mV) of the potential of a neuron without input and threshold (`network`: at one point)."""
    return math.sqrt(network.noise_q / (2 * network.tau_m_ms))


def _noise(corners: list[tuple[dict[str, float], NetworkParameters]], unit: NoiseUnit) -> str | None:
    """The network whose resting neurons fluctuate most, if that is beyond the threshold (`unit`: of noise_q)."""
    network = max((network for _, network in corners), key=lambda network: resting_sd_mv(network) / _room_mv(network))
    if resting_sd_mv(network) <= _room_mv(network):
        return None
    return (
        f"with noise_q = {network.noise_q / MV2_PER[unit]:g} {unit} a resting neuron would fluctuate by "
        f"{resting_sd_mv(network):.4g} mV (standard deviation), and its threshold is {_room_mv(network):g} mV above "
        "rest; give a smaller noise_q, or another noise_unit"
    )


def _room_mv(network: NetworkParameters) -> float:
    """From rest to the threshold; from the reset if the threshold is not above V_L, so that no neuron rests."""
    rests = network.v_leak_mv < network.v_threshold_mv
    return network.v_threshold_mv - (network.v_leak_mv if rests else network.v_reset_mv)


def _reversals(corners: list[tuple[dict[str, float], NetworkParameters]]) -> Iterator[str]:
    """Synapses that do the opposite of what their name says, each at the first point where they do."""
    found: dict[str, str] = {}
    for at, network in corners:
        threshold = network.v_threshold_mv
        drive = network.n_external * network.external_rate_hz * network.w_ext
        if network.v_inh_mv > threshold and network.w_I > 0 and at["lam"] < 1:
            found.setdefault(
                "v_inh_mv",
                f"v_inh_mv = {network.v_inh_mv:g} is above v_threshold_mv = {threshold:g}, so that inhibition makes "
                "neurons fire",
            )
        for key, exist in (("v_exc_mv", network.w_E > 0 and at["lam"] > 0), ("v_ext_mv", drive > 0)):
            value = getattr(network, key)
            if value < threshold and exist:
                found.setdefault(
                    key,
                    f"{key} = {value:g} is below v_threshold_mv = {threshold:g}, so that its synapses alone make no "
                    "neuron fire",
                )
    for sentence in found.values():
        yield f"{sentence}; check value and sign"


def largest_conductance(network: NetworkParameters, p: float, lam: float) -> float:
    """Conductance of a neuron, leak included and in its units, that the network may well reach.

    The larger of two: after a burst in which all neurons fire once, and the mean at the mean-field rate.
    """
    degree = network.n_neurons * p
    rate_per_ms = mean_field_rate_hz(network, p, lam) / 1e3
    g = network.g_tilde_ms()
    largest = 1.0
    # of an excitatory and of an inhibitory neuron, if there are any
    for exist, p_ext, from_exc, from_inh in (
        (lam > 0, network.p_ext, network.p_EE, network.p_IE),
        (lam < 1, network.p_ext_I, network.p_EI, network.p_II),
    ):
        external = network.w_ext * network.tau_ext_ms * network.n_external * p_ext * network.external_rate_hz / 1e3
        exc, inh = degree * lam * from_exc, degree * (1 - lam) * from_inh
        burst = exc * network.w_E + inh * network.w_I
        mean = rate_per_ms * (exc * g["E"] + inh * g["I"])
        if exist:
            largest = max(largest, 1 + external + max(burst, mean))
    return largest


def lock_step(
    experiment: Experiment, axes: Mapping[str, Sequence[float]], rate_hz: Real, status: npt.NDArray[np.int8]
) -> str | None:
    """Whether the neurons of most trials fire equally often, as a sentence; None if they do not.

    If all excitatory neurons of a trial have the same number of spikes, their mean rate is a multiple of 1/T.

    Parameters
    ----------
    experiment : Experiment
    axes : mapping of str to sequence of float
        The file's.
    rate_hz : array, (axes…, trial)
        Mean rate of the excitatory neurons, `rate_E` of a sweep or a comparison.
    status : array, (axes…, trial)
    """
    network = experiment.network
    if experiment.imported is not None or "n_neurons" in axes:
        return None
    seconds = (network.n_steps - network.n_transient) * network.dt_ms / 1e3
    lam = np.array(axes["lam"]).reshape((1, -1) + (1,) * (status.ndim - 2))
    spiking = (status == DONE) & (rate_hz > 0) & (np.round(lam * network.n_neurons) >= FEWEST_NEURONS)
    spiking &= np.isfinite(rate_hz)
    counts = rate_hz[spiking] * seconds
    same = np.abs(counts - np.round(counts)) < 1e-9 * np.maximum(counts, 1)
    total, found = counts.size, int(same.sum())
    if total == 0 or found < SHARE * total:
        return None
    return (
        f"in {found} of {counted(total, 'trial')} with spikes the excitatory neurons fire equally often (rates are "
        "multiples of 1/T): they fire in lock-step, and the trial is no random network; give p_ext below 1, more "
        "noise or smaller weights"
    )
