"""Spikes as they are kept, and the numbers of single trains."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcmass.network.spikes import SpikeChunk, SpikeTrains, train_statistics

elephant_statistics = pytest.importorskip("elephant.statistics")


def trains_of(raster: npt.NDArray[np.bool_], cuts: list[int]) -> SpikeTrains:
    """Spike trains from a raster (steps, neurons), cut into chunks before the given steps."""
    chunks: list[SpikeChunk] = []
    for part in np.split(raster, cuts):
        step, neuron = np.nonzero(part)
        chunks.append((neuron.astype(np.uint16), np.bincount(step, minlength=len(part)).astype(np.int64)))
    return SpikeTrains(chunks, raster.shape[1])


@st.composite
def rasters(draw: st.DrawFn) -> tuple[npt.NDArray[np.bool_], list[int]]:
    """Rasters of all densities and places to cut them, also twice at one place and at the ends."""
    n_steps, n_neurons = draw(st.integers(1, 60)), draw(st.integers(2, 20))
    density = draw(st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cuts = sorted(draw(st.lists(st.integers(0, n_steps), max_size=4)))
    return rng.random((n_steps, n_neurons)) < density, cuts


@given(rasters())
def test_events_are_the_raster(case: tuple[npt.NDArray[np.bool_], list[int]]) -> None:
    raster, cuts = case
    trains = trains_of(raster, cuts)
    neuron, step = trains.events()
    again = np.zeros_like(raster)
    again[step, neuron] = True
    assert (again == raster).all()
    assert (np.diff(step) >= 0).all()
    assert trains.n_spikes == raster.sum()
    assert trains.n_steps == len(raster)


@given(rasters())
def test_statistics_of_trains(case: tuple[npt.NDArray[np.bool_], list[int]]) -> None:
    """Counts, shortest interval and CV as NumPy and elephant have them, wherever the record is cut."""
    raster, cuts = case
    found = train_statistics(trains_of(raster, cuts))
    assert (found.n_per_neuron == raster.sum(0)).all()
    isis = [np.diff(np.flatnonzero(train)) for train in raster.T]
    assert found.shortest_isi == min((int(i.min()) for i in isis if i.size), default=0)
    cvs = [float(elephant_statistics.cv(i)) for i in isis if i.size >= 2]
    if cvs:
        assert found.cv_isi == pytest.approx(np.mean(cvs), rel=1e-9, abs=1e-7)
    else:
        assert np.isnan(found.cv_isi)


def test_intervals_longer_than_any_chunk() -> None:
    """A neuron that spikes at steps 3, 1000 and 100 000 of a record in pieces of 7 steps."""
    n_steps = 100_002
    raster = np.zeros((n_steps, 2), bool)
    raster[[3, 1000, 100_000], 1] = True
    found = train_statistics(trains_of(raster, list(range(7, n_steps, 7))))
    isi = np.array([997, 99_000])
    assert found.shortest_isi == 997
    assert found.n_per_neuron.tolist() == [0, 3]
    assert found.cv_isi == pytest.approx(isi.std() / isi.mean(), rel=1e-12)


def test_regular_trains_have_no_variation() -> None:
    raster = np.zeros((1000, 3), bool)
    raster[::7, 0] = raster[2::50, 2] = True
    found = train_statistics(trains_of(raster, [500]))
    assert found.cv_isi == pytest.approx(0.0, abs=1e-6)
    assert found.shortest_isi == 7


def test_no_steps_at_all() -> None:
    """What a trial without a transient keeps of the transient."""
    empty = SpikeTrains([], 5)
    neuron, step = empty.events()
    assert neuron.size == step.size == empty.n_steps == empty.n_spikes == 0
    assert train_statistics(empty).shortest_isi == 0
