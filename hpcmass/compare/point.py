"""All statistics of one grid point: the mass models against the network, over the trials that are done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcmass.compare.agreement import agreement
from hpcmass.compare.averages import Averages, Sampling
from hpcmass.compare.coherence import independent_components, threshold
from hpcmass.compare.correlation import Correlated, correlated, pooled, transformed
from hpcmass.compare.own import OwnValues, statistics_of
from hpcmass.compare.series import Real
from hpcmass.compare.settings import bins_of, histogram_count, lag_samples, require_settings
from hpcmass.compare.spectra import component_frequencies_hz
from hpcmass.config import CompareParameters, MassParameters, NetworkParameters
from hpcmass.mass import FittedModel, MassModel, Traces, contract, models_of
from hpcmass.mass.contract import ModelError
from hpcmass.mass.registry import least_trials
from hpcmass.standard_error import standard_error
from hpcmass.store.schema import EXAMPLE_MS
from hpcmass.user_code import Errors

Recordings = Iterable[tuple[int, Traces]]

Result = dict[str, npt.NDArray[Any] | float | int]
"""Comparison variable → its values at one point; what is absent keeps the schema's fill value."""


def example_window(network: NetworkParameters) -> slice:
    """Steps of the example window: `EXAMPLE_MS` after the transient, or what there is."""
    stop = min(network.n_transient + round(EXAMPLE_MS / network.dt_ms), network.n_steps)
    return slice(network.n_transient, stop)


def compare_point(
    recordings: Recordings,
    n_trials: int,
    network: NetworkParameters,
    mass: MassParameters,
    compare: CompareParameters,
    failures: Errors | None = None,
) -> Result:
    """Compare the mass models with the network at one point.

    A model that diverges in a trial fails at this point: its statistics over trials are NaN, `n_diverged` says in
    how many trials it diverged, and `rho_trial` and `lag_trial` keep what the other trials give. The statistics of a
    fitted model that needs more trials than the point has are NaN, too.

    Parameters
    ----------
    recordings : iterable of (int, Traces)
        Trial number and traces of each trial that is done, taken one at a time; walked through twice if a model is
        fitted.
    n_trials : int
        Trials of the sweep, done or not: length of the trial-wise results.
    network : NetworkParameters
        At this point.
    mass, compare : parameters
    failures : dict, optional
        Given, it gets the errors of models and statistics, and the others are compared. A model that fails in a trial
        counts as diverged in it. A statistic that fails in a trial is NaN in it, and over the trials.

    Returns
    -------
    dict
        Only `n_compared` = 0 if there is no recording.

    Raises
    ------
    ModelError, StatisticError
        If a model or a statistic fails, and `failures` is not given.
    """
    require_settings(network, compare)
    models = models_of(mass)
    own = OwnValues((each.value for each in statistics_of(compare).values()), models, n_trials, network.dt_ms, failures)
    dt, max_lag, bins = network.dt_ms, lag_samples(network, compare), bins_of(network, compare)
    after, n_samples = slice(network.n_transient, None), network.n_steps - network.n_transient
    window = example_window(network)
    fitted = _summaries(models, recordings, network, mass, failures)

    sampling = Sampling(dt, component_frequencies_hz(n_samples, dt), bins)
    lif, predicted = Averages(sampling), [Averages(sampling) for _ in models]
    rho = np.full((n_trials, len(models)), np.nan)
    lag = np.full((n_trials, len(models)), np.nan)
    found: list[list[Correlated]] = [[] for _ in models]
    example: Result = {}
    numbers: list[int] = []
    for number, traces in recordings:
        numbers.append(number)
        measured = lif.add(traces.mean_v[after])
        network_series = transformed(measured.series, max_lag)
        own.add_network(number, traces.mean_v[after])
        if not example:
            example = {
                "example_v_lif": traces.mean_v[window],
                "example_v": np.full((len(models), window.stop - window.start), np.nan),
            }
        for m, (name, model) in enumerate(models.items()):
            potential = None
            if not isinstance(model, FittedModel):
                with _noted(name, failures):
                    potential = contract.predicted(name, model, traces, network, mass)
            elif (summaries := fitted[name]) is not None:
                if len(summaries) < least_trials(model):
                    continue
                with _noted(name, failures):
                    ready = contract.fit(name, model, summaries, number, network)
                    potential = contract.predicted(name, ready, traces, network, mass)
            if potential is not None and lif.n_trials == 1:
                np.asarray(example["example_v"])[m] = potential[window]
            if potential is None or not np.isfinite(potential).all():
                predicted[m].n_diverged += 1
                continue
            own.add_model(number, m, traces.mean_v[after], potential[after])
            series = transformed(predicted[m].add(potential[after], measured).series, max_lag)
            correlation = correlated(network_series, series, max_lag)
            rho[number, m], lag[number, m] = correlation.rho, correlation.lag * dt
            found[m].append(correlation)
    n_compared = lif.n_trials
    if n_compared == 0:
        return {"n_compared": 0}
    count = histogram_count(compare, n_compared, bins)
    by_model = [
        {
            "n_diverged": averages.n_diverged,
            **averages.result("", "_model"),
            **agreement(lif, averages, count),
            **_correlation_result([] if averages.failed else found[m], lag[:, m], compare),
        }
        for m, averages in enumerate(predicted)
    ]

    def by_trial(values: Any) -> Real:
        """Values of the compared trials at their places among all."""
        placed = np.full((n_trials, *np.shape(values)[1:]), np.nan)
        placed[numbers] = values
        return placed

    without_trial = [each.pop("chi2_without_trial") for each in by_model]
    return {
        **example,
        "n_compared": n_compared,
        **lif.result("_lif", "_lif"),
        "histogram_count": count,
        "coherence_threshold": threshold(independent_components(bins, n_compared), compare.alpha),
        "median_frequency_lif_trial": by_trial(lif.medians_hz),
        "chi2_without_trial": by_trial(np.transpose(without_trial)),
        "rho_trial": rho,
        "lag_trial": lag,
        **{name: np.array([each[name] for each in by_model]) for name in by_model[0]},
        **own.result(not averages.failed for averages in predicted),
    }


def _summaries(
    models: Mapping[str, MassModel | FittedModel],
    recordings: Recordings,
    network: NetworkParameters,
    mass: MassParameters,
    failures: Errors | None,
) -> dict[str, dict[int, Any] | None]:
    """Each fitted model's summary of each trial, in a separate pass over the recordings if there is such a model.

    None for a model that fails in a trial.
    """
    fitted = {name: model for name, model in models.items() if isinstance(model, FittedModel)}
    found: dict[str, dict[int, Any]] = {name: {} for name in fitted}
    failed: set[str] = set()
    for number, traces in recordings if fitted else ():
        for name in [name for name in fitted if name not in failed]:
            failed.add(name)
            with _noted(name, failures):
                found[name][number] = contract.summarise(name, fitted[name], traces, network, mass)
                failed.remove(name)
    return {name: None if name in failed else summaries for name, summaries in found.items()}


@contextmanager
def _noted(model: str, failures: Errors | None) -> Iterator[None]:
    """Note the model's error in `failures` and leave the block; without `failures` it is raised."""
    try:
        yield
    except ModelError as error:
        if failures is None:
            raise
        failures.setdefault(f"the mass model {model}", error)


def _correlation_result(found: list[Correlated], lag: Real, compare: CompareParameters) -> Result:
    """One model's correlation with the network over the trials (`found` is empty if the model failed)."""
    together = pooled(found)
    lags = lag[~np.isnan(lag)]
    return {
        "rho": together.rho,
        "rho_z": together.z,
        "rho_se": together.se,
        "rho_se_trials": together.se_trials,
        "rho_pvalue": together.pvalue,
        "rho_agrees": int(together.agrees(compare.alpha, compare.rho_min)),
        "n_eff": together.n_eff,
        "lag": float(np.median(lags)) if found and lags.size else float("nan"),
        "lag_se": standard_error(lags) if found else float("nan"),
    }
