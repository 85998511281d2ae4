"""The reference set: the parameters of the network that the examples have, which are not the defaults.

The page on readings says how it was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from hpcmass.config.derived import MV2_PER
from hpcmass.config.experiment import Experiment
from hpcmass.config.network import NetworkParameters

REFERENCE: Final[dict[str, Any]] = {
    "p_ext": {"times": "p", "factor": 1.0},
    "noise_unit": "V^2 ms",
    "tau_ext_ms": 3.0,
    "w_E": 0.0016555,
    "w_I": 0.0094805,
    "w_ext": 0.0065165,
}
"""Keys of the network with another value than their default."""

LENGTHS: Final = ("duration_ms", "transient_ms")
"""Keys in which the examples differ."""

MOST_SHOWN: Final = 6
"""Most keys that are named with their values."""


def network_text(experiment: Experiment) -> str:
    """Which set of parameters a network has, on one line; an axis of the grid counts as neither.

    Returns
    -------
    str
        `the reference set`, the same with its exceptions, or the keys that have defaults other than it.
    """
    defaults, axes = NetworkParameters().model_dump(), experiment.grid.axes()
    network = experiment.network.model_dump()
    unit = network["noise_unit"]
    reference = defaults | REFERENCE
    other = {k: v for k, v in network.items() if v != reference[k] and k not in axes and k not in LENGTHS}
    if "noise_q" in axes or math.isclose(_noise_mv2_ms(network), _noise_mv2_ms(reference)):
        other = {k: v for k, v in other.items() if k not in ("noise_q", "noise_unit")}
    elif "noise_q" in other:  # its value is written with the unit
        other.pop("noise_unit", None)
    if not other:
        return "the reference set"
    at_default = [key for key in REFERENCE if key in other and other[key] == defaults[key]]
    if at_default:
        have = "has its default" if len(at_default) == 1 else "have their defaults"
        return (
            f"not the reference set of the examples (`hpcmass config --example quickstart`): {', '.join(at_default)} "
            f"{have}"
        )
    shown = [f"{key} = {_text(value)}{f' {unit}' if key == 'noise_q' else ''}" for key, value in other.items()]
    more = len(shown) - MOST_SHOWN
    return f"the reference set except {', '.join(shown[:MOST_SHOWN])}" + (f" and {more} more" if more > 0 else "")


def _noise_mv2_ms(network: Mapping[str, Any]) -> float:
    """Intensity of the noise in mV²·ms; NaN if it follows an axis."""
    q = network["noise_q"]
    return math.nan if isinstance(q, Mapping) else float(q * MV2_PER[network["noise_unit"]])


def _text(value: Any) -> str:
    """A value for people: a number, a name, or a multiple of an axis."""
    if isinstance(value, Mapping):
        return f"{value['factor']:g} {value['times']}"
    return value if isinstance(value, str) else f"{value:g}"
