"""Averages over the trials of a point of one potential, the network's or a model's: spectra, peaks, mean, variance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hpcmass.compare.series import Real, centred, sum_of_squares
from hpcmass.compare.spectra import Bins, cross_density, density, median_frequency_hz, peak, windowed_transform
from hpcmass.standard_error import standard_error

Complex = npt.NDArray[np.complex128]


@dataclass(frozen=True)
class Sampling:
    """How the series are sampled and their spectra binned; the frequencies (Hz) are those of the raw components."""

    dt_ms: float
    frequencies: Real
    bins: Bins


class Analysed(NamedTuple):
    """One series of one trial: centred, and its windowed Fourier components."""

    series: Real
    transform: Complex


@dataclass
class Averages:
    """Trial-wise numbers of one potential, and the sum of its raw spectra.

    Attributes
    ----------
    sampling : Sampling
    power : array, (n_samples // 2,)
        Sum of the trials' spectra (mV²/Hz).
    spectra : list of array, (L,)
        Spectrum of each trial in bins.
    crosses : list of array of complex, (L,)
        Cross-spectrum with the network in bins; empty for the network itself.
    means, variances, medians_hz : list of float
        Of each trial: temporal mean (mV) and variance (mV²), median frequency.
    n_diverged : int
        Trials in which the model diverged; the lists leave them out.
    """

    sampling: Sampling
    power: Real = field(init=False)
    spectra: list[Real] = field(default_factory=list)
    crosses: list[Complex] = field(default_factory=list)
    means: list[float] = field(default_factory=list)
    variances: list[float] = field(default_factory=list)
    medians_hz: list[float] = field(default_factory=list)
    n_diverged: int = 0

    def __post_init__(self) -> None:
        self.power = np.zeros(self.sampling.frequencies.size)

    def add(self, v: npt.NDArray[Any], network: Analysed | None = None) -> Analysed:
        """Add the potential of one trial after the transient; `network`: the network's, if this is a model's."""
        bins, dt_ms = self.sampling.bins, self.sampling.dt_ms
        series = centred(v)
        transform = windowed_transform(series)
        power = density(transform, series.size, dt_ms)
        self.power += power
        self.spectra.append(bins.mean(power))
        self.medians_hz.append(median_frequency_hz(power, self.sampling.frequencies))
        self.means.append(float(v.mean(dtype=np.float64)))
        self.variances.append(sum_of_squares(series) / series.size)
        if network is not None:
            cross = cross_density(network.transform[: bins.stop], transform[: bins.stop], series.size, dt_ms)
            self.crosses.append(bins.mean(cross))
        return Analysed(series, transform)

    @property
    def n_trials(self) -> int:
        return len(self.means)

    @property
    def failed(self) -> bool:
        """The model diverged in a trial, or there were too few trials to fit it: its statistics are undefined."""
        return self.n_diverged > 0 or self.n_trials == 0

    @property
    def spectrum(self) -> Real:
        """Averaged over the trials, in bins, (L,)."""
        return np.asarray(np.mean(self.spectra, axis=0))

    def result(self, ending: str, ending_v: str) -> dict[str, Any]:
        """The statistics under their names in the file (`ending`: "_lif" or "", `ending_v`: "_lif" or "_model").

        All are NaN for a model that failed.
        """
        bins = self.sampling.bins
        nan = float("nan")
        if self.failed:
            empty = np.full(bins.frequency.size, nan)
            values = {"spectrum": (empty, empty)} | dict.fromkeys(("median_frequency", *_PEAK), (nan, nan))
            moments = {"mean_v": (nan, nan), "sd_v": (nan, nan)}
        else:
            peaks = [peak(spectrum, bins.frequency) for spectrum in self.spectra]
            errors = standard_error(peaks)
            sd = float(np.sqrt(np.mean(self.variances)))
            values = {
                "spectrum": (self.spectrum, standard_error(self.spectra)),
                "median_frequency": (
                    median_frequency_hz(self.power, self.sampling.frequencies),
                    standard_error(self.medians_hz),
                ),
                **dict(zip(_PEAK, zip(peak(self.spectrum, bins.frequency), errors, strict=True), strict=True)),
            }
            moments = {
                "mean_v": (float(np.mean(self.means)), standard_error(self.means)),
                "sd_v": (sd, standard_error(self.variances) / (2 * sd) if sd > 0 else nan),
            }
        return {
            f"{name}{end}{error}": value
            for statistics, end in ((values, ending), (moments, ending_v))
            for name, pair in statistics.items()
            for error, value in zip(("", "_se"), pair, strict=True)
        }


_PEAK = ("peak_frequency", "peak_power")
