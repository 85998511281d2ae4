"""Mass models: recorded spike input in, mean membrane potential out."""

from hpcmass.mass.registry import MassModel, known_models, mass_model, models_named
from hpcmass.mass.traces import Potential, Traces

__all__ = ["MassModel", "Potential", "Traces", "known_models", "mass_model", "models_named"]
