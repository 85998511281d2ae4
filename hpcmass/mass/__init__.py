"""Mass models: recorded spike input in, mean membrane potential out."""

from hpcmass.mass.parameters import Parameter
from hpcmass.mass.registry import FittedModel, MassModel, known_models, mass_model, models_named, models_of, predict
from hpcmass.mass.traces import Potential, Traces

__all__ = [
    "FittedModel",
    "MassModel",
    "Parameter",
    "Potential",
    "Traces",
    "known_models",
    "mass_model",
    "models_named",
    "models_of",
    "predict",
]
