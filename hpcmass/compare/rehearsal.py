"""Own models and statistics on a recording of noise, before a sweep that compares during its run spends days."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hpcmass.compare.point import compare_point
from hpcmass.compile_lock import WaitStopped
from hpcmass.config import Experiment, NetworkParameters
from hpcmass.errors import UserError
from hpcmass.mass import Traces
from hpcmass.mass.registry import declared_models, least_trials
from hpcmass.messages import logger
from hpcmass.plugins import label_of
from hpcmass.user_code import Errors

LEAST_TRIALS = 2
"""Trials of noise: a fitted model needs another one than that which it predicts."""


class _Noise:
    """Recordings of noise, one at a time, until the run is over."""

    def __init__(self, network: NetworkParameters, n_trials: int, is_over: Callable[[], bool]) -> None:
        self._network, self._n_trials, self._is_over = network, n_trials, is_over

    def __iter__(self) -> Iterator[tuple[int, Traces]]:
        for number in range(self._n_trials):
            if self._is_over():
                raise WaitStopped
            yield number, _noise(self._network, number)


def require_working(experiment: Experiment, is_over: Callable[[], bool]) -> None:
    """Refuse own models and statistics that cannot work, after recordings of noise, as long as those of the sweep.

    An error that other data may not cause is a warning: noise has no structure.

    Parameters
    ----------
    experiment : Experiment
    is_over : callable
        Asked before each recording.

    Raises
    ------
    UserError
    WaitStopped
        When the run is over.
    """
    declared = declared_models(experiment.mass)
    own = [reference for reference in experiment.mass.models if declared[label_of(reference)].origin]
    if not own and not experiment.compare.statistics:
        return
    mass = experiment.mass.with_models(own or experiment.mass.models[:1])
    least = max(least_trials(declared[label].value.model) for label in mass.labels)
    n_trials = min(experiment.trials, max(least, LEAST_TRIALS))
    network = experiment.networks_at_ends()[0]
    logger.info("trying own models and statistics on noise")
    errors: Errors = {}
    compare_point(_Noise(network, n_trials, is_over), n_trials, network, mass, experiment.compare, errors)
    for error in errors.values():
        if error.is_bug:
            raise UserError(f"before the first trial, on a recording of noise: {error}") from error
    for error in errors.values():
        logger.warning("on a recording of noise, %s; at points where it fails it will have no results", error.what)


def _noise(network: NetworkParameters, seed: int) -> Traces:
    """A recording without structure, in the range of a network's."""
    random = np.random.default_rng(seed)
    n = network.n_steps
    potential = network.v_leak_mv + random.uniform(0.0, 10.0, n)
    phi = random.exponential(0.1, (3, n))
    current = -random.exponential(1.0, n)
    return Traces(*(trace.astype(np.float32) for trace in (potential, *phi, current)))
