"""What the configuration in a sweep file says if its recordings come from another program."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

_Listed = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)


class Imported(BaseModel):
    """The section `imported`, which `hpcmass import` writes; no configuration of a sweep may have it.

    Attributes
    ----------
    sources : tuple of str
        Names of the files that the recordings come from.
    identity : str
        Distinguishes them from any other recordings of the same parameters.
    axes : dict of str to tuple of float
        Axes besides those that a network can sweep, in the order of the file's dimensions.
    units : dict of str to str
        Their units.
    lacks : tuple of str
        Traces that were not recorded.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    sources: Annotated[tuple[str, ...], _Listed]
    identity: str
    axes: dict[str, Annotated[tuple[float, ...], _Listed]] = {}
    units: dict[str, str] = {}
    lacks: Annotated[tuple[str, ...], _Listed] = ()
