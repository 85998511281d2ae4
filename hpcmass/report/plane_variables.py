"""Every number that a comparison has for each point: what it is called, which source it is of, its values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from hpcmass.plots.lines import NETWORK
from hpcmass.plots.style import LARGEST
from hpcmass.standard_error import standard_error
from hpcmass.store.labelled import best_values, scanned_parameter
from hpcmass.store.schema import COMPARED_VARIABLES, DONE

Real = npt.NDArray[np.float64]

GROUPS: Final = {
    "Correlation and lag": ("rho", "lag", "rho_z", "n_eff", "rho_agrees", "rho_agrees_bh"),
    "Spectra": ("spectral_distance", "coherence_mean", "chi2_per_dof", "chi2", "log_ratio", "chi2_dof",
                "histogram_count"),
    "Mean and variance": ("mean_error", "log_variance_ratio", "mean_v", "sd_v"),
    "Frequencies": ("median_frequency", "peak_frequency", "peak_power"),
    "Network": ("spike_contrast", "spike_contrast_bin", "rate_E", "rate_I", "cv_isi", "synchronised", "silent",
                "n_spikes", "n_edges", "n_edges_ext"),
    "Counts": ("n_compared", "n_diverged"),
}  # fmt: skip
"""Group of the list of statistics → names, in this order; others follow."""

FURTHER: Final = "Further statistics"
TESTS: Final = "p- and q-values"
ERRORS: Final = "Standard errors"
SHORT: Final = {
    "rho": "correlation ρ",
    "lag": "lag",
    "rho_z": "Fisher's z of ρ",
    "n_eff": "effective number of samples",
    "rho_agrees": "follows: ρ significant and high",
    "rho_agrees_bh": "follows, Benjamini–Hochberg",
    "spectral_distance": "spectral distance",
    "coherence_mean": "coherence, power-weighted",
    "chi2_per_dof": "χ² / degrees of freedom",
    "chi2": "χ² of the spectra",
    "log_ratio": "calibrated spectral test",
    "mean_error": "error of the mean",
    "log_variance_ratio": "log variance ratio",
    "mean_v": "mean potential",
    "sd_v": "sd of the potential",
    "median_frequency": "median frequency",
    "peak_frequency": "peak frequency",
    "peak_power": "peak power density",
    "spike_contrast": "Spike-contrast",
    "spike_contrast_bin": "bin width of Spike-contrast",
    "rate_E": "rate of excitatory neurons",
    "rate_I": "rate of inhibitory neurons",
    "cv_isi": "CV of interspike intervals",
    "synchronised": "synchrony",
    "silent": "state of the network",
}
CORRELATIONS: Final = ("rho", "coherence_mean", "rho_trial")
SIGNED: Final = ("lag", "lag_trial", "mean_error", "log_variance_ratio")
LOGARITHMIC: Final = ("chi2", "chi2_per_dof", "median_frequency", "peak_frequency", "peak_power", "spike_contrast_bin")
BOOKKEEPING: Final = ("status", "compared", "chi2_without_trial", "median_frequency_lif_trial")
"""What is not shown; the last two are for the bootstrap of the claims."""
ERROR_OF: Final = {"rho_z": "rho_se_trials", "rho": "rho_se_trials"}
"""Statistic → name of its standard error, where it is not `name_se`; that of ρ is of Fisher's z."""
TEST_OF: Final = {"spectral_distance": "log_ratio", "chi2_per_dof": "chi2", "rho_z": "rho", "rho_agrees": "rho"}
"""Statistic → the one whose p- and q-values belong to it, where it is not itself."""


@dataclass(eq=False)
class PlaneVariable:
    """One statistic.

    Attributes
    ----------
    name, unit, text : str
        `text`: the description in the file.
    sources : dict of str to (str, array)
        `network` or a model → the file's variable and its values, (axes…), NaN where there is none.
    flags : list of str
        Names of the values 0, 1, … of a flag.
    listed : bool
        False for what only serves others.
    """

    name: str
    unit: str
    text: str
    sources: dict[str, tuple[str, Real]] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    listed: bool = True

    @property
    def group(self) -> str:
        """Where it stands in the list of statistics."""
        if self.name.endswith(("_pvalue", "_qvalue")):
            return TESTS
        if self.name.endswith(("_se", "_se_trials")):
            return ERRORS
        return next((group for group, names in GROUPS.items() if self.name in names), FURTHER)

    @property
    def kind(self) -> str:
        """Colours: `correlation`, `signed` (centred at zero) or `plain`."""
        if self.name in CORRELATIONS:
            return "correlation"
        values = np.concatenate([v[np.isfinite(v)] for _, v in self.sources.values()] or [np.zeros(0)])
        own = self.name not in COMPARED_VARIABLES and values.size > 0 and values.min() < 0 < values.max()
        return "signed" if self.name in SIGNED or (own and self.group == FURTHER) else "plain"

    @property
    def label(self) -> str:
        """A short name for people."""
        return SHORT.get(self.name, self.text)

    @property
    def order(self) -> tuple[int, int]:
        """Place in the list."""
        groups = [*GROUPS, FURTHER, TESTS, ERRORS]
        names = GROUPS.get(self.group, ())
        return groups.index(self.group), names.index(self.name) if self.name in names else len(names)


def plane_variables(data: xr.Dataset) -> list[PlaneVariable]:
    """All statistics of a comparison file, those of network and models under one name, in the list's order."""
    axes = [str(dim) for dim in data["n_compared"].dims]
    models = [str(name) for name in data["model"].values]
    found: dict[str, PlaneVariable] = {}
    for stored in (str(name) for name in data.variables if str(name) not in (*data.dims, *BOOKKEEPING)):
        for made, sources in _read(data, stored, axes, models):
            known = found.setdefault(made.name, made)
            known.sources |= {name: (stored, values) for name, values in sources.items()}
    if {"chi2", "chi2_dof"} <= found.keys():
        found["chi2_per_dof"] = _per_degree(found["chi2"], found["chi2_dof"])
    if (best := best_values(data)) is not None:
        found |= {made.name: made for made in [_best_value(data, best, axes)]}
    for variable in found.values():  # the network first, then the models in the file's order
        variable.sources = {n: variable.sources[n] for n in (NETWORK, *models) if n in variable.sources}
    return sorted(found.values(), key=lambda variable: variable.order)


def base_name(name: str) -> str:
    """The common name of a statistic of the network and of the models: `mean_v_se` for `mean_v_lif_se`."""
    last = next((ending for ending in ("_se", "_pvalue", "_qvalue") if name.endswith(ending)), "")
    stem = name.removesuffix(last)
    for ending in ("_lif", "_model"):
        stem = stem.removesuffix(ending)
    return stem + last


def _read(
    data: xr.Dataset, name: str, axes: list[str], models: list[str]
) -> Iterator[tuple[PlaneVariable, dict[str, Real]]]:
    """A stored variable; of one with a value for each trial the mean, and its standard error."""
    stored = data[name].reset_coords(drop=True)
    if not set(axes) <= set(stored.dims) <= {*axes, "model", "trial"} or stored.dtype.kind not in "fiu":
        return
    values = stored.astype(np.float64)
    values = values.copy(data=_bounded(values.values))
    schema = COMPARED_VARIABLES.get(name)
    if schema is not None and schema.fill == -1:
        values = values.where(stored != -1)
    flags = schema.flag_meanings.split() if schema is not None and schema.flag_meanings else []
    text = schema.long_name if schema is not None else str(stored.attrs.get("long_name", name))
    unit = str(stored.attrs.get("units", "1")).replace("flag", "1")
    error = None
    if "trial" in values.dims:
        values = values.where(data["status"].reset_coords(drop=True) == DONE).transpose("trial", ...)
        error = values.isel(trial=0, drop=True).copy(data=np.asarray(standard_error(values.values, skip_missing=True)))
        values = values.mean("trial")
        text = f"{text}, mean over trials"

    def sources(of: xr.DataArray) -> dict[str, Real]:
        if "model" in of.dims:
            by_model = of.transpose("model", *axes).values
            return dict(zip(models, by_model, strict=True))
        return {NETWORK: of.transpose(*axes).values}

    yield PlaneVariable(base_name(name), unit, _neutral(text), flags=flags), sources(values)
    if error is not None:
        own = PlaneVariable(f"{name}_se", unit, f"standard error over trials: {text}", listed=False)
        yield own, sources(error)


def _best_value(data: xr.Dataset, best: xr.DataArray, axes: list[str]) -> PlaneVariable:
    """The scanned parameter's value of the largest correlation, the same at all its values."""
    scanned = str(data.attrs["scan_axis"])
    everywhere = best.broadcast_like(data["n_compared"].reset_coords(drop=True)).transpose("model", *axes)
    name, unit = f"best_{scanned}", str(best.attrs["units"])
    made = PlaneVariable(name, unit, f"{scanned_parameter(data)}: {best.attrs['long_name']}")
    names = (str(name) for name in best["model"].values)
    made.sources = {model: ("", values) for model, values in zip(names, everywhere.values, strict=True)}
    return made


def _bounded(values: Real) -> Real:
    """Values within ±`LARGEST`, NaN where they are infinite; small ones, such as p-values, stay as they are."""
    return np.where(np.isinf(values), np.nan, np.clip(values, -LARGEST, LARGEST))


def _neutral(text: str) -> str:
    """A description that holds for network and models."""
    return text.removesuffix(", network").removesuffix(", model")


def _per_degree(chi2: PlaneVariable, dof: PlaneVariable) -> PlaneVariable:
    sources = {}
    for name, (_, values) in chi2.sources.items():
        degrees = dof.sources[name][1]
        sources[name] = ("chi2 / chi2_dof", _bounded(values / np.where(degrees > 0, degrees, np.nan)))
    return PlaneVariable("chi2_per_dof", "1", "chi-squared between the spectra per degree of freedom", sources)


def describe(variable: PlaneVariable, names: set[str]) -> dict[str, Any]:
    """What the page's script needs to know of a statistic, beside its values (`names`: of all statistics)."""
    test = TEST_OF.get(variable.name, variable.name)
    belonging = {
        "se": ERROR_OF.get(variable.name, f"{variable.name}_se"),
        "p": f"{test}_pvalue",
        "q": f"{test}_qvalue",
    }
    return {
        "name": variable.name,
        "label": variable.label,
        "unit": "" if variable.unit == "1" else variable.unit.replace("^2", "²"),
        "text": variable.text,
        "group": variable.group,
        "kind": variable.kind,
        "log": variable.name in LOGARITHMIC,
        "flags": variable.flags,
        "listed": variable.listed,
        "sources": list(variable.sources),
        "variables": [stored for stored, _ in variable.sources.values()],
        **{key: name for key, name in belonging.items() if name in names and name != variable.name},
    }
