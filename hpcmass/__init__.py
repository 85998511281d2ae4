"""hpcmass: where in the {p, λ} plane does a neural mass model reproduce its network?

In a notebook, one trial as `hpcmass trial` runs it:

    from hpcmass import load_experiment, simulate

    experiment = load_experiment("configs/quickstart.yml")
    result = simulate(experiment, p=0.2, lam=0.8)
    result.figure()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpcmass import statistics
    from hpcmass.claims.table import check_claims
    from hpcmass.compare.own import statistic
    from hpcmass.compare.pipeline import compare_sweep
    from hpcmass.compare.recorded import compare_recording
    from hpcmass.comparison import open_comparison
    from hpcmass.config import Experiment
    from hpcmass.config.file import load_experiment
    from hpcmass.mass import Parameter, mass_model
    from hpcmass.recordings.phi import phi_from_spikes
    from hpcmass.store.labelled import open_sweep
    from hpcmass.sweep.run import run_sweep
    from hpcmass.trial import simulate

__version__ = "0.1.0"

__all__ = [
    "Experiment",
    "Parameter",
    "__version__",
    "check_claims",
    "compare_recording",
    "compare_sweep",
    "load_experiment",
    "mass_model",
    "open_comparison",
    "open_sweep",
    "phi_from_spikes",
    "run_sweep",
    "simulate",
    "statistic",
    "statistics",
]

_HOME = {
    "Experiment": "config",
    "Parameter": "mass",
    "check_claims": "claims.table",
    "compare_recording": "compare.recorded",
    "compare_sweep": "compare.pipeline",
    "load_experiment": "config.file",
    "mass_model": "mass",
    "open_comparison": "comparison",
    "open_sweep": "store.labelled",
    "phi_from_spikes": "recordings.phi",
    "run_sweep": "sweep.run",
    "simulate": "trial",
    "statistic": "compare.own",
}
"""Name → the module that has it."""


def __getattr__(name: str) -> Any:
    """Import what is asked for, and only then: the import of the package alone loads nothing."""
    if name == "statistics":
        return importlib.import_module("hpcmass.statistics")
    if name not in _HOME:
        raise AttributeError(f"module 'hpcmass' has no attribute '{name}'")
    return getattr(importlib.import_module(f"hpcmass.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
