"""The mass models by name.

A model is a function from the recorded traces of a trial to the potential it predicts, or is fitted first to other
trials of the point. A further model is one more module in this package that calls `mass_model`; its name is then
known to configurations and its results appear along the `model` dimension of every comparison.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, Protocol, TypeVar, runtime_checkable

from hpcmass.config import MassParameters, NetworkParameters
from hpcmass.errors import UserError
from hpcmass.mass import contract
from hpcmass.mass.traces import Potential, Traces
from hpcmass.nearest import did_you_mean

MassModel = Callable[[Traces, NetworkParameters, MassParameters], Potential]
"""(traces, the network's parameters at this point, mass parameters) → V (mV), one value a step, float64.

`V[k + 1]` may use traces up to step k. The arguments are read-only. Divergence is a result: V counts as NaN from where
it leaves the physical range.
"""


@runtime_checkable
class FittedModel(Protocol):
    """A model with free coefficients, fitted to a point's trials without the one that it then predicts."""

    def summarise(self, traces: Traces, network: NetworkParameters, mass: MassParameters) -> Any:
        """Summary of one trial for the fit; small, so that the traces are not needed again."""

    def fit(self, summaries: Mapping[int, Any], held_out: int, network: NetworkParameters) -> MassModel:
        """The model for trial `held_out`, fitted to the other trials (`summaries`: trial → `summarise`)."""


_MODELS: dict[str, MassModel | FittedModel] = {}
_NEEDS: dict[str, tuple[str, ...]] = {}

M = TypeVar("M", MassModel, FittedModel)


def mass_model(name: str, *, needs: tuple[str, ...] = ()) -> Callable[[M], M]:
    """Decorator that registers a model under `name`, the name used in configurations and files.

    Parameters
    ----------
    name : str
        Any printable text without spaces around it, `,` (`--models A,B`), `$` (which figures take for mathematics) and
        `_` in front (which legends leave out).
    needs : tuple of str
        Traces that it needs in addition to those that every sweep has.

    Raises
    ------
    ValueError
        If there is such a model already, or the name cannot be used.
    """
    if not isinstance(name, str):
        raise ValueError(f"{name!r} is not a name for a mass model; write @mass_model('NAME')")
    if not name or not name.isprintable() or name != name.strip() or name[0] == "_" or {",", "$"} & set(name):
        raise ValueError(f"{name!r} cannot name a mass model; see `mass_model` for what a name may hold")
    traces = [field.name for field in fields(Traces)]
    if unknown := [trace for trace in needs if trace not in traces]:
        raise ValueError(f"the mass model {name} needs {', '.join(unknown)}; the traces are {', '.join(traces)}")

    def register(model: M) -> M:
        if name in _MODELS:
            raise ValueError(f"there are two mass models named {name}, the other in {_MODELS[name].__module__}")
        _MODELS[name], _NEEDS[name] = model, needs
        return model

    return register


def known_models() -> tuple[str, ...]:
    """Names of all models, sorted.

    Raises
    ------
    UserError
        If a module of the package cannot be loaded: it might define a requested model.
    """
    package = importlib.import_module("hpcmass.mass")
    for module in pkgutil.iter_modules(package.__path__):
        _load(f"hpcmass.mass.{module.name}")
    return tuple(sorted(_MODELS))


def _load(module: str) -> None:
    """Import one module; if that fails, its registrations are undone, so that it can be tried again."""
    before = set(_MODELS)
    try:
        importlib.import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also sys.exit
        for name in set(_MODELS) - before:
            del _MODELS[name], _NEEDS[name]
        raise UserError(
            f"cannot load the mass models of {module}, {contract.reason(error)}; correct that module or remove it"
        ) from error


def further_traces(name: str) -> tuple[str, ...]:
    """Traces that a known model uses beside those that every sweep has."""
    return _NEEDS[name]


def models_named(names: Iterable[str], traces: Iterable[str] | None = None) -> dict[str, MassModel | FittedModel]:
    """The models that a configuration lists, in its order.

    Parameters
    ----------
    names : iterable of str
    traces : iterable of str, optional
        Names of the traces that were recorded, where that is known.

    Raises
    ------
    UserError
        If a name is unknown or given twice, a model cannot be called as one, or it needs a trace that was not
        recorded.
    """
    names, known = tuple(names), known_models()
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            listed = ", ".join(known) + (f" ({hint})" if hint else "")
            raise UserError(f"mass.models: there is no mass model '{name}'; known models: {listed}")
        if names.count(name) > 1:
            raise UserError(f"mass.models: '{name}' is given twice; list each model once")
        contract.require_signature(name, _MODELS[name])
        missing = set(_NEEDS[name]).difference(traces) if traces is not None else set()
        if missing:
            raise UserError(
                f"mass.models: {name} needs {', '.join(sorted(missing))}, which this sweep did not record; leave "
                f"{name} out, or run the sweep again"
            )
    return {name: _MODELS[name] for name in names}


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
        As `models_named`, and if a model fails or returns no potential.
    """
    return {
        name: contract.predicted(name, model, traces, network, mass)
        for name, model in models_named(mass.models).items()
        if not isinstance(model, FittedModel)
    }
