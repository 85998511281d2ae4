"""Parameters of the network that follow from others: ties to an axis, weights scaled by degree, the unit of the noise.

A configuration may give a parameter as a multiple of an axis, `p_ext: {times: p, factor: 1.0}`. At each point of the
grid such parameters, and those that depend on them, are numbers again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

WeightScaling = Literal["none", "1/k", "1/sqrt(k)"]

POWERS: Final[dict[str, float]] = {"none": 0.0, "1/k": 1.0, "1/sqrt(k)": 0.5}
"""`weight_scaling` → power of reference degree over mean degree that multiplies the weights w_E and w_I."""

NoiseUnit = Literal["mV^2 ms", "V^2 ms"]

MV2_PER: Final[dict[str, float]] = {"mV^2 ms": 1.0, "V^2 ms": 1e6}
"""`noise_unit` → how many mV²·ms its unit is."""


class Tie(BaseModel):
    """A parameter that is a multiple of an axis.

    Attributes
    ----------
    times : str
        Name of the axis.
    factor : float
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    times: str = Field(description="axis that the parameter follows")
    factor: float = Field(1.0, description="value of the parameter where the axis is 1")


def is_tie(value: Any) -> bool:
    """Whether a value of a configuration says that a parameter follows an axis."""
    return isinstance(value, Mapping) and "times" in value


def derived(parameters: Mapping[str, Any], at: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of the network at some points of the grid, as numbers.

    Parameters
    ----------
    parameters : mapping of str to object
        Name → number, or `{"times": axis, "factor": number}`.
    at : mapping of str to float or array
        Value of each axis; arrays of one shape stand for several points.

    Returns
    -------
    dict
        `noise_q` is in mV²·ms, and `w_E` and `w_I` are scaled; the keys that say so have their defaults.

    Raises
    ------
    KeyError
        If an axis that a parameter depends on has no value.

    Examples
    --------
    >>> from hpcmass import Experiment
    >>> network = Experiment(network={"p_ext": {"times": "p"}}, grid={"p": 0.2, "lam": 0.8}).network
    >>> derived(network.model_dump(), {"p": 0.2, "lam": 0.8})["p_ext"]
    0.2
    """
    values = dict(parameters)
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            values[name] = value["factor"] * at[value["times"]]
    power = POWERS[values["weight_scaling"]]
    if power:
        degree = np.asarray(values["n_neurons"] * at["p"], np.float64)
        # without connections the weights have no influence
        scale = np.where(degree > 0, values["reference_degree"] / np.where(degree > 0, degree, 1.0), 1.0) ** power
        values |= {name: values[name] * (scale if scale.ndim else float(scale)) for name in ("w_E", "w_I")}
    values["noise_q"] = values["noise_q"] * MV2_PER[values["noise_unit"]]
    return {**values, "weight_scaling": "none", "noise_unit": "mV^2 ms"}


def depends_on(parameters: Mapping[str, Any]) -> set[str]:
    """Names of the axes that a network's parameters follow (`parameters`: as for `derived`)."""
    tied = {value["times"] for value in parameters.values() if isinstance(value, Mapping)}
    return tied | ({"p"} if POWERS[parameters["weight_scaling"]] else set())
