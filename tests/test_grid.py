"""The grid: every trial once, seeds from values alone."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcmass.config import Experiment
from hpcmass.config.axes import canonical
from hpcmass.config.file import parse_experiment
from hpcmass.costs import Part, assign, point_costs
from hpcmass.grid import SEED_WORDS, Trial, requested, seed_words, shape, trial_seed, trial_seeds, trials

unit = st.floats(0, 1)
numbers = st.integers(0, 2**31)
roots = st.integers(0, 2**64 - 1)

COARSE = "root_seed: 7\ntrials: 3\ngrid: {p: [0, 0.3, 1], lam: [0.5, 0.8]}"
FINE = "root_seed: 7\ntrials: 5\ngrid: {p: [0, 0.1, 0.2, 0.3, 0.6, 1], lam: {linspace: [0.5, 1, 6]}}"


def seeds_by_value(experiment: Experiment) -> dict[tuple[float, ...], tuple[int, ...]]:
    return {(*t.values.values(), t.number): t.seed for t in trials(experiment)}


# Trials --------------------------------------------------------------------------------------------------------------


def test_trials_come_in_the_files_order_each_once():
    experiment = parse_experiment("trials: 2\ngrid: {w_E: [0.1, 0.2, 0.3], lam: [0.5, 0.8], p: [0, 0.2, 0.3, 1]}")
    assert shape(experiment) == (4, 2, 3, 2)
    listed = trials(experiment)
    assert [t.index for t in listed] == list(np.ndindex(shape(experiment)))
    axes = experiment.grid.axes()
    for t in listed:
        assert list(t.values) == ["p", "lam", "w_E"]
        assert tuple(t.values.values()) == tuple(v[i] for v, i in zip(axes.values(), t.index, strict=False))
        assert t.number == t.index[-1]
    assert len({t.seed for t in listed}) == len(listed)


def test_a_trial_is_named_by_its_values():
    trial = trials(parse_experiment("trials: 4\ngrid: {p: 0.2, lam: 0.8, w_I: 0.004}"))[3]
    assert trial.label() == "p=0.2 lam=0.8 w_I=0.004 trial 3"


# Seeds ---------------------------------------------------------------------------------------------------------------


def test_a_seed_is_what_it_always_was():
    """Another derivation would orphan every stored result, so this value never changes."""
    assert trial_seed(20210114, {"p": 0.2, "lam": 0.8}, 0) == (1051379906, 3590814741, 2793158337, 1399237151)


@given(root=roots, p=unit, lam=unit, number=numbers)
def test_seeds_are_words_and_depend_on_values_alone(root, p, lam, number):
    seed = trial_seed(root, {"p": p, "lam": lam}, number)
    assert len(seed) == SEED_WORDS
    assert all(0 <= word < 2**32 and isinstance(word, int) for word in seed)
    assert seed == trial_seed(root, {"lam": lam, "p": p}, number)


point = st.tuples(unit, unit, numbers)


@given(root=roots, first=point, second=point)
def test_distinct_values_have_distinct_seeds(root, first, second):
    same = tuple(map(canonical, first)) == tuple(map(canonical, second))
    one, other = (trial_seed(root, {"p": p, "lam": lam}, n) for p, lam, n in (first, second))
    assert (one == other) == same


@given(p=unit, lam=unit, number=numbers, one=roots, other=roots)
def test_the_root_changes_every_seed(p, lam, number, one, other):
    values = {"p": p, "lam": lam}
    assert (trial_seed(one, values, number) == trial_seed(other, values, number)) == (one == other)


@given(p=unit, lam=unit)
def test_p_and_lam_are_not_exchangeable(p, lam):
    one, other = (trial_seed(1, {"p": a, "lam": b}, 0) for a, b in ((p, lam), (lam, p)))
    assert (one == other) == (canonical(p) == canonical(lam))


def test_no_collision_on_a_large_grid():
    values = np.linspace(0, 1, 41)
    seeds = {trial_seed(0, {"p": p, "lam": lam}, n) for p, lam in itertools.product(values, values) for n in range(6)}
    assert len(seeds) == 41 * 41 * 6
    assert len({word for seed in seeds for word in seed}) > 0.99 * 4 * len(seeds)  # words are spread, too


def test_arithmetic_noise_does_not_change_a_seed():
    one, other = (trial_seed(3, {"p": p, "lam": lam}, 1) for p, lam in ((0.1 + 0.2, 0.7), (0.3, 1 - 0.3)))
    assert 0.1 + 0.2 != 0.3
    assert one == other
    assert trial_seed(3, {"p": -0.0, "lam": 0.7}, 1) == trial_seed(3, {"p": 0.0, "lam": 0.7}, 1)


@given(value=st.floats(1e-6, 1), noise=st.floats(-1e-15, 1e-15))
def test_noise_in_the_last_digits_is_forgiven(value, noise):
    clean = canonical(value)
    assert trial_seed(3, {"p": clean * (1 + noise), "lam": 0.5}, 0) == trial_seed(3, {"p": clean, "lam": 0.5}, 0)


def test_a_refined_grid_keeps_the_seeds_of_the_points_it_shares():
    coarse, fine = (seeds_by_value(parse_experiment(text)) for text in (COARSE, FINE))
    assert set(coarse) <= set(fine)
    assert {key: fine[key] for key in coarse} == coarse


def test_linspace_and_a_list_give_the_same_seeds():
    listed = parse_experiment("grid: {p: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1], lam: 0.8}")
    spaced = parse_experiment("grid: {p: {linspace: [0, 1, 11]}, lam: 0.8}")
    assert seeds_by_value(listed) == seeds_by_value(spaced)


def test_a_further_parameter_has_streams_of_its_own():
    point = {"p": 0.2, "lam": 0.8}
    seeds = {
        trial_seed(1, point | more, 0)
        for more in ({}, {"w_E": 0.1}, {"w_I": 0.1}, {"w_E": 0.2}, {"w_E": 0.1, "w_I": 0.2}, {"w_E": 0.2, "w_I": 0.1})
    }
    assert len(seeds) == 6
    assert trial_seed(1, {"w_I": 0.1, **point, "w_E": 0.2}, 0) == trial_seed(1, {**point, "w_E": 0.2, "w_I": 0.1}, 0)


@pytest.mark.process
def test_another_process_derives_the_same_seed():
    """No hash randomisation, no state: the seed depends on nothing outside its arguments."""
    code = "from hpcmass.grid import trial_seed; print(trial_seed(5, {'p': 0.3, 'lam': 0.7, 'w_E': 0.01}, 2))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": h}, capture_output=True, text=True, check=True
        ).stdout
        for h in ("1", "2")
    }
    assert printed == {f"{trial_seed(5, {'p': 0.3, 'lam': 0.7, 'w_E': 0.01}, 2)}\n"}


# Many trials at once -------------------------------------------------------------------------------------------------


@given(root=roots, key=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=12), other=st.integers(0, 2**32 - 1))
def test_seeds_of_many_keys_are_numpys(root, key, other):
    first, *rest = key
    words = seed_words(root, [np.array([first, other], np.uint32), *(np.uint32(word) for word in rest)])
    for word, seed in zip((first, other), words, strict=True):
        expected = np.random.SeedSequence(root, spawn_key=(word, *rest)).generate_state(SEED_WORDS)
        np.testing.assert_array_equal(seed, expected)


axis = st.lists(unit, min_size=1, max_size=4, unique_by=canonical).map(sorted)


@st.composite
def sweeps(draw: st.DrawFn) -> Experiment:
    """Grids of two to four axes; in some, only a few points are requested."""
    grid = {name: draw(axis) for name in ("p", "lam", *draw(st.sets(st.sampled_from(["w_E", "w_I"]))))}
    points = list(itertools.product(*(Experiment(grid=grid).grid.axes().values())))
    only = draw(st.none() | st.lists(st.sampled_from(points), min_size=1, max_size=5, unique=True))
    return Experiment(grid=grid, trials=draw(st.integers(1, 3)), root_seed=draw(roots), points=only)


def one_by_one(experiment: Experiment, numbers: list[int]) -> list[Trial]:
    """All trials, each with a seed of its own making."""
    axes = experiment.axes()
    return [
        Trial((*place, i), values, trial_seed(experiment.root_seed, values, number))
        for place in itertools.product(*(range(len(axis)) for axis in axes.values()))
        for values in [{name: axis[k] for (name, axis), k in zip(axes.items(), place, strict=True)}]
        for i, number in enumerate(numbers)
    ]


@pytest.mark.parametrize("at_once", [1, 7, 2**16])
@given(experiment=sweeps(), data=st.data())
def test_trials_and_seeds_are_those_made_one_by_one(at_once, experiment, data):
    numbers = data.draw(st.lists(st.integers(0, 2**31), min_size=1, max_size=3, unique=True).map(sorted))
    every = one_by_one(experiment, numbers)
    some = np.array(data.draw(st.lists(st.booleans(), min_size=len(every), max_size=len(every))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hpcmass.grid.TRIALS_AT_ONCE", at_once)
        assert trials(experiment, numbers) == every
        shaped = some.reshape(*shape(experiment)[:-1], len(numbers))
        assert trials(experiment, numbers, only=shaped) == list(itertools.compress(every, some))
        seeds = np.array([trial.seed for trial in every])
        np.testing.assert_array_equal(trial_seeds(experiment, numbers), seeds)
        positions = np.flatnonzero(some)
        np.testing.assert_array_equal(trial_seeds(experiment, numbers, positions=positions), seeds[some])


def parts_one_by_one(experiment: Experiment, count: int, *, whole: bool) -> list[int]:
    """The part of every trial: that in which the middle of its cost falls, of a point with `whole`."""
    wanted, cost = requested(experiment), point_costs(experiment)
    n = experiment.trials
    each = [cost[place] * wanted[place] for place in np.ndindex(wanted.shape) for _ in range(1 if whole else n)]
    ends = list(itertools.accumulate(each))
    parts = [math.floor(count * (end - one / 2) / ends[-1]) + 1 for one, end in zip(each, ends, strict=True)]
    return [part for part in parts for _ in range(n if whole else 1)]


@given(experiment=sweeps(), count=st.integers(1, 12), whole=st.booleans())
def test_the_parts_have_the_trials_that_they_always_had(experiment, count, whole):
    every, wanted = one_by_one(experiment, list(range(experiment.trials))), requested(experiment)
    part_of = parts_one_by_one(experiment, count, whole=whole)
    for number in range(1, count + 1):
        mask = assign(experiment, Part(number, count), whole_points=whole).mask(shape(experiment))
        assert trials(experiment, only=mask & wanted[..., None]) == [
            trial for trial, part in zip(every, part_of, strict=True) if part == number and wanted[trial.index[:-1]]
        ]
