"""Which points a refinement adds, on planes that are made up; and the configuration that it writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from hpcmass.config import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.errors import UserError
from hpcmass.refine import Divided, configuration_text, divided, halved

Map = npt.NDArray[np.float64]


def cells(
    inside: npt.ArrayLike,
    values: npt.ArrayLike | None = None,
    *,
    error: float = 0.0,
    known: npt.ArrayLike | None = None,
    requested: npt.ArrayLike | None = None,
    steps: Sequence[int] = (2, 2),
    difference: float | None = None,
) -> list[Divided]:
    """`divided` for one region; without values the map is flat."""
    region = np.asarray(inside, bool)
    flat = np.zeros(region.shape) if values is None else np.asarray(values, np.float64)
    there = np.ones(region.shape, bool) if known is None else np.asarray(known, bool)
    asked = np.ones(region.shape, bool) if requested is None else np.asarray(requested, bool)
    return list(divided(flat, flat - error, flat + error, [region], there, asked, steps, difference))


def new(found: Sequence[Divided]) -> set[tuple[int, int]]:
    return {point for cell in found for point in cell.new}


def test_a_straight_outline_divides_the_cells_that_it_passes():
    inside = np.zeros((4, 5), bool)
    inside[:, 3:] = True
    found = cells(inside)
    assert [cell.outline for cell in found] == [True] * 3
    # on the doubled axes the outline is between columns 4 and 6: column 5 is new, and the odd rows of 4 and 6
    assert new(found) == {(row, 5) for row in range(7)} | {(row, column) for row in (1, 3, 5) for column in (4, 6)}


def test_a_corner_divides_the_cells_around_it():
    inside = np.zeros((4, 4), bool)
    inside[2:, 2:] = True
    corners = [(2, 2), (2, 4), (4, 2)]  # where these cells begin, three of nine
    assert new(cells(inside)) == {
        (row + up, column + right)
        for row, column in corners
        for up in range(3)
        for right in range(3)
        if (row + up) % 2 or (column + right) % 2
    }


def test_nothing_is_divided_where_nothing_changes():
    assert cells(np.zeros((4, 5))) == []
    assert cells(np.ones((4, 5))) == []


def test_neighbours_differ_only_beyond_their_errors_and_by_a_relevant_amount():
    values = np.zeros((3, 4))
    values[:, 2:] = 0.4
    everywhere = np.zeros((3, 4))
    step = cells(everywhere, values, error=0.05)
    assert {(cell.outline, cell.stride) for cell in step} == {(False, 2)}
    assert new(step) == {(row, 3) for row in range(5)} | {(row, column) for row in (1, 3) for column in (2, 4)}
    assert cells(everywhere, values, error=0.1) == []  # 0.4 is less than three errors of the difference, 0.42
    assert cells(everywhere, values, error=0.05, difference=0.5) == []


def test_the_noise_of_a_plane_adds_nothing():
    """At three standard errors, and a quarter of the range: 0.3 % of the neighbours of pure noise at most."""
    rng = np.random.default_rng(1)
    found = cells(np.zeros((40, 40)), rng.normal(0, 0.1, (40, 40)), error=0.1)
    assert len(found) < 0.03 * 39 * 39


def test_gaps_and_missing_values():
    inside = np.zeros((3, 3), bool)
    inside[:, 2] = True
    values = np.where(inside, 1.0, 0.0)
    values[0] = np.nan
    known = np.ones((3, 3), bool)
    known[:, 2] = False  # pending: nobody knows whether they are inside
    assert cells(inside, values, known=known) == []
    # a point without a value, such as a silent network's, is outside, as the maps draw it
    silent = np.where(inside, 0.95, np.nan)
    assert new(cells(inside, silent)) == {(row, 3) for row in range(5)} | {(r, c) for r in (1, 3) for c in (2, 4)}


def test_a_plane_of_one_row_or_column():
    inside = [[False, False, True, True]]
    assert new(cells(inside, steps=(0, 2))) == {(0, 3)}
    assert new(cells(np.transpose(inside), steps=(2, 0))) == {(3, 0)}
    assert cells([[True]], steps=(0, 0)) == []


def test_a_grid_that_was_refined_is_refined_where_it_is_fine_enough():
    """A coarse cell, two steps wide, stays as it is; the outline passes through cells of one step beside it."""
    requested = np.ones((3, 5), bool)
    requested[1, :2] = requested[0::2, 1] = False
    inside = np.zeros((3, 5), bool)
    inside[:, 4] = True
    found = cells(inside, known=requested, requested=requested)
    assert {cell.stride for cell in found} == {2}
    assert new(found) == {(row, 7) for row in range(5)} | {(row, column) for row in (1, 3) for column in (6, 8)}


def test_a_coarse_cell_that_an_outline_has_reached_is_divided_on_the_axes_that_are_there():
    requested = np.ones((3, 5), bool)
    requested[1, :2] = requested[0::2, 1] = False
    inside = np.zeros((3, 5), bool)
    inside[1, 2] = True  # in the middle of the side that both kinds of cells share
    found = cells(inside, known=requested, requested=requested)
    coarse = [cell for cell in found if cell.stride == 4]
    assert len(coarse) == 1
    assert set(coarse[0].new) == {(0, 2), (2, 0), (2, 2), (4, 2)}  # even: points of the present grid


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.0, 0.1, 0.4), (0.0, 0.05, 0.1, 0.25, 0.4)),
        ((0.01, 0.1, 1.0), (0.01, 0.0316227766017, 0.1, 0.316227766017, 1.0)),
        ((1.0, 2.0), (1.0, 1.5, 2.0)),
    ],
)
def test_an_axis_becomes_finer(values: tuple[float, ...], expected: tuple[float, ...]):
    assert halved("p", values) == expected


def test_whole_numbers_have_whole_middles():
    assert halved("n_neurons", (100.0, 200.0)) == (100.0, 150.0, 200.0)
    with pytest.raises(UserError, match="n_neurons cannot become finer: there is no whole number in the middle of 100"):
        halved("n_neurons", (100.0, 101.0))
    with pytest.raises(UserError, match="the axis p cannot become finer: there is no number"):
        halved("p", (0.1, 0.100000000001))


def test_the_configuration_reads_back_as_it_was_written():
    experiment = Experiment(grid={"p": [1e-5, 0.1], "lam": 0.8}, network={"n_neurons": 100}, trials=3)
    axes = {"p": halved("p", (1e-5, 0.1)), "lam": (0.8,)}
    points = [[axes["p"][0], 0.8], [axes["p"][1], 0.8]]
    read = parse_experiment(configuration_text(experiment, axes, points, "head"), strict=True)
    assert read.grid.axes() == axes
    assert read.points == tuple(map(tuple, points))
    assert read.vary({"points": None}, p=[1e-5, 0.1]) == experiment.vary(p=[1e-5, 0.1])
    assert read.physics_sha256() == experiment.physics_sha256()
