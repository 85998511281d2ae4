"""What the page's script reads: axes, statistics, curves, colours, and the state that is shown first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex

from hpcmass.plots import style
from hpcmass.plots.lines import NETWORK
from hpcmass.plots.plane import axis_label, axis_symbol
from hpcmass.plots.regimes import pick_regimes
from hpcmass.plots.style import number
from hpcmass.plots.view import View
from hpcmass.report.curves import Solver, curves
from hpcmass.report.encoding import exact
from hpcmass.report.plane_variables import describe, plane_variables
from hpcmass.store.parts import SweepParts
from hpcmass.store.schema import DONE, FAILED, own_statistics
from hpcmass.text import name_of

STOPS: Final = 33
"""Colours of a scale that the page has; it interpolates between them."""


@dataclass(frozen=True, eq=False)
class Payload:
    """Everything behind the page.

    Attributes
    ----------
    data : dict
        Becomes JSON.
    numbers : str
        The statistics: 64-bit numbers in base64.
    traces, spectra : str
        See `curves.Curves`.
    """

    data: dict[str, Any]
    numbers: str
    traces: str
    spectra: str


def payload(view: View, sweep: SweepParts | None, solver: Solver | None = None) -> Payload:
    """All that the page's script reads, over the whole grid; the view's plane is the one shown first."""
    variables = plane_variables(view.data)
    names = {variable.name for variable in variables}
    drawn = curves(view, sweep, solver)
    status = np.asarray(view.data["status"].values)
    axes = [str(name) for name in view.data["n_compared"].dims]
    settings = view.experiment.compare
    data = {
        "title": view.experiment.title,
        "network": NETWORK,
        "models": list(view.models),
        "axes": [_axis(view, name) for name in axes],
        "own_tests": [own.name for own in own_statistics(view.data.attrs) if own.pvalue],
        "statistics": [describe(variable, names) for variable in variables],
        "done": (status == DONE).sum(axis=-1).ravel().tolist(),
        "requested": None if view.experiment.points is None else view.all_requested.values.astype(int).ravel().tolist(),
        "failed": (status == FAILED).sum(axis=-1).ravel().tolist(),
        "settings": {
            "alpha": settings.alpha,
            "rho_min": settings.rho_min,
            "spike_contrast_min": settings.spike_contrast_min,
            "max_lag_ms": settings.max_lag_ms,
            "lowest_hz": float(view.data["frequency"].values[0]),
        },
        "styles": _styles(view),
        "palettes": {
            "plain": _stops(style.SEQUENTIAL),
            "correlation": _stops(style.CORRELATION),
            "signed": _stops(style.DIVERGING),
        },
        "curves": drawn.description,
        "initial": {"right": view.plane.right, "up": view.plane.up, "point": _first_point(view, axes)},
        "files": _files(view, sweep),
        "scanned": view.data.attrs.get("scan_axis"),
    }
    values = [values.ravel() for variable in variables for _, values in variable.sources.values()]
    return Payload(data, exact(np.concatenate(values)), drawn.traces, drawn.spectra)


def _axis(view: View, name: str) -> dict[str, Any]:
    values = [float(v) for v in view.data[name].values]
    return {
        "name": name,
        "symbol": axis_symbol(view.data, name),
        "label": axis_label(view.data, name),
        "values": values,
        "texts": [number(v) for v in values],
    }


def _styles(view: View) -> dict[str, dict[str, str]]:
    """Colour and dashes of each curve, those of the figures; the network's colour follows the page's."""
    styles = {NETWORK: {"colour": "var(--network)", "dashes": ""}}
    styles |= {name: _css_line(view.line(name)) for name in view.models}
    for kind, drawn in style.INPUT_LINES.items():
        styles[f"phi_{kind}"] = _css_line({"linestyle": "solid", **drawn, "color": to_hex(drawn["color"])})
    return styles


def _css_line(drawn: dict[str, Any]) -> dict[str, str]:
    dashes = drawn["linestyle"]
    lengths = "" if dashes == "solid" else " ".join(f"{1.6 * d:g}" for d in dashes[1])
    return {"colour": str(drawn["color"]), "dashes": lengths}


def _stops(name: str) -> list[str]:
    colours = mpl.colormaps[name]
    return [to_hex(colours(k / (STOPS - 1))) for k in range(STOPS)]


def _first_point(view: View, axes: list[str]) -> list[int]:
    """The point that the page shows first: synchronised at a low frequency, if there is one."""
    examples = pick_regimes(view)
    place = next((e.point for e in (*examples[1:2], *examples) if e.point is not None), (0, 0))
    return list(view.plane.index(*place, tuple(axes)))


def _files(view: View, sweep: SweepParts | None) -> dict[str, str]:
    """Names for the lines to copy."""
    noted = [Path(name_of(line)) for line in str(view.data.attrs.get("sweep_path", "")).splitlines()]
    paths = [*(sweep.paths if sweep is not None else ()), *noted, Path("sweep.h5")]
    return {"comparison": view.path.name, "config": f"{paths[0].stem}.yml"}
