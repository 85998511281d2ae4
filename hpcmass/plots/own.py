"""Maps of what a comparison has only on request: the user's own statistics, and the best value of a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr

from hpcmass.plots import maps, style
from hpcmass.plots.lines import NETWORK
from hpcmass.plots.maps import Panel, Scale
from hpcmass.plots.outlines import Outline
from hpcmass.plots.panels import model_panels, network_panel, of_models, undecided
from hpcmass.plots.plane import FloatMap
from hpcmass.plots.view import View
from hpcmass.store.labelled import best_values, scanned_parameter
from hpcmass.store.schema import OwnStatistic, own_statistics

BEST: Final = "best"
"""Name of the map of the scanned parameter's best value."""


def statistics(view: View) -> list[Panel]:
    """Every own statistic, of the network where it has one and of each model."""
    return [panel for each in own_statistics(view.data.attrs) if view.has(each.name) for panel in panels_of(view, each)]


def best_value(view: View) -> list[Panel]:
    """The value of the scanned parameter at which each model that has it correlates best; dimmed at its ends."""
    best = best_values(view.data)
    if best is None:
        return []
    axis = str(view.data.attrs["scan_axis"])
    if axis in (view.plane.right, view.plane.up):
        return []
    fixed = {name: i for name, i in view.plane.fixed.items() if name != axis}
    cut = best.isel(fixed).transpose(view.plane.up, view.plane.right, "model")
    models = {model: np.array(cut.sel(model=model).values, dtype=np.float64) for model in models_of(best)}
    ends = view.data[axis].values[[0, -1]]
    unit = str(best.attrs["units"])
    scale = maps.linear(
        f"best {scanned_parameter(view.data)}" + ("" if unit == "1" else f" ({unit})"),
        *models.values(),
        low=ends[0],
        high=ends[1],
    )
    dimmed = {model: np.isin(values, ends) for model, values in models.items()}
    return model_panels(
        view, models, scale, dimmed=dimmed, dimmed_text="at an end of the scanned range", statistic=BEST
    )


def irrelevant(view: View, shown: Sequence[Panel]) -> tuple[str, ...]:
    """Axes whose value changes nothing in these panels: that of a scanned parameter, where its best value is shown."""
    return (str(view.data.attrs["scan_axis"]),) if all(panel.statistic == BEST for panel in shown) else ()


def models_of(best: xr.DataArray) -> list[str]:
    """The models that have the scanned parameter, in the file's order."""
    return [str(name) for name in best["model"].values]


def panels_of(view: View, own: OwnStatistic) -> list[Panel]:
    """One own statistic, of the network where it has one and of each model."""
    models = of_models(view, own.name)
    network = {NETWORK: view.point(f"{own.name}_lif")} if own.single else {}
    scale = _scale(own, [*network.values(), *models.values()])

    def outlines(model: str) -> list[Outline]:
        return undecided(view, own.name, model, f"{own.name} not significant", own.name) if own.pvalue else []

    return [
        *(network_panel(view, f"{own.name}: {name}", values, scale, own.name) for name, values in network.items()),
        *model_panels(view, models, scale, outlines, title=lambda model: f"{own.name}: {model}", statistic=own.name),
    ]


def _scale(own: OwnStatistic, values: list[FloatMap]) -> Scale:
    """Centred at zero where both signs occur."""
    label = own.meaning if own.unit == "1" else f"{own.meaning} ({own.unit})"
    finite = np.concatenate([each[np.isfinite(each)] for each in values])
    if finite.size and finite.min() < 0 < finite.max():
        return maps.centred(label, *values)
    return maps.linear(label, *values, colours=style.SEQUENTIAL)
