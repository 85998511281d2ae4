"""Potentials of the mass models in any trial of a sweep, solved again: a comparison stores those of the first trial."""

from __future__ import annotations

import json
from dataclasses import dataclass

import xarray as xr

from hpcmass.compare.contents import own_code
from hpcmass.compare.scan import scan_of
from hpcmass.config import Experiment, MassParameters
from hpcmass.errors import UserError
from hpcmass.grid import values_at
from hpcmass.mass import FittedModel, Traces, models_of, predict
from hpcmass.mass.traces import Potential
from hpcmass.messages import logger
from hpcmass.plugins import changed_sources
from hpcmass.store.parts import SweepParts


@dataclass(frozen=True)
class Solver:
    """Solves the models of one comparison again, trial by trial.

    Attributes
    ----------
    models : tuple of str
        Those that need only the trial itself; fitted ones are left out.
    """

    models: tuple[str, ...]
    _sweep: SweepParts
    _masses: tuple[MassParameters, ...]

    def __call__(self, point: tuple[int, ...], trial: int) -> dict[str, Potential]:
        """Name → V (mV) over the whole trial; NaN from where a model diverged.

        Parameters
        ----------
        point : tuple of int
            In the comparison: of a scanned parameter, too.
        trial : int
        """
        axes = self._sweep.axes
        own = point[: len(axes)]
        values = values_at(axes, own)
        mass = self._masses[point[-1] if len(point) > len(own) else 0]
        traces = Traces(**self._sweep.traces(own, trial))
        return predict(traces, self._sweep.experiment.network_at(values), mass)


def solver(data: xr.Dataset, experiment: Experiment, sweep: SweepParts) -> Solver | None:
    """What solves the models of a comparison again; None, with a message, where their code is not there any more.

    Parameters
    ----------
    data : Dataset
        The comparison file.
    experiment : Experiment
        The comparison's own.
    sweep : SweepParts
        The sweep that was compared.
    """
    mass, key = experiment.mass, data.attrs.get("scan")
    try:
        changed = changed_sources(own_code(mass, experiment.compare), json.loads(str(data.attrs.get("own_code", "{}"))))
        if changed:
            raise UserError(f"the code of {', '.join(changed)} is not what was compared")
        models = tuple(name for name, model in models_of(mass).items() if not isinstance(model, FittedModel))
        masses = [mass]
        if key:
            scan = scan_of({str(key): data[str(data.attrs["scan_axis"])].values.tolist()}, mass, ())
            masses = [scan.mass(mass, i) for i in range(len(scan.values))]
    except UserError as problem:
        logger.warning(f"the report has the models' potentials of the first trial only: {problem}")
        return None
    return Solver(models, sweep, tuple(masses))
