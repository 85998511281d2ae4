"""How every figure looks: fonts and lines, colours of the models, colour maps, how a number is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib import style as plt_style

from hpcmass.errors import UserError
from hpcmass.nearest import did_you_mean

SEQUENTIAL: Final = "viridis"
"""Rises in lightness, so it survives grey printing and colour blindness."""
CORRELATION: Final = "cividis"
DIVERGING: Final = "RdBu_r"
"""For signed quantities, centred at zero: blue is negative, red positive."""

NETWORK_LINE: Final[dict[str, Any]] = {"color": "0.25", "linewidth": 2.4}
MODEL_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe & Ito's colour-blind-safe set, in the order of the file's models."""
MODEL_DASHES: Final[tuple[Any, ...]] = ("solid", (0, (5, 1.2)), (0, (1.2, 1)), (0, (4, 1, 1, 1)), (0, (2.5, 1.2)))
"""So that lines differ in grey, too; five against six colours, so that no two of thirty models look the same."""
INPUT_LINES: Final[dict[str, dict[str, Any]]] = {
    "E": {"color": "#CC79A7"},
    "I": {"color": "#00664B"},
    "ext": {"color": "0.45", "linestyle": (0, (1.2, 0.8))},
}

GAP_FACE: Final = "0.85"
GAP_HATCH: Final = "0.45"

DPI: Final = 150

TEXT_STAYS_TEXT: Final[dict[str, Any]] = {"svg.fonttype": "none", "pdf.fonttype": 42}
"""Words in SVG and PDF can be searched, selected and edited."""
OWN_STYLE, USER_STYLE = "hpcmass", "user"
"""Names of the style of these figures, and of the user's matplotlib configuration."""

_RC: Final[dict[str, Any]] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8,
    "figure.titlesize": 11.5,
    "hatch.linewidth": 0.6,
    "axes.unicode_minus": True,
    "savefig.dpi": DPI,
    "svg.hashsalt": "hpcmass",
    **TEXT_STAYS_TEXT,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's settings for the figures, whatever the user's own configuration says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)  # type: ignore[arg-type]
        yield


@contextmanager
def chosen_style(name: str = OWN_STYLE) -> Iterator[None]:
    """Matplotlib's settings by name.

    Parameters
    ----------
    name : str
        `hpcmass`; `user`, the settings as the user has them; or a style of matplotlib or a style file, over `hpcmass`.

    Raises
    ------
    UserError
        If matplotlib has no such style.
    """
    with mpl.rc_context() if name == USER_STYLE else house_style():
        if name not in (OWN_STYLE, USER_STYLE):
            try:
                plt_style.use(name)
            except (OSError, ValueError):
                known = (OWN_STYLE, USER_STYLE, *plt_style.available)
                hint = did_you_mean(name, known) or f"give {OWN_STYLE}, {USER_STYLE}, a style of matplotlib, or a file"
                raise UserError(f"there is no style '{name}'; {hint}") from None
        mpl.rcParams.update(TEXT_STAYS_TEXT)  # type: ignore[arg-type]
        yield


def model_line(position: int) -> dict[str, Any]:
    """Colour, dashes and width of the model at `position` in the file."""
    return {
        "color": MODEL_COLOURS[position % len(MODEL_COLOURS)],
        "linestyle": MODEL_DASHES[position % len(MODEL_DASHES)],
        "linewidth": 1.2,
    }


def number(value: float) -> str:
    """A number for an axis or a title: four significant digits at most, with a typographic minus."""
    plain = value == 0 or 1e-4 <= abs(value) < 1e6
    text = np.format_float_positional(value, 4, fractional=False, trim="-") if plain else f"{value:.4g}"
    return text.replace("-", "\N{MINUS SIGN}")


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals, and a typographic minus; a large one with four significant digits."""
    return f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}") if not abs(value) >= 1e6 else number(value)


LARGEST: Final = 1e100
LEAST: Final = 1e-100
"""Absolute value of the largest number that is drawn, and of the smallest that is not drawn as 0."""


def drawable(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """`values` within ±`LARGEST`, 0 where they are below `LEAST`, NaN where they are infinite.

    Parameters
    ----------
    values : array
        Whole numbers and single precision cannot be beyond these bounds.
    """
    array = np.asarray(values)
    if array.dtype.kind != "f":
        return array
    size = np.abs(array)
    infinite = np.isinf(size)
    if array.dtype.itemsize > 4 and ((size > LARGEST) | ((size < LEAST) & (size > 0))).any():
        array = np.where(size < LEAST, 0.0, np.clip(array, -LARGEST, LARGEST))
    return np.where(infinite, np.nan, array) if infinite.any() else array
