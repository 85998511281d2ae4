"""The grid: axes → points → trials, each with a random seed derived from its values.

A trial's seed comes from the root seed and the *values* (p, lam, further swept parameters, trial number),
never from ranks, order or position in the grid. So it survives any number of ranks, any split into jobs, any
resume, and a refinement of the grid.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment
from hpcmass.config.axes import canonical

SEED_WORDS = 4
"""Length of a trial's seed in 32-bit words."""

Seed = tuple[int, int, int, int]


@dataclass(frozen=True)
class Trial:
    """One network simulation of the sweep.

    Attributes
    ----------
    index : tuple of int
        Position in the file: one index per axis, then the trial number.
    values : dict of str to float
        Axis name → value at this point.
    seed : tuple of 4 int
        32-bit words that seed every random stream of the trial.
    """

    index: tuple[int, ...]
    values: dict[str, float] = field(hash=False)
    seed: Seed

    @property
    def number(self) -> int:
        """The trial's number at its point, from 0."""
        return self.index[-1]

    def label(self) -> str:
        """For messages: `p=0.2 lam=0.8 trial 3`."""
        return trial_label(self.values, self.number)


def trial_label(values: Mapping[str, float], number: int) -> str:
    """A trial for messages: `p=0.2 lam=0.8 trial 3`."""
    return " ".join(f"{name}={value:g}" for name, value in values.items()) + f" trial {number}"


def trial_seed(root_seed: int, values: dict[str, float], number: int) -> Seed:
    """The seed words of one trial.

    Parameters
    ----------
    root_seed : int
    values : dict of str to float
        Must hold `p` and `lam`; other swept parameters enter with their name, so that their streams differ too.
    number : int
        Trial number at the point.
    """
    key = [number, *_float_words(values["p"]), *_float_words(values["lam"])]
    for name in sorted(set(values) - {"p", "lam"}):
        key += [*name.encode(), *_float_words(values[name])]
    words = np.random.SeedSequence(root_seed, spawn_key=tuple(key)).generate_state(SEED_WORDS)
    a, b, c, d = (int(w) for w in words)
    return a, b, c, d


def _float_words(value: float) -> tuple[int, int]:
    """The canonical value's IEEE double as two 32-bit words."""
    low, high = struct.unpack("<2I", struct.pack("<d", canonical(value)))
    return high, low


def requested(experiment: Experiment) -> npt.NDArray[np.bool_]:
    """True for every point that is to be simulated, (axes…)."""
    axes = experiment.axes()
    lengths = tuple(len(values) for values in axes.values())
    if experiment.points is None:
        return np.ones(lengths, bool)
    places = [{canonical(value): i for i, value in enumerate(values)} for values in axes.values()]
    mask = np.zeros(lengths, bool)
    for point in experiment.points:
        mask[tuple(place[value] for place, value in zip(places, point, strict=True))] = True
    return mask


def n_trials(experiment: Experiment) -> int:
    """Trials that are to be simulated."""
    return int(requested(experiment).sum()) * experiment.trials


def trials(experiment: Experiment, numbers: Sequence[int] | None = None) -> list[Trial]:
    """All trials of the sweep in the file's order (axes slowest to fastest, trial number last).

    Parameters
    ----------
    experiment : Experiment
    numbers : sequence of int, optional
        The trials at each point, if not 0 … `experiment.trials` - 1.
    """
    numbers = range(experiment.trials) if numbers is None else numbers
    axes = experiment.axes()
    listed = []
    for position in itertools.product(*(range(len(v)) for v in axes.values())):
        values = values_at(axes, position)
        for place, number in enumerate(numbers):
            listed.append(Trial((*position, place), values, trial_seed(experiment.root_seed, values, number)))
    return listed


def shape(experiment: Experiment) -> tuple[int, ...]:
    """Lengths of the axes, then the number of trials."""
    return (*(len(v) for v in experiment.axes().values()), experiment.trials)


def places(mask: npt.NDArray[np.bool_]) -> Iterator[tuple[int, ...]]:
    """Where a mask is true, in the order of its dimensions."""
    return (tuple(place.tolist()) for place in np.argwhere(mask))


def values_at(axes: Mapping[str, Sequence[float]], place: Sequence[int]) -> dict[str, float]:
    """Axis name → value at a place: one index per axis; further ones, such as a trial's, are ignored."""
    return {name: axis[i] for (name, axis), i in zip(axes.items(), place, strict=False)}


def point_values(experiment: Experiment, number: int) -> dict[str, float]:
    """Axis name → value at one point, by its number in the file's order (axes slowest to fastest)."""
    return values_at(experiment.axes(), [int(i) for i in np.unravel_index(number, shape(experiment)[:-1])])
