"""A model's averages against the network's: tests of the spectra, coherence, errors of mean and variance."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcmass.compare.averages import Averages
from hpcmass.compare.coherence import coherence, independent_components, unbiased, weighted_mean
from hpcmass.compare.series import Real
from hpcmass.compare.spectra import effective_bin_fraction
from hpcmass.compare.spectral_tests import UNDEFINED, SpectralTest, chi_squared, log_ratio, shape_distance_db
from hpcmass.compare.uncertainty import jackknife_error, leave_one_out
from hpcmass.standard_error import standard_error

NAN = float("nan")


def agreement(network: Averages, model: Averages, histogram_count: float) -> dict[str, Any]:
    """All statistics that compare averages, by variable name; NaN if the model failed.

    `chi2_without_trial` has a value for each trial of the network's averages, in their order.

    Parameters
    ----------
    network, model : Averages
        Over the same trials, unless the model diverged.
    histogram_count : float
        C of equation (25).
    """
    if model.failed:
        empty = np.full(network.sampling.bins.frequency.size, NAN)
        return {
            **_tests(UNDEFINED, UNDEFINED),
            "chi2_without_trial": np.full(network.n_trials, NAN),
            **_pair("coherence", empty, empty),
            **{key: NAN for name in _NUMBERS for key in (name, f"{name}_se")},
        }
    return {
        **_spectral(network, model, histogram_count),
        **_moments(network, model),
    }


_NUMBERS = ("chi2", "log_ratio", "spectral_distance", "coherence_mean", "mean_error", "log_variance_ratio")


def _pair(name: str, value: Any, error: Any) -> dict[str, Any]:
    return {name: value, f"{name}_se": error}


def _tests(chi2: SpectralTest, log: SpectralTest) -> dict[str, Any]:
    return {
        "chi2": chi2.statistic,
        "chi2_dof": chi2.dof,
        "chi2_pvalue": chi2.pvalue,
        "log_ratio": log.statistic,
        "log_ratio_pvalue": log.pvalue,
    }


def _spectral(network: Averages, model: Averages, count: float) -> dict[str, Any]:
    bins, n_trials = network.sampling.bins, network.n_trials
    p, q, cross = network.spectrum, model.spectrum, np.mean(model.crosses, axis=0)
    ps, qs, crosses = (leave_one_out(values) for values in (network.spectra, model.spectra, model.crosses))

    def independent(n_trials: int) -> Real:
        return independent_components(bins, max(n_trials, 1))

    def shared(c: Real, p: Real, k: Real) -> float:
        return weighted_mean(unbiased(c, k), p * bins.n_components)

    k, k_less = independent(n_trials), independent(n_trials - 1)
    c = coherence(cross, p, q, k)
    c_less = [coherence(crosses[i], ps[i], qs[i], k_less) for i in range(n_trials)]
    bin_fraction = _effective_bin_fraction(network, model)
    chi2, log = chi_squared(p, q, count), log_ratio(p, q, n_trials, bins.n_components, bin_fraction)

    def error(statistic: Any) -> Any:
        return jackknife_error(statistic, n_trials)

    chi2_less = [chi_squared(ps[i], qs[i], count).statistic for i in range(n_trials)]
    return {
        **_tests(chi2, log),
        "chi2_without_trial": np.array(chi2_less),
        "chi2_se": error(lambda i: chi2_less[i]),
        "log_ratio_se": error(
            lambda i: log_ratio(ps[i], qs[i], n_trials - 1, bins.n_components, bin_fraction).statistic
        ),
        **_pair(
            "spectral_distance",
            shape_distance_db(p, q, k, unbiased(c, k)),
            error(lambda i: shape_distance_db(ps[i], qs[i], k_less, unbiased(c_less[i], k_less))),
        ),
        **_pair("coherence", c, error(lambda i: c_less[i])),
        **_pair("coherence_mean", shared(c, p, k), error(lambda i: shared(c_less[i], ps[i], k_less))),
    }


def _effective_bin_fraction(network: Averages, model: Averages) -> Real:
    """`effective_bin_fraction` of both raw spectra together, with equal shares of the power."""
    bins = network.sampling.bins
    powers = [averages.power[: bins.stop] for averages in (network, model)]
    totals = [float(power[bins.first[0] :].sum()) for power in powers]
    if min(totals) <= 0:
        return np.ones(bins.frequency.size)
    return effective_bin_fraction(powers[0] / totals[0] + powers[1] / totals[1], bins, network.n_trials)


def _moments(network: Averages, model: Averages) -> dict[str, Any]:
    difference = np.subtract(model.means, network.means)
    variances = np.array([network.variances, model.variances])
    logarithm = np.log(np.where((variances > 0).all(axis=0), variances, np.nan))
    ratio = logarithm[1] - logarithm[0]
    return {
        **_pair("mean_error", float(difference.mean()), standard_error(difference)),
        **_pair("log_variance_ratio", float(ratio.mean()), standard_error(ratio)),
    }
