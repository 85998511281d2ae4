"""How a mass model is called: its arguments are read-only, and what it returns is checked.

A model is user code. All models of a trial see the same recording, and the statistics see it too, so a model
that changed its input in place would change the results of the others. Traces are therefore read-only (`Traces`), and
each call gets its own containers: what a model changes or stores in them affects nothing else. A potential of a
wrong kind or length is the model author's mistake and is refused with the model's name. One that leaves the physical
range is a result, the same for every model: NaN from there on.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcmass.config import MassParameters, NetworkParameters
from hpcmass.mass.traces import Potential, Traces, until_divergence
from hpcmass.user_code import UserCodeError, called, kind_of

if TYPE_CHECKING:
    from hpcmass.mass.registry import FittedModel, MassModel


class ModelError(UserCodeError):
    """A mass model that failed or did not return a potential; the message names the model."""


def predicted(
    name: str, model: MassModel, traces: Traces, network: NetworkParameters, mass: MassParameters
) -> Potential:
    """The potential that a model predicts for one trial.

    Parameters
    ----------
    name : str
        The model's, for messages.
    model : MassModel
    traces : Traces
    network : NetworkParameters
        At the trial's point.
    mass : MassParameters

    Returns
    -------
    array of float64, (n_steps,)
        V (mV), a copy; NaN from the first step at which |V| exceeds `V_BOUND_MV` or is
        not finite.

    Raises
    ------
    ModelError
        If the model fails, or returns no floating-point array of one value a step.
    """
    with _failures_of(name):
        returned = model(dataclasses.replace(traces), network.model_copy(), mass.model_copy(deep=True))
    return _potential(name, returned, network.n_steps)


def summarise(name: str, model: FittedModel, traces: Traces, network: NetworkParameters, mass: MassParameters) -> Any:
    """A model's summary of one trial; arguments and errors as for `predicted`."""
    with _failures_of(name):
        return copy.deepcopy(
            model.summarise(dataclasses.replace(traces), network.model_copy(), mass.model_copy(deep=True))
        )


def fit(
    name: str, model: FittedModel, summaries: Mapping[int, Any], held_out: int, network: NetworkParameters
) -> MassModel:
    """The model of trial `held_out`; arguments and errors as for `predicted`."""
    with _failures_of(name):
        ready = model.fit(copy.deepcopy(dict(summaries)), held_out, network.model_copy())
    if not callable(ready):
        raise ModelError(
            f"the method fit of the mass model {name} returned {kind_of(ready)}; it must return a function of "
            "(traces, network, mass)"
        )
    return ready


def require_signature(name: str, model: MassModel | FittedModel, parameters: tuple[str, ...] = ()) -> None:
    """Refuse a model that cannot be called as one, before any trial is read (`parameters`: keywords that it takes).

    Raises
    ------
    ModelError
        If it is a class, or one of its functions takes other arguments.
    """
    if isinstance(model, type):
        raise ModelError(f"the mass model {name} is a class; register an instance of it: mass_model('{name}')(…())")
    calls: dict[str, tuple[str, ...]] = {"": ("traces", "network", "mass")}
    if hasattr(model, "summarise") and hasattr(model, "fit"):
        calls = {"summarise": ("traces", "network", "mass"), "fit": ("summaries", "held_out", "network")}
    for method, arguments in calls.items():
        function = getattr(model, method) if method else model
        if not callable(function):
            raise ModelError(f"the mass model {name} is {kind_of(function)}; it must be a function of (traces, …)")
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # compiled code may have none
            continue
        try:
            signature.bind(*arguments, **dict.fromkeys(parameters))
        except TypeError:
            arguments += parameters
            what = f"the method {method} of the mass model {name}" if method else f"the mass model {name}"
            raise ModelError(f"{what} takes {signature}; it must take ({', '.join(arguments)})") from None


def _failures_of(name: str) -> AbstractContextManager[None]:
    return called(f"the mass model {name}", "models", ModelError)


def _potential(name: str, returned: Any, n_steps: int) -> Potential:
    wanted = f"it must return a NumPy array of {n_steps} floating-point numbers, V (mV) at each step"
    if type(returned) is not np.ndarray:  # a mask, a unit or an index would be lost
        raise ModelError(f"the mass model {name} returned {kind_of(returned)}; {wanted}")
    if returned.dtype.kind != "f":  # whole numbers have lost what a potential changes in a step
        raise ModelError(f"the mass model {name} returned an array of {returned.dtype}; {wanted}")
    if returned.shape != (n_steps,):
        raise ModelError(f"the mass model {name} returned an array of shape {returned.shape}; {wanted}")
    with np.errstate(over="ignore"):  # a wider kind of number
        return until_divergence(np.array(returned, dtype=np.float64))
