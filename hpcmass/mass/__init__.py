"""Mass models: recorded spike input in, mean membrane potential out."""

from hpcmass.mass.registry import FittedModel, MassModel, known_models, mass_model, models_named, predict
from hpcmass.mass.traces import Potential, Traces

__all__ = ["FittedModel", "MassModel", "Potential", "Traces", "known_models", "mass_model", "models_named", "predict"]
