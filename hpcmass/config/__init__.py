"""Configuration: a YAML file → a validated, frozen `Experiment`."""

from hpcmass.config.experiment import CompareParameters, Experiment, MassParameters, NetworkParameters

__all__ = ["CompareParameters", "Experiment", "MassParameters", "NetworkParameters"]
