"""The plane that every map shares: one swept axis to the right, one upwards, any further one fixed at one value."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcmass.config import NetworkParameters
from hpcmass.errors import UserError
from hpcmass.plots.style import drawable, number
from hpcmass.store.labelled import scanned_parameter

FloatMap = npt.NDArray[np.float64]
"""Values over the plane, shape (up, right): (λ, p) unless other axes are shown."""
Mask = npt.NDArray[np.bool_]
"""Truth over the plane, same shape."""

LABELS: Final = {"p": "connection probability p", "lam": "excitatory fraction λ"}
SYMBOLS: Final = {"lam": "λ"}
LABEL_LETTERS: Final = 34
"""Letters in a line along a side of a map."""


@dataclass(frozen=True, eq=False)
class Plane:
    """A two-dimensional cut through the grid.

    Attributes
    ----------
    right, up : str
        Names of the axes shown.
    right_values, up_values : tuple of float
        Their grid values.
    right_label, up_label : str
        For the sides of a map.
    fixed : dict of str to int
        Any further axis → index at which it is fixed.
    fixed_values : dict of str to float
        The values there.
    symbols : dict of str to str
        Axis → its name as a reader writes it.
    """

    right: str
    up: str
    right_values: tuple[float, ...]
    up_values: tuple[float, ...]
    right_label: str
    up_label: str
    fixed: dict[str, int]
    fixed_values: dict[str, float]
    symbols: dict[str, str] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (upwards) and columns (to the right)."""
        return len(self.up_values), len(self.right_values)

    def cut(self, data: xr.DataArray) -> xr.DataArray:
        """`data` in this plane, `drawable`, its dimensions up, right, then the rest (model, trial, …)."""
        shown = data.isel(self.fixed).transpose(self.up, self.right, ...)
        return shown.copy(data=drawable(shown.values))

    def coordinate(self, name: str) -> FloatMap:
        """The value of one swept axis at every point of the plane."""
        if name == self.right:
            return np.tile(np.array(self.right_values), (len(self.up_values), 1))
        if name == self.up:
            return np.tile(np.array(self.up_values)[:, None], (1, len(self.right_values)))
        return np.full(self.shape, self.fixed_values[name])

    def index(self, row: int, column: int, axes: tuple[str, ...]) -> tuple[int, ...]:
        """Position of a point of the plane in a file whose swept axes come in this order."""
        position = {self.right: column, self.up: row, **self.fixed}
        return tuple(position[name] for name in axes)

    def point(self, row: int, column: int) -> dict[str, float]:
        """Axis name → value at a point of the plane."""
        return {self.right: self.right_values[column], self.up: self.up_values[row], **self.fixed_values}

    def where(self, row: int, column: int) -> str:
        """A point's name for titles: `p = 0.2, λ = 0.8`."""
        return f"{self.at(self.right, self.right_values[column])}, {self.at(self.up, self.up_values[row])}"

    def at(self, name: str, value: float) -> str:
        """A value of an axis: `λ = 0.8`."""
        return f"{self.symbols.get(name, symbol(name))} = {number(value)}"

    def fixed_text(self, but: Collection[str] = ()) -> str:
        """Where the further axes are fixed, without those named in `but`; empty if there are none."""
        return ", ".join(self.at(name, value) for name, value in self.fixed_values.items() if name not in but)


def symbol(name: str) -> str:
    """An axis's name as a reader writes it."""
    return SYMBOLS.get(name, name)


def axis_symbol(dataset: xr.Dataset, name: str) -> str:
    """The same of an axis of a comparison: a scanned parameter of one model has the model's name, `WC.gain`."""
    return scanned_parameter(dataset) if name == dataset.attrs.get("scan_axis") else symbol(name)


def cut_plane(
    dataset: xr.Dataset, axes: tuple[str, str] | None = None, fixed: Mapping[str, float] | None = None
) -> Plane:
    """A plane through a grid of any dimension.

    Parameters
    ----------
    dataset : xarray.Dataset
        A comparison file; its variable `n_compared` depends on exactly the swept axes.
    axes : tuple of 2 str, optional
        What to show to the right and upwards. Without it the first two axes of more than one value, in the file's
        order (p to the right, λ upwards).
    fixed : mapping of str to float, optional
        Value of each further axis; those not named are fixed at their first one.
    """
    swept = [str(name) for name in dataset["n_compared"].dims]
    right, up = axes or _two_to_show(dataset, swept)
    fixed = dict(fixed or {})
    for name in (right, up, *fixed):
        if name not in swept:
            raise UserError(f"'{name}' is not an axis of this sweep; it has {', '.join(swept)}")
    if right == up:
        raise UserError(f"a map needs two different axes, not {right} twice")
    if (shown := next((name for name in (right, up) if name in fixed), None)) is not None:
        raise UserError(f"{shown} is shown along a side of the map; fix another axis, or show others")
    others = {name: _values(dataset, name) for name in swept if name not in (right, up)}
    indices = {name: grid_index(name, fixed.get(name, axis[0]), axis) for name, axis in others.items()}
    return Plane(
        right=right,
        up=up,
        right_values=_values(dataset, right),
        up_values=_values(dataset, up),
        right_label=_in_lines(axis_label(dataset, right)),
        up_label=_in_lines(axis_label(dataset, up)),
        fixed=indices,
        fixed_values={name: others[name][i] for name, i in indices.items()},
        symbols={name: axis_symbol(dataset, name) for name in swept},
    )


def all_planes(dataset: xr.Dataset, axes: tuple[str, str]) -> Iterator[Plane]:
    """The planes of two axes at all combinations of the values of the others."""
    first = cut_plane(dataset, axes)
    others = {name: _values(dataset, name) for name in first.fixed}
    for values in itertools.product(*others.values()):
        yield cut_plane(dataset, axes, dict(zip(others, values, strict=True)))


def _two_to_show(dataset: xr.Dataset, swept: list[str]) -> tuple[str, str]:
    first, second, *_ = sorted(swept, key=lambda name: dataset.sizes[name] == 1)
    return (first, second) if swept.index(first) < swept.index(second) else (second, first)


def _values(dataset: xr.Dataset, name: str) -> tuple[float, ...]:
    return tuple(float(v) for v in dataset[name].values)


def grid_index(name: str, value: float, values: Sequence[float]) -> int:
    """Where a value stands on an axis."""
    close = np.isclose(values, value, rtol=1e-9, atol=0)
    if not close.any():
        grid = ", ".join(number(v) for v in values)
        raise UserError(f"{symbol(name)} = {number(value)} is not on the grid; choose from {grid}")
    return int(np.argmax(close))


def _in_lines(label: str) -> str:
    """A label in lines of `LABEL_LETTERS`; one of p or λ in a single line."""
    return label if label in LABELS.values() else textwrap.fill(label, LABEL_LETTERS, break_long_words=False)


def axis_label(dataset: xr.Dataset, name: str) -> str:
    """What stands along an axis: quantity, name and unit."""
    if name in LABELS:
        return LABELS[name]
    unit = str(dataset[name].attrs.get("units", "1"))
    label = axis_symbol(dataset, name) + ("" if unit == "1" else f" ({unit})")
    if name in NetworkParameters.model_fields:
        meaning = re.sub(r" \(.*?\)", "", NetworkParameters.model_fields[name].description or "")
        label = f"{meaning}, {label}"
    return label


@dataclass(frozen=True)
class Gap:
    """A reason for missing values, its hatch and its entry in the legend; `blank`: white, where nothing is expected."""

    text: str
    hatch: str
    blank: bool = False


NOT_REQUESTED: Final = Gap("not requested", "", blank=True)
NOT_COMPUTED: Final = Gap("not computed yet", "....")
FAILED: Final = Gap("network run failed", "++++")
SILENT: Final = Gap("network silent", "////")
DIVERGED: Final = Gap("model diverged in every trial", "xxxx")
NO_NEURONS: Final = Gap("no neurons of this kind", "")
TOO_FEW_SPIKES: Final = Gap("too few spikes a neuron", "")
UNDEFINED: Final = Gap("not defined", "")


def explain(values: FloatMap, reasons: list[tuple[Gap, Mask]]) -> list[tuple[Gap, Mask]]:
    """Split the cells without a value by reason.

    Parameters
    ----------
    values : array, (λ, p)
        NaN where there is no value.
    reasons : list of (Gap, mask)
        Where each reason holds, the strongest first; what none explains becomes `UNDEFINED`.

    Returns
    -------
    list of (Gap, mask)
        Disjoint, only reasons that occur.
    """
    left: Mask = ~np.isfinite(values)
    found = []
    for gap, here in [*reasons, (UNDEFINED, np.ones_like(left))]:
        cells = left & here
        if cells.any():
            found.append((gap, cells))
        left = left & ~here
    return found
