"""Two independent segments of one spiking network: each test rejects at its level.

Segments of one long run, so that the network is the same, apart by many autocorrelation times. Counts are compared with
the interval that contains them in all but 1 in 1000 experiments; the seeds are fixed.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from hpcmass.compare.coherence import coherence, independent_components, threshold
from hpcmass.compare.correlation import lagged_correlation, transformed
from hpcmass.compare.series import Real, centred
from hpcmass.compare.significance import effective_samples, outlasting, pool, tapered
from hpcmass.compare.spectra import cross_density, density, effective_bin_fraction, spectral_bins, windowed_transform
from hpcmass.compare.spectral_tests import chi_squared, log_ratio
from hpcmass.config import NetworkParameters
from hpcmass.grid import trial_seed
from hpcmass.network.simulation import Network
from slow_cases import slow_except

pytestmark = pytest.mark.long

DT_MS, GAP_MS, MAX_LAG = 0.1, 300.0, 500

# Weights 25 times the reference for 25 times fewer neurons: the same input to each.
SMALL = NetworkParameters(
    n_neurons=400, n_external=400, w_E=0.0175, w_I=0.1, w_ext=0.3325, duration_ms=5000.0, transient_ms=0.0
)

CASES = {
    "de-synchronised": (0.05, 0.8, 2000.0, 120),
    "slow rhythm": (0.3, 0.8, 6000.0, 50),
    "fast rhythm": (0.3, 1.0, 2000.0, 120),
}
"""p, λ, length of a trial (ms), number of pairs."""


@pytest.fixture(
    scope="module",
    params=slow_except(CASES, "fast rhythm"),
)
def pairs(request: pytest.FixtureRequest) -> list[tuple[Real, Real]]:
    """Give independent pairs of mean potentials, centred."""
    p, lam, duration_ms, n_pairs = CASES[request.param]
    net = Network(SMALL, p, lam, trial_seed(1, {"p": p, "lam": lam}, 1))
    net.run(3000)
    listed = []
    for _ in range(2 * n_pairs):
        net.run(round(GAP_MS / DT_MS))
        listed.append(centred(net.run(round(duration_ms / DT_MS))[0]))
    return list(zip(listed[::2], listed[1::2], strict=True))


def consistent(hits: int, n: int, alpha: float) -> bool:
    low, high = stats.binom.interval(0.999, n, alpha)
    return bool(low <= hits <= high)


def test_correlation_keeps_its_level(pairs):
    pvalues = []
    for a, b in pairs:
        x, y = transformed(a, MAX_LAG), transformed(b, MAX_LAG)
        r_x, r_y = x.autocorrelation, y.autocorrelation
        samples = effective_samples(tapered(r_x), tapered(r_y), a.size, outlasting(r_x, r_y))
        pvalues.append(pool([lagged_correlation(x, y, MAX_LAG)], [samples]).pvalue)
    for alpha in (0.01, 0.1):
        assert consistent(int(np.sum(np.array(pvalues) < alpha)), len(pvalues), alpha), alpha


def test_spectra_keep_theirs_and_the_papers_never_rejects(pairs, request):
    slow = "slow" in request.node.name
    n = pairs[0][0].size
    # The slow rhythm comes in bursts, which a test for Gaussian series mistakes for differences (documented).
    bins = spectral_bins(n, DT_MS, (60.0 if slow else 0.0, 500.0), 2.0)
    k = independent_components(bins, 1)
    pvalues, hits = [], 0
    for pair in pairs:
        x, y = (windowed_transform(series) for series in pair)
        power = [density(transform, n, DT_MS) for transform in (x, y)]
        p, q = (bins.mean(each) for each in power)
        even = effective_bin_fraction(sum(each / each.sum() for each in power), bins, 1)
        pvalues.append(log_ratio(p, q, 1, bins.n_components, even).pvalue)
        assert chi_squared(p, q, p.size).pvalue > 0.5
        c = coherence(bins.mean(cross_density(x[: bins.stop], y[: bins.stop], n, DT_MS)), p, q, k)
        hits += int(np.sum(c > threshold(k, 0.01)))
    for alpha in (0.01, 0.1):
        rejected = int(np.sum(np.array(pvalues) < alpha))
        few = k.mean() < 5  # with few components the approximation is conservative
        assert consistent(rejected, len(pvalues), alpha) or (few and rejected < alpha * len(pvalues)), alpha
    # likewise the coherence's threshold, whose exceedances in different bins are all but independent
    assert 0 < hits <= stats.binom.ppf(0.999, len(pairs) * bins.frequency.size, 0.01)


def test_dependent_pairs_are_found(pairs):
    """The tests have power: a series that is half the other one is detected."""
    found = []
    for a, b in itertools.islice(pairs, 20):
        mixed = centred(a * b.std() / a.std() + b)
        x, y = transformed(a, MAX_LAG), transformed(mixed, MAX_LAG)
        r_x, r_y = x.autocorrelation, y.autocorrelation
        samples = effective_samples(tapered(r_x), tapered(r_y), a.size, outlasting(r_x, r_y))
        found.append(pool([lagged_correlation(x, y, MAX_LAG)], [samples]).pvalue < 0.01)
    assert np.mean(found) > 0.5
