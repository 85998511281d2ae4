"""Parameters that a mass model declares beside itself: unit, default, bounds, and their values from a configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hpcmass.config.axes import Bounds, range_text, within
from hpcmass.errors import UserError
from hpcmass.nearest import did_you_mean


@dataclass(frozen=True)
class Parameter:
    """A number that a mass model takes, set in a configuration under `mass: {MODEL: {NAME: VALUE}}`.

    Attributes
    ----------
    default : float
    unit : str
        Such as `mV`; `1` without one.
    meaning : str
        For tables and axes.
    ge, gt, le, lt : float, optional
        Bounds: at least, above, at most, below.

    Raises
    ------
    ValueError
        If the default is not a finite number within the bounds.
    """

    default: float
    unit: str = "1"
    meaning: str = ""
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __post_init__(self) -> None:
        problem = self.problem(self.default)
        if problem is not None:
            raise ValueError(f"the default of a parameter {problem}")

    @property
    def bounds(self) -> Bounds:
        """Those that are given."""
        named = {"ge": self.ge, "gt": self.gt, "le": self.le, "lt": self.lt}
        return {name: limit for name, limit in named.items() if limit is not None}

    def problem(self, value: object) -> str | None:
        """What is wrong with a value; None if nothing is."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return f"must be a finite number, not {value!r}"
        if not within(value, self.bounds):
            return f"is {value:g}, which is outside the allowed range, {range_text(self.bounds)}"
        return None


def check_declared(model: str, declared: Mapping[str, Parameter]) -> None:
    """Refuse a declaration that no configuration could set.

    Raises
    ------
    ValueError
    """
    for name, parameter in declared.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"{name!r} cannot name a parameter of {model}; give a word, such as gain")
        if not isinstance(parameter, Parameter):
            raise ValueError(f"the parameter {name} of {model} must be a Parameter(default, unit), not {parameter!r}")


def parameter_values(model: str, declared: Mapping[str, Parameter], given: Mapping[str, float]) -> dict[str, float]:
    """The value of every parameter of a model: what the configuration gives, or the default.

    Raises
    ------
    UserError
        If the model has no such parameter, or a value is outside its bounds.
    """
    for name, value in given.items():
        if name not in declared:
            known = f"known keys: {', '.join(declared)}" if declared else "the model has no parameters"
            raise UserError(f"mass.{model}.{name}: unknown key; {did_you_mean(name, declared) or known}")
        problem = declared[name].problem(value)
        if problem is not None:
            raise UserError(f"mass.{model}.{name} {problem}")
    return {name: float(given.get(name, parameter.default)) for name, parameter in declared.items()}
