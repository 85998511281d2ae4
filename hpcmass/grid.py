"""The grid: axes → points → trials, each with a random seed derived from its values.

A trial's seed comes from the root seed and the *values* (p, lam, further swept parameters, trial number),
never from ranks, order or position in the grid. So it survives any number of ranks, any split into jobs, any
resume, and a refinement of the grid.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment
from hpcmass.config.axes import canonical

SEED_WORDS = 4
"""Length of a trial's seed in 32-bit words."""

TRIALS_AT_ONCE = 2**16
"""Trials per block of the seeds' calculation: bounds the memory, never changes the result."""

Seed = tuple[int, int, int, int]
Ints = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
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


def trial_seeds(
    experiment: Experiment, numbers: Sequence[int] | None = None, *, positions: Ints | None = None
) -> Words:
    """`trial_seed` of many trials at once: 0.1 µs each, where one alone takes 18 µs.

    Parameters
    ----------
    experiment : Experiment
    numbers : sequence of int, optional
        The trials at each point, if not 0 … `experiment.trials` - 1.
    positions : array of int, (n,), optional
        Places of the trials in the file's order (axes slowest to fastest, trial number last); all if not given.

    Returns
    -------
    array of uint32, (n, SEED_WORDS)
    """
    numbers = range(experiment.trials) if numbers is None else numbers
    axes = experiment.axes()
    words = {name: np.array([_float_words(value) for value in axis], np.uint32) for name, axis in axes.items()}
    lengths = (*(len(axis) for axis in axes.values()), len(numbers))
    n = math.prod(lengths) if positions is None else len(positions)
    seeds = np.empty((n, SEED_WORDS), np.uint32)
    for begin in range(0, n, TRIALS_AT_ONCE):
        end = min(begin + TRIALS_AT_ONCE, n)
        block = np.arange(begin, end) if positions is None else positions[begin:end]
        places = np.unravel_index(block, lengths)
        at = dict(zip(axes, places, strict=False))
        key = [np.array(numbers, np.uint32)[places[-1]], *words["p"][at["p"]].T, *words["lam"][at["lam"]].T]
        for name in sorted(set(axes) - {"p", "lam"}):
            key += [*(np.uint32(letter) for letter in name.encode()), *words[name][at[name]].T]
        seeds[begin:end] = seed_words(experiment.root_seed, key)
    return seeds


def seed_words(root_seed: int, key: Sequence[Words | np.uint32]) -> Words:
    """What `numpy.random.SeedSequence(root_seed, spawn_key=key).generate_state(4)` gives, for many keys at once.

    Parameters
    ----------
    root_seed : int
        Below 2^64.
    key : sequence of uint32 or array of uint32, (n,)
        A word of the key each; at least one is an array.

    Returns
    -------
    array of uint32, (n, 4)
    """
    root = [root_seed & 0xFFFFFFFF, root_seed >> 32, 0, 0]
    multiplier = 0x43B0D7E5

    def folded(value: Words) -> Words:
        return np.asarray(value ^ value >> np.uint32(16))

    def hashed(value: Words) -> Words:
        nonlocal multiplier
        value = value ^ np.uint32(multiplier)
        multiplier = multiplier * 0x931E8875 & 0xFFFFFFFF
        value *= np.uint32(multiplier)
        return folded(value)

    def mixed(one: Words, other: Words) -> Words:
        return folded(one * np.uint32(0xCA01F9DD) - other * np.uint32(0x4973F715))

    pool = [hashed(np.array([word], np.uint32)) for word in root]
    for i in range(len(pool)):
        for j in range(len(pool)):
            if i != j:
                pool[j] = mixed(pool[j], hashed(pool[i]))
    for word in key:
        pool = [mixed(each, hashed(np.atleast_1d(word))) for each in pool]
    multiplier, state = 0x8B51F9DD, []
    for value in pool:
        value = value ^ np.uint32(multiplier)
        multiplier = multiplier * 0x58F38DED & 0xFFFFFFFF
        value *= np.uint32(multiplier)
        state.append(folded(value))
    return np.stack(state, axis=-1)


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


def trials(experiment: Experiment, numbers: Sequence[int] | None = None, *, only: Mask | None = None) -> list[Trial]:
    """Trials of the sweep in the file's order (axes slowest to fastest, trial number last).

    Parameters
    ----------
    experiment : Experiment
    numbers : sequence of int, optional
        The trials at each point, if not 0 … `experiment.trials` - 1.
    only : array of bool, (axes…, trial), optional
        Which of them; all if not given.
    """
    axes = experiment.axes()
    n_trials = experiment.trials if numbers is None else len(numbers)
    lengths = (*(len(axis) for axis in axes.values()), n_trials)
    positions = np.arange(math.prod(lengths)) if only is None else np.flatnonzero(only)
    listed: list[Trial] = []
    point, values = -1, dict[str, float]()
    for begin in range(0, len(positions), TRIALS_AT_ONCE):
        block = positions[begin : begin + TRIALS_AT_ONCE]
        indices = np.stack(np.unravel_index(block, lengths), axis=-1).tolist()
        seeds = trial_seeds(experiment, numbers, positions=block).tolist()
        for position, index, (a, b, c, d) in zip(block.tolist(), indices, seeds, strict=True):
            if position // n_trials != point:  # the trials of a point share one dictionary
                point, values = position // n_trials, values_at(axes, index)
            listed.append(Trial(tuple(index), values, (a, b, c, d)))
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
