"""The order of the trials: a coarse grid first, costs mixed, a cheap end, and no longer a run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hpcmass.config.file import load_experiment
from hpcmass.costs import point_costs
from hpcmass.order import LONGER, finish, grid_levels, point_order

shapes = arrays.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=20)
costs_of_grids = shapes.flatmap(lambda shape: arrays.arrays(np.float64, shape, elements=st.floats(0.5, 50.0)))
workers = st.sampled_from([1, 2, 3, 16, 128, 1000])


@pytest.fixture(scope="module")
def paper():
    """Costs and number of trials of the paper's sweep."""
    experiment = load_experiment("configs/paper.yml")
    costs = point_costs(experiment)
    return costs, np.full(costs.shape, experiment.trials)


def costliest_first(costs, n_trials):
    todo = np.flatnonzero(n_trials)
    return todo[np.argsort(-costs.ravel()[todo], kind="stable")]


def expected_s(costs, n_trials, order, n_workers):
    return finish(np.repeat(costs.ravel()[order], n_trials.ravel()[order]), n_workers)


@given(costs=costs_of_grids, n_workers=workers, data=st.data())
def test_every_point_with_trials_comes_once_and_the_run_is_no_longer(costs, n_workers, data):
    n_trials = data.draw(arrays.arrays(np.int64, costs.shape, elements=st.integers(0, 3)))
    order = point_order(costs, n_trials, n_workers)
    assert sorted(order.tolist()) == np.flatnonzero(n_trials).tolist()
    np.testing.assert_array_equal(order, point_order(costs, n_trials, n_workers))
    least = expected_s(costs, n_trials, costliest_first(costs, n_trials), n_workers)
    assert expected_s(costs, n_trials, order, n_workers) <= LONGER * least + 1e-9


@pytest.mark.parametrize(
    ("length", "levels"),
    [
        (1, "0"),
        (5, "00000"),
        (8, "00000000"),
        (9, "010101010"),
        (12, "010101010100"),
        (21, "021202120212021202120"),
        (24, "021202120212021202120210"),
    ],
)
def test_the_grid_of_an_axis_is_refined_step_by_step(length, levels):
    assert "".join(map(str, grid_levels((length,)))) == levels


def test_a_point_appears_with_the_finest_of_its_indices():
    levels = grid_levels((9, 3, 24))
    assert levels[0, 1, 0] == 0
    assert levels[1, 0, 0] == 1
    assert levels[1, 0, 1] == 2
    coarse = (levels == 0).any(axis=(1, 2)), (levels == 0).any(axis=(0, 2)), (levels == 0).any(axis=(0, 1))
    assert [int(axis.sum()) for axis in coarse] == [5, 3, 7]


@pytest.mark.parametrize("n_workers", [1, 2, 16, 128])
def test_the_coarse_grid_comes_first_and_then_its_refinements(paper, n_workers):
    costs, n_trials = paper
    order = point_order(costs, n_trials, n_workers)
    levels = grid_levels(costs.shape).ravel()[order]
    assert (levels[:42] == 0).all()
    assert (levels[42:] > 0).all()
    coarser_again = np.flatnonzero(np.diff(levels) < 0)
    n_last = levels.size - 1 - int(coarser_again[0]) if coarser_again.size else 0
    assert (np.diff(levels[: levels.size - n_last]) >= 0).all()
    assert n_last < 0.1 * levels.size


def test_what_is_left_comes_in_the_same_levels(paper):
    """After a stop, and in a part of the sweep, the coarse points are those of the whole grid."""
    costs, n_trials = paper
    left = n_trials.copy()
    left[:, ::3] = 0
    order = point_order(costs, left, 16)
    levels = grid_levels(costs.shape).ravel()
    n_coarse = int((levels[np.flatnonzero(left)] == 0).sum())
    assert 0 < n_coarse < 42
    assert (levels[order[:n_coarse]] == 0).all()
    assert (levels[order[n_coarse:]] > 0).all()


def test_costly_and_cheap_points_alternate(paper):
    """Wherever 13 points run at the same time, on 128 workers, they cost about what all cost."""
    costs, n_trials = paper
    order = point_order(costs, n_trials, 128)
    found = costs.ravel()[order]
    levels = grid_levels(costs.shape).ravel()[order]
    ends = [42, 42 + int((levels[42:] == 1).argmin()), 400]
    for begin, end in zip([0, *ends], ends, strict=False):
        mixed = found[begin:end]
        running = np.convolve(mixed, np.full(13, 1 / 13), "valid")
        assert np.abs(running / mixed.mean() - 1).max() < 0.2
    worst = np.convolve(np.sort(found)[::-1], np.full(13, 1 / 13), "valid") / found.mean()
    assert worst.max() > 2


def test_cheap_points_end_the_sweep_the_costliest_of_them_first(paper):
    costs, n_trials = paper
    order = point_order(costs, n_trials, 128)
    found = costs.ravel()[order]
    n_last = int(np.searchsorted(10 * found[::-1].cumsum(), 128 * found.max())) + 1
    assert (np.diff(found[-n_last:]) <= 0).all()
    assert found[-n_last:].max() <= np.median(found)


def test_a_trial_that_takes_most_of_the_time_is_not_left_for_later():
    costs = np.ones((9, 9))
    costs[1, 1] = 30.0  # not in the coarse grid
    assert point_order(costs, np.ones(costs.shape, int), 4)[0] == 10


def test_nothing_to_do():
    assert point_order(np.ones((3, 4)), np.zeros((3, 4), int), 8).size == 0
    assert finish(np.empty(0), 8) == 0
