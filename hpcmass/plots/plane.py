"""The plane that every map shares: p to the right, λ upwards, any further axis held at one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcmass.plots.style import number

FloatMap = npt.NDArray[np.float64]
"""Values over the plane, shape (λ, p)."""
Mask = npt.NDArray[np.bool_]
"""Truth over the plane, shape (λ, p)."""

RIGHT: Final = "p"
UP: Final = "lam"
AXIS_LABELS: Final = {"p": "connection probability p", "lam": "excitatory fraction λ"}
SYMBOLS: Final = {"p": "p", "lam": "λ"}


@dataclass(frozen=True)
class Plane:
    """A two-dimensional cut through the grid.

    Attributes
    ----------
    p, lam : tuple of float
        Grid values to the right and upwards.
    held : dict of str to int
        Any further axis → index at which it is held.
    held_values : dict of str to float
        The values there.
    """

    p: tuple[float, ...]
    lam: tuple[float, ...]
    held: dict[str, int]
    held_values: dict[str, float]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (λ) and columns (p)."""
        return len(self.lam), len(self.p)

    def cut(self, data: xr.DataArray) -> xr.DataArray:
        """`data` in this plane, its dimensions λ, p, then the rest (model, trial, …)."""
        return data.isel(self.held).transpose(UP, RIGHT, ...)

    def values(self, data: xr.DataArray) -> FloatMap:
        """`data`, which depends on the swept axes only, as an array of shape (λ, p)."""
        return np.asarray(self.cut(data).values, dtype=np.float64)

    def index(self, row: int, column: int, axes: tuple[str, ...]) -> tuple[int, ...]:
        """Position of a point of the plane in a file whose swept axes come in this order."""
        position = {RIGHT: column, UP: row, **self.held}
        return tuple(position[name] for name in axes)

    def where(self, row: int, column: int) -> str:
        """A point's name for titles: `p = 0.2, λ = 0.8`."""
        return f"p = {number(self.p[column])}, λ = {number(self.lam[row])}"

    def held_text(self) -> str:
        """Where the further axes are held; empty if there are none."""
        return ", ".join(f"{name} = {number(value)}" for name, value in self.held_values.items())


def cut_plane(dataset: xr.Dataset, held: Mapping[str, int] | None = None) -> Plane:
    """The plane of p and λ through a grid of any dimension.

    Parameters
    ----------
    dataset : xarray.Dataset
        A comparison file; its variable `n_compared` depends on exactly the swept axes.
    held : mapping of str to int, optional
        Index of each further axis; those not named are held at their first value.
    """
    axes = [str(name) for name in dataset["n_compared"].dims]
    indices = {name: int((held or {}).get(name, 0)) for name in axes if name not in (RIGHT, UP)}
    return Plane(
        p=tuple(float(v) for v in dataset[RIGHT].values),
        lam=tuple(float(v) for v in dataset[UP].values),
        held=indices,
        held_values={name: float(dataset[name].values[i]) for name, i in indices.items()},
    )
