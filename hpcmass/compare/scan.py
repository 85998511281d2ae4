"""A parameter of the mass models that is scanned: the comparison has one more axis, with its values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpcmass.compare.own import TAKEN
from hpcmass.config import MassParameters
from hpcmass.config.axes import Bounds, axis_problems, bounds_of, expand_axis
from hpcmass.errors import UserError
from hpcmass.mass.registry import declared_models
from hpcmass.nearest import did_you_mean


@dataclass(frozen=True)
class Scan:
    """One parameter and its values.

    Attributes
    ----------
    model : str
        The model that declares it; empty for a key of the section `mass`.
    name : str
        Of the parameter, and of the axis.
    unit, meaning : str
    values : tuple of float
        Increasing.
    """

    model: str
    name: str
    unit: str
    meaning: str
    values: tuple[float, ...]

    @property
    def key(self) -> str:
        """The parameter's key in a configuration, `mass.tau_s_ms`."""
        return ".".join(filter(None, ("mass", self.model, self.name)))

    def mass(self, base: MassParameters, index: int) -> MassParameters:
        """The mass parameters at one of the values."""
        value = self.values[index]
        if not self.model:
            return base.model_copy(update={self.name: value})
        return base.with_parameter(self.model, self.name, value)


@dataclass(frozen=True)
class _Scannable:
    model: str
    name: str
    unit: str
    meaning: str
    bounds: Bounds


def scan_of(given: Mapping[str, Any], mass: MassParameters, taken: Collection[str]) -> Scan:
    """The scan that a caller asks for.

    Parameters
    ----------
    given : mapping of str to sequence of float
        Parameter → values, also as `{"linspace": [first, last, n]}`. A parameter is `tau_s_ms`, or one that a model
        declares, `WC.gain` or `gain`.
    mass : MassParameters
    taken : collection of str
        Names of other axes and statistics.

    Raises
    ------
    UserError
        If there is no such parameter, several models have it, or a value is not allowed.
    """
    if len(given) != 1:
        raise UserError("scan: give one parameter and its values, such as {'tau_s_ms': [2, 5, 10]}")
    ((asked, spec),) = given.items()
    found = _parameter(str(asked).removeprefix("mass."), mass)
    if found.name in {*taken, *TAKEN}:
        raise UserError(
            f"scan: {found.name} has another meaning in this comparison; "
            f"give the parameter of {found.model} another name"
        )
    try:
        values = expand_axis(spec)
    except ValueError as error:
        raise UserError(f"scan: {asked}: {error}") from None
    problems = axis_problems(values, found.bounds, whole=False)
    if len(values) < 2:
        problems.append("give at least two values")
    if problems:
        raise UserError(f"scan: {asked}: {'; '.join(problems)}")
    return Scan(found.model, found.name, found.unit, found.meaning, values)


def _parameter(asked: str, mass: MassParameters) -> _Scannable:
    """The parameter of this name, alone or with its model's."""
    all_of = list(_scannable(mass))
    named = {each.name if not each.model else f"{each.model}.{each.name}": each for each in all_of}
    if asked in named:
        return named[asked]
    alike = [name for name, each in named.items() if each.name == asked]
    if len(alike) == 1:
        return named[alike[0]]
    if alike:
        raise UserError(f"scan: several models have a parameter {asked}; give {' or '.join(alike)}")
    hint = did_you_mean(asked, [*named, *(each.name for each in all_of)]) or f"there are {', '.join(named)}"
    raise UserError(f"scan: there is no parameter '{asked}' of the mass models; {hint}")


def _scannable(mass: MassParameters) -> Sequence[_Scannable]:
    found = []
    for name, field in MassParameters.model_fields.items():
        extra = field.json_schema_extra
        if field.annotation is float and isinstance(extra, dict):
            found.append(_Scannable("", name, str(extra["unit"]), field.description or name, bounds_of(field)))
    for model, entry in declared_models(mass).items():
        for name, parameter in entry.value.parameters.items():
            meaning = f"{parameter.meaning or name} of {model}"
            found.append(_Scannable(model, name, parameter.unit, meaning, parameter.bounds))
    return found
