"""Scales: how a map's values become colours, and what its colour bar says."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hpcmass.plots import style
from hpcmass.plots.plane import FloatMap

ONE_LINE = 24
"""Characters of a colour bar's label beside the shortest map."""

EQUAL = 1e-9
"""Values that differ by less than this part of them have one colour."""

MOST_POWERS = 10
"""Powers of ten that a colour bar has room for, about."""

Extend = Literal["neither", "both", "min", "max"]


@dataclass(frozen=True, eq=False)
class Scale:
    """How values become colours; panels that share one object share a colour bar.

    Attributes
    ----------
    label : str
        Quantity and unit, for the colour bar.
    norm : matplotlib Normalize
    colours : str
        Name of a colour map.
    extend : str
        Where values exceed the bar: `neither`, `min`, `max`, `both`.
    """

    label: str
    norm: Normalize
    colours: str = style.SEQUENTIAL
    extend: Extend = "neither"

    @property
    def signed(self) -> bool:
        """Whether it is centred at zero, with two colours for two signs."""
        return self.colours == style.DIVERGING

    def ticks(self) -> list[float]:
        """Round values for a colour bar."""
        low, high = float(self.norm.vmin or 0), float(self.norm.vmax or 0)
        if isinstance(self.norm, LogNorm):
            return _round_numbers(low, high)
        return [float(v) for v in MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high) if low <= v <= high]

    def bar(self, figure: Figure, axes: Sequence[Axes]) -> None:
        """Put this scale's colour bar beside `axes`."""
        mappable = ScalarMappable(self.norm, mpl.colormaps[self.colours])
        bar = figure.colorbar(mappable, ax=list(axes), label=_on_two_lines(self.label), extend=self.extend)
        if isinstance(self.norm, LogNorm):
            bar.set_ticks(self.ticks())
            bar.ax.yaxis.set_major_formatter(lambda value, _: style.number(value))
            bar.minorticks_off()


def _on_two_lines(label: str) -> str:
    """Long labels, broken near the middle: a bar may be short."""
    return label if len(label) <= ONE_LINE else "\n".join(textwrap.wrap(label, max(ONE_LINE, len(label) // 2 + 4)))


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten within [low, high]; some powers alone if it spans more than three decades."""
    digits = (1, 2, 5) if high <= 1e3 * low else (1,)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = range(first, last + 1, 1 + (last - first) // MOST_POWERS)
    return [value for k in powers for d in digits if low <= (value := d * 10.0**k) <= high]


def _finite(arrays: Sequence[FloatMap]) -> FloatMap:
    values = np.concatenate([np.zeros(0), *(a[np.isfinite(a)].ravel() for a in arrays)])
    return values if values.size else np.zeros(1)


def linear(label: str, *arrays: FloatMap, low: float | None = None, high: float | None = None,
           colours: str = style.SEQUENTIAL, power: float = 1.0) -> Scale:  # fmt: skip
    """A scale from `low` to `high` (default: the data's range); `power` < 1 spreads the small values."""
    values = _finite(arrays)
    bottom = float(values.min()) if low is None else low
    top = float(values.max()) if high is None else high
    if top - bottom <= EQUAL * abs(bottom):
        top = bottom + max(1.0, abs(bottom) / 1000)  # beside a large number 1 would be lost
    norm = Normalize(bottom, top) if power == 1 else PowerNorm(power, bottom, top)
    return Scale(label, norm, colours, _extend(values, bottom, top))


def logarithmic(label: str, *arrays: FloatMap) -> Scale:
    """A logarithmic scale over the data's positive range, a decade at least."""
    values = _finite(arrays)
    positive = values[values > 0]
    bottom, top = (float(positive.min()), float(positive.max())) if positive.size else (0.1, 1.0)
    if top < 10 * bottom:
        middle = np.sqrt(top * bottom)
        bottom, top = float(middle / np.sqrt(10)), float(middle * np.sqrt(10))
    return Scale(label, LogNorm(bottom, top), extend="min" if (values <= 0).any() else "neither")


def centred(label: str, *arrays: FloatMap, quantile: float = 0.98) -> Scale:
    """A diverging scale around zero that lets the largest 2 % run over, so that a few cells do not bleach the rest."""
    values = _finite(arrays)
    limit = float(np.quantile(np.abs(values), quantile, method="higher")) or float(np.abs(values).max()) or 1.0
    return Scale(label, Normalize(-limit, limit), style.DIVERGING, _extend(values, -limit, limit))


def _extend(values: FloatMap, low: float, high: float) -> Extend:
    below, above = bool(values.min() < low), bool(values.max() > high)
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[below, above]  # type: ignore[return-value]
