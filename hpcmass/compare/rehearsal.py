"""Own models and statistics on a recording of noise, before a sweep that compares during its run spends days."""

from __future__ import annotations

import numpy as np

from hpcmass.compare.point import compare_point
from hpcmass.config import Experiment, NetworkParameters
from hpcmass.errors import UserError
from hpcmass.mass import Traces
from hpcmass.mass.registry import declared_models, least_trials
from hpcmass.plugins import label_of
from hpcmass.user_code import UserCodeError

LEAST_TRIALS = 2
"""Trials of noise: a fitted model needs another one than that which it predicts."""


def require_working(experiment: Experiment) -> None:
    """Refuse own models and statistics that fail on recordings of noise, as long as those of the sweep.

    Raises
    ------
    UserError
    """
    declared = declared_models(experiment.mass)
    own = [reference for reference in experiment.mass.models if declared[label_of(reference)].origin]
    if not own and not experiment.compare.statistics:
        return
    mass = experiment.mass.with_models(own or experiment.mass.models[:1])
    least = max(least_trials(declared[label].value.model) for label in mass.labels)
    n_trials = min(experiment.trials, max(least, LEAST_TRIALS))
    network = experiment.networks_at_ends()[0]
    recordings = [(number, _noise(network, number)) for number in range(n_trials)]
    try:
        compare_point(recordings, n_trials, network, mass, experiment.compare)
    except UserCodeError as error:
        raise UserError(f"before the first trial, on a recording of noise: {error}") from error


def _noise(network: NetworkParameters, seed: int) -> Traces:
    """A recording without structure, in the range of a network's."""
    random = np.random.default_rng(seed)
    n = network.n_steps
    potential = network.v_leak_mv + random.uniform(0.0, 10.0, n)
    phi = random.exponential(0.1, (3, n))
    current = -random.exponential(1.0, n)
    return Traces(*(trace.astype(np.float32) for trace in (potential, *phi, current)))
