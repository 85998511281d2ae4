"""All statistics of one grid point: the mass models against the network, over the trials that are done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcmass.compare.correlation import Transformed, best_lag, lagged_correlation, transformed
from hpcmass.compare.series import Real, centred
from hpcmass.compare.significance import Memory, effective_samples, pool, tapered
from hpcmass.compare.spectra import (
    Bins,
    component_frequencies_hz,
    median_frequency_hz,
    power_density,
    spectral_bins,
)
from hpcmass.compare.spectral_tests import UNDEFINED, chi_squared, log_ratio
from hpcmass.config import CompareParameters, MassParameters, NetworkParameters
from hpcmass.errors import UserError
from hpcmass.mass import Traces, models_named
from hpcmass.store.schema import EXAMPLE_MS

Result = dict[str, npt.NDArray[Any] | float | int]
"""Comparison variable → its values at one point; what is absent keeps the schema's fill value."""


def lag_samples(network: NetworkParameters, compare: CompareParameters) -> int:
    """Largest lag in samples.

    Raises
    ------
    UserError
        If the analysed part of a trial is shorter than four times the largest lag.
    """
    max_lag = round(compare.max_lag_ms / network.dt_ms)
    if 4 * max_lag > network.n_steps - network.n_transient:
        analysed = network.duration_ms - network.transient_ms
        raise UserError(
            f"compare.max_lag_ms = {compare.max_lag_ms:g} is more than a quarter of the {analysed:g} ms after the "
            f"transient; give at most {analysed / 4:g}"
        )
    return max_lag


def bins_of(network: NetworkParameters, compare: CompareParameters) -> Bins:
    """The frequency components that the spectra of this recording length are merged into."""
    n_samples = network.n_steps - network.n_transient
    return spectral_bins(n_samples, network.dt_ms, compare.band_hz, compare.bin_hz)


def example_window(network: NetworkParameters) -> slice:
    """Steps of the example window: `EXAMPLE_MS` after the transient, or what there is."""
    stop = min(network.n_transient + round(EXAMPLE_MS / network.dt_ms), network.n_steps)
    return slice(network.n_transient, stop)


@dataclass
class _Potential:
    """Sums over the trials of one point, of the network's potential or of one model's."""

    power: Real
    means: list[float] = field(default_factory=list)
    variances: list[float] = field(default_factory=list)
    n_diverged: int = 0

    def add(self, v: npt.NDArray[Any], dt_ms: float, max_lag: int) -> Transformed:
        """Take in the potential of one trial after the transient."""
        series = centred(v)
        self.power += power_density(series, dt_ms)
        self.means.append(float(v.mean(dtype=np.float64)))
        self.variances.append(float(np.dot(series, series) / series.size))
        return transformed(series, max_lag)

    @property
    def mean(self) -> float:
        return float(np.mean(self.means))

    @property
    def sd(self) -> float:
        """Root of the mean temporal variance within a trial."""
        return float(np.sqrt(np.mean(self.variances)))


def compare_point(
    recordings: Iterable[tuple[int, Traces]],
    n_trials: int,
    network: NetworkParameters,
    mass: MassParameters,
    compare: CompareParameters,
) -> Result:
    """Compare the mass models with the network at one point.

    A model that runs away in a trial fails at this point: its statistics over trials are NaN, `n_diverged` says in
    how many trials it ran away, and `rho_trial` and `lag_trial` keep what the other trials give.

    Parameters
    ----------
    recordings : iterable of (int, Traces)
        Trial number and traces of each trial that is done, taken one at a time.
    n_trials : int
        Trials of the sweep, done or not: length of the trial-wise results.
    network : NetworkParameters
        At this point.
    mass, compare : parameters

    Returns
    -------
    dict
        Only `n_compared` = 0 if there is no recording.
    """
    models = models_named(mass.models)
    dt, max_lag, bins = network.dt_ms, lag_samples(network, compare), bins_of(network, compare)
    after, n_samples = slice(network.n_transient, None), network.n_steps - network.n_transient
    window = example_window(network)

    lif = _Potential(np.zeros(n_samples // 2))
    predicted = [_Potential(np.zeros(n_samples // 2)) for _ in models]
    rho = np.full((n_trials, len(models)), np.nan)
    lag = np.full((n_trials, len(models)), np.nan)
    curves: list[list[Real]] = [[] for _ in models]
    memories: list[list[Memory]] = [[] for _ in models]
    example: Result = {}
    for number, traces in recordings:
        network_series = lif.add(traces.mean_v[after], dt, max_lag)
        network_memory = tapered(network_series.autocorrelation)
        potentials = [model(traces, network, mass) for model in models.values()]
        if not example:
            example = {
                "example_v_lif": traces.mean_v[window],
                "example_v": np.array([v[window] for v in potentials]),
            }
        for m, potential in enumerate(potentials):
            if not np.isfinite(potential).all():
                predicted[m].n_diverged += 1
                continue
            series = predicted[m].add(potential[after], dt, max_lag)
            curve = lagged_correlation(network_series, series, max_lag)
            best, rho[number, m] = best_lag(curve)
            lag[number, m] = np.nan if np.isnan(rho[number, m]) else best * dt
            curves[m].append(curve)
            memories[m].append(effective_samples(network_memory, tapered(series.autocorrelation), n_samples))
    n_compared = len(lif.means)
    if n_compared == 0:
        return {"n_compared": 0}
    frequencies = component_frequencies_hz(n_samples, dt)
    result: Result = {
        **example,
        "n_compared": n_compared,
        "spectrum_lif": bins.mean(lif.power) / n_compared,
        "median_frequency_lif": median_frequency_hz(lif.power, frequencies),
        "histogram_count": compare.histogram_count or float(n_compared * bins.frequency.size),
        "mean_v_lif": lif.mean,
        "sd_v_lif": lif.sd,
        "rho_trial": rho,
        "lag_trial": lag,
    }
    by_model = [
        {
            "n_diverged": potential.n_diverged,
            **_spectral_result(result, potential, bins, frequencies),
            **_correlation_result([] if potential.n_diverged else curves[m], memories[m], lag[:, m], compare),
        }
        for m, potential in enumerate(predicted)
    ]
    return result | {name: np.array([each[name] for each in by_model]) for name in by_model[0]}


def _spectral_result(network: Result, model: _Potential, bins: Bins, frequencies: Real) -> Result:
    """One model's spectrum against the network's (`network`: the results that need no model)."""
    spectrum_lif = np.asarray(network["spectrum_lif"])
    if model.n_diverged:
        nan = float("nan")
        spectrum, chi2, log = np.full_like(spectrum_lif, nan), UNDEFINED, UNDEFINED
        median = mean = sd = nan
    else:
        n_compared = int(network["n_compared"])
        spectrum = bins.mean(model.power) / n_compared
        chi2 = chi_squared(spectrum_lif, spectrum, float(network["histogram_count"]))
        log = log_ratio(spectrum_lif, spectrum, n_compared, bins.n_components)
        median, mean, sd = median_frequency_hz(model.power, frequencies), model.mean, model.sd
    return {
        "spectrum": spectrum,
        "median_frequency": median,
        "chi2": chi2.statistic,
        "chi2_dof": chi2.dof,
        "chi2_pvalue": chi2.pvalue,
        "log_ratio": log.statistic,
        "log_ratio_pvalue": log.pvalue,
        "mean_v_model": mean,
        "sd_v_model": sd,
    }


def _correlation_result(curves: list[Real], memories: list[Memory], lag: Real, compare: CompareParameters) -> Result:
    """One model's correlation with the network over the trials (`curves` is empty if the model failed)."""
    pooled = pool(curves, memories[: len(curves)])
    lags = lag[~np.isnan(lag)]
    return {
        "rho": pooled.rho,
        "rho_z": pooled.z,
        "rho_se": pooled.se,
        "rho_se_trials": pooled.se_trials,
        "rho_pvalue": pooled.pvalue,
        "rho_agrees": int(pooled.agrees(compare.alpha, compare.rho_min)),
        "n_eff": pooled.n_eff,
        "lag": float(np.median(lags)) if curves and lags.size else float("nan"),
    }
