"""χ² and the log-ratio test, against SciPy and by their false-positive rates.

A rate is compared with the interval in which a count of that probability falls in all but 1 in 1000 experiments; the
seeds are fixed, so a test that passes does so always.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import signal, stats

from hpcmass.compare.series import centred
from hpcmass.compare.spectra import effective_bin_fraction, spectral_bins
from hpcmass.compare.spectral_tests import chi_squared, log_ratio, shape_distance_db
from power import power_density


def consistent(pvalues: list[float], alpha: float) -> bool:
    """Whether the share of p-values below alpha is within the 99.9 % binomial interval around alpha."""
    low, high = stats.binom.interval(0.999, len(pvalues), alpha)
    return bool(low <= np.sum(np.array(pvalues) < alpha) <= high)


def test_chi_squared_is_scipys_for_counts():
    rng = np.random.default_rng(1)
    p, q = rng.poisson(30, 40).astype(float), rng.poisson(30, 40).astype(float)
    q *= p.sum() / q.sum()
    table = np.array([p, q])  # equal totals: Pearson's statistic of the 2 x L table is equation (25)
    expected = stats.chi2_contingency(table, correction=False)
    found = chi_squared(p, q, p.sum())
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.dof == expected.dof == 39
    assert found.pvalue == pytest.approx(expected.pvalue)


@given(
    hnp.arrays(float, 12, elements=st.floats(1e-6, 1e6)),
    hnp.arrays(float, 12, elements=st.floats(1e-6, 1e6)),
    st.floats(1e-3, 1e3),
    st.floats(1, 1e5),
)
def test_chi_squared_sees_shapes_only_and_grows_with_the_count(p, q, scale, count):
    once = chi_squared(p, q, count)
    assert chi_squared(q, scale * p, count).statistic == pytest.approx(once.statistic, rel=1e-6, abs=1e-9 * count)
    assert chi_squared(p, q, 2 * count).statistic == pytest.approx(2 * once.statistic)
    assert 0 <= once.statistic <= 2 * count * (1 + 1e-12)
    assert chi_squared(p, scale * p, count).statistic == pytest.approx(0, abs=1e-9 * count)


def test_chi_squared_of_disjoint_and_empty_spectra():
    assert chi_squared(np.array([1.0, 0, 0]), np.array([0, 2.0, 0]), 10).statistic == pytest.approx(20)
    assert chi_squared(np.array([1.0, 0, 0]), np.array([0, 2.0, 0]), 10).dof == 1  # a bin empty in both is ignored
    for undefined in (np.zeros(3), np.full(3, np.nan)):
        assert np.isnan(chi_squared(np.ones(3), undefined, 10).statistic)
        assert np.isnan(log_ratio(undefined, np.ones(3), 2, np.full(3, 4)).pvalue)


def test_chi_squared_has_its_level_for_poisson_counts():
    rng = np.random.default_rng(3)
    pvalues = []
    for _ in range(1500):
        p, q = rng.multinomial(2000, np.full(50, 1 / 50), 2).astype(float)
        pvalues.append(chi_squared(p, q, 2000).pvalue)
    assert consistent(pvalues, 0.01)
    assert consistent(pvalues, 0.5)


@pytest.mark.long
def test_log_ratio_statistic_is_standardised_under_the_f_distribution():
    """Ratios drawn from SciPy's F(2K, 2K) with one component a bin, unequal K by unequal trials."""
    rng = np.random.default_rng(4)
    for k in (1, 3, 40):
        found = []
        for _ in range(2000):
            ratio = stats.f.rvs(2 * k, 2 * k, size=60, random_state=rng)
            found.append(log_ratio(ratio, np.ones(60), k, np.ones(60, int)))
        statistic = np.array([each.statistic for each in found])
        # the statistic allows for the correlation of neighbouring components, which these have not
        assert abs(statistic.mean()) < 4 / np.sqrt(2000)
        assert 0.85 < statistic.std() <= 1.06


def noise(a: list[float], n: int, rng: np.random.Generator) -> np.ndarray:
    return signal.lfilter([1.0], a, rng.standard_normal(n + 500))[500:]


COLOURS = {"white": [1.0], "red": [1.0, -0.9], "rhythm": [1.0, -2 * 0.97 * np.cos(0.5), 0.97**2]}


@pytest.mark.long
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("n_trials", "bin_hz"), [pytest.param(10, 2.0, marks=pytest.mark.slow), (2, 2.0), (2, 1.7), (1, 0.5)]
)
def test_log_ratio_has_its_level_for_equal_spectra(colour, n_trials, bin_hz):
    """Whole chain: windowed, averaged, merged (8, 6 or 7, and 2 components); band without its ends' leakage."""
    rng = np.random.default_rng(5)
    n = 4000
    bins = spectral_bins(n, 1.0, (0.0, 300.0), bin_hz)
    pvalues = []
    for _ in range(300):
        p, q = (
            bins.mean(sum(power_density(centred(noise(COLOURS[colour], n, rng)), 1.0) for _ in range(n_trials)))
            for _ in range(2)
        )
        pvalues.append(log_ratio(p, q, n_trials, bins.n_components).pvalue)
    few = n_trials * bins.n_components.min() < 8  # with few components the approximation is conservative
    for alpha in (0.01, 0.1, 0.5):
        rate = np.mean(np.array(pvalues) < alpha)
        assert consistent(pvalues, alpha) or (few and rate < alpha), (alpha, rate)


def test_lines_within_a_bin_do_not_spoil_the_level():
    """A rhythm far sharper than the bins (8 Hz, 32 components): its power sits in a few of them."""
    rng = np.random.default_rng(8)
    n, sharp = 4000, [1.0, -2 * 0.999 * np.cos(0.5), 0.999**2]
    bins = spectral_bins(n, 1.0, (0.0, 300.0), 8.0)
    flat, corrected = [], []
    for _ in range(300):
        raw = [power_density(centred(noise(sharp, n + 3000, rng)[3000:]), 1.0) for _ in range(2)]
        p, q = map(bins.mean, raw)
        flat.append(log_ratio(p, q, 1, bins.n_components).pvalue)
        corrected.append(log_ratio(p, q, 1, bins.n_components, effective_bin_fraction(sum(raw), bins, 1)).pvalue)
    assert np.mean(np.array(flat) < 0.01) > 0.05
    assert consistent(corrected, 0.01)
    assert consistent(corrected, 0.1)


def test_distance_is_the_difference_of_the_shapes_however_much_data():
    rng = np.random.default_rng(9)
    k, true_db = np.full(200, 20.0), 3.0
    shape = np.where(np.arange(200) % 2, 10 ** (true_db / 10), 10 ** (-true_db / 10))
    for many in (1, 30):
        p, q = rng.gamma(many * k) / many / k, 7.0 * shape * rng.gamma(many * k) / many / k
        assert shape_distance_db(p, q, many * k, np.zeros(200)) == pytest.approx(true_db, abs=0.25)
        same = rng.gamma(many * k) / many / k
        assert shape_distance_db(p, same, many * k, np.zeros(200)) < 0.7
    # errors that both share cancel
    assert shape_distance_db(p, shape * p, k, np.full(200, 1.0)) == pytest.approx(true_db, abs=0.01)
    assert np.isnan(shape_distance_db(p, np.zeros(200), k, np.zeros(200)))


def test_log_ratio_finds_a_difference():
    rng = np.random.default_rng(6)
    bins = spectral_bins(4000, 1.0, (0.0, 300.0), 2.0)
    p = bins.mean(sum(power_density(centred(noise([1.0, -0.9], 4000, rng)), 1.0) for _ in range(4)))
    q = bins.mean(sum(power_density(centred(noise([1.0, -0.8], 4000, rng)), 1.0) for _ in range(4)))
    found = log_ratio(p, q, 4, bins.n_components)
    assert found.pvalue < 1e-6
    assert found.statistic > 5
    assert log_ratio(p, 3 * q, 4, bins.n_components).statistic == pytest.approx(found.statistic)  # shape, not size
    assert log_ratio(p, p, 4, bins.n_components).pvalue == pytest.approx(1.0)


def test_paper_chi_squared_hardly_ever_rejects_equal_spectra():
    """Its errors are those of Poisson counts, far larger than those of merged, averaged spectra (documented)."""
    rng = np.random.default_rng(7)
    bins = spectral_bins(4000, 1.0, (0.0, 300.0), 2.0)
    for _ in range(100):
        p, q = (
            bins.mean(sum(power_density(centred(noise([1.0, -0.9], 4000, rng)), 1.0) for _ in range(2)))
            for _ in range(2)
        )
        assert chi_squared(p, q, 2.0 * bins.frequency.size).pvalue > 0.99
