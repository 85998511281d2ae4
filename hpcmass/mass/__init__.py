"""Mass models: recorded spike input in, mean membrane potential out."""

from hpcmass.kernel_cache import use_cache

use_cache()  # before the first kernel is declared

from hpcmass.mass.registry import FittedModel, MassModel, known_models, mass_model, models_named, predict  # noqa: E402
from hpcmass.mass.traces import Potential, Traces  # noqa: E402

__all__ = ["FittedModel", "MassModel", "Potential", "Traces", "known_models", "mass_model", "models_named", "predict"]
