"""One trial for a look, in a notebook or a script: `from hpcmass import load_experiment, simulate`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment, NetworkParameters
from hpcmass.errors import UserError
from hpcmass.mass import Traces, predict
from hpcmass.network import Recording
from hpcmass.sweep.single import run_single

if TYPE_CHECKING:
    from hpcmass.plots.output import Picture


@dataclass(frozen=True, repr=False)
class Look:
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
        """Mass model → the potential (mV) that it predicts, (n_steps,); models that are fitted are left out."""
        traces = Traces(**{f.name: getattr(self.recording, f.name) for f in dataclasses.fields(Traces)})
        return predict(traces, self.network, self.experiment.mass)

    def figure(self) -> Picture:
        """Raster, potentials, inputs, spectra and numbers on one page; a notebook shows it."""
        from hpcmass.plots.style import house_style
        from hpcmass.plots.trial import trial_figure

        with house_style():
            return trial_figure(vars(self.recording), self.potentials, **self._captions())

    def draw(self, path: str | Path, *, force: bool = True) -> Path:
        """The same into a file, `.png`, `.svg` or `.pdf`; one that is there is replaced.

        A picture can be drawn again from the same numbers, and a notebook's cell runs more than once. With
        `force=False` a file that is there is left alone.

        Raises
        ------
        UserError
            If it cannot be written, or is there and `force` is false.
        """
        from hpcmass.plots.trial import draw_trial

        return draw_trial(path, vars(self.recording), self.potentials, **self._captions(), force=force)

    def __repr__(self) -> str:
        found = self.recording
        return f"<{self._where()}: {found.rate_E:.3g} Hz (E), Spike-contrast {found.spike_contrast:.2g}>"

    def _repr_png_(self) -> bytes:
        return self.figure()._repr_png_()

    def _where(self) -> str:
        from hpcmass.plots.plane import symbol

        return (
            ", ".join(f"{symbol(name)} = {value:g}" for name, value in self.values.items()) + f", trial {self.number}"
        )

    def _captions(self) -> dict[str, Any]:
        return {
            "dt_ms": self.network.dt_ms,
            "transient_ms": self.network.transient_ms,
            "n_neurons": self.network.n_neurons,
            "n_excitatory": round(self.values["lam"] * self.network.n_neurons),
            "title": self._where(),
        }


def simulate(
    experiment: Experiment,
    p: float,
    lam: float,
    trial: int = 0,
    *,
    at: dict[str, float] | None = None,
    keep_spikes: bool = True,
    output: str | Path | None = None,
    store_spikes: bool = False,
    force: bool = False,
) -> Look:
    """Simulate one trial of an experiment: the same, bit by bit, as in the sweep.

    Parameters
    ----------
    experiment : Experiment
        From `load_experiment`, or made in place: `Experiment(grid={"p": 0.2, "lam": 0.8})`.
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
        Keep an existing file aside instead of refusing.

    Raises
    ------
    UserError
        If a value is not allowed or given twice, or the file cannot be written.
    TrialFailure
        If the network leaves the physical regime.
    """
    values = {"p": p, "lam": lam, **(at or {})}
    for name, value in (("p", p), ("lam", lam)):
        if name in (at or {}):
            raise UserError(
                f"{name} is given twice, as {value:g} and with --at (in Python at=) as {values[name]:g}; leave out the "
                "latter"
            )
    with _said_in_python():
        recording = run_single(
            experiment,
            values,
            trial,
            output=None if output is None else Path(output),
            keep_spikes=keep_spikes,
            store_spikes=store_spikes,
            force=force,
        )
    return Look(experiment, values, trial, recording)


@contextmanager
def _said_in_python() -> Iterator[None]:
    """Names the keyword beside the command line's option."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace("--force", "--force (in Python force=True)")) from None
