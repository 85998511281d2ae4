"""The external drive is M independent Poisson processes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from chance import assert_chi2, assert_frequencies, assert_standard_normal, assert_uncorrelated
from hpcmass.network.external import PoissonDrive


def drive(n_units: int, events_per_step: float, *key: int) -> PoissonDrive:
    return PoissonDrive(np.random.SeedSequence(20210114, spawn_key=key), n_units, events_per_step)


def by_step_and_unit(n_units: int, events_per_step: float, n_steps: int, *key: int) -> npt.NDArray[np.int64]:
    """Counts, (n_steps, n_units)."""
    units, offsets = drive(n_units, events_per_step, *key).take(n_steps)
    steps = np.repeat(np.arange(n_steps), np.diff(offsets))
    return np.bincount(steps * n_units + units, minlength=n_steps * n_units).reshape(n_steps, n_units)


@pytest.mark.parametrize("mean", [0.003, 0.7, 5.0, 60.0, 2500.0])
def test_counts_of_a_step_are_poisson(mean: float) -> None:
    """Mean, dispersion, distribution, and independence from step to step."""
    n_steps = round(min(200_000, 1e6 / mean))
    _, offsets = drive(100, mean, 1).take(n_steps)
    n = np.diff(offsets)
    assert_standard_normal((n.sum() - mean * n_steps) / np.sqrt(mean * n_steps), "mean")
    squares = ((n - mean) ** 2).sum() / mean
    assert_standard_normal((squares - n_steps) / np.sqrt(n_steps * (2 + 1 / mean)), "dispersion")
    values = np.arange(int(stats.poisson.isf(1e-9, mean)) + 20)
    pmf = stats.poisson.pmf(values, mean)
    assert_frequencies(np.bincount(n, minlength=values.size)[: values.size], pmf / pmf.sum(), "distribution")
    for lag in (1, 2, 7):
        together = ((n[lag:] - mean) * (n[:-lag] - mean)).sum() / (mean * np.sqrt(n_steps - lag))
        assert_standard_normal(together, f"steps {lag} apart")


def test_units_share_the_spikes_evenly_and_independently() -> None:
    n_units, n_steps, mean = 40, 60_000, 30.0
    counts = by_step_and_unit(n_units, mean, n_steps, 2)
    expected = mean * n_steps / n_units
    assert_chi2(float(((counts.sum(0) - expected) ** 2).sum() / expected), n_units, "spikes of each unit")
    assert_uncorrelated(counts.astype(float), None, "units")
    one = mean / n_units
    values = np.arange(12)
    pmf = stats.poisson.pmf(values, one)
    for unit in range(n_units):
        assert_frequencies(np.bincount(counts[:, unit], minlength=12), pmf / pmf.sum(), f"unit {unit}")


def test_successive_spikes_come_from_independent_units() -> None:
    units, _ = drive(16, 20.0, 3).take(20_000)
    pairs = np.bincount(units[1:] * 16 + units[:-1], minlength=256)
    assert_frequencies(pairs, np.full(256, 1 / 256), "pairs of units")


@pytest.mark.parametrize("mean", [0.001, 3.0, 5000.0])
def test_spikes_do_not_depend_on_how_steps_are_asked_for(mean: float) -> None:
    n_steps = 300
    units, offsets = drive(1000, mean, 4).take(n_steps)
    pieces = drive(1000, mean, 4)
    single = [pieces.take(1) for _ in range(100)] + [pieces.take(0), pieces.take(77)]
    single += [pieces.take(1) for _ in range(23)] + [pieces.take(100)]
    assert (units == np.concatenate([u for u, _ in single])).all()
    assert (np.diff(offsets) == np.concatenate([np.diff(o) for _, o in single])).all()
    assert all(o[0] == 0 and o[-1] == u.size for u, o in single)


def test_every_unit_is_in_range_and_reached() -> None:
    units, _ = drive(37, 50.0, 5).take(2000)
    assert units.min() == 0
    assert units.max() == 36
    assert np.unique(units).size == 37


@pytest.mark.parametrize(("n_units", "mean"), [(0, 5.0), (0, 0.0), (10, 0.0), (10, 1e-300)])
def test_silence(n_units: int, mean: float) -> None:
    units, offsets = drive(n_units, mean, 6).take(1000)
    assert units.size == 0
    assert (offsets == 0).all()
    assert offsets.size == 1001


def test_another_seed_is_another_drive() -> None:
    first, again, other = (drive(100, 5.0, k).take(100)[0] for k in (7, 7, 8))
    assert (first == again).all()
    assert first.size != other.size or (first != other).any()
