"""What the settings of the statistics mean for recordings of one length, and whether the recordings allow them."""

from __future__ import annotations

from typing import Final

from hpcmass.compare.spectra import Bins, spectral_bins
from hpcmass.config import CompareParameters, NetworkParameters
from hpcmass.errors import UserError

FINEST_HZ: Final = float(CompareParameters.model_fields["bin_hz"].default)
"""Bins of this width are allowed for any recording: of a short one each component is a bin."""

COUNTS: Final = (1.0, 1e15)
"""Smallest and largest total count of a histogram: beyond it, double precision cannot represent every integer."""

ROUNDING: Final = 1e-5
"""Relative tolerance of a limit: a message shows six digits."""


def lag_samples(network: NetworkParameters, compare: CompareParameters) -> int:
    """Largest lag in samples."""
    return round(compare.max_lag_ms / network.dt_ms)


def bins_of(network: NetworkParameters, compare: CompareParameters) -> Bins:
    """The frequency components that the spectra of this recording length are merged into."""
    n_samples = network.n_steps - network.n_transient
    return spectral_bins(n_samples, network.dt_ms, compare.band_hz, compare.bin_hz)


def histogram_count(compare: CompareParameters, n_trials: int, bins: Bins) -> float:
    """Total count C of the spectra as histograms, averaged over `n_trials`."""
    return compare.histogram_count or float(n_trials * bins.frequency.size)


def setting_problems(network: NetworkParameters, compare: CompareParameters) -> list[str]:
    """One sentence for each setting of the statistics that recordings of this length do not allow.

    Each sentence names the limit, which depends only on what cannot be swept (`dt_ms`, `duration_ms`, `transient_ms`)
    and so holds for the whole grid. Such a configuration is still valid: its sweep is not affected.
    """
    return [
        *_lag_problems(network, compare),
        *(_band_problems(network, compare) or _bin_problems(network, compare)),
        *_count_problems(compare.histogram_count),
    ]


def require_settings(network: NetworkParameters, compare: CompareParameters) -> None:
    """Refuse settings that recordings of this length do not allow."""
    problems = setting_problems(network, compare)
    if problems:
        raise UserError("; ".join(problems))


def _lag_problems(network: NetworkParameters, compare: CompareParameters) -> list[str]:
    given = f"compare.max_lag_ms = {compare.max_lag_ms:g}"
    n_samples = network.n_steps - network.n_transient
    if compare.max_lag_ms <= network.duration_ms and lag_samples(network, compare) < 1:
        return [f"{given} is less than a step; give at least dt_ms = {network.dt_ms:g}"]
    if compare.max_lag_ms > network.duration_ms or 4 * lag_samples(network, compare) > n_samples:
        analysed = network.duration_ms - network.transient_ms
        return [
            f"{given} is more than a quarter of the {analysed:g} ms after the transient; give at most "
            f"{n_samples // 4 * network.dt_ms:.10g}"
        ]
    return []


def _band_problems(network: NetworkParameters, compare: CompareParameters) -> list[str]:
    low, high = compare.band_hz
    nyquist = 500 / network.dt_ms
    if high > nyquist * (1 + ROUNDING):
        return [
            f"compare.band_hz = [{low:g}, {high:g}] ends above {nyquist:g} Hz, the highest frequency in steps of "
            f"dt_ms = {network.dt_ms:g}; let it end at {nyquist:g} or below"
        ]
    try:
        whole = bins_of(network, compare.model_copy(update={"bin_hz": high - low}))
    except UserError as error:
        return [str(error)]
    if whole.n_components.sum() == 1:
        return [
            f"compare.band_hz = [{low:g}, {high:g}] holds one frequency of a recording, and a comparison of spectra "
            f"needs two; give a band at least {2 * _spacing_hz(network):g} Hz wide"
        ]
    return []


def _bin_problems(network: NetworkParameters, compare: CompareParameters) -> list[str]:
    """Of a band that holds at least two components."""
    spacing = _spacing_hz(network)
    finest = min(spacing, FINEST_HZ)
    given = f"compare.bin_hz = {compare.bin_hz:g}"
    if compare.bin_hz < finest * (1 - ROUNDING):
        return [f"{given} is finer than the frequencies of a recording, every {spacing:g} Hz; give at least {finest:g}"]
    if bins_of(network, compare).frequency.size == 1:
        widest = (compare.band_hz[1] - compare.band_hz[0]) / 2
        while bins_of(network, compare.model_copy(update={"bin_hz": widest})).frequency.size == 1:
            widest /= 2
        return [f"{given} leaves one bin of compare.band_hz, and a comparison needs two; give at most {widest:g}"]
    return []


def _spacing_hz(network: NetworkParameters) -> float:
    """Distance of the frequencies of a recording, 1/T."""
    return 1e3 / ((network.n_steps - network.n_transient) * network.dt_ms)


def _count_problems(count: float | None) -> list[str]:
    low, high = COUNTS
    if count is None or low <= count <= high:
        return []
    return [f"compare.histogram_count = {count:g} is not a valid count; give {low:g} to {high:g}, or null"]
