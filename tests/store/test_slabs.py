"""Values of many places: the same as one by one, in few reads where they are close."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from hpcmass.store.slabs import SPARSE, read_at

SHAPE = (12, 10, 3)


@pytest.fixture
def dataset(tmp_path: Path):
    """Three axes and a further dimension; counts its reads and the elements that they read."""
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["x"] = np.arange(np.prod(SHAPE) * 2).reshape(*SHAPE, 2)
        yield Counted(file["x"])


class Counted:
    def __init__(self, real: h5py.Dataset) -> None:
        self.shape, self.dtype, self.reads, self._real = real.shape, real.dtype, [], real

    def __getitem__(self, index: object):
        found = self._real[index]
        self.reads.append(found.size // 2)
        return found


@pytest.mark.parametrize("n", [0, 1, 2, 7, 100, 360])
def test_they_are_those_of_one_by_one(dataset: Counted, n: int):
    chosen = np.random.default_rng(n).permutation(360)[:n]
    places = np.stack(np.unravel_index(chosen, SHAPE), axis=-1)
    found = read_at(dataset, places)
    assert found.dtype == dataset.dtype
    assert found.tolist() == [[2 * i, 2 * i + 1] for i in chosen.tolist()]
    assert sum(dataset.reads) <= SPARSE * n


def test_neighbours_are_read_at_once(dataset: Counted):
    read_at(dataset, np.argwhere(np.ones((12, 10, 3), bool))[::2])
    assert dataset.reads == [360]


def test_distant_ones_are_read_alone(dataset: Counted):
    read_at(dataset, np.array([[0, 0, 0], [11, 9, 2]]))
    assert dataset.reads == [1, 1]
