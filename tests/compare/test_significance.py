"""Effective samples against theory, and the false-positive rate of the pooled, lag-searched test."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal, stats

from hpcmass.compare.correlation import best_lag, lagged_correlation, transformed
from hpcmass.compare.series import centred
from hpcmass.compare.significance import EffectiveSamples, effective_samples, largest_of_lags, outlasting, pool, tapered

WHITE, RED, RHYTHM, FAST_RHYTHM = (
    [1.0],
    [1.0, -0.9],
    [1.0, -2 * 0.98 * math.cos(0.06), 0.98**2],
    [1.0, -2 * 0.98 * math.cos(0.2), 0.98**2],
)


def noise(a: list[float], n: int, rng: np.random.Generator) -> np.ndarray:
    return signal.lfilter([1.0], a, rng.standard_normal(n + 1000))[1000:]


def samples_of(x: np.ndarray, y: np.ndarray) -> EffectiveSamples:
    r = [tapered(transformed(centred(series), 1).autocorrelation) for series in (x, y)]
    return effective_samples(*r, x.size)


@pytest.mark.parametrize(("a", "b"), [(0.0, 0.0), (0.5, 0.5), (0.9, 0.9), (0.97, 0.9), (0.95, -0.5), (0.9, 0.0)])
def test_effective_samples_of_autoregressive_series(a, b):
    """Two AR(1) series have r_x(j) r_y(j) = (ab)^|j|, so N_eff = n (1 - ab)/(1 + ab), at most n."""
    rng = np.random.default_rng(20)
    n = 40_000
    found = np.mean([samples_of(noise([1, -a], n, rng), noise([1, -b], n, rng)).n_eff for _ in range(5)])
    assert found == pytest.approx(min(1.0, (1 - a * b) / (1 + a * b)) * n, rel=0.06)


@pytest.mark.parametrize("a", [0.9, 0.97])
def test_roughness_of_autoregressive_series(a):
    """Their cross-correlation estimates correlate as Σ_j a^|j| a^|j+1| / Σ_j a^2|j| = 2a/(1 + a²) at lag one."""
    rng = np.random.default_rng(21)
    n = 40_000
    found = np.mean([samples_of(noise([1, -a], n, rng), noise([1, -a], n, rng)).roughness for _ in range(5)])
    assert found == pytest.approx(1 - 2 * a / (1 + a * a), rel=0.1)


@pytest.mark.parametrize(("a", "b"), [(RED, RED), (RHYTHM, RHYTHM), (RHYTHM, FAST_RHYTHM), (RHYTHM, WHITE)])
def test_effective_samples_predict_the_spread_of_correlations(a, b):
    rng = np.random.default_rng(22)
    n, repeats = 6000, 400
    pairs = [(noise(a, n, rng), noise(b, n, rng)) for _ in range(repeats)]
    spread = np.var([np.corrcoef(x, y)[0, 1] for x, y in pairs])
    predicted = np.mean([1 / samples_of(x, y).n_eff for x, y in pairs])
    assert predicted == pytest.approx(spread, rel=4 * math.sqrt(2 / repeats))  # four standard errors of a variance


def test_effective_samples_of_short_and_constant_series():
    x = np.random.default_rng(23).standard_normal(50)
    assert samples_of(x, x[::-1].copy()).n_eff <= 50
    assert math.isnan(samples_of(x, np.full(50, 3.0)).n_eff)
    assert math.isnan(samples_of(np.full(50, 3.0), x).n_eff)


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.sampled_from([RED, RHYTHM, WHITE]))
def test_effective_samples_are_within_bounds_and_symmetric(seed_x, seed_y, a):
    x, y = noise(a, 300, np.random.default_rng(seed_x)), noise(RHYTHM, 300, np.random.default_rng(seed_y))
    one, other = samples_of(x, y), samples_of(y, x)
    assert 0 < one.n_eff <= 300
    assert 0 <= one.roughness <= 1
    assert one.n_eff == pytest.approx(other.n_eff)
    assert one.roughness == pytest.approx(other.roughness, rel=1e-6, abs=1e-9)


@given(st.floats(-8, 8))
def test_one_lag_is_the_normal_distribution(u):
    assert largest_of_lags(u, 0.3, 1) == pytest.approx(stats.norm.sf(u), rel=1e-9)


@pytest.mark.parametrize("u", [2.0, 3.0, 5.0, 8.0])
def test_independent_lags_are_so_many_tests(u):
    assert largest_of_lags(u, 1.0, 101) == pytest.approx(-math.expm1(101 * stats.norm.logcdf(u)), rel=0.05)


@pytest.mark.parametrize("step", [0.02, 0.3])
def test_smooth_lags_against_simulation(step):
    """The largest value of a smooth normal sequence with covariance exp(-(step lag)²/2), 201 lags."""
    rng = np.random.default_rng(24)
    lags = np.arange(201)
    covariance = np.exp(-((step * np.subtract.outer(lags, lags)) ** 2) / 2)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    largest = (root @ rng.standard_normal((201, 20_000))).max(axis=0)
    for u in (1.0, 2.0, 3.0):
        found = largest_of_lags(u, 1 - math.exp(-(step**2) / 2), 201)
        assert found == pytest.approx((largest > u).mean(), rel=0.1, abs=0.001)


def test_the_probability_is_small_not_negative_far_out():
    values = [largest_of_lags(u, 0.01, 1001) for u in (5.0, 10.0, 30.0, 37.0, 60.0, 1e6)]
    assert all(a >= b >= 0 for a, b in itertools.pairwise(values))
    assert values[1] == pytest.approx(stats.norm.sf(10.0), rel=1e3)
    assert 0 < values[2] < 1e-190
    assert largest_of_lags(-50.0, 0.01, 1001) == 1.0


@pytest.mark.long
@pytest.mark.parametrize(
    ("a", "b"), [(WHITE, WHITE), (RED, RED), (RHYTHM, RHYTHM), (RHYTHM, FAST_RHYTHM), (RED, WHITE)]
)
@pytest.mark.parametrize(("n_trials", "repeats"), [(1, 600), pytest.param(5, 200, marks=pytest.mark.slow)])
def test_the_test_has_its_level_for_independent_series(a, b, n_trials, repeats):
    """False positives at α = 0.01 and 0.1 lie in the 99.9 % binomial interval (fixed seed)."""
    rng = np.random.default_rng(25)
    n, max_lag = 6000, 100
    pvalues = []
    for _ in range(repeats):
        curves, samples = [], []
        for _ in range(n_trials):
            x, y = (transformed(centred(noise(c, n, rng)), max_lag) for c in (a, b))
            curves.append(lagged_correlation(x, y, max_lag))
            samples.append(effective_samples(tapered(x.autocorrelation), tapered(y.autocorrelation), n))
        pvalues.append(pool(curves, samples).pvalue)
    for alpha in (0.01, 0.1):
        low, high = stats.binom.interval(0.999, repeats, alpha)
        assert low <= np.sum(np.array(pvalues) < alpha) <= high, alpha


def test_a_weak_common_source_is_found():
    rng = np.random.default_rng(26)
    curves, samples, best = [], [], []
    for _ in range(10):
        source = noise(RED, 6000, rng)
        x, y = (transformed(centred(source + 2.5 * noise(RED, 6000, rng)), 100) for _ in range(2))
        curves.append(lagged_correlation(x, y, 100))
        best.append(best_lag(curves[-1])[1])
        samples.append(effective_samples(tapered(x.autocorrelation), tapered(y.autocorrelation), 6000))
    pooled = pool(curves, samples)
    assert pooled.pvalue < 1e-4
    assert not pooled.agrees(0.01, 0.9)
    assert pooled.z == pytest.approx(np.mean(np.arctanh(best)))
    assert pooled.rho == pytest.approx(np.tanh(pooled.z))
    assert pooled.se_trials == pytest.approx(stats.sem(np.arctanh(best)))


def test_fisher_pooling_is_textbook():
    """Without a search, one trial is SciPy's normal test of atanh(r) and its confidence interval."""
    rng = np.random.default_rng(27)
    x = rng.standard_normal(100)
    y = 0.5 * x + rng.standard_normal(100)
    reference = stats.pearsonr(x, y)
    pooled = pool([np.array([reference.statistic])], [EffectiveSamples(100.0, 1.0)])
    low, high = reference.confidence_interval(0.95)  # SciPy's uses Fisher's z with 1/sqrt(n - 3)
    assert np.tanh(pooled.z - stats.norm.isf(0.025) * pooled.se) == pytest.approx(low)
    assert np.tanh(pooled.z + stats.norm.isf(0.025) * pooled.se) == pytest.approx(high)
    assert pooled.pvalue == pytest.approx(stats.norm.sf(np.arctanh(reference.statistic) * math.sqrt(97)))
    assert math.isnan(pooled.se_trials)


def test_pooled_error_is_that_of_a_mean():
    curves = [np.array([0.1, r]) for r in (0.5, 0.6, 0.7)]
    pooled = pool(curves, [EffectiveSamples(n, 0.1) for n in (103.0, 53.0, 28.0)])
    assert pooled.se == pytest.approx(math.sqrt(1 / 100 + 1 / 50 + 1 / 25) / 3)
    assert pooled.n_eff == pytest.approx((103 + 53 + 28) / 3)
    assert pooled.z == pytest.approx(np.mean(np.arctanh([0.5, 0.6, 0.7])))


def test_undefined_and_perfect_correlations():
    nothing = pool([np.full(5, np.nan)], [EffectiveSamples(math.nan, math.nan)])
    assert all(math.isnan(v) for v in (nothing.rho, nothing.z, nothing.pvalue, nothing.n_eff))
    assert not nothing.agrees(0.01, 0.9)
    assert not pool([], []).agrees(0.01, -1.0)
    mixed = pool(
        [np.full(2, np.nan), np.array([0.5, 0.2])], [EffectiveSamples(math.nan, math.nan), EffectiveSamples(103.0, 0.1)]
    )
    assert (mixed.rho, mixed.n_eff) == (pytest.approx(0.5), 103.0)
    too_short = pool([np.array([0.99, 0.5])], [EffectiveSamples(2.5, 0.1)])
    assert too_short.rho == pytest.approx(0.99)
    assert math.isnan(too_short.pvalue)
    assert not too_short.agrees(0.01, 0.9)
    beside = pool(
        [np.array([0.99, 0.5]), np.array([0.4, 0.1])], [EffectiveSamples(2.5, 0.1), EffectiveSamples(103.0, 0.1)]
    )
    assert (
        beside.pvalue == pool([np.array([0.4, 0.1])], [EffectiveSamples(103.0, 0.1)]).pvalue
    )  # the short one weighs nothing
    perfect = pool([np.ones(3), np.ones(3)], [EffectiveSamples(100.0, 0.1)] * 2)
    assert perfect.rho == pytest.approx(1.0, abs=1e-14)
    assert math.isfinite(perfect.z)
    assert perfect.agrees(0.01, 0.9)


def test_a_rhythm_that_outlasts_the_trial_does_not_pass_for_agreement():
    """Two independent rhythms that stay coherent for the whole trial correlate almost fully at some lag by chance."""
    rng = np.random.default_rng(20)
    n, sharp = 4000, [1.0, -2 * 0.9995 * math.cos(0.3), 0.9995**2]
    naive, careful = [], []
    for _ in range(150):
        x, y = (transformed(centred(noise(sharp, n + 5000, rng)[5000:]), 100) for _ in range(2))
        r_x, r_y = x.autocorrelation, y.autocorrelation
        curve = [lagged_correlation(x, y, 100)]
        naive.append(pool(curve, [effective_samples(tapered(r_x), tapered(r_y), n)]).pvalue)
        least = outlasting(r_x, r_y)
        assert least >= 1
        careful.append(pool(curve, [effective_samples(tapered(r_x), tapered(r_y), n, least)]).pvalue)
    assert np.mean(np.array(naive) < 0.01) > 0.1
    assert np.sum(np.array(careful) < 0.01) <= stats.binom.ppf(0.999, 150, 0.01)


def test_autocorrelations_that_end_are_not_extrapolated():
    lag = np.arange(1001)
    ends, lasts = 0.9**lag, 0.999**lag
    assert outlasting(ends, lasts) == 1.0
    both = 0.999 ** (2 * lag)
    assert outlasting(lasts, lasts) == pytest.approx(2 / (1 - 0.999**2) - 1, rel=0.02)
    assert 2 * both.sum() - 1 < 0.9 * outlasting(lasts, lasts)  # the known lags alone
    assert outlasting(np.ones(1001), np.ones(1001)) == math.inf
    assert effective_samples(lasts, lasts, 10_000, math.inf).n_eff == 0
