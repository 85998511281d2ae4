"""The spiking network: one trial, from (parameters, p, λ, seed) to a `Recording`. No MPI, no files."""

from hpcmass.network.recording import Recording
from hpcmass.network.simulation import Network, simulate, warm_up

__all__ = ["Network", "Recording", "simulate", "warm_up"]
