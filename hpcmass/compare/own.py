"""Statistics of the user's own: registered by a decorator, computed trial by trial, averaged like the others.

A statistic is a function of one trial: of the network's and a model's potential, or of one potential, which is then
applied to the network and to every model. All traces start after the transient and are read-only. What it returns is a
number, or a number and a p-value; NaN says that it is undefined for this trial.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.stats

from hpcmass.compare.series import Real
from hpcmass.config import CompareParameters
from hpcmass.config.network import SWEEPABLE
from hpcmass.errors import UserError
from hpcmass.plugins import Registered, Registry, label_of
from hpcmass.standard_error import standard_error
from hpcmass.store.schema import COMPARED_VARIABLES, DERIVED, OwnStatistic
from hpcmass.user_code import Errors, UserCodeError, called, kind_of

F = TypeVar("F", bound=Callable[..., Any])

PAIR: Final = ("network", "model", "dt_ms")
SINGLE: Final = ("trace", "dt_ms")

UNDEFINED: Final = (np.nan, np.nan, np.nan)
"""Mean, standard error and p-value over the trials that no trial gives."""

TAKEN: Final = {*COMPARED_VARIABLES, *SWEEPABLE, "trial", "model", "frequency", "window", "time"}
"""Names that mean something else in a comparison file."""


class StatisticError(UserCodeError):
    """A statistic that failed or did not return a number; the message names it."""


@dataclass(frozen=True)
class Statistic:
    """A function and what its decorator says about it."""

    function: Callable[..., Any]
    about: OwnStatistic


STATISTICS: Final[Registry[Statistic]] = Registry("statistic", "compare.statistics", "hpcmass.statistics")


def statistic(name: str, *, unit: str = "1", meaning: str = "", pvalue: bool = False) -> Callable[[F], F]:
    """Decorator that registers a statistic under `name`, the name used in configurations and files.

    The function takes (network, model, dt_ms), the potentials (mV) of one trial after the transient and the time step
    (ms), or (trace, dt_ms), one potential: then it is computed for the network, too. It returns a number. A comparison
    has its mean and standard error over the trials at every point, for each model.

    In a notebook, a cell that runs again replaces its statistic.

    Parameters
    ----------
    name : str
        A word of letters, digits and `_`.
    unit : str
        Such as `ms`; `1` without one.
    meaning : str
        For maps and tables.
    pvalue : bool
        The function returns (number, p-value). The trials' p-values are combined by Fisher's method, and adjusted over
        the map.

    Raises
    ------
    ValueError
        If the name cannot be used, or the function takes other arguments.

    Examples
    --------
    >>> import numpy as np
    >>> from hpcmass import statistic
    >>> @statistic("rms_error", unit="mV", meaning="root-mean-square error")
    ... def rms_error(network, model, dt_ms):
    ...     return np.sqrt(np.mean((model - network) ** 2))
    """
    if not isinstance(name, str):
        raise ValueError(f"{name!r} is not a name for a statistic; write @statistic('NAME')")
    ending = next((ending for ending in DERIVED if name.endswith(ending)), None)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"{name!r} cannot name a statistic; give a word of letters, digits and _")
    if name in TAKEN or ending is not None:
        why = f"names that end in {ending}" if ending else "it"
        raise ValueError(f"{name!r} cannot name a statistic, because {why} mean something else in a comparison file")

    def register(function: F) -> F:
        about = OwnStatistic(name, str(unit), str(meaning) or name, _is_single(name, function), bool(pvalue))
        STATISTICS.add(name, Statistic(function, about), source=function)
        return function

    return register


def _is_single(name: str, function: Any) -> bool:
    """Whether a function takes one potential."""
    if not callable(function) or isinstance(function, type):
        raise ValueError(f"the statistic {name} is {kind_of(function)}; it must be a function")
    wanted = f"({', '.join(PAIR)}) or ({', '.join(SINGLE)})"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise ValueError(
            f"the statistic {name} does not say what it takes; wrap it in a function of {wanted}"
        ) from None
    names = tuple(
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.default is parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY
    )
    if len(names) in (2, 3) and names[-1] == "dt_ms":
        return len(names) == 2
    raise ValueError(f"the statistic {name} takes {signature}; it must take {wanted}")


def statistics_of(compare: CompareParameters) -> dict[str, Registered[Statistic]]:
    """The own statistics that a configuration lists by name, in its order.

    Raises
    ------
    UserError
        If one is unknown or given twice, or cannot be loaded.
    """
    found: dict[str, Registered[Statistic]] = {}
    for reference in compare.statistics:
        if label_of(reference) in found:
            raise UserError(f"compare.statistics: '{label_of(reference)}' is given twice; list each once")
        found[label_of(reference)] = STATISTICS.find(reference)
    return found


class OwnValues:
    """Values of the own statistics in the trials of one point.

    Parameters
    ----------
    statistics : iterable of Statistic
    models : iterable of str
    n_trials : int
        Trials of the sweep.
    dt_ms : float
    failures : dict, optional
        Gets the errors of statistics, see `compare_point`.
    """

    def __init__(
        self,
        statistics: Iterable[Statistic],
        models: Iterable[str],
        n_trials: int,
        dt_ms: float,
        failures: Errors | None = None,
    ) -> None:
        self._statistics, self._models, self._dt_ms = tuple(statistics), tuple(models), dt_ms
        self._of_models = {s.about.name: np.full((2, n_trials, len(self._models)), np.nan) for s in self._statistics}
        self._of_network = {s.about.name: np.full((2, n_trials), np.nan) for s in self._statistics if s.about.single}
        self._failures = failures
        self._failed: set[tuple[str, int | None]] = set()

    def add_network(self, trial: int, v: npt.NDArray[Any]) -> None:
        """The network's potential in one trial, after the transient."""
        for each in self._statistics:
            if each.about.single:
                self._of_network[each.about.name][:, trial] = self._value(each, None, v)

    def add_model(self, trial: int, model: int, network: npt.NDArray[Any], v: npt.NDArray[Any]) -> None:
        """A model's potential in the same trial, beside the network's."""
        for each in self._statistics:
            traces = (v,) if each.about.single else (network, v)
            self._of_models[each.about.name][:, trial, model] = self._value(each, model, *traces)

    def result(self, usable: Iterable[bool]) -> dict[str, Any]:
        """Comparison variable → its values; NaN for models that are not `usable`, because they diverged.

        NaN over the trials where the statistic failed in one.
        """
        kept = np.array(list(usable), dtype=bool)
        result: dict[str, Any] = {}
        for each in self._statistics:
            name = each.about.name
            values, pvalues = self._of_models[name]
            result[f"{name}_trial"] = values
            columns = [
                _over_trials(values[:, m], pvalues[:, m]) if kept[m] and (name, m) not in self._failed else UNDEFINED
                for m in range(kept.size)
            ]
            _put(result, each.about, "", *np.array(columns).reshape(-1, 3).T)
            if each.about.single:
                values, pvalues = self._of_network[name]
                result[f"{name}_lif_trial"] = values
                over_trials = UNDEFINED if (name, None) in self._failed else _over_trials(values, pvalues)
                _put(result, each.about, "_lif", *over_trials)
        return result

    def _value(self, each: Statistic, model: int | None, *traces: npt.NDArray[Any]) -> tuple[float, float]:
        """Value and p-value of one trial, of a model or the network (None); NaN where undefined."""
        name, whose = each.about.name, "the network" if model is None else self._models[model]
        try:
            with _failures_of(f"{name} of {whose}"):
                returned = each.function(*map(_read_only, traces), self._dt_ms)
            return _checked(each.about, returned)
        except StatisticError as error:
            if self._failures is None:
                raise
            self._failures.setdefault(f"the statistic {name}", error)
            self._failed.add((name, model))
            return np.nan, np.nan


def _failures_of(what: str) -> AbstractContextManager[None]:
    return called(f"the statistic {what}", "statistics", StatisticError)


def _read_only(trace: npt.NDArray[Any]) -> Real:
    """A copy that no caller can change: an array's read-only flag can be reset, `bytes` cannot."""
    return np.frombuffer(np.asarray(trace, dtype=np.float64).tobytes())


def _checked(about: OwnStatistic, returned: Any) -> tuple[float, float]:
    """What a function returned as numbers.

    Raises
    ------
    StatisticError
    """
    wanted = "a number" + ("" if about.unit == "1" else f" ({about.unit})") + (" and a p-value" if about.pvalue else "")
    parts = returned if about.pvalue else (returned,)
    if not isinstance(parts, tuple) or len(parts) != 1 + about.pvalue:
        raise StatisticError(f"the statistic {about.name} returned {kind_of(returned)}; it must return {wanted}")
    for part in parts:
        if isinstance(part, bool | np.bool_) or not isinstance(part, int | float | np.integer | np.floating):
            raise StatisticError(f"the statistic {about.name} returned {kind_of(part)}; it must return {wanted}")
    value, pvalue = (float(part) for part in (*parts, np.nan)[:2])
    if about.pvalue and not (np.isnan(pvalue) or 0 <= pvalue <= 1):
        raise StatisticError(
            f"the statistic {about.name} returned the p-value {pvalue:g}; it must be from 0 to 1, or NaN"
        )
    return (value, pvalue) if np.isfinite(value) else (np.nan, np.nan)


def _over_trials(values: Real, pvalues: Real) -> tuple[float, float, float]:
    """Mean, standard error and combined p-value over the trials that have them."""
    defined, tested = values[np.isfinite(values)], pvalues[np.isfinite(pvalues)]
    if not defined.size:
        return UNDEFINED
    with np.errstate(divide="ignore"):  # a p-value of 0 stays 0
        fisher = -2 * np.log(tested).sum()
    combined = float(scipy.stats.chi2.sf(fisher, 2 * tested.size)) if tested.size else np.nan
    return float(defined.mean()), float(standard_error(defined)), combined


def _put(result: dict[str, Any], about: OwnStatistic, ending: str, mean: Any, error: Any, pvalue: Any) -> None:
    result[f"{about.name}{ending}"], result[f"{about.name}{ending}_se"] = mean, error
    if about.pvalue:
        result[f"{about.name}{ending}_pvalue"] = pvalue
