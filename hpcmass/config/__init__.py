"""Configuration: a YAML file → a validated, frozen `Experiment`."""

from hpcmass.config.experiment import Experiment
from hpcmass.config.network import NetworkParameters
from hpcmass.config.settings import CompareParameters, MassParameters

__all__ = ["CompareParameters", "Experiment", "MassParameters", "NetworkParameters"]
