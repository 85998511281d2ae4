"""Points that cover a grid, and the interpolation to the others."""

import itertools

import numpy as np
import pytest

from hpcmass.forecast import sample
from hpcmass.forecast.sample import coordinates, interpolate, leave_one_out, spread_out


def test_coordinates_are_in_the_order_of_the_file():
    points = coordinates((3, 1, 2))
    assert points.tolist() == [[x, 0, z] for x in (0, 0.5, 1) for z in (0, 1)]


@pytest.mark.parametrize("shape", [(1,), (1, 1), (4, 1), (3, 3), (2, 3, 4), (2, 2, 2, 2)])
def test_every_point_comes_once(shape):
    order = list(spread_out(coordinates(shape)))
    assert sorted(order) == list(range(int(np.prod(shape))))
    assert order[0] == np.prod(shape) - 1


def test_the_first_few_cover_the_grid():
    points = coordinates((21, 21))
    first = [points[n].tolist() for n in itertools.islice(spread_out(points), 9)]
    assert sorted(first[:4]) == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert first[4] == [0.5, 0.5]
    distance = np.linalg.norm(points[:, None] - np.array(first), axis=-1).min(axis=1)
    assert distance.max() < 0.36  # nine points in a square: a quarter of its diagonal


def test_a_huge_grid_is_thinned_out():
    points = coordinates((300, 300))
    order = list(itertools.islice(spread_out(points), 5))
    assert order[0] == len(points) - 1
    assert len(set(order)) == 5


def test_interpolation_goes_through_what_is_known_and_not_beyond():
    everywhere = coordinates((11, 11))
    known = everywhere[[0, 10, 60, 110, 120]]
    values = np.array([1.0, 2.0, 2.0, 2.0, 3.0])  # 1 + x/2·… at the corners and the middle: linear in x + y
    found = interpolate(known, values, everywhere)
    assert found[[0, 10, 60, 110, 120]] == pytest.approx(values)
    assert found == pytest.approx(1 + everywhere.sum(axis=1), abs=0.25)
    assert found.min() >= 1
    assert found.max() <= 3


def test_a_single_known_point_is_all_there_is_to_say():
    assert interpolate(np.zeros((1, 2)), np.array([4.0]), coordinates((2, 2))).tolist() == [4.0] * 4


def test_leaving_one_out_shows_an_outlier():
    known = coordinates((5, 5))
    values = np.full(25, 2.0)
    assert leave_one_out(known, values) == pytest.approx(1)
    values[12] = 4.0
    off = leave_one_out(known, values)
    assert off.argmin() == 12
    assert off[12] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("shape", [(2, 1), (3, 1), (4, 3), (5, 5), (3, 3, 3)])
def test_leaving_one_out_is_interpolation_between_the_others(shape):
    known = coordinates(shape)
    values = np.random.default_rng(len(known)).uniform(1.0, 2.0, len(known))
    values[1] = values[0]
    values[-2:] = values[-1]
    one_by_one = [
        interpolate(np.delete(known, k, axis=0), np.delete(values, k), known[k : k + 1])[0] / values[k]
        for k in range(len(known))
    ]
    np.testing.assert_allclose(leave_one_out(known, values), one_by_one, rtol=1e-9)


def test_leaving_one_out_interpolates_nothing_again(monkeypatch):
    """One inverse for all: n interpolations between n - 1 points would take n⁴ steps."""
    monkeypatch.setattr(sample, "interpolate", None)
    assert np.isfinite(leave_one_out(coordinates((16, 16)), np.linspace(1.0, 2.0, 256))).all()
