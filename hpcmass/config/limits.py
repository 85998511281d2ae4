"""Size limits of an experiment: a larger one is refused when it is read, before anything is computed.

Every limit is far above what a sweep needs, and below what the program or the file can represent. A sweep at all
limits has 2·10¹⁷ bytes of traces; HDF5 and MPI-IO count to 9·10¹⁸.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from hpcmass.text import counted

MOST_TRIALS: Final = 10_000_000
"""Of a sweep: rank 0, which distributes the trials, needs 0.6 kB of memory for each, 6 GB in all."""

MOST_STEPS: Final = 1_000_000_000
"""Of a trial: its steps are counted with 32 bits."""

MOST_TRIAL_BYTES: Final = 2**40
"""Memory of one trial: far more than one core has."""

BYTES_PER_STEP: Final = 140
"""Of memory, at the peak of a trial: its traces, in double precision while they are assembled. Measured."""

BYTES_PER_EVENT: Final = 48
"""Of memory, for an external spike of the steps that are made at a time."""

STEPS_AT_A_TIME: Final = 20_480
"""Steps whose external spikes are made at a time, at most."""


def steps(time_ms: float, dt_ms: float) -> float:
    """A time in steps, not rounded; infinite where that is too much for a number."""
    return time_ms / dt_ms if time_ms / MOST_STEPS / 10 < dt_ms else math.inf


def trial_bytes(network: Mapping[str, float]) -> int:
    """Memory that one trial takes at least, beside the program itself (`network`: parameter → value, `lam` included).

    The sum of both graphs, a bit for each pair of neurons and for each external unit and neuron that it may reach; the
    steps of refractory period and delay, a bit a neuron; the traces; the pending external spikes. Not included: the
    network's own spikes.
    """
    dt_ms = network["dt_ms"]
    n_steps = steps(network["duration_ms"], dt_ms)
    row_bytes = _row_bytes(network["n_neurons"])
    reached = network["n_neurons"] if network["p_ext_I"] else round(network["lam"] * network["n_neurons"])
    external = (network["n_external"] + 1) * _row_bytes(reached)
    rows = network["n_neurons"] + 2
    rows += min(steps(network["t_ref_ms"], dt_ms), n_steps)
    rows += min(max(steps(network["delay_ms"], dt_ms) - 1, 0), n_steps)
    # graphs that are drawn on the way, one after the other
    pathways = any(network[name] != 1 for name in ("p_EE", "p_EI", "p_IE", "p_II"))
    rows += max(network["n_neurons"] if pathways else 0, network["n_external"] if network["p_ext_I"] else 0)
    events = network["n_external"] * network["external_rate_hz"] * dt_ms / 1e3 * min(n_steps, STEPS_AT_A_TIME)
    needed = rows * row_bytes + external + BYTES_PER_STEP * n_steps + BYTES_PER_EVENT * events
    return math.ceil(min(needed, 2.0**63))


def too_many_steps(time_ms: float, dt_ms: float) -> str | None:
    """What is wrong with a time that is too many steps long; None if it is not."""
    if steps(time_ms, dt_ms) <= MOST_STEPS:
        return None
    return f"must be at most {_count(MOST_STEPS)} steps of dt_ms = {dt_ms:g}"


def too_large(axes: Mapping[str, Sequence[float]], trials: int, network: Mapping[str, float]) -> str | None:
    """Why a sweep is refused for its size; None if it is not.

    Parameters
    ----------
    axes : mapping of str to sequence of float
        The swept axes, each ascending.
    trials : int
        At each point.
    network : mapping of str to float
        The parameters of the network, which further axes replace.
    """
    points = math.prod(len(values) for values in axes.values())
    if points * trials > MOST_TRIALS:
        lengths = " x ".join(str(len(values)) for values in axes.values())
        return (
            f"grid: {lengths} points with {counted(trials, 'trial')} each are "
            f"{_count(points * trials)} trials, and a sweep may have {_count(MOST_TRIALS)}; make the grid coarser, "
            "or run several sweeps"
        )
    largest = {**network, **{name: values[-1] for name, values in axes.items()}}
    needed = trial_bytes(largest)
    if needed > MOST_TRIAL_BYTES:
        causes = ("n_neurons", "n_external", "duration_ms", "dt_ms", "t_ref_ms", "delay_ms", "external_rate_hz")
        named = ", ".join(f"{name} = {largest[name]:g}" for name in causes)
        return (
            f"network: one trial with {named} takes {needed / 2**30:.3g} GiB of memory, and the limit is "
            f"{MOST_TRIAL_BYTES >> 30} GiB; make it smaller or shorter"
        )
    return None


def _row_bytes(n_targets: float) -> int:
    """A bit for each target, in whole vectors of 512."""
    return 64 * max(1, math.ceil(n_targets / 512))


def _count(number: int) -> str:
    """A large number for people: `10 000 000`."""
    return f"{number:_}".replace("_", " ")
