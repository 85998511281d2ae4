"""What the figures read: a comparison file cut to the plane of p and λ, its experiment, and the sweep it compares."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from hpcmass.config import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.errors import UserError
from hpcmass.grid import requested
from hpcmass.nearest import did_you_mean
from hpcmass.plots import style
from hpcmass.plots.lines import NETWORK
from hpcmass.plots.plane import (
    DIVERGED,
    FAILED,
    NOT_COMPUTED,
    NOT_REQUESTED,
    SILENT,
    FloatMap,
    Gap,
    Mask,
    Plane,
    all_planes,
    cut_plane,
    explain,
)
from hpcmass.standard_error import standard_error
from hpcmass.store import schema
from hpcmass.store.labelled import comparison_dataset
from hpcmass.store.parts import SweepParts
from hpcmass.store.sweep_file import SweepFile
from hpcmass.text import counted, name_of

REQUIRED: Final = (
    "n_compared", "n_diverged", "status", "silent", "spike_contrast", "rate_E", "rate_I", "spectrum", "spectrum_lif",
    "median_frequency", "median_frequency_lif", "chi2", "chi2_dof", "chi2_pvalue", "log_ratio", "log_ratio_pvalue",
    "rho", "rho_agrees", "lag", "example_v", "example_v_lif",
)  # fmt: skip
"""Variables that every comparison has had; of the others, one of an older format may lack some."""


@dataclass(frozen=True)
class View:
    """A comparison file in one plane: its contents and its configuration.

    `chosen`: its models are those that the user named, in the user's order; `file_models` are all models of the file.
    """

    path: Path
    data: xr.Dataset
    plane: Plane
    experiment: Experiment
    chosen: bool = False
    file_models: tuple[str, ...] = ()

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Names of the mass models, in the file's order."""
        return tuple(str(name) for name in self.data["model"].values)

    @cached_property
    def leading_model(self) -> str:
        """The model that the overview shows: the first one named; of all models the MFM where the file has it."""
        if self.chosen:
            return self.models[0]
        return "MFM" if "MFM" in self.models else self.models[-1]

    def planes(self, right: str, up: str) -> list[View]:
        """The same in each plane of two axes: at all combinations of the values of the others."""
        return [replace(self, plane=plane) for plane in all_planes(self.data, (right, up))]

    def of_models(self, names: Sequence[str]) -> View:
        """The same with these models only, in this order.

        Raises
        ------
        UserError
            If the file lacks one of them.
        """
        for name in names:
            if name not in self.models:
                hint = did_you_mean(name, self.models) or f"there are {', '.join(self.models)}"
                raise UserError(f"there is no model '{name}' in {self.path}; {hint}")
        positions = [self.models.index(name) for name in dict.fromkeys(names)]
        shown = self.data.isel(model=positions)
        return replace(self, data=shown, chosen=True, file_models=self.file_models or self.models)

    def line(self, source: str) -> dict[str, Any]:
        """How the curve of the network or a model looks: a model's colour is its place in the file, in all figures."""
        if source == NETWORK:
            return style.NETWORK_LINE
        return style.model_line((self.file_models or self.models).index(source))

    def has(self, *names: str) -> bool:
        """Whether the file has all of these variables: one of an older format may lack some."""
        return all(name in self.data for name in names)

    @cached_property
    def _cuts(self) -> dict[str, xr.DataArray]:
        return {}

    def cut(self, name: str) -> xr.DataArray:
        """A variable in this plane, in memory: maps, tables and curves ask for the same ones hundreds of times."""
        if name not in self._cuts:
            self._cuts[name] = self.plane.cut(self.data[name]).load()
        return self._cuts[name]

    def point(self, name: str) -> FloatMap:
        """A variable that no model has a part in: of the network, (λ, p), or of each trial, (λ, p, trial)."""
        return np.array(self.cut(name).values, dtype=np.float64)

    def model(self, name: str, model: str) -> FloatMap:
        """A statistic of one mass model, (λ, p)."""
        return np.array(self.cut(name).isel(model=self.models.index(model)).values, dtype=np.float64)

    def mean_sd(self, row: int, column: int) -> dict[str, tuple[float, float]]:
        """Network and models → mean and standard deviation (mV) of the potential over all trials at a point."""
        names = (NETWORK, *self.models)
        if not self.has("mean_v_lif", "sd_v_lif", "mean_v_model", "sd_v_model"):
            return dict.fromkeys(names, (np.nan, np.nan))

        def of(network: str, models: str) -> list[float]:
            return np.append(self.cut(network).values[row, column], self.cut(models).values[row, column]).tolist()

        pairs = zip(of("mean_v_lif", "mean_v_model"), of("sd_v_lif", "sd_v_model"), strict=True)
        return dict(zip(names, pairs, strict=True))

    @cached_property
    def shown(self) -> Mask:
        """Points with an example window of the network."""
        window = np.asarray(self.plane.cut(self.data["example_v_lif"]).values)
        return np.asarray(np.isfinite(window).any(axis=-1))

    def number(self, name: str) -> FloatMap:
        """A per-trial number, averaged over the trials that are done and have it, (λ, p)."""
        values = np.where(self._done, self.point(name), np.nan)
        count = np.isfinite(values).sum(axis=-1)
        total = np.nansum(values, axis=-1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def number_error(self, name: str) -> FloatMap:
        """The standard error of `number` over the trials, (λ, p); NaN for a single trial."""
        values = np.where(self._done, self.point(name), np.nan)
        return np.asarray(standard_error(np.moveaxis(values, -1, 0), skip_missing=True))

    def network_gaps(self, values: FloatMap, *further: tuple[Gap, Mask]) -> list[tuple[Gap, Mask]]:
        """Why `values`, a property of the network, is missing where it is (`further`: additional reasons)."""
        return explain(values, [*self._network_reasons, *further])

    def model_gaps(self, values: FloatMap, model: str) -> list[tuple[Gap, Mask]]:
        """Why `values`, a property of `model` against the network, is missing where it is."""
        compared, diverged = self.point("n_compared"), self.model("n_diverged", model)
        ran_away = (DIVERGED, (diverged >= compared) & (compared > 0))
        return explain(values, [ran_away, *self._network_reasons])

    def partly_diverged(self, model: str) -> Mask:
        """Points where `model` diverged in some of the compared trials, not in all."""
        diverged = self.model("n_diverged", model)
        return np.asarray((diverged > 0) & (diverged < self.point("n_compared")))

    @cached_property
    def spiking(self) -> Mask:
        """Points where at least one trial is done and not silent."""
        return np.asarray((self._done & (self.point("silent") != 1)).any(axis=-1))

    @cached_property
    def synchronised(self) -> Mask:
        """Points where Spike-contrast, averaged over trials, reaches `compare.spike_contrast_min`."""
        if self.has("synchronised"):
            return np.asarray(self.point("synchronised") == 1)
        return np.asarray(self.number("spike_contrast") >= self.experiment.compare.spike_contrast_min)

    @cached_property
    def requested(self) -> Mask:
        """Points that the configuration requests."""
        return np.asarray(self.all_requested.isel(self.plane.fixed).transpose(self.plane.up, self.plane.right).values)

    @cached_property
    def all_requested(self) -> xr.DataArray:
        """The same over the whole grid, with the axis of a scanned parameter, in the order of the file."""
        points = self.data["n_compared"]
        mask = xr.DataArray(requested(self.experiment), dims=list(self.experiment.axes()))
        further = {str(name): points.sizes[name] for name in points.dims if name not in mask.dims}
        return mask.expand_dims(further).transpose(*points.dims)

    @cached_property
    def _done(self) -> Mask:
        return np.asarray(self.point("status") == schema.DONE)

    @cached_property
    def _network_reasons(self) -> list[tuple[Gap, Mask]]:
        any_done, failed = self._done.any(axis=-1), (self.point("status") == schema.FAILED).any(axis=-1)
        return [
            (NOT_REQUESTED, ~self.requested),
            (FAILED, ~any_done & failed),
            (NOT_COMPUTED, ~any_done),
            (SILENT, ~self.spiking),
        ]

    def size(self) -> str:
        """Size of the experiment in words."""
        network, trials = self.experiment.network, self.experiment.trials
        # an import may not have been told the number
        unknown = self.experiment.imported is not None and "n_neurons" not in network.model_fields_set
        size = "" if unknown or "n_neurons" in self.plane.fixed else f"N = {network.n_neurons} neurons, "
        seconds = (network.duration_ms - network.transient_ms) / 1e3
        return f"{size}{counted(trials, 'trial')} of {seconds:.4g} s after the transient"

    def caption(self, but: Collection[str] = ()) -> str:
        """The same, and where the plane is, without the axes `but`, for the foot of a figure."""
        where = self.plane.fixed_text(but)
        return f"{self.size()}, at {where}" if where else self.size()


@contextmanager
def open_view(
    path: str | Path, axes: tuple[str, str] | None = None, fixed: Mapping[str, float] | None = None
) -> Iterator[View]:
    """A comparison file, cut to a plane: `axes` and `fixed` as in `plane.cut_plane`."""
    with _opened(Path(path)) as data:
        yield view_of(Path(path), data, axes, fixed)


def view_of(
    path: Path, data: xr.Dataset, axes: tuple[str, str] | None = None, fixed: Mapping[str, float] | None = None
) -> View:
    """The same for a comparison file that is open.

    Raises
    ------
    UserError
        If a variable that every comparison has is missing, or there is no such axis or value.
    """
    lacking = [name for name in REQUIRED if name not in data]
    if lacking:
        raise UserError(f"{path} lacks {', '.join(lacking)}, which every map needs; compare the sweep again")
    experiment = parse_experiment(str(data.attrs["config_yaml"]), f"the configuration in {path}")
    return View(path, data, cut_plane(data, axes, fixed), experiment)


def _opened(path: Path) -> xr.Dataset:
    try:
        return comparison_dataset(path)
    except UserError as error:
        try:
            SweepFile(path).close()
        except UserError:
            raise error from None
    comparison = path.with_name(f"{path.stem}-cmp.h5")
    compare = f"`hpcmass compare {path} -o {comparison}`"
    raise UserError(f"{path} is a sweep, which has no statistics yet; run {compare} first, then give {comparison}")


@contextmanager
def open_sweep_of(view: View, paths: Sequence[Path]) -> Iterator[SweepParts | None]:
    """The sweep that `view` compares.

    Parameters
    ----------
    view : View
    paths : sequence of Path
        Its file or files; none: the path stored in the comparison is used, and None is yielded if the sweep is
        not there.
    """
    with ExitStack() as stack:
        if paths:
            sweep = stack.enter_context(SweepParts(paths))
            if sweep.uuid != str(view.data.attrs["sweep_uuid"]):
                raise UserError(f"{sweep.name} is not the sweep that was compared; name that one, or leave it out")
            yield sweep
        else:
            yield _sweep_where_it_was(view, stack)


def _sweep_where_it_was(view: View, stack: ExitStack) -> SweepParts | None:
    """The compared sweep, if its files are still where the comparison says (relative to itself)."""
    noted = str(view.data.attrs.get("sweep_path", "")).splitlines()
    for names in (noted, [name_of(name) for name in noted]):
        with suppress(UserError, IndexError):
            sweep = stack.enter_context(SweepParts([view.path.parent / name for name in names]))
            if sweep.uuid == str(view.data.attrs["sweep_uuid"]):
                return sweep
    return None
