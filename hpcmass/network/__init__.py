"""The spiking network: one trial, from (parameters, p, λ, seed) to a `Recording`. No MPI, no files."""

from hpcmass.kernel_cache import use_cache

use_cache()  # before the first kernel is declared

from hpcmass.network.recording import Recording  # noqa: E402
from hpcmass.network.simulation import Network, simulate, warm_up  # noqa: E402

__all__ = ["Network", "Recording", "simulate", "warm_up"]
