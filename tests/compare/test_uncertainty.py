"""Standard errors and adjusted p-values, against their definitions and against repetition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hpcmass.compare.uncertainty import adjusted, jackknife_error, leave_one_out
from hpcmass.standard_error import standard_error


def test_standard_error_is_scipys():
    values = np.random.default_rng(1).standard_normal((7, 4))
    np.testing.assert_allclose(standard_error(values), stats.sem(values, axis=0))
    assert standard_error(list(values[:, 0])) == pytest.approx(stats.sem(values[:, 0]))


def test_one_trial_has_no_error():
    assert np.isnan(standard_error([3.0]))
    assert np.isnan(standard_error(np.ones((1, 5)))).tolist() == [True] * 5
    assert np.isnan(jackknife_error(lambda i: 3.0, 1))
    assert np.isnan(jackknife_error(lambda i: np.ones(5), 1)).tolist() == [True] * 5
    assert np.isnan(leave_one_out(np.ones((1, 5)))).all()


def test_trials_without_a_value_are_skipped_on_request():
    values = np.random.default_rng(1).standard_normal((7, 4))
    values[2, 0] = values[1:, 1] = values[:, 2] = np.nan
    values[5, 0] = np.inf
    np.testing.assert_array_equal(np.isfinite(standard_error(values)), [False, False, False, True])
    error = standard_error(values, skip_missing=True)
    np.testing.assert_array_equal(np.isfinite(error), [True, False, False, True])
    assert error[0] == pytest.approx(stats.sem(values[np.isfinite(values[:, 0]), 0]))
    assert error[3] == pytest.approx(stats.sem(values[:, 3]))


def test_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(2).standard_normal((9, 3))
    means = leave_one_out(values)
    np.testing.assert_allclose(means[4], np.delete(values, 4, axis=0).mean(axis=0))
    np.testing.assert_allclose(jackknife_error(lambda i: means[i], 9), stats.sem(values, axis=0))


def test_jackknife_estimates_the_spread_of_a_ratio():
    """The logarithm of a ratio of means, repeated: its spread, and what the jackknife says from one experiment."""
    rng = np.random.default_rng(3)
    found, printed = [], []
    for _ in range(400):
        p, q = leave_one_out(data := rng.gamma(3.0, size=(2, 12, 1)).swapaxes(0, 1)).reshape(12, 2).T
        found.append(float(np.log(np.divide(*data.mean(axis=0)))[0]))
        printed.append(jackknife_error(lambda i, p=p, q=q: np.log(p[i] / q[i]), 12))
    assert np.mean(np.square(printed)) == pytest.approx(np.var(found), rel=0.2)


def benjamini_hochberg(p: np.ndarray, level: float) -> np.ndarray:
    """The step-up procedure as published: reject the k smallest, k the largest with p_(k) ≤ k/m · level."""
    order = np.argsort(p)
    below = np.flatnonzero(p[order] <= level * np.arange(1, p.size + 1) / p.size)
    rejected = np.zeros(p.size, bool)
    rejected[order[: below[-1] + 1 if below.size else 0]] = True
    return rejected


def test_adjusted_values_are_the_published_procedure_map_by_map():
    rng = np.random.default_rng(4)
    p = rng.uniform(size=(6, 5, 3)) ** np.array([1, 3, 8])
    p[0, :, 1] = np.nan
    q = adjusted(p)
    for m in range(3):
        flat = p[..., m][np.isfinite(p[..., m])]
        for level in (0.01, 0.05, 0.3):
            expected = benjamini_hochberg(flat, level)
            np.testing.assert_array_equal(q[..., m][np.isfinite(p[..., m])] <= level, expected)
    assert np.isnan(q[0, :, 1]).all()
    assert (q[np.isfinite(q)] >= p[np.isfinite(p)]).all()
    assert np.isnan(adjusted(np.full((2, 2), np.nan))).all()


def test_adjusted_values_keep_the_false_discovery_rate():
    rng = np.random.default_rng(5)
    shares = []
    for _ in range(300):
        p = np.concatenate((rng.uniform(size=80), stats.norm.sf(rng.standard_normal(20) + 3)))
        rejected = adjusted(p[:, None])[:, 0] <= 0.1
        shares.append(rejected[:80].sum() / max(1, rejected.sum()))
    assert 0.06 < np.mean(shares) < 0.1  # 0.1 times the share of true null hypotheses
