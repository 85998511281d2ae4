"""The mass models by name.

A model is a function from the recorded traces of a trial to the potential it predicts, or is fitted first to other
trials of the point. A further model is one more module in this package that calls `mass_model`; its name is then
known to configurations and its results appear along the `model` dimension of every comparison.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

from hpcmass.config import MassParameters, NetworkParameters
from hpcmass.errors import UserError
from hpcmass.mass.traces import Potential, Traces

MassModel = Callable[[Traces, NetworkParameters, MassParameters], Potential]
"""(traces, the network's parameters at this point, mass parameters) → V (mV), one value a step, float64.

`V[k + 1]` may use traces up to step k. A run-away is a result: V is NaN from where it leaves the physical range.
"""


@runtime_checkable
class FittedModel(Protocol):
    """A model with free coefficients, fitted to a point's trials without the one that it then predicts."""

    def lesson(self, traces: Traces, network: NetworkParameters, mass: MassParameters) -> Any:
        """What one trial teaches; small, and the traces are not needed again to learn from it."""

    def fitted(self, lessons: Mapping[int, Any], held_out: int, network: NetworkParameters) -> MassModel:
        """The model of trial `held_out`, which was not learnt from it (`lessons`: trial → `lesson`)."""


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
        Traces that it uses beside those that every sweep has.

    Raises
    ------
    ValueError
        If there is such a model already, or the name cannot be used.
    """

    def register(model: M) -> M:
        usable = name and name.isprintable() and name == name.strip() and not name.startswith("_")
        if not usable or {",", "$"} & set(name):
            raise ValueError(f"{name!r} cannot name a mass model; see `mass_model` for what a name may hold")
        if name in _MODELS:
            raise ValueError(f"there are two mass models named {name}")
        _MODELS[name], _NEEDS[name] = model, needs
        return model

    return register


def known_models() -> tuple[str, ...]:
    """Names of all models, sorted."""
    package = importlib.import_module("hpcmass.mass")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"hpcmass.mass.{module.name}")
    return tuple(sorted(_MODELS))


def models_named(names: Iterable[str], traces: Iterable[str] | None = None) -> dict[str, MassModel | FittedModel]:
    """The models that a configuration asks for, in its order.

    Parameters
    ----------
    names : iterable of str
    traces : iterable of str, optional
        Names of the traces that were recorded, where that is known.

    Raises
    ------
    UserError
        If a name is unknown or given twice, or a model needs a trace that was not recorded.
    """
    names, known = tuple(names), known_models()
    for name in names:
        if name not in known:
            raise UserError(f"mass.models: there is no mass model '{name}'; known models: {', '.join(known)}")
        if names.count(name) > 1:
            raise UserError(f"mass.models: '{name}' is given twice; name each model once")
        missing = set(_NEEDS[name]).difference(traces) if traces is not None else set()
        if missing:
            raise UserError(
                f"mass.models: {name} needs {', '.join(sorted(missing))}, which this sweep did not record; leave "
                f"{name} out, or run the sweep anew"
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
        Name → V (mV), in the configuration's order; NaN from where the model ran away.

    Raises
    ------
    UserError
        As `models_named`.
    """
    models = models_named(mass.models)
    return {n: model(traces, network, mass) for n, model in models.items() if not isinstance(model, FittedModel)}
