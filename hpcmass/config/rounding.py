"""Times are whole numbers of steps: which of the given times are not, and what is used instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from hpcmass.config import NetworkParameters

TIMES: Final = ("duration_ms", "transient_ms", "t_ref_ms", "delay_ms")
"""Parameters that a trial counts in steps."""

TOLERANCE: Final = 1e-6
"""Steps that a time may be off: 0.3 / 0.1 is not quite 3 in floating point."""

DIGITS: Final = 1e-11
"""Relative tolerance of a time: values of axes have twelve digits."""


def rounded_times(network: NetworkParameters, axes: Mapping[str, Sequence[float]]) -> list[str]:
    """A sentence for each key whose time is not a multiple of the step: the key, the time given and the time used."""
    sentences = []
    for name in TIMES:
        section, values = ("grid", axes[name]) if name in axes else ("network", [getattr(network, name)])
        rounded = [value for value in values if _is_rounded(value, network.dt_ms)]
        if rounded:
            value = rounded[0]
            least = 1 if name == "delay_ms" else 0
            used = max(least, round(value / network.dt_ms)) * network.dt_ms
            more = f", and {len(rounded) - 1} more of its values likewise" if len(rounded) > 1 else ""
            sentences.append(
                f"{section}.{name}: {value:.12g} ms is not a multiple of dt_ms = {network.dt_ms:g}; {used:.12g} ms is "
                f"used{more}"
            )
    return sentences


def _is_rounded(value: float, dt_ms: float) -> bool:
    steps = value / dt_ms
    return abs(steps - round(steps)) > max(TOLERANCE, DIGITS * steps)
