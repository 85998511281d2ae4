"""The mass models by name.

A model is a function from the recorded traces of a trial to the potential it predicts. A further model is one
more module in this package that calls `mass_model`; its name is then known to configurations and its results
appear along the `model` dimension of every comparison.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable

from hpcmass.config import MassParameters, NetworkParameters
from hpcmass.errors import UserError
from hpcmass.mass.traces import Potential, Traces

MassModel = Callable[[Traces, NetworkParameters, MassParameters], Potential]
"""(traces, the network's parameters at this point, mass parameters) → V (mV), one value a step, float64.

`V[k + 1]` may use traces up to step k. A run-away is a result: V is NaN from where it leaves the physical range.
"""

_MODELS: dict[str, MassModel] = {}


def mass_model(name: str) -> Callable[[MassModel], MassModel]:
    """Decorator that registers a model under `name`, the name used in configurations and files."""

    def register(model: MassModel) -> MassModel:
        if name in _MODELS:
            raise ValueError(f"there are two mass models named {name}")
        _MODELS[name] = model
        return model

    return register


def known_models() -> tuple[str, ...]:
    """Names of all models, sorted."""
    package = importlib.import_module("hpcmass.mass")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"hpcmass.mass.{module.name}")
    return tuple(sorted(_MODELS))


def models_named(names: Iterable[str]) -> dict[str, MassModel]:
    """The models that a configuration asks for, in its order.

    Raises
    ------
    UserError
        If a name is unknown or given twice.
    """
    names, known = tuple(names), known_models()
    for name in names:
        if name not in known:
            raise UserError(f"mass.models: there is no mass model '{name}'; known models: {', '.join(known)}")
        if names.count(name) > 1:
            raise UserError(f"mass.models: '{name}' is given twice; name each model once")
    return {name: _MODELS[name] for name in names}
