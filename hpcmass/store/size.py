"""How large a sweep's file is going to be."""

from __future__ import annotations

import math

import numpy as np

from hpcmass.config import Experiment
from hpcmass.grid import SEED_WORDS, shape
from hpcmass.store.layout import METADATA_BYTES, filled_bytes
from hpcmass.store.schema import CONFIG_CHAIN, SWEEP_VARIABLES


def empty_bytes(experiment: Experiment) -> int:
    """Size of a sweep's file before the first trial, up to some metadata; each shard has that."""
    axes = experiment.grid.axes()
    sizes = {name: len(values) for name, values in axes.items()}
    sizes |= {"trial": experiment.trials, "time": experiment.network.n_steps, "word": SEED_WORDS}
    filled = filled_bytes([*SWEEP_VARIABLES.values(), CONFIG_CHAIN], tuple(axes), sizes)
    return METADATA_BYTES + 8 * sum(sizes.values()) + filled


def trace_bytes(experiment: Experiment) -> int:
    """Size of the traces of all trials."""
    per_step = sum(np.dtype(v.dtype).itemsize for v in SWEEP_VARIABLES.values() if v.role == "trace")
    return math.prod(shape(experiment)) * experiment.network.n_steps * per_step


def sweep_bytes(experiment: Experiment) -> int:
    """Size of a whole sweep in one file, up to some metadata."""
    return empty_bytes(experiment) + trace_bytes(experiment)
