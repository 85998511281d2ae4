"""The power density of a series, as the comparison computes it, in one step."""

import numpy as np
import numpy.typing as npt

from hpcmass.compare.spectra import density, windowed_transform


def power_density(centred: npt.NDArray[np.float64], dt_ms: float) -> npt.NDArray[np.float64]:
    """One-sided power spectral density of a series without its mean: see `density`."""
    return density(windowed_transform(centred), centred.size, dt_ms)
