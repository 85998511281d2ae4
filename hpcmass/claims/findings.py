"""What the paper's claims need of a comparison, as planes of p and λ, and how a plane is counted.

Every function takes planes with any leading dimensions, so that thousands of resamples are judged at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcmass.plots.regimes import SLOW_HZ, SPIKING_HZ

Mask = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Findings:
    """What the claims need of a comparison, on the plane (λ upwards, p to the right).

    Attributes
    ----------
    p : array, (columns,)
        Increasing.
    compared : array of bool, (rows, columns)
        Points with results; the others count nowhere.
    rate, frequency : array, (..., rows, columns)
        Mean rate of all neurons and median frequency of the network (Hz).
    high_contrast : array of bool, (..., rows, columns)
        Spike-contrast reaches the threshold of synchrony.
    agrees : dict of str to array of bool, (..., rows, columns)
        Model → inside the contour of the correlation.
    critical_count : dict of str to array, (..., rows, columns)
        Model → total count of the histograms at which χ² becomes significant, in units of the file's; NaN where χ² is
        undefined.
    count : array, (rows, columns)
        The file's total count.
    same_shape : dict of str to array of bool, (rows, columns)
        Model → inside the contour of the calibrated spectral test.
    lag : array, (..., rows, columns)
        Of the MFM (ms).
    lag_se : array, (rows, columns)
    """

    p: Reals
    compared: Mask
    rate: Reals
    frequency: Reals
    high_contrast: Mask
    agrees: dict[str, Mask]
    critical_count: dict[str, Reals]
    count: Reals
    same_shape: dict[str, Mask]
    lag: Reals
    lag_se: Reals

    @property
    def spiking(self) -> Mask:
        """Points whose network spikes, the one definition for all claims; a rate that was not recorded counts."""
        return np.asarray(self.compared & ~(self.rate < SPIKING_HZ))

    @property
    def synchronised(self) -> Mask:
        """Spiking points of high Spike-contrast."""
        return self.spiking & self.high_contrast


def count(mask: Mask) -> npt.NDArray[np.int64]:
    """Points of each plane."""
    return np.asarray(mask.sum(axis=(-2, -1)))


def share(inside: Mask, among: Mask) -> Reals:
    """Share of the points `among` of each plane that are inside; NaN if there are none."""
    total = count(among)
    return np.where(total > 0, count(inside & among) / np.maximum(total, 1), np.nan)


def median(values: Reals) -> Reals:
    """Median along the last dimension of the values that are not NaN; NaN if there are none."""
    ordered = np.sort(values, axis=-1)
    n = np.isfinite(ordered).sum(axis=-1)
    middle = [np.maximum(k, 0)[..., None] for k in ((n - 1) // 2, n // 2)]
    low, high = (np.take_along_axis(ordered, np.minimum(k, values.shape[-1] - 1), -1)[..., 0] for k in middle)
    return np.where(n > 0, (low + high) / 2, np.nan)


def onset(found: Findings) -> Mask:
    """Synchronised points of low frequency with one that is not synchronised beside, below or above them."""
    slow = found.synchronised & (found.frequency <= SLOW_HZ)
    around = [(0, 0)] * (slow.ndim - 2) + [(1, 1), (1, 1)]
    before = np.pad(found.compared & ~found.synchronised, around)
    left, right = before[..., 1:-1, :-2], before[..., 1:-1, 2:]
    below, above = before[..., :-2, 1:-1], before[..., 2:, 1:-1]
    return np.asarray(slow & (left | right | below | above))
