"""Power spectra: Hamming-windowed periodograms, bins of components, median frequency.

The temporal mean is removed, then the periodic Hamming window is applied. The transform of that window is zero
but for three components, X_w[k] = 0.54 X[k] - 0.23 (X[k-1] + X[k+1]), so a mean removed before it leaves nothing
in any component but zero, which is excluded; and the correlation of neighbouring components is known exactly
(`window_correlation`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.fft

from hpcmass.compare.series import Real, sum_of_squares
from hpcmass.errors import UserError

Complex = npt.NDArray[np.complex128]
Spectrum = TypeVar("Spectrum", Real, Complex)

HAMMING_ALPHA: Final = 0.54


def component_frequencies_hz(n_samples: int, dt_ms: float) -> Real:
    """Frequencies (Hz) of the components of `density`: 1/T, 2/T, … up to the Nyquist frequency."""
    return np.asarray(scipy.fft.rfftfreq(n_samples, dt_ms / 1e3)[1:], dtype=np.float64)


@lru_cache(maxsize=2)
def _window(n_samples: int) -> Real:
    import scipy.signal  # takes most of a second, and a sweep that only checks its settings does not need it

    window = scipy.signal.windows.general_hamming(n_samples, HAMMING_ALPHA, sym=False)
    window.flags.writeable = False
    return window


def windowed_transform(centred: Real) -> Complex:
    """Components 1 … n // 2 of the windowed discrete Fourier transform of a series without its mean, (n // 2,)."""
    return np.asarray(scipy.fft.rfft(centred * _window(centred.size), overwrite_x=True)[1:])


def density(transform: Complex, n_samples: int, dt_ms: float) -> Real:
    """One-sided power spectral density from `windowed_transform`.

    Parameters
    ----------
    transform : array, (n_samples // 2,)
        mV.
    n_samples : int
        Length of the series.
    dt_ms : float
        Sampling step (ms).

    Returns
    -------
    array of float64, (n_samples // 2,)
        mV²/Hz at `component_frequencies_hz`; its sum over components × 1/T is the windowed variance.
    """
    power = transform.real**2
    power += transform.imag**2
    power *= _scale(n_samples, dt_ms)
    if n_samples % 2 == 0:
        power[-1] /= 2  # the Nyquist component has no twin at a negative frequency
    return np.asarray(power, dtype=np.float64)


def cross_density(x: Complex, y: Complex, n_samples: int, dt_ms: float) -> Complex:
    """One-sided cross-spectral density of some components below the Nyquist frequency (mV²/Hz); see `density`."""
    return np.asarray(np.conj(x) * y * _scale(n_samples, dt_ms))


def _scale(n_samples: int, dt_ms: float) -> float:
    return 2 * dt_ms / 1e3 / sum_of_squares(_window(n_samples))


@dataclass(frozen=True)
class Bins:
    """Neighbouring components merged into bins of equal width.

    Attributes
    ----------
    frequency : array of float64, (L,)
        Centres (Hz).
    first : array of int, (L,)
        Index of the first component of each bin.
    stop : int
        Index behind the last component of the last bin.
    """

    frequency: Real
    first: npt.NDArray[np.intp]
    stop: int

    @property
    def n_components(self) -> npt.NDArray[np.intp]:
        """Raw components in each bin, (L,)."""
        return np.diff(self.first, append=self.stop)

    def mean(self, power: Spectrum) -> Spectrum:
        """Mean of a spectrum (or cross-spectrum) over the components of each bin, (L,)."""
        sums: Spectrum = np.add.reduceat(power[: self.stop], self.first)
        sums /= self.n_components
        return sums


def spectral_bins(n_samples: int, dt_ms: float, band_hz: tuple[float, float], bin_hz: float) -> Bins:
    """Bins (low, low + bin_hz], (low + bin_hz, low + 2 bin_hz], … within `band_hz`.

    A bin includes its upper edge, so no bin contains zero, and bins of a multiple of 1/T have equally many components.
    The last one ends at the band's end. The Nyquist frequency, whose component is real and has half the others' degrees
    of freedom, is left out, and so is a bin without any component.
    """
    low, high = band_hz
    duration_s = n_samples * dt_ms / 1e3
    # The small number keeps an edge that is a component below it.
    component = np.arange(int(min(low * duration_s + 1e-6, n_samples)) + 1, (n_samples - 1) // 2 + 1)
    component = component[: np.searchsorted(component, high * duration_s + 1e-6, side="right")]
    if not component.size:
        raise UserError(
            f"compare.band_hz = [{low:g}, {high:g}] holds no frequency of a recording of {duration_s:g} s; give a "
            f"band that reaches beyond {1 / duration_s:g} Hz and starts below {500 / dt_ms:g} Hz"
        )
    # Bins are numbered by their upper edges, and only those with a component are made: any width will do.
    last = np.ceil((high - low) / bin_hz - 1e-9)
    number = np.clip(np.ceil(((component - 1e-6) / duration_s - low) / bin_hz), 1, last)
    filled, first = np.unique(number, return_index=True)
    lower, upper = low + bin_hz * (filled - 1), np.minimum(low + bin_hz * filled, high)
    return Bins((lower + upper) / 2, first + component[0] - 1, int(component[-1]))


def window_correlation() -> Real:
    """Correlations c_0 = 1, c_1, c_2 of Hamming-windowed components of white noise that are 0, 1 and 2 apart, (3,)."""
    a, b = HAMMING_ALPHA, (1 - HAMMING_ALPHA) / 2
    variance = a**2 + 2 * b**2
    return np.array([1.0, -2 * a * b / variance, b**2 / variance])


def merged_moments(n_components: npt.NDArray[np.intp]) -> tuple[Real, Real]:
    """Second and third moment of the mean power of m neighbouring windowed components of white noise.

    With the components' correlation matrix C (banded, `window_correlation`), the mean power, in units of its
    expectation, has variance tr C²/m² and third cumulant 2 tr C³/m³; independent components would have 1/m, 2/m².

    Parameters
    ----------
    n_components : array of int, (L,)
        m of each bin.

    Returns
    -------
    second, third : array of float64, (L,)
        tr C²/m² and tr C³/m³.
    """
    m = np.asarray(n_components, dtype=np.float64)
    c, reach = window_correlation(), (-2, -1, 0, 1, 2)
    second, third = np.zeros_like(m), np.zeros_like(m)
    for i in reach:
        second += c[abs(i)] ** 2 * np.maximum(m - abs(i), 0)
        for j in (j for j in reach if abs(i + j) <= 2):
            span = max(0, i, i + j) - min(0, i, i + j)
            third += c[abs(i)] * c[abs(j)] * c[abs(i + j)] * np.maximum(m - span, 0)
    return second / m**2, third / m**3


def effective_bin_fraction(power: Real, bins: Bins, n_trials: int) -> Real:
    """How many independent components a bin is worth, in units of what it would be if the spectrum were flat in it.

    The power of a line that is narrower than its bin sits in a few of the components. Two independent estimates of one
    spectrum, each a mean over R trials, divide each component's total T_k among them by fractions that are
    Beta(R, R)-distributed, whatever T_k is. The variance of their difference over their sum in a bin is therefore

        V = Q/(2 R + 1)/(Σ_k T_k)²,      Q = Σ_k T_k (T_k + 2 c_1² T_{k+1} + 2 c_2² T_{k+2})

    with the correlations c of windowed components; that of averages of K components is 1/(2 K + 1).

    Parameters
    ----------
    power : array
        Both raw spectra added up, each over its `n_trials` trials.
    bins : Bins
    n_trials : int
        R.

    Returns
    -------
    array of float64, (L,)
        NaN for a bin without power.
    """
    _, near, far = window_correlation() ** 2
    total = power[bins.first[0] : bins.stop]
    bin_of = np.repeat(np.arange(bins.first.size), bins.n_components)
    neighbours = np.zeros(total.size)
    for apart, c in ((1, near), (2, far)):
        same = bin_of[apart:] == bin_of[:-apart]
        neighbours[:-apart] += 2 * c * np.where(same, total[apart:], 0.0)
    start = bins.first - bins.first[0]
    squares = np.add.reduceat(total * (total + neighbours), start)
    sums = np.add.reduceat(total, start)
    m, r = bins.n_components.astype(np.float64), 2 * n_trials
    second = merged_moments(bins.n_components)[0]
    pairs = ((1.0, m), (near, 2 * np.maximum(m - 1, 0)), (far, 2 * np.maximum(m - 2, 0)))
    flat = sum(c * count * (1 + c / r) for c, count in pairs) / (m**2 * (1 + second / r))
    with np.errstate(invalid="ignore"):
        uneven = squares / sums**2 / flat
    k = n_trials / second
    return np.asarray(((2 * k + 1) / uneven - 1) / (2 * k))


def median_frequency_hz(power: Real, frequencies_hz: Real) -> float:
    """Frequency (Hz) below which half of the power lies; NaN without power.

    Each component stands for the power between the midpoints to its neighbours, spread evenly.

    Parameters
    ----------
    power : array, (n,)
        Raw spectrum, zero frequency excluded.
    frequencies_hz : array, (n,)
        Equally spaced frequencies of the components.
    """
    cumulative = np.cumsum(power)
    total = cumulative[-1]
    if not (np.isfinite(total) and total > 0):
        return float("nan")
    k = int(np.searchsorted(cumulative, total / 2))
    below = cumulative[k - 1] if k > 0 else 0.0
    spacing = frequencies_hz[0] if frequencies_hz.size == 1 else frequencies_hz[1] - frequencies_hz[0]
    return float(frequencies_hz[k] + spacing * ((total / 2 - below) / power[k] - 0.5))


def peak(spectrum: Real, frequency_hz: Real) -> tuple[float, float]:
    """Frequency (Hz) and density of a spectrum's maximum; (NaN, NaN) without power.

    A parabola through the logarithms of the largest bin and its two neighbours places the maximum between the bins.
    A spectrum that falls from the lowest bin on has its maximum there.

    Parameters
    ----------
    spectrum, frequency_hz : array, (L,)
        In bins, with their centres.
    """
    k = int(np.argmax(spectrum))
    if not (np.isfinite(spectrum).all() and spectrum[k] > 0):
        return float("nan"), float("nan")
    if k in (0, spectrum.size - 1) or not (spectrum[k - 1] > 0 and spectrum[k + 1] > 0):
        return float(frequency_hz[k]), float(spectrum[k])
    left, middle, right = np.log(spectrum[k - 1 : k + 2])
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0  # within half a bin, for the middle is the largest
    spacing = frequency_hz[k + 1] - frequency_hz[k] if shift > 0 else frequency_hz[k] - frequency_hz[k - 1]
    return float(frequency_hz[k] + shift * spacing), float(np.exp(middle - 0.25 * (left - right) * shift))
