"""Memory of a comparison during a run."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hpcmass.compare.memory import WORKING_BYTES_PER_STEP, point_bytes, recording_bytes
from hpcmass.config import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.errors import UserError

CONFIG = """
trials: {trials}
network: {{n_neurons: 100, duration_ms: {duration_ms}, transient_ms: 100, dt_ms: 0.1}}
grid: {{p: [0.1, 0.2], lam: 0.8}}
mass: {{models: [CFM, MFM, LIN]}}
compare: {{max_lag_ms: 50, band_hz: [0, 500], bin_hz: 2}}
traces: {{{traces}}}
"""


def experiment(trials: int = 5, duration_ms: float = 2100, traces: str = "keep: none") -> Experiment:
    return parse_experiment(CONFIG.format(trials=trials, duration_ms=duration_ms, traces=traces))


def test_of_a_point_the_arrays_are_counted() -> None:
    """21 000 steps, 20 000 of them after the transient; 3 models, 250 bins of 2 Hz, lags of -500 to 500 steps."""
    recordings = [np.empty((5, 21_000), np.float32) for _ in range(5)]  # mean_v, three phi, mean_i_syn
    spectra = [np.empty((5, 4, 250)), np.empty((5, 3, 250), complex)]  # the network's and the models', and across
    curves = np.empty((5, 3, 1001))
    sums = np.empty((4, 10_000))
    arrays = sum(array.nbytes for array in (*recordings, *spectra, curves, sums))
    assert point_bytes(experiment()) == arrays + 21_000 * WORKING_BYTES_PER_STEP
    assert recording_bytes(experiment().network) == sum(array[0].nbytes for array in recordings)


@pytest.mark.parametrize(
    ("traces", "kept_steps"),
    [("keep: first_trial", 21_000), ("every_ms: 1", 5 * 2100), ("keep: all", 5 * 21_000)],
)
def test_what_the_file_keeps_is_held_until_the_point_is_done(traces: str, kept_steps: int) -> None:
    more = point_bytes(experiment(traces=traces)) - point_bytes(experiment())
    assert more == kept_steps * 5 * 4


def test_more_trials_and_longer_ones_take_more() -> None:
    of_trials = [point_bytes(experiment(trials=n)) for n in (1, 2, 10, 60)]
    assert all(one < more for one, more in itertools.pairwise(of_trials))
    assert of_trials[1] - of_trials[0] >= recording_bytes(experiment().network)
    assert point_bytes(experiment(duration_ms=2200)) > point_bytes(experiment())


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="max_lag_ms"):
        point_bytes(experiment(duration_ms=200))
