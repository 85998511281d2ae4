"""The mass models by name.

A model is a function from the recorded traces of a trial to the potential it predicts, or is fitted first to other
trials of the point. `mass_model` registers one: in a module of this package, in a Python file that a configuration
names, in an installed package, in a script or in a notebook. Its results appear along the `model` dimension of every
comparison.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

from hpcmass.config import MassParameters, NetworkParameters
from hpcmass.errors import UserError
from hpcmass.mass import contract
from hpcmass.mass.parameters import Parameter, check_declared, parameter_values
from hpcmass.mass.traces import Potential, Traces
from hpcmass.plugins import Registered, Registry, in_file, label_of, loading

MassModel = Callable[..., Potential]
"""(traces, the network's parameters at this point, mass parameters) → V (mV), one value a step, float64.

`V[k + 1]` may use traces up to step k. The arguments are read-only. Divergence is a result: V counts as NaN from where
it leaves the physical range. Parameters that the model declares are further keyword arguments.
"""


@runtime_checkable
class FittedModel(Protocol):
    """A model with free coefficients, fitted to a point's trials without the one that it then predicts.

    Parameters that the model declares are keyword arguments of both methods. An attribute `least_trials` says how many
    trials of a point the fit needs; without it, one.
    """

    def summarise(self, traces: Traces, network: NetworkParameters, mass: MassParameters) -> Any:
        """Summary of one trial for the fit; small, so that the traces are not needed again."""

    def fit(self, summaries: Mapping[int, Any], held_out: int, network: NetworkParameters) -> MassModel:
        """The model for trial `held_out`, fitted to the other trials (`summaries`: trial → `summarise`)."""


@dataclass(frozen=True)
class Declared:
    """A model with what its decorator says about it.

    Attributes
    ----------
    model : MassModel or FittedModel
    needs : tuple of str
        Traces that it needs in addition to those that every sweep has.
    parameters : dict of str to Parameter
    """

    model: MassModel | FittedModel
    needs: tuple[str, ...] = ()
    parameters: dict[str, Parameter] = field(default_factory=dict)


@dataclass(frozen=True)
class _Fitted:
    """A fitted model with values for its parameters."""

    model: Any
    values: dict[str, float]

    @property
    def least_trials(self) -> int:
        return least_trials(self.model)

    def summarise(self, traces: Traces, network: NetworkParameters, mass: MassParameters) -> Any:
        return self.model.summarise(traces, network, mass, **self.values)

    def fit(self, summaries: Mapping[int, Any], held_out: int, network: NetworkParameters) -> MassModel:
        model: MassModel = self.model.fit(summaries, held_out, network, **self.values)
        return model


M = TypeVar("M", MassModel, FittedModel)


def _load_own() -> None:
    """Import every module of the package; if one fails, its registrations are undone, so that it can be tried again."""
    package = importlib.import_module("hpcmass.mass")
    for found in pkgutil.iter_modules(package.__path__):
        before = dict(MODELS.entries)
        try:
            with loading(f"the mass models of hpcmass.mass.{found.name}", "correct that module or remove it"):
                importlib.import_module(f"hpcmass.mass.{found.name}")
        except UserError:
            MODELS.entries.clear()
            MODELS.entries.update(before)
            raise


MODELS: Final[Registry[Declared]] = Registry("mass model", "mass.models", "hpcmass.mass_models", _load_own)


def mass_model(
    name: str, *, needs: tuple[str, ...] = (), parameters: Mapping[str, Parameter] | None = None
) -> Callable[[M], M]:
    """Decorator that registers a model under `name`, the name used in configurations and files.

    In a notebook, a cell that runs again replaces its model.

    Parameters
    ----------
    name : str
        Any printable text without spaces around it, `,` (`--models A,B`), `$` (which figures take for mathematics) and
        `_` in front (which legends leave out); not a key of the section `mass`.
    needs : tuple of str
        Traces that it needs in addition to those that every sweep has.
    parameters : mapping of str to Parameter, optional
        Numbers that it takes as keyword arguments. A configuration sets them, `mass: {NAME: {gain: 3.0}}`.

    Raises
    ------
    ValueError
        If hpcmass has such a model, or the name or a parameter cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from hpcmass import Parameter, mass_model
    >>> @mass_model("REST", parameters={"offset": Parameter(0.0, "mV", "distance from rest")})
    ... def rest(traces, network, mass, offset):
    ...     return np.full(network.n_steps, network.v_leak_mv + offset)
    """
    if not isinstance(name, str):
        raise ValueError(f"{name!r} is not a name for a mass model; write @mass_model('NAME')")
    if not name or not name.isprintable() or name != name.strip() or name[0] == "_" or {",", "$"} & set(name):
        raise ValueError(f"{name!r} cannot name a mass model; see `mass_model` for what a name may hold")
    if name in MassParameters.model_fields or in_file(name):
        raise ValueError(f"{name!r} cannot name a mass model; a configuration would take it for something else")
    traces = [trace.name for trace in fields(Traces)]
    if unknown := [trace for trace in needs if trace not in traces]:
        raise ValueError(f"the mass model {name} needs {', '.join(unknown)}; the traces are {', '.join(traces)}")
    check_declared(name, parameters or {})

    def register(model: M) -> M:
        MODELS.add(name, Declared(model, tuple(needs), dict(parameters or {})), source=model)
        return model

    return register


def least_trials(model: MassModel | FittedModel) -> int:
    """Trials of a point that a model needs."""
    return int(getattr(model, "least_trials", 1))


def known_models() -> tuple[str, ...]:
    """Names of all models but those in files, sorted.

    Raises
    ------
    UserError
        If a module of hpcmass cannot be loaded: it might define a requested model.
    """
    return MODELS.names()


def declared_models(
    mass: MassParameters, traces: Iterable[str] | None = None, n_trials: int | None = None
) -> dict[str, Registered[Declared]]:
    """The models that a configuration lists by name, in its order.

    Parameters
    ----------
    mass : MassParameters
    traces : iterable of str, optional
        Names of the traces that were recorded, where that is known.
    n_trials : int, optional
        Trials at each point, where that is known.

    Raises
    ------
    UserError
        If a model is unknown or given twice, cannot be loaded or called as one, has no such parameter or a value
        outside its bounds, or needs a trace that was not recorded or more trials.
    """
    found: dict[str, Registered[Declared]] = {}
    for reference in mass.models:
        name = label_of(reference)
        entry = MODELS.find(reference)
        if name in found:
            raise UserError(f"mass.models: '{name}' is given twice; list each model once")
        found[name] = entry
        declared = entry.value
        contract.require_signature(name, declared.model, tuple(declared.parameters))
        parameter_values(name, declared.parameters, mass.own.get(name, {}))
        missing = set(declared.needs).difference(traces) if traces is not None else set()
        if missing:
            raise UserError(
                f"mass.models: {name} needs {', '.join(sorted(missing))}, which this sweep did not record; leave "
                f"{name} out, or run the sweep again"
            )
        least = least_trials(declared.model)
        if n_trials is not None and n_trials < least:
            raise UserError(
                f"mass.models: {name} needs at least {least} trials of each point, because it is fitted to the others, "
                f"and there {'is' if n_trials == 1 else 'are'} {n_trials}; give more trials, or leave {name} out"
            )
    return found


def models_of(mass: MassParameters) -> dict[str, MassModel | FittedModel]:
    """The models that a configuration lists by name, in its order, with its values for their parameters.

    Raises
    ------
    UserError
        See `declared_models`.
    """
    return {
        name: _with_values(entry.value, parameter_values(name, entry.value.parameters, mass.own.get(name, {})))
        for name, entry in declared_models(mass).items()
    }


def models_named(names: Iterable[str]) -> dict[str, MassModel | FittedModel]:
    """The models of these names, with the defaults of their parameters; see `models_of`."""
    return models_of(MassParameters(models=tuple(names)))


def _with_values(declared: Declared, values: dict[str, float]) -> MassModel | FittedModel:
    if not values:
        return declared.model
    if isinstance(declared.model, FittedModel):
        return _Fitted(declared.model, values)
    return partial(declared.model, **values)


def predict(traces: Traces, network: NetworkParameters, mass: MassParameters) -> dict[str, Potential]:
    """What the configured models predict for one trial alone; fitted models need other trials and are left out.

    Parameters
    ----------
    traces : Traces
    network : NetworkParameters
        At the trial's point.
    mass : MassParameters

    Returns
    -------
    dict of str to array of float64, (n_steps,)
        Name → V (mV), in the configuration's order; NaN from where the model diverged.

    Raises
    ------
    UserError
        As `models_of`, and if a model fails or returns no potential.
    """
    return {
        name: contract.predicted(name, model, traces, network, mass)
        for name, model in models_of(mass).items()
        if not isinstance(model, FittedModel)
    }
