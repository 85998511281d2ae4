"""One trial: the same simulation as in the sweep, in a notebook, a script or `hpcmass trial`."""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpcmass.compare.arrays import real_array
from hpcmass.config import CompareParameters, Experiment, NetworkParameters
from hpcmass.config.assignments import set_in_history
from hpcmass.config.file import changed, experiment_of, validated
from hpcmass.errors import UserError
from hpcmass.grid import Trial, trials
from hpcmass.mass import Traces, predict
from hpcmass.network import Recording
from hpcmass.network import simulate as simulate_network
from hpcmass.store.files import START_OVER, real_path, require_output
from hpcmass.store.lock import SweepLock
from hpcmass.store.provenance import provenance
from hpcmass.store.schema import SPIKE_VARIABLES, SWEEP_VARIABLES
from hpcmass.store.writer import Ended, SweepWriter, create_sweep_file

if TYPE_CHECKING:
    import xarray as xr

    from hpcmass.compare.recorded import RecordingComparison
    from hpcmass.plots.saving import Picture


@dataclass(frozen=True, repr=False)
class TrialResult:
    """One trial and where it belongs; a notebook shows it as a picture.

    Attributes
    ----------
    experiment : Experiment
    values : dict of str to float
        Axis name → value.
    number : int
        Trial number at the point.
    recording : Recording
        Traces, numbers and, if kept, spikes.
    """

    experiment: Experiment
    values: dict[str, float]
    number: int
    recording: Recording

    @property
    def network(self) -> NetworkParameters:
        """The network's parameters at this point."""
        return self.experiment.network_at(self.values)

    @property
    def time_ms(self) -> npt.NDArray[np.float64]:
        """The time of each step of the traces (ms), (n_steps,)."""
        return self.network.dt_ms * np.arange(self.network.n_steps, dtype=np.float64)

    @cached_property
    def potentials(self) -> dict[str, npt.NDArray[np.float64]]:
        """Mass model → the potential (mV) that it predicts, (n_steps,); fitted models are left out."""
        return predict(self._traces, self.network, self.experiment.mass)

    @property
    def _traces(self) -> Traces:
        return Traces(**{f.name: getattr(self.recording, f.name) for f in dataclasses.fields(Traces)})

    def compare(
        self, models: Sequence[str] | None = None, *, compare: CompareParameters | Mapping[str, Any] | None = None
    ) -> RecordingComparison:
        """Compare the trial with mass models, by the statistics of `hpcmass compare`.

        Parameters
        ----------
        models : sequence of str, optional
            In place of the experiment's.
        compare : CompareParameters or mapping, optional
            Settings in place of the experiment's; of a mapping, `{"max_lag_ms": 20}`, those that it names.

        Returns
        -------
        RecordingComparison
            Model → its statistics.

        Raises
        ------
        UserError
            If a model is unknown, or a setting does not fit the trial.
        """
        from hpcmass.compare.recorded import compare_traces

        mass, settings = self.experiment.mass, self.experiment.compare
        if models is not None:
            names = (models,) if isinstance(models, str) else tuple(models)
            mass = mass.with_models(names)
        if compare is not None:
            settings = validated(CompareParameters, settings.model_dump() | dict(compare))
        return compare_traces([self._traces], self.network, mass, settings)

    def to_xarray(self) -> xr.Dataset:
        """Traces, numbers, spikes and the models' potentials as labelled arrays, with units and descriptions.

        Returns
        -------
        Dataset
            The names are those of a sweep file. `model_v`, (model, time), has the mass models' potentials (mV).
        """
        import xarray as xr

        recorded = {name: value for name, value in vars(self.recording).items() if value is not None}
        known = {name: variable for name, variable in (SWEEP_VARIABLES | SPIKE_VARIABLES).items() if name in recorded}
        dims = {"trace": ("time",)} | dict.fromkeys(("number", "bookkeeping"), ())
        variables: dict[str, Any] = {
            name: (
                variable.dims if name in SPIKE_VARIABLES else dims[variable.role],
                recorded[name],
                {"units": variable.unit, "long_name": variable.long_name},
            )
            for name, variable in known.items()
        }
        potentials = np.array(list(self.potentials.values())).reshape(-1, self.network.n_steps)
        about = {"units": "mV", "long_name": "potential that a mass model predicts"}
        return xr.Dataset(
            variables | {"model_v": (("model", "time"), potentials, about)},
            {
                "time": ("time", self.time_ms, {"units": "ms", "long_name": "time"}),
                "model": ("model", list(self.potentials)),
                **self.values,
                "trial": self.number,
            },
            {"title": self.experiment.title, "config_yaml": self.experiment.text},
        )

    def figure(self, *, window_ms: tuple[float, float] | None = None, standardised: bool = True) -> Picture:
        """Raster, potentials, inputs, spectra and numbers on one page; a notebook shows it.

        Parameters
        ----------
        window_ms : (float, float), optional
            First and last time (ms) to show; without it some periods after the transient. The spectra and numbers are
            of the whole trial after the transient.
        standardised : bool
            Each potential minus its mean, divided by its standard deviation; False draws them in mV.

        Raises
        ------
        UserError
            If the window is not within the trial.
        """
        from hpcmass.plots.style import house_style
        from hpcmass.plots.trial_figure import trial_figure

        if window_ms is not None and real_array("window_ms", window_ms).shape != (2,):
            raise UserError("window_ms must be (first, last time) in ms")
        with house_style():
            return trial_figure(
                vars(self.recording),
                self.potentials,
                dt_ms=self.network.dt_ms,
                transient_ms=self.network.transient_ms,
                n_neurons=self.network.n_neurons,
                n_excitatory=round(self.values["lam"] * self.network.n_neurons),
                title=self._where(),
                shown_ms=window_ms,
                standardised=standardised,
            )

    def draw(self, path: str | Path, *, force: bool = True) -> Path:
        """The same into a file, `.png`, `.svg` or `.pdf`; an existing file is replaced.

        A picture can be drawn again from the same numbers, and a notebook's cell runs more than once. With
        `force=False` an existing file is left alone.

        Raises
        ------
        UserError
            If it cannot be written, or exists and `force` is false.
        """
        from hpcmass.plots.saving import save
        from hpcmass.plots.style import house_style

        with house_style():
            return save(self.figure(), Path(path), force=force)

    def __repr__(self) -> str:
        found = self.recording
        return f"<{self._where()}: {found.rate_E:.3g} Hz (E), Spike-contrast {found.spike_contrast:.2g}>"

    def _repr_png_(self) -> bytes:
        return self.figure()._repr_png_()

    def _where(self) -> str:
        from hpcmass.plots.plane import symbol

        point = ", ".join(f"{symbol(name)} = {value:g}" for name, value in self.values.items())
        return f"{point}, trial {self.number}"


def simulate(
    experiment: str | os.PathLike[str] | Experiment,
    p: float,
    lam: float,
    trial: int = 0,
    *,
    at: dict[str, float] | None = None,
    keep_spikes: bool = True,
    output: str | Path | None = None,
    store_spikes: bool = False,
    force: bool = False,
) -> TrialResult:
    """Simulate one trial of an experiment: the same, bit by bit, as in the sweep.

    Parameters
    ----------
    experiment : path or Experiment
        A configuration file, or an experiment that is in memory, such as `Experiment(grid={"p": 0.2, "lam": 0.8})`.
    p, lam : float
        Connection probability and excitatory fraction, on the experiment's grid or not.
    trial : int
        Trial number at the point; with the values it fixes the seed.
    at : dict of str to float, optional
        Values of the grid's further axes.
    keep_spikes : bool
        Return every spike, for the raster.
    output : path, optional
        A sweep file of one trial.
    store_spikes : bool
        Store every spike in it, too.
    force : bool
        Back up an existing file instead of refusing it.

    Raises
    ------
    UserError
        If a value is not allowed or given twice, or the file cannot be written; before the simulation where possible.
    TrialFailure
        If the network leaves the physical regime; nothing is stored then.

    Examples
    --------
    >>> from hpcmass import Experiment, simulate
    >>> network = {"n_neurons": 200, "n_external": 200, "duration_ms": 200, "transient_ms": 50}
    >>> simulate(Experiment(network=network, grid={"p": 0.2, "lam": 0.8}), p=0.2, lam=0.8).recording.mean_v.shape
    (2000,)
    """
    values = {"p": p, "lam": lam, **(at or {})}
    for name, value in (("p", p), ("lam", lam)):
        if name in (at or {}):
            raise UserError(
                f"{name} is given twice, as {value:g} and with --at (in Python at=) as {values[name]:g}; leave out the "
                "latter"
            )
    read = experiment_of(experiment)
    point = at_point(read, values)
    (task,) = trials(point, [trial])
    place = task.values
    path = None if output is None else real_path(Path(output))
    if path is not None:
        require_output(path, [] if isinstance(experiment, Experiment) else [Path(experiment)])
    with nullcontext() if path is None else SweepLock(path):
        if path is not None and path.exists() and not force:
            raise UserError(f"{path} exists; {START_OVER}")
        network = point.network_at(place)
        keep = keep_spikes or store_spikes
        recording = simulate_network(network, place["p"], place["lam"], task.seed, keep_spikes=keep)
        if path is not None:
            _store(recording, point, task, trial, path, with_spikes=store_spikes)
    return TrialResult(read, values, trial, recording)


def at_point(experiment: Experiment, values: Mapping[str, float]) -> Experiment:
    """The experiment with a grid of one point and one trial.

    Parameters
    ----------
    experiment : Experiment
    values : mapping of str to float
        A value for every axis of its grid.

    Raises
    ------
    UserError
        If an axis is missing or unknown, or a value is not allowed.
    """
    axes = experiment.grid.axes()
    missing = [name for name in axes if name not in values]
    if missing:
        raise UserError(f"the grid also sweeps {', '.join(missing)}; give --at {missing[0]}=VALUE")
    unknown = [name for name in values if name not in axes]
    if unknown:
        raise UserError(f"--at {unknown[0]}: the grid does not sweep it; it sweeps {', '.join(axes)}")
    return changed(
        experiment,
        {"trials": 1, "grid": {name: [float(values[name])] for name in axes}, "traces": {}},
        "the trial",
    )


def _store(
    recording: Recording, point: Experiment, trial: Trial, number: int, output: Path, *, with_spikes: bool
) -> None:
    spikes = {name: getattr(recording, name) for name in SPIKE_VARIABLES} if with_spikes else {}
    create_sweep_file(
        output,
        point,
        driver="serial",
        provenance={"uuid": str(uuid.uuid4()), **provenance(n_ranks=1, mpi_library="none")},
        started=f"trial {number} alone{set_in_history(point.assignments)}",
        trial_numbers=[number],
        n_spikes=len(spikes["spike_time"]) if with_spikes else None,
        force=True,  # an existing file was refused before the simulation
    )
    with SweepWriter(output) as writer:
        writer.store_spikes(spikes)
        writer.store([Ended(trial, {**recording.variables(), "rank": 0})])
