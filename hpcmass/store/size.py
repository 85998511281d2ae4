"""How large a sweep's file is going to be."""

from __future__ import annotations

import math

import numpy as np

from hpcmass.config import Experiment
from hpcmass.grid import SEED_WORDS, shape
from hpcmass.store.layout import METADATA_BYTES, filled_bytes
from hpcmass.store.schema import SWEEP_VARIABLES


def sweep_bytes(experiment: Experiment) -> int:
    """Size of a sweep's file, up to some metadata."""
    axes = experiment.grid.axes()
    sizes = {name: len(values) for name, values in axes.items()}
    sizes |= {"trial": experiment.trials, "time": experiment.network.n_steps, "word": SEED_WORDS}
    per_step = sum(np.dtype(v.dtype).itemsize for v in SWEEP_VARIABLES.values() if v.role == "trace")
    traces = math.prod(shape(experiment)) * experiment.network.n_steps * per_step
    return (
        METADATA_BYTES + 8 * sum(sizes.values()) + filled_bytes(SWEEP_VARIABLES.values(), tuple(axes), sizes) + traces
    )
