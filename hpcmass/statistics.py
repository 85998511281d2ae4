"""The statistics of the maps as functions of arrays, for spikes and series of any origin.

They are the functions that `hpcmass run` and `hpcmass compare` use, with the same numbers. A series is an array of
shape (n,), or (n_trials, n) for trials of equal length, one value a time step, without the transient. Two series that
are compared have the same shape. Units are in the names: `dt_ms` is the time step in milliseconds.

`chi_squared`, `log_ratio` and `coherence` compare spectra that are averaged over the trials and within bins of
`bin_hz`. `docs/methods.md` has the formulas.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hpcmass.compare import coherence as coherences
from hpcmass.compare.agreement import agreement
from hpcmass.compare.arrays import FEWEST, positive, real_array, real_number
from hpcmass.compare.averages import Averages, Sampling
from hpcmass.compare.correlation import Correlated, correlated, pooled, transformed
from hpcmass.compare.series import centred
from hpcmass.compare.settings import bins_of, histogram_count, lag_samples, require_settings
from hpcmass.compare.spectra import component_frequencies_hz
from hpcmass.config import CompareParameters, NetworkParameters
from hpcmass.config.file import validated
from hpcmass.config.limits import MOST_STEPS
from hpcmass.errors import UserError

__all__ = ["chi_squared", "coherence", "effective_samples", "lagged_correlation", "log_ratio", "spike_contrast"]

Real = npt.NDArray[np.float64]

MOST_NEURONS: Final = int(np.iinfo(np.uint16).max)
"""Neurons are numbered with two bytes."""


class SpikeContrast(NamedTuple):
    """Synchrony of spike trains.

    Attributes
    ----------
    value : float
        Spike-contrast, from 0 to 1; NaN where it is undefined: no train has two spikes, or the recording is shorter
        than 20 ms.
    bin_ms : float
        Width (ms) of the bins in which it is largest; NaN likewise.
    """

    value: float
    bin_ms: float


class LaggedCorrelation(NamedTuple):
    """Correlation of two series at the lag where it is largest.

    Attributes
    ----------
    rho : float
        Correlation at the best lag, averaged over the trials by Fisher's z.
    lag_ms : float
        Median of the trials' best lags (ms); positive where `y` is late.
    pvalue : float
        Probability that independent series with these autocorrelations are so correlated at any of the lags.
    n_eff : float
        Effective number of samples, see `effective_samples`.
    lags_ms : array, (n_lags,)
        All lags (ms), from -max_lag_ms to max_lag_ms.
    curve : array, (n_lags,) or (n_trials, n_lags)
        Correlation at each lag, trial by trial if there are trials.
    """

    rho: float
    lag_ms: float
    pvalue: float
    n_eff: float
    lags_ms: Real
    curve: Real


class ChiSquared(NamedTuple):
    """The paper's χ² between two spectra, equation (25).

    Attributes
    ----------
    statistic : float
    dof : int
        Degrees of freedom; -1 if χ² is undefined.
    pvalue : float
        Probability of a larger χ² under equality.
    standard_error : float
        Over the trials, of the statistic; NaN for one trial.
    """

    statistic: float
    dof: int
    pvalue: float
    standard_error: float


class LogRatio(NamedTuple):
    """The calibrated test of two spectra.

    Attributes
    ----------
    statistic : float
        Spread of the log-ratios of the spectra about their mean, standardised: about 0 where the true spectra have the
        same shape.
    pvalue : float
        Probability of a larger one under equal shapes.
    standard_error : float
        Over the trials, of the statistic; NaN for one trial.
    distance_db : float
        Root-mean-square difference of the shapes (dB) beyond what sampling errors explain.
    """

    statistic: float
    pvalue: float
    standard_error: float
    distance_db: float


class Coherence(NamedTuple):
    """Magnitude-squared coherence of two series.

    Attributes
    ----------
    frequency_hz : array, (n_bins,)
        Centres of the bins (Hz).
    coherence : array, (n_bins,)
        From 0 to 1; NaN where a series has no power, or a bin holds one component of one trial, for which coherence is
        always 1.
    threshold : array, (n_bins,)
        Coherence that independent series exceed with probability `alpha`.
    mean : float
        Mean over the bins, minus its bias for independent series, weighted by the power of `x`.
    """

    frequency_hz: Real
    coherence: Real
    threshold: Real
    mean: float


def spike_contrast(
    times_ms: npt.ArrayLike, neurons: npt.ArrayLike, n_neurons: int, duration_ms: float, *, dt_ms: float = 0.1
) -> SpikeContrast:
    """Spike-contrast of the spikes of a population (Ciba et al. 2018, J. Neurosci. Methods 293:136).

    Parameters
    ----------
    times_ms : array, (n_spikes,)
        Time of each spike (ms), in any order, from 0 to `duration_ms`.
    neurons : array of int, (n_spikes,)
        Its neuron, from 0 to `n_neurons` - 1.
    n_neurons : int
        All neurons, silent ones too; 2 to 65535.
    duration_ms : float
        Length of the recording (ms).
    dt_ms : float
        Resolution (ms): times are rounded to multiples of it.

    Returns
    -------
    SpikeContrast
        `value` and `bin_ms`.

    Raises
    ------
    UserError
        If an argument is not allowed, or a neuron has two spikes within `dt_ms`.

    Examples
    --------
    >>> from hpcmass.statistics import spike_contrast
    >>> bursts = [100.0, 100.0, 100.0, 300.0, 300.0, 300.0]
    >>> synchrony = spike_contrast(bursts, [0, 1, 2, 0, 1, 2], n_neurons=3, duration_ms=400)
    >>> round(synchrony.value, 3)
    1.0
    """
    from hpcmass.network.spikes import SpikeTrains, train_statistics
    from hpcmass.network.synchrony import spike_contrast as of_trains

    dt, duration = positive("dt_ms", dt_ms), positive("duration_ms", duration_ms)
    n = _whole_number("n_neurons", n_neurons)
    if not 2 <= n <= MOST_NEURONS:
        raise UserError(f"n_neurons = {n}: give 2 to {MOST_NEURONS} neurons")
    n_steps = round(min(duration / dt, 2.0 * MOST_STEPS))
    if not 1 <= n_steps <= MOST_STEPS:
        raise UserError(f"duration_ms = {duration:g} must be 1 to {MOST_STEPS} steps of dt_ms = {dt:g}")
    times, numbers = real_array("times_ms", times_ms), real_array("neurons", neurons)
    if times.ndim != 1 or times.shape != numbers.shape:
        raise UserError(
            f"times_ms has shape {times.shape} and neurons {numbers.shape}; give one time and one neuron for each spike"
        )
    if times.size and not (times.min() >= 0 and times.max() <= duration):
        raise UserError(f"times_ms must be from 0 to duration_ms = {duration:g}; leave out or shift what is outside")
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < n and (numbers == np.floor(numbers)).all()):
        raise UserError(f"neurons must be whole numbers from 0 to {n - 1}, for n_neurons = {n}")
    steps = np.minimum(np.rint(times / dt).astype(np.int64), n_steps - 1)
    order = np.lexsort((numbers, steps))
    steps, numbers = steps[order], numbers[order]
    twice = np.flatnonzero((np.diff(steps) == 0) & (np.diff(numbers) == 0))
    if twice.size:
        k = twice[0]
        raise UserError(
            f"neuron {numbers[k]:g} has two spikes at {steps[k] * dt:g} ms in steps of dt_ms = {dt:g}; give a smaller "
            "dt_ms, or each spike once"
        )
    trains = SpikeTrains([(numbers.astype(np.uint16), np.bincount(steps, minlength=n_steps).astype(np.int64))], n)
    return SpikeContrast(*of_trains(trains, dt, train_statistics(trains).shortest_isi))


def lagged_correlation(
    x: npt.ArrayLike, y: npt.ArrayLike, dt_ms: float, *, max_lag_ms: float = 50.0
) -> LaggedCorrelation:
    """Pearson correlation of two series at the best lag, with a p-value that accounts for the search.

    Parameters
    ----------
    x, y : array, (n,) or (n_trials, n)
        Of any unit.
    dt_ms : float
        Time step (ms).
    max_lag_ms : float
        Largest lag (ms) that is tried, either way; at most a quarter of the series.

    Returns
    -------
    LaggedCorrelation
        `rho`, `lag_ms`, `pvalue`, `n_eff`, `lags_ms`, `curve`; NaN if a series is constant.

    Raises
    ------
    UserError
        If an argument is not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from hpcmass.statistics import lagged_correlation
    >>> x = np.random.default_rng(1).standard_normal(1000)
    >>> found = lagged_correlation(x, np.roll(x, 3), dt_ms=0.5, max_lag_ms=20)
    >>> f"{found.rho:.2f} at a lag of {found.lag_ms:g} ms"
    '1.00 at a lag of 1.5 ms'
    """
    a, b = _pair(x, y)
    network, settings = _settings(a, dt_ms, max_lag_ms=max_lag_ms)
    n_lags = lag_samples(network, settings)
    found = _correlated(a, b, n_lags)
    together = pooled(found)
    lags = np.array([each.lag for each in found])
    defined = lags[np.isfinite(lags)]
    return LaggedCorrelation(
        rho=together.rho,
        lag_ms=float(np.median(defined)) * network.dt_ms if defined.size else float("nan"),
        pvalue=together.pvalue,
        n_eff=together.n_eff,
        lags_ms=network.dt_ms * np.arange(-n_lags, n_lags + 1, dtype=np.float64),
        curve=np.array([each.curve for each in found]).reshape(*np.shape(x)[:-1], -1),
    )


def effective_samples(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """How many independent samples the correlation of two autocorrelated series is worth (Bartlett 1935).

    Parameters
    ----------
    x, y : array, (n,) or (n_trials, n)
        Of any unit.

    Returns
    -------
    float
        N_eff, at most n; the mean over the trials. Fisher's z of the correlation of independent series has standard
        error 1/sqrt(N_eff - 3). NaN if a series is constant.

    Raises
    ------
    UserError
        If an argument is not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from hpcmass.statistics import effective_samples
    >>> x, y = np.random.default_rng(1).standard_normal((2, 1000))
    >>> slow_x, slow_y = (np.convolve(z, np.ones(20)) for z in (x, y))
    >>> bool(effective_samples(slow_x, slow_y) < 0.2 * effective_samples(x, y))
    True
    """
    return pooled(_correlated(*_pair(x, y), n_lags=0)).n_eff


def chi_squared(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dt_ms: float,
    *,
    band_hz: tuple[float, float] | None = None,
    bin_hz: float = 2.0,
    count: float | None = None,
) -> ChiSquared:
    """The paper's χ² between the spectra of two series, equation (25).

    It takes spectra for histograms of counts. The sampling errors of spectra are others, so use `log_ratio` for a test
    that keeps its level.

    Parameters
    ----------
    x, y : array, (n,) or (n_trials, n)
        Of one unit, such as mV.
    dt_ms : float
        Time step (ms).
    band_hz : (float, float), optional
        Lowest and highest frequency (Hz); without it from 0, excluded, to 500 Hz or half the sampling rate.
    bin_hz : float
        Width (Hz) of the bins.
    count : float, optional
        Total count of each histogram, to which χ² is proportional; without it trials times bins.

    Returns
    -------
    ChiSquared
        `statistic`, `dof`, `pvalue`, `standard_error`.

    Raises
    ------
    UserError
        If an argument is not allowed, or the series are too short for it.

    Examples
    --------
    >>> import numpy as np
    >>> from hpcmass.statistics import chi_squared
    >>> x, y = np.random.default_rng(1).standard_normal((2, 5, 4000))
    >>> chi_squared(x, y, dt_ms=0.5).dof
    249
    """
    a, b = _pair(x, y)
    found = _agreement(a, b, *_settings(a, dt_ms, histogram_count=count, band_hz=band_hz, bin_hz=bin_hz))
    return ChiSquared(found["chi2"], found["chi2_dof"], found["chi2_pvalue"], float(found["chi2_se"]))


def log_ratio(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dt_ms: float,
    *,
    band_hz: tuple[float, float] | None = None,
    bin_hz: float = 2.0,
) -> LogRatio:
    """Test whether the spectra of two series have the same shape; a common factor does not matter.

    Where the true spectra are equal, the ratio of two estimates follows an F distribution. Of series that are coherent
    with each other, such as a network and a model that it drives, the test rejects less often than its level says.

    Parameters
    ----------
    x, y : array, (n,) or (n_trials, n)
        Of one unit, such as mV.
    dt_ms : float
        Time step (ms).
    band_hz : (float, float), optional
        Lowest and highest frequency (Hz); without it from 0, excluded, to 500 Hz or half the sampling rate.
    bin_hz : float
        Width (Hz) of the bins.

    Returns
    -------
    LogRatio
        `statistic`, `pvalue`, `standard_error`, `distance_db`.

    Raises
    ------
    UserError
        If an argument is not allowed, or the series are too short for it.

    Examples
    --------
    >>> import numpy as np
    >>> from hpcmass.statistics import log_ratio
    >>> x, y = np.random.default_rng(1).standard_normal((2, 5, 4000))
    >>> slow = np.cumsum(y, axis=1)
    >>> log_ratio(x, y, dt_ms=0.5).pvalue > 0.01 > log_ratio(x, slow, dt_ms=0.5).pvalue
    True
    """
    a, b = _pair(x, y)
    found = _agreement(a, b, *_settings(a, dt_ms, band_hz=band_hz, bin_hz=bin_hz))
    return LogRatio(
        found["log_ratio"], found["log_ratio_pvalue"], float(found["log_ratio_se"]), found["spectral_distance"]
    )


def coherence(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dt_ms: float,
    *,
    band_hz: tuple[float, float] | None = None,
    bin_hz: float = 2.0,
    alpha: float = 0.01,
) -> Coherence:
    """Magnitude-squared coherence: how much of each frequency two series share linearly, whatever gain and lag.

    Parameters
    ----------
    x, y : array, (n,) or (n_trials, n)
        Of any unit.
    dt_ms : float
        Time step (ms).
    band_hz : (float, float), optional
        Lowest and highest frequency (Hz); without it from 0, excluded, to 500 Hz or half the sampling rate.
    bin_hz : float
        Width (Hz) of the bins. Of one trial a bin has to hold several components, 1/T apart in a series of length T.
    alpha : float
        Level of the threshold.

    Returns
    -------
    Coherence
        `frequency_hz`, `coherence`, `threshold`, `mean`.

    Raises
    ------
    UserError
        If an argument is not allowed, or the series are too short for it.

    Examples
    --------
    >>> import numpy as np
    >>> from hpcmass.statistics import coherence
    >>> x, noise = np.random.default_rng(1).standard_normal((2, 8, 4000))
    >>> round(coherence(x, x + noise, dt_ms=0.5).mean, 1)
    0.5
    """
    a, b = _pair(x, y)
    network, settings = _settings(a, dt_ms, band_hz=band_hz, bin_hz=bin_hz, alpha=alpha)
    found = _agreement(a, b, network, settings)
    bins = bins_of(network, settings)
    least = coherences.threshold(coherences.independent_components(bins, len(a)), settings.alpha)
    return Coherence(bins.frequency, found["coherence"], least, found["coherence_mean"])


def _correlated(x: Real, y: Real, n_lags: int) -> list[Correlated]:
    """The correlation of each trial at lags up to `n_lags` samples."""
    return [
        correlated(transformed(centred(a), n_lags), transformed(centred(b), n_lags), n_lags)
        for a, b in zip(x, y, strict=True)
    ]


def _agreement(x: Real, y: Real, network: NetworkParameters, compare: CompareParameters) -> dict[str, Any]:
    """What a comparison says of the spectra of `y` against those of `x`."""
    bins = bins_of(network, compare)
    sampling = Sampling(network.dt_ms, component_frequencies_hz(x.shape[1], network.dt_ms), bins)
    of_x, of_y = Averages(sampling), Averages(sampling)
    for a, b in zip(x, y, strict=True):
        of_y.add(b, of_x.add(a))
    return agreement(of_x, of_y, histogram_count(compare, len(x), bins))


def _settings(
    x: Real, dt_ms: float, *, max_lag_ms: float | None = None, band_hz: Any = None, **others: Any
) -> tuple[NetworkParameters, CompareParameters]:
    """Sampling and settings for series (n_trials, n), if such series can give them."""
    dt = positive("dt_ms", dt_ms)
    # of the network nothing else matters; the rules between its parameters do not hold for series of any origin
    network = NetworkParameters.model_construct(dt_ms=dt, duration_ms=x.shape[1] * dt, transient_ms=0.0)
    keys = {
        "max_lag_ms": dt if max_lag_ms is None else positive("max_lag_ms", max_lag_ms),
        "band_hz": (0.0, min(500.0, 500 / dt)) if band_hz is None else _band(band_hz),
        **{name: positive(name, value) for name, value in others.items() if value is not None},
    }
    try:
        settings = validated(CompareParameters, keys)
        require_settings(network, settings)
    except UserError as error:  # which names the keys of a configuration, and its transient
        text = str(error).replace("compare.histogram_count", "count").replace("compare.", "")
        raise UserError(text.replace(" after the transient", "")) from None
    return network, settings


def _pair(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Real, Real]:
    """Two series as arrays (n_trials, n)."""
    a, b = real_array("x", x), real_array("y", y)
    if a.shape != b.shape:
        raise UserError(f"x has shape {a.shape} and y {b.shape}; give series of the same shape")
    if a.ndim not in (1, 2) or a.shape[0] == 0:
        raise UserError(f"x and y have shape {a.shape}; give (n,) or (n_trials, n)")
    if a.shape[-1] < FEWEST:
        raise UserError(
            f"x and y have {a.shape[-1]} samples; give at least {FEWEST}, with time along the last dimension"
        )
    return np.atleast_2d(a), np.atleast_2d(b)


def _whole_number(name: str, value: Any) -> int:
    number = real_number(name, value)
    if number != int(number):
        raise UserError(f"{name} = {number:g}: give a whole number")
    return int(number)


def _band(band_hz: Any) -> tuple[float, float]:
    band = real_array("band_hz", band_hz)
    if band.shape != (2,):
        raise UserError("band_hz must be (lowest, highest frequency) in Hz")
    return float(band[0]), float(band[1])
