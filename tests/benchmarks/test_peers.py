"""The comparison with other simulators: what decides whether two of them ran the same network."""

from __future__ import annotations

import numpy as np
import pytest

from programs import load

agreement, measurement, scenario = (
    load(f"benchmarks/peers/{name}.py", f"peers_{name}") for name in ("agreement", "measurement", "scenario")
)


@pytest.mark.parametrize("third", [False, True])
@pytest.mark.parametrize("k", [1, 4])
def test_equal_rates_are_called_different_as_often_as_stated(k: int, third: bool) -> None:
    """p-values of equal distributions are uniform, for one point and for points pooled.

    `third`: the reference is another simulator, whose mean differs from that of the trials that give the spread.
    """
    rng = np.random.default_rng(4)
    mean = 12.0 if third else 14.7
    single, together = [], []
    for _ in range(400):
        points = []
        for _ in range(4):
            spread = rng.normal(14.7, 0.4, 8)
            reference = rng.normal(mean, 0.4, 3) if third else spread
            points.append(agreement.compare(rng.normal(mean, 0.4, k), reference, spread))
        single += [d.pvalue for d in points]
        together.append(agreement.pooled(points))
    for level in (0.5, 0.05):
        for pvalues in (single, together):
            error = np.sqrt(level * (1 - level) / len(pvalues))
            assert np.mean(np.array(pvalues) < level) == pytest.approx(level, abs=4 * error)


def test_a_small_difference_at_every_point_shows_in_the_pooled_test() -> None:
    rng = np.random.default_rng(5)
    ours = [rng.normal(14.7, 0.4, 48) for _ in range(4)]
    above = [agreement.compare([14.7 + 1.0], trials, trials) for trials in ours]
    below = [agreement.compare([14.7 - 1.0], trials, trials) for trials in ours]
    assert all(d.z > 0 for d in above)
    assert all(d.z < 0 for d in below)
    assert agreement.pooled(above) < 1e-4 < min(d.pvalue for d in above)
    assert agreement.pooled(above + below) > 0.1


def test_tapered_rate_of_a_regular_train_does_not_depend_on_where_it_starts() -> None:
    """29 or 30 spikes in the window, as a count has it, would differ by 3 %."""
    n_steps, period = 20_000, 678
    trains = [np.arange(first, n_steps, period) for first in range(0, period, 13)]
    assert {train.size for train in trains} == {29, 30}
    rates = [measurement.tapered_rate(np.tile(train, 3), n_steps, 3, 0.1) for train in trains]
    assert rates == pytest.approx([1e4 / period] * len(rates), rel=2e-3)


def test_external_trains_have_the_rate_and_no_unit_spikes_twice_in_a_step() -> None:
    network = scenario.Scenario(0.1)
    unit, step = network.external_trains(3, 2000.0)
    assert np.all(np.diff(step) >= 0)
    assert np.unique(step * network.n_external + unit).size == unit.size
    assert (step.min(), step.max()) == (0, 19_999)
    assert unit.size == pytest.approx(100_000, abs=5 * np.sqrt(1e5))
    per_unit = np.bincount(unit, minlength=network.n_external)
    assert per_unit.var() / per_unit.mean() == pytest.approx(1.0, abs=5 * np.sqrt(2 / network.n_external))
