"""How well each mass model does over a whole comparison, as a table; a scanned parameter counts at its best values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hpcmass.store.schema import own_statistics

if TYPE_CHECKING:
    import pandas as pd

    from hpcmass.comparison import Comparison


def summary_table(comparison: Comparison) -> pd.DataFrame:
    """What `Comparison.summary` says: a row a model, formatted."""
    import pandas as pd

    data = comparison.to_xarray()
    scanned = data.attrs.get("scan_axis")

    def median(name: str, model: str, size: bool = False) -> float:
        values = _at_best(comparison, scanned, name, model).values if name in data.variables else np.array([np.nan])
        finite = values[np.isfinite(values)]
        return float(np.median(np.abs(finite) if size else finite)) if finite.size else float("nan")

    rows = {}
    for model in comparison.models:
        agrees = _at_best(comparison, scanned, "rho_agrees", model).values
        known = agrees[np.isfinite(agrees)]
        rows[model] = {
            "agrees": f"{100 * known.mean():.0f} %" if known.size else "–",
            "lag (ms)": _shown(median("lag", model)),
            "error of the mean (mV)": _shown(median("mean_error", model, size=True)),
            "variance wrong by": f"x {_shown(np.exp(min(median('log_variance_ratio', model, size=True), 700)))}",
        }
        for own in own_statistics(data.attrs):
            rows[model][_with_unit(own.name, own.unit)] = _shown(median(own.name, model))
        if scanned is not None:
            best = comparison.best(model=model)
            rows[model][_with_unit(f"best {scanned}", str(best.attrs["units"]))] = _shown(best.median().item())
    return pd.DataFrame.from_dict(rows, orient="index")


def summary_legend(comparison: Comparison) -> str:
    """What the columns mean."""
    settings, scanned = comparison.experiment.compare, comparison.to_xarray().attrs.get("scan_axis")
    return (
        f"agrees: share of the points with ρ > {settings.rho_min:g}, significant at α = {settings.alpha:g}; "
        "the other columns are medians over the points"
        + ("" if scanned is None else f", each at the {scanned} of the largest ρ")
    )


def _at_best(comparison: Comparison, scanned: str | None, name: str, model: str) -> xr.DataArray:
    """A map, at each point at the best value of the scanned parameter if there is one."""
    values = comparison.map(name, model=model)
    if scanned is None:
        return values
    best = comparison.best(model=model)
    chosen: xr.DataArray = values.sel({scanned: best.fillna(comparison.axes[scanned][0])}).where(best.notnull())
    return chosen


def _with_unit(name: str, unit: str) -> str:
    return name if unit == "1" else f"{name} ({unit})"


def _shown(value: Any) -> str:
    return f"{value:.2g}" if np.isfinite(value) else "–"
