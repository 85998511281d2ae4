"""The grid: every trial once, seeds from values alone."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcmass.config import Experiment
from hpcmass.config.axes import canonical
from hpcmass.config.file import parse_experiment
from hpcmass.grid import SEED_WORDS, shape, trial_seed, trials

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
