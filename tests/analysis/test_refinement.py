"""Two refinements of a real network find the outline of the grid that is four times as fine everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from programs import load


def test_distances_of_outlines():
    refinement = load("analysis/refinement.py")
    full = np.zeros((6, 8), bool)
    full[:, 3:] = True
    moved = np.roll(full, 2, axis=1)
    moved[:, :2] = False
    found = refinement.Refined(np.zeros((6, 8), int), full, moved)
    np.testing.assert_array_equal(found.distances(), np.full(6, 2.0))
    nowhere = refinement.Refined(np.zeros((6, 8), int), full, np.zeros((6, 8), bool))
    assert np.isinf(nowhere.distances()).all()


@pytest.mark.slow
def test_the_border_of_synchrony_of_a_real_network(tmp_path: Path):
    """A part of the figure's plane: 221 trials of 1000 neurons."""
    refinement = load("analysis/refinement.py")
    first = refinement.FIRST.vary(p=[0.05, 0.1, 0.15, 0.2], lam=[0.8, 0.85, 0.9, 0.95, 1.0])
    border = refinement.computed(tmp_path, first, ["spike_contrast"])["spike_contrast"]
    assert len(refinement.sides(border.full)) > 20
    assert border.share <= 0.4
    assert (border.distances() <= 1).mean() >= 0.9
    assert (border.back() <= 1).mean() >= 0.9
