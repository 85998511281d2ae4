"""Memory of a process that compares a point: the recordings of all its trials, and what the comparison computes."""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcmass.compare.settings import bins_of, lag_samples, require_settings
from hpcmass.config import Experiment, NetworkParameters
from hpcmass.store.layout import trial_bytes
from hpcmass.store.schema import SWEEP_VARIABLES, TRACES

WORKING_BYTES_PER_STEP: Final = 175
"""Of memory, at the peak of a comparison, beside recordings and averages: the series of one trial in double precision,
the network's and a model's, their transforms. Measured."""

REAL: Final = np.dtype(np.float64).itemsize
COMPLEX: Final = np.dtype(np.complex128).itemsize


def recording_bytes(network: NetworkParameters) -> int:
    """The traces of every step of one trial."""
    return network.n_steps * sum(np.dtype(SWEEP_VARIABLES[name].dtype).itemsize for name in TRACES)


def point_bytes(experiment: Experiment) -> int:
    """Memory that the comparison of a point takes during a run, beside the program itself and own code.

    The recordings of all trials and what the file keeps of them; spectra and correlations of each trial; the sum of the
    raw spectra; the series of one trial.

    Raises
    ------
    UserError
        If the settings of the comparison do not fit the recordings.
    """
    network, compare = experiment.network, experiment.compare
    require_settings(network, compare)
    n_models, n_bins = len(experiment.mass.labels), bins_of(network, compare).frequency.size
    spectra = n_bins * ((1 + n_models) * REAL + n_models * COMPLEX)
    curves = (2 * lag_samples(network, compare) + 1) * n_models * REAL
    each = recording_bytes(network) + spectra + curves + trial_bytes(experiment)
    n_components = (network.n_steps - network.n_transient) // 2
    sums = (1 + n_models) * n_components * REAL
    return experiment.trials * each + sums + WORKING_BYTES_PER_STEP * network.n_steps
