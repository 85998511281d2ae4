"""The answer in words: where each model follows its network, how far off it is, and what becomes of the claims."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hpcmass.claims.readings import Reading, at_text, planes_of, reading_of
from hpcmass.claims.table import HEADING, ClaimsTable, ComparedFile, detail_lines, hanging, table_lines
from hpcmass.degenerate import degenerate_inputs, lock_step
from hpcmass.plots.plane import symbol
from hpcmass.plots.regimes import regime_masks, spiking_points
from hpcmass.plots.style import fixed, number
from hpcmass.plots.view import View, open_view
from hpcmass.store.labelled import best_values, scanned_parameter
from hpcmass.store.schema import FAILED, own_statistics
from hpcmass.text import counted

Mask = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.float64]

WIDTH: Final = 100
"""Letters in a line of the text."""

SILENT: Final = "silent"


@dataclass(frozen=True)
class Medians:
    """Medians over some points, NaN if there is no value.

    Attributes
    ----------
    rho : float
    lag_ms : float
        Positive where the model is late.
    mean_error_mv : float
        Of the absolute difference of the temporal means.
    variance_factor : float
        Factor, at least 1, between the temporal variances of model and network.
    mean_too_high, variance_too_large : float
        Share of the points at which the model's temporal mean, or variance, is above the network's.
    """

    rho: float
    lag_ms: float
    mean_error_mv: float
    variance_factor: float
    mean_too_high: float
    variance_too_large: float


@dataclass(frozen=True)
class ModelSummary:
    """One model over the whole grid; where a parameter was scanned, each point counts at its best value.

    Attributes
    ----------
    model : str
    points, follows : int
        Points compared, and those of them at which the model follows the network.
    ranges : dict of str to (float, float)
        Axis → least and greatest value among the points at which the model follows.
    regimes : dict of str to (int, int)
        Regime of the network → points compared, and those at which the model follows.
    everywhere, following : Medians
        Over the points compared; over those at which the model follows.
    diverged : int
        Points at which the model diverged in some trial.
    own : dict of str to float
        Own statistic, with its unit → median over the points.
    best : dict of str to float
        Scanned parameter, with its unit → median of its best values; empty if none was scanned.
    """

    model: str
    points: int
    follows: int
    ranges: dict[str, tuple[float, float]]
    regimes: dict[str, tuple[int, int]]
    everywhere: Medians
    following: Medians
    diverged: int
    own: dict[str, float]
    best: dict[str, float]

    @property
    def share(self) -> float:
        """Share of the points compared at which the model follows; NaN if there are none."""
        return self.follows / self.points if self.points else float("nan")


@dataclass(frozen=True)
class Summary:
    """The answer of one comparison.

    Attributes
    ----------
    path : Path
    title : str
    points, compared, trials : int
        Requested points of the grid, those compared, trials at each point.
    criterion : str
        When a model follows the network.
    models : list of ModelSummary
    readings : list of Reading
        The paper's claims, for each combination of the values of further axes; empty where they were not asked for,
        or the comparison is of another kind.
    no_claims : str
        Why there are none then, a sentence; empty otherwise.
    warnings : list of str
        In which ways the networks are degenerate, or the grid incomplete; empty for ordinary ones.
    """

    path: Path
    title: str
    points: int
    compared: int
    trials: int
    criterion: str
    models: list[ModelSummary]
    readings: list[Reading]
    no_claims: str
    warnings: list[str]

    @property
    def claims_heading(self) -> str:
        """What stands above the claims."""
        if len(self.readings) > 1:
            return f"{HEADING}, for each value of the further axes"
        at = at_text(self.readings[0].at)
        return f"{HEADING}, at {at}" if at else HEADING

    @property
    def claims_table(self) -> ClaimsTable:
        """The claims alone, as `hpcmass claims` has them."""
        return ClaimsTable([ComparedFile(self.path, self.title, self.readings)])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values = asdict(self) | {"path": str(self.path)}
        for entry, model in zip(values["models"], self.models, strict=True):
            entry["share"] = model.share
            entry["regimes"] = {name: {"points": n, "follows": k} for name, (n, k) in model.regimes.items()}
        return values

    def text(self) -> str:
        """For people, in lines of at most 100 letters."""
        lines = [
            f"{self.path.name}: {self.title}",
            f"{self.compared} of {counted(self.points, 'point')} compared, {counted(self.trials, 'trial')} at each",
            "",
            *hanging("Where the model follows the network: ", self.criterion, indent=""),
        ]
        for warning in self.warnings:
            lines += hanging("Warning: ", warning)
        for model in self.models:
            first, *rest = model_lines(model)
            lines += hanging(f"{model.model:<5} ", first)
            for line in rest:
                lines += hanging(" " * 6, line)
        if len(self.readings) == 1:
            lines += ["", self.claims_heading, *detail_lines(self.readings[0], WIDTH)]
        elif self.readings:
            lines += ["", self.claims_heading, *table_lines(self.claims_table.files, WIDTH)]
        elif self.no_claims:
            lines += ["", *hanging("", self.no_claims)]
        return "\n".join(lines)


def model_lines(model: ModelSummary) -> list[str]:
    """What a model does, a sentence each."""
    if not model.points:
        return ["nothing is compared yet"]
    where = f", {range_text(model.ranges)}" if model.follows else ""
    lines = [f"follows at {model.follows} of {counted(model.points, 'point')} ({percent(model.share)}){where}"]
    lines.append("by regime: " + "; ".join(f"{k} of {n} {name}" for name, (n, k) in model.regimes.items() if n))
    over = "median over all points" if model.points > 1 else "there"
    lines.append(f"{over}: {medians_text(model.everywhere)}")
    if 0 < model.follows < model.points:
        lines.append(f"where it follows: {medians_text(model.following)}")
    for what, medians in (("own statistics", model.own), ("scanned", {f"best {k}": v for k, v in model.best.items()})):
        if medians:
            lines.append(f"{what}, medians: " + ", ".join(f"{name} {_two(value)}" for name, value in medians.items()))
    if model.diverged:
        lines.append(f"diverged at {counted(model.diverged, 'point')}")
    return lines


def range_text(ranges: Mapping[str, tuple[float, float]]) -> str:
    """`within p 0.1 … 1, λ 0.5 … 0.8`; `at p 0.1, λ 0.5`."""
    preposition = "within" if any(low < high for low, high in ranges.values()) else "at"
    return f"{preposition} " + ", ".join(
        f"{symbol(name)} {number(low)}{'' if low == high else f' … {number(high)}'}"
        for name, (low, high) in ranges.items()
    )


def medians_text(medians: Medians) -> str:
    """`ρ 0.83, lag −1.4 ms, mean 3 mV too high, variance 9.7 times the network's`.

    Where mean or variance is not on the same side at every point, how far off it is, and where it is too large.
    """
    lag = "–" if np.isnan(medians.lag_ms) else f"{'+' if medians.lag_ms > 0 else ''}{_two(medians.lag_ms)}"
    rho = "–" if np.isnan(medians.rho) else fixed(medians.rho, 2)
    return f"ρ {rho}, lag {lag} ms, {_mean_text(medians)}, {_variance_text(medians)}"


def _mean_text(medians: Medians) -> str:
    error, high = _two(medians.mean_error_mv), medians.mean_too_high
    if high in (0, 1) and medians.mean_error_mv > 0:
        return f"mean {error} mV too {'high' if high else 'low'}"
    return f"mean off by {error} mV" + _share_text(high, "too high")


def _variance_text(medians: Medians) -> str:
    factor, large = medians.variance_factor, medians.variance_too_large
    if large in (0, 1) and factor > 1:
        return f"variance {_two(factor if large else 1 / factor)} times the network's"
    return f"variance off by a factor of {_two(factor)}" + _share_text(large, "too large")


def _share_text(share: float, what: str) -> str:
    return "" if np.isnan(share) else f" ({what} at {percent(min(max(share, 0.01), 0.99))})"


def percent(share: float) -> str:
    """`21 %`."""
    return "–" if np.isnan(share) else f"{100 * share:.0f} %"


def summarise(path: str | Path) -> Summary:
    """The answer of a comparison file.

    Raises
    ------
    UserError
        If the file cannot be read, or is another file.
    """
    with open_view(path, ("p", "lam")) as view:
        return summary_of(view)


def summary_of(view: View, *, claims: bool = True) -> Summary:
    """The answer of the comparison behind a view, over all its axes; `claims`: with the paper's claims."""
    planes = planes_of(view)
    compared = np.concatenate([(plane.point("n_compared") > 0).ravel() for plane in planes])
    asked = np.concatenate([plane.requested.ravel() for plane in planes])
    no_claims = _no_claims(view, planes[0])
    scanned = view.data.attrs.get("scan_axis")
    once = _at(planes, scanned, None if scanned is None else float(view.data[scanned].values[0]))
    settings = view.experiment.compare
    criterion = f"ρ > {number(settings.rho_min)}, significant at α = {number(settings.alpha)}"
    if scanned is not None:
        criterion += f", each at the {scanned_parameter(view.data)} of the largest ρ"
    return Summary(
        path=view.path,
        title=view.experiment.title,
        points=int((once & asked).sum()),
        compared=int((compared & once).sum()),
        trials=view.experiment.trials,
        criterion=criterion,
        models=[_model_summary(view, planes, model, compared) for model in view.models],
        readings=[reading_of(plane) for plane in planes] if claims and not no_claims else [],
        no_claims=no_claims if claims else "",
        warnings=_warnings(view),
    )


def _no_claims(view: View, plane: View) -> str:
    """Why the claims say nothing of this comparison, a sentence; empty if they do."""
    if view.experiment.imported is not None:
        what = "imported recordings"
    elif plane.plane.shape == (1, 1):
        what = "one point"
    else:
        return ""
    return f"The paper's claims are about a plane of p and λ, not about {what}."


def _warnings(view: View) -> list[str]:
    experiment = view.experiment
    found = [] if experiment.imported is not None else degenerate_inputs(experiment)
    if experiment.points is not None:
        all_points = math.prod(len(values) for values in experiment.axes().values())
        found.append(
            f"{len(experiment.points)} of the grid's {all_points} points are requested, more of them where the maps "
            "change; shares, medians and claims count each of these points once"
        )
    rate, status = (view.data[name].transpose("p", "lam", ..., "trial").values for name in ("rate_E", "status"))
    together = lock_step(experiment, experiment.axes(), rate, status)
    if together is not None:
        found.append(together)
    failed = int((view.data["compared"] == FAILED).sum()) if "compared" in view.data else 0
    if failed:
        found.append(
            f"a model or a statistic failed at {counted(failed, 'point')} during the run and has no results there; "
            "such a model counts as diverged"
        )
    return found


def _at(planes: Sequence[View], scanned: str | None, value: float | None) -> Mask:
    """Points of the planes at one value of the scanned parameter; all of them if there is none."""
    return np.concatenate(
        [np.full(p.plane.shape, scanned is None or p.plane.fixed_values[scanned] == value).ravel() for p in planes]
    )


def _model_summary(view: View, planes: Sequence[View], model: str, compared: Mask) -> ModelSummary:
    def gathered(name: str) -> Reals:
        if not view.has(name):
            return np.full(compared.size, np.nan)
        return np.concatenate([plane.model(name, model).ravel() for plane in planes])

    best, chosen = _best(view, planes, model)
    compared = compared & chosen
    follows = (gathered("rho_agrees") == 1) & compared
    ranges = {}
    without = () if best else (view.data.attrs.get("scan_axis"),)  # a model without the parameter is the same there
    for name in (str(dim) for dim in view.data["n_compared"].dims if dim not in without):
        values = np.concatenate([plane.plane.coordinate(name).ravel() for plane in planes])[follows]
        if values.size:
            ranges[name] = (float(values.min()), float(values.max()))
    regimes = {
        name: (int((inside & compared).sum()), int((inside & follows).sum()))
        for name, inside in _regimes(planes, compared).items()
    }
    statistics = {name: gathered(name) for name in ("rho", "lag", "mean_error", "log_variance_ratio")}
    own = own_statistics(view.data.attrs)
    return ModelSummary(
        model=model,
        points=int(compared.sum()),
        follows=int(follows.sum()),
        ranges=ranges,
        regimes=regimes,
        everywhere=_medians(statistics, compared),
        following=_medians(statistics, follows),
        diverged=int(((gathered("n_diverged") > 0) & compared).sum()),
        own={_with_unit(each.name, each.unit): _median(gathered(each.name)[compared]) for each in own},
        best=best,
    )


def _best(view: View, planes: Sequence[View], model: str) -> tuple[dict[str, float], Mask]:
    """The median of the scanned parameter's best values, and the points that are at theirs.

    Without a scan no median, and all points. A point without a correlation counts at the first value, and so does every
    point of a model without the parameter.
    """
    values = best_values(view.data)
    if values is None:
        return {}, _at(planes, None, None)
    scanned = str(view.data.attrs["scan_axis"])
    first = float(view.data[scanned].values[0])
    if model not in values["model"]:
        return {}, _at(planes, scanned, first)
    of_model = values.sel(model=model)
    chosen = []
    for plane in planes:
        fixed = {name: i for name, i in plane.plane.fixed.items() if name != scanned}
        here = of_model.fillna(first).isel(fixed).transpose("lam", "p").values
        chosen.append((here == plane.plane.fixed_values[scanned]).ravel())
    name = _with_unit(scanned, str(values.attrs["units"]))
    return {name: _median(np.asarray(of_model.values, dtype=np.float64))}, np.concatenate(chosen)


def _with_unit(name: str, unit: str) -> str:
    return name if unit == "1" else f"{name} ({unit})"


def _median(values: Reals) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def _regimes(planes: Sequence[View], compared: Mask) -> dict[str, Mask]:
    """Regime → points of the whole grid; those whose network is silent are the last."""
    masks = [regime_masks(plane) for plane in planes]
    found = {name: np.concatenate([mask[name].ravel() for mask in masks]) for name in masks[0]}
    spiking = np.concatenate([spiking_points(plane).ravel() for plane in planes])
    return found | {SILENT: compared & ~spiking}


def _medians(statistics: Mapping[str, Reals], inside: Mask) -> Medians:
    error, ratio = (statistics[name][inside] for name in ("mean_error", "log_variance_ratio"))
    return Medians(
        rho=_median(statistics["rho"][inside]),
        lag_ms=_median(statistics["lag"][inside]),
        mean_error_mv=_median(np.abs(error)),
        variance_factor=float(np.exp(np.minimum(_median(np.abs(ratio)), 700.0))),
        mean_too_high=_share_above_0(error),
        variance_too_large=_share_above_0(ratio),
    )


def _share_above_0(values: Reals) -> float:
    finite = values[np.isfinite(values)]
    return float((finite > 0).mean()) if finite.size else float("nan")


def _two(value: float) -> str:
    """A number with two significant digits."""
    return "–" if np.isnan(value) else number(float(f"{value:.2g}"))
