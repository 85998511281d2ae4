"""A comparison file in a notebook: maps, lines, tables and the report page."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import xarray as xr

from hpcmass.config import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.errors import UserError
from hpcmass.nearest import did_you_mean
from hpcmass.store.labelled import best_values, comparison_dataset, scanned_parameter
from hpcmass.store.schema import COMPARED_VARIABLES, DONE, OwnStatistic, Variable, own_statistics
from hpcmass.text import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hpcmass.claims.table import ClaimsTable
    from hpcmass.refine import Refinement
    from hpcmass.summary import Summary


class Comparison:
    """A comparison file, opened with `open_comparison`; a context manager.

    Attributes
    ----------
    path : Path
    axes : dict of str to tuple of float
        Swept axis → its values.
    models : tuple of str
        Names of the mass models.
    """

    def __init__(self, path: Path, data: xr.Dataset) -> None:
        self.path, self._data = path, data
        self.axes = {str(n): tuple(float(v) for v in data[n].values) for n in data["n_compared"].dims}
        self.models = tuple(str(name) for name in data["model"].values)

    @cached_property
    def _own(self) -> tuple[OwnStatistic, ...]:
        return own_statistics(self._data.attrs)

    @cached_property
    def _variables(self) -> dict[str, Variable]:
        own = {variable.name: variable for each in self._own for variable in each.variables()}
        return {**COMPARED_VARIABLES, **own}

    @cached_property
    def experiment(self) -> Experiment:
        """The configuration of the sweep, with the settings of this comparison."""
        return parse_experiment(str(self._data.attrs["config_yaml"]), f"the configuration in {self.path}")

    def map(self, name: str, *, model: str | None = None) -> xr.DataArray:
        """One statistic at every point of the grid.

        Parameters
        ----------
        name : str
            A variable of the file, such as `rho`, `lag`, `chi2_pvalue` or `spike_contrast`, or a statistic of your own.
            Numbers of trials are averaged over those that have one.
        model : str, optional
            Mass model; without it all of them, along the dimension `model`.

        Returns
        -------
        DataArray
            With units and description; NaN where there is no value. λ is the last dimension but one and p the last, so
            that `.plot()` has p to the right and λ upwards.

        Raises
        ------
        UserError
            If there is no such variable or model, or the variable has further dimensions.
        """
        return self._of_model(name, self._values(name), model)

    def _of_model(self, name: str, values: xr.DataArray, model: str | None) -> xr.DataArray:
        """Values of one model, or of all; λ is the last dimension but one and p the last."""
        if model is not None:
            if "model" not in values.dims:
                raise UserError(f"{name} does not depend on the model; leave model out")
            if model not in self.models:
                hint = did_you_mean(model, self.models) or f"there are {', '.join(self.models)}"
                raise UserError(f"there is no model '{model}' in {self.path}; {hint}")
            values = values.sel(model=model)
        first = [dim for dim in values.dims if dim not in ("p", "lam")]
        return values.transpose(*first, "lam", "p")

    def best(self, *, model: str | None = None) -> xr.DataArray:
        """The value of the scanned parameter at which the correlation ρ is largest, at every point of the grid.

        Parameters
        ----------
        model : str, optional
            See `map`.

        Returns
        -------
        DataArray
            Like `map`, without the axis of the parameter, of the models that have it; NaN where ρ is undefined.

        Raises
        ------
        UserError
            If no parameter was scanned, or there is no such model, or it does not have the parameter.
        """
        if self._best is None:
            raise UserError(f"{self.path} has no scanned parameter; compare with --scan (in Python scan=)")
        having = [str(name) for name in self._best["model"].values]
        if model in self.models and model not in having:
            raise UserError(f"{scanned_parameter(self._data)} is not a parameter of {model}; leave model out")
        return self._of_model("best", self._best, model)

    @cached_property
    def _best(self) -> xr.DataArray | None:
        return best_values(self._data)

    def line(self, name: str, *, along: str, model: str | None = None, **at: float) -> xr.DataArray:
        """One statistic along one axis of the grid.

        Parameters
        ----------
        name, model : str
            See `map`.
        along : str
            The axis.
        **at : float
            Value of every other axis, on the grid: `lam=0.8`. An axis of one value may be left out.

        Returns
        -------
        DataArray
            Over the axis; over the models and the axis if no model is given.

        Raises
        ------
        UserError
            As `map`, and if an axis is unknown or missing, or a value is not on the grid.
        """
        from hpcmass.plots.plane import grid_index

        for axis in (along, *at):
            if axis not in self.axes:
                hint = did_you_mean(axis, self.axes) or f"it has {', '.join(self.axes)}"
                raise UserError(f"'{axis}' is no axis of this sweep; {hint}")
        if along in at:
            raise UserError(f"{along} is the axis of the line; give no value for it")
        missing = [axis for axis, values in self.axes.items() if axis != along and axis not in at and len(values) > 1]
        if missing:
            raise UserError(f"the sweep has an axis {missing[0]}, too; give {missing[0]}=VALUE, on its grid")
        places = {
            axis: grid_index(axis, at.get(axis, values[0]), values)
            for axis, values in self.axes.items()
            if axis != along
        }
        return self.map(name, model=model).isel(places)

    def to_xarray(self) -> xr.Dataset:
        """Everything in the file as labelled arrays, read when needed."""
        return self._data.copy()

    def to_dataframe(self) -> pd.DataFrame:
        """All statistics as a table: a row for each point and model, the network's repeated for each model."""
        names = [name for name in self._variables if name in self._data.data_vars and self._is_map(name)]
        table: pd.DataFrame = xr.Dataset({name: self.map(name) for name in names}).to_dataframe(
            dim_order=[*self.axes, "model"]
        )
        return table[[name for name in names if name in table]]

    def summary(self) -> str:
        """The answer in words, as `hpcmass summary` prints it.

        Returns
        -------
        str
            For each model where it follows the network, and medians of its lag and its errors of mean and variance;
            then the paper's six claims, each with its verdict and numbers, see `claims`. Where a parameter was
            scanned, each point counts at its best value.
        """
        return self._summary().text()

    def claims(self, *, resamples: int = 1000, seed: int = 1) -> ClaimsTable:
        """The paper's six claims, as `hpcmass claims` prints them.

        Parameters
        ----------
        resamples : int
            Resamples of the trials, for the certainty of each verdict; 0: none.
        seed : int
            Of the resamples.

        Returns
        -------
        ClaimsTable
            For each combination of the values of further axes: verdicts, numbers, and how sure each verdict is.
            `print` shows it; `to_dataframe` has a row for each reading and claim.
        """
        from hpcmass.claims.table import ClaimsTable, ComparedFile, readings_of
        from hpcmass.plots.view import view_of

        view = view_of(self.path, self._data, ("p", "lam"))
        readings = readings_of(view, resamples=resamples, seed=seed)
        return ClaimsTable([ComparedFile(self.path, self.experiment.title, readings)])

    def refine(
        self,
        by: str | Sequence[str] | None = None,
        *,
        budget: int = 500,
        difference: float | None = None,
        axes: tuple[str, str] | None = None,
    ) -> Refinement:
        """Points to add to the sweep where the maps change, as `hpcmass refine` finds them.

        Parameters
        ----------
        by : str or sequence of str, optional
            The maps that decide, `rho:MFM` or `rho`; without it ρ of every model.
        budget : int
            Most new points. Those at outlines come first.
        difference : float, optional
            Least difference between neighbours that matters, in the unit of the map; without it a quarter of the range
            of the map's values. It must also be three standard errors. Infinity: outlines alone count.
        axes : tuple of 2 str, optional
            The axes that become finer; without it the first two that vary.

        Returns
        -------
        Refinement
            Its `experiment` has finer axes and requests the old points and the new ones: give it to
            `run_sweep(experiment, "refined.h5", reuse=["old.h5"])`. `print` shows the counts.

        Raises
        ------
        UserError
            If there is no such statistic, model or axis, or an axis cannot become finer.
        """
        from hpcmass.plots.view import view_of
        from hpcmass.refine import refine

        maps = [by] if isinstance(by, str) else by
        view = view_of(self.path, self._data, axes)
        return refine(view, maps, budget=budget, difference=difference, axes=axes)

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        axes: tuple[str, str] | None = None,
        at: Mapping[str, float] | None = None,
    ) -> Path:
        """Write the report page, one HTML file; an existing file is replaced.

        Parameters
        ----------
        path : path
            The file, `report.html`.
        axes : tuple of 2 str, optional
            Swept axes to show to the right and upwards; without it the first two that vary.
        at : mapping of str to float, optional
            Value of each further axis; its first one where none is given.

        Raises
        ------
        UserError
            If the file cannot be written, or there is no such axis or value.
        """
        from hpcmass.compare.potentials import solver
        from hpcmass.plots.style import house_style
        from hpcmass.plots.view import open_sweep_of, open_view
        from hpcmass.report import write_report

        path = Path(path)
        if path.suffix.lower() not in (".html", ".htm"):
            raise UserError(f"{path}: the report is one HTML file; give a name that ends in .html")
        with open_view(self.path, axes, at) as view, open_sweep_of(view, ()) as sweep, house_style():
            return write_report(view, sweep, path, solver)

    def figure(
        self,
        panels: str | Sequence[str],
        *,
        ax: Axes | Iterable[Axes] | None = None,
        width_mm: float = 180.0,
        columns: int | None = None,
        clim: Mapping[str, tuple[float, float]] | None = None,
        along: Mapping[str, float] | None = None,
        letters: bool = False,
        legend: bool = True,
        axes: tuple[str, str] | None = None,
        at: Mapping[str, float] | None = None,
        style: str = "hpcmass",
    ) -> Figure:
        """Maps of chosen statistics and models in one figure, or lines through them.

        Parameters
        ----------
        panels : str or sequence of str
            What to draw, in this order: `rho:MFM` is ρ of the MFM, `median_frequency:network` the network's median
            frequency, `rho` alone ρ of every model. Each variable of the file that has a number for each point can be
            drawn. `chi2` is drawn per degree of freedom, `log_variance_ratio` in decades.
        ax : Axes or sequence of Axes, optional
            Axes of a figure of your own, one for each panel. They get maps and colour bars in your style; width,
            columns, legend and style are yours. Without them a figure is made.
        width_mm : float
            Width of the figure.
        columns : int, optional
            Panels in a row; without it as many as fit.
        clim : mapping of str to (float, float), optional
            Statistic → ends of its colours, or of the y axis of its lines.
        along : mapping of str to float, optional
            `{"p": 0.2}` draws lines over λ at p = 0.2 instead of maps: one panel for each statistic, a curve with
            standard errors for each model.
        letters : bool
            Letter the panels a, b, c, ...
        legend : bool
            Explain outlines, marks and gaps below the panels.
        axes, at : optional
            The plane, see `report`.
        style : str
            `hpcmass`; `user` for matplotlib's settings as they are; or a style of matplotlib or a style file.

        Returns
        -------
        Figure
            A notebook shows it. `savefig` writes it; text in SVG and PDF stays text.

        Raises
        ------
        UserError
            If there is no such statistic, model, axis, value or style.
        """
        from hpcmass.plots.paper import draw_into, paper_figure
        from hpcmass.plots.style import chosen_style
        from hpcmass.plots.view import view_of

        names = [panels] if isinstance(panels, str) else list(panels)
        view = view_of(self.path, self._data, axes, at)
        if ax is None:
            with chosen_style(style):
                return paper_figure(
                    view, names, width_mm=width_mm, columns=columns, limits=clim, along=along, letters=letters,
                    legend=legend,
                )  # fmt: skip
        own = list(np.ravel(np.array(list(ax) if isinstance(ax, Iterable) else [ax], dtype=object)))
        if not own:
            raise UserError("ax has no axes; give an axes for each panel")
        draw_into(own, view, names, limits=clim, along=along, letters=letters)
        figure: Figure = own[0].get_figure(root=True)
        return figure

    def close(self) -> None:
        """Close the file."""
        self._data.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{self._title()}>"

    def _repr_html_(self) -> str:
        summary = self._summary(claims=False)
        legend = f"follows: share of the points with {summary.criterion}; the other columns are medians over the points"
        return f"<p>{html.escape(self._title())}</p>{_table(summary).to_html()}<p>{html.escape(legend)}</p>"

    def _is_map(self, name: str) -> bool:
        """Whether a variable has a value a point, of the network or of each model; numbers of trials are averaged."""
        dims = set(self._data[name].dims)
        return set(self.axes) <= dims <= {*self.axes, "model", "trial"}

    def _values(self, name: str) -> xr.DataArray:
        """A variable over the axes and, if it depends on them, the models, NaN where it is missing."""
        known = [n for n, v in self._variables.items() if v.role != "bookkeeping" and self._has(n)]
        if name not in known:
            if name in COMPARED_VARIABLES and not self._has(name):
                raise UserError(f"{self.path} has no {name}: an earlier hpcmass made it; compare the sweep again")
            hint = did_you_mean(name, known) or "`to_xarray` has all of them"
            raise UserError(f"there is no variable '{name}'; {hint}")
        if not self._is_map(name):
            further = ", ".join(str(dim) for dim in self._data[name].dims if dim not in {*self.axes, "model", "trial"})
            raise UserError(f"{name} depends on {further}, too, and is no map; take it from to_xarray()")
        stored = self._data[name].reset_coords(drop=True)
        values = stored.astype(np.float64)
        if self._variables[name].fill == -1:
            values = values.where(stored != -1)
        if "trial" in values.dims:
            done = self._data["status"].reset_coords(drop=True) == DONE
            values = values.where(done).mean("trial")
        return values.assign_attrs({key: stored.attrs[key] for key in ("units", "long_name") if key in stored.attrs})

    def _has(self, name: str) -> bool:
        return name in self._data.variables

    def _title(self) -> str:
        axes = ", ".join(f"{name} ({len(values)})" for name, values in self.axes.items())
        compared = np.asarray(self._data["n_compared"].values)
        points = f"{np.count_nonzero(compared > 0)} of {counted(compared.size, 'point')} compared"
        return f"{self.path.name}: {self.experiment.title}, axes {axes}, {points}"

    def _summary(self, *, claims: bool = True) -> Summary:
        from hpcmass.plots.view import view_of
        from hpcmass.summary import summary_of

        return summary_of(view_of(self.path, self._data, ("p", "lam")), claims=claims)


def open_comparison(path: str | os.PathLike[str]) -> Comparison:
    """Open a comparison file, also while it grows.

    Parameters
    ----------
    path : path
        What `hpcmass compare` or `compare_sweep` wrote.

    Returns
    -------
    Comparison

    Raises
    ------
    UserError
        If it cannot be read, or is another file.
    """
    return Comparison(Path(path), comparison_dataset(path))


def _table(summary: Summary) -> pd.DataFrame:
    """What a notebook shows."""
    import pandas as pd

    from hpcmass.summary import percent

    rows = {
        model.model: {
            "follows": percent(model.share),
            "ρ": _shown(model.everywhere.rho),
            "lag (ms)": _shown(model.everywhere.lag_ms),
            "error of the mean (mV)": _shown(model.everywhere.mean_error_mv),
            "variance wrong by": f"x {_shown(model.everywhere.variance_factor)}",
            **{name: _shown(value) for name, value in model.own.items()},
            **{f"best {name}": _shown(value) for name, value in model.best.items()},
        }
        for model in summary.models
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _shown(value: float) -> str:
    return f"{value:.2g}" if np.isfinite(value) else "–"
