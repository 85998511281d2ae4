"""The values of a swept parameter: from the configuration's notation to a tuple of increasing numbers."""

from __future__ import annotations

import itertools
import operator
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, WithJsonSchema
from pydantic.fields import FieldInfo

SHOWN = 3
"""Largest number of values of an axis that a message lists."""

Bounds = dict[str, float]
"""Any of ge, gt, le, lt → limit."""


def bounds_of(field: FieldInfo) -> Bounds:
    """Bounds that a pydantic field declares."""
    return {k: v for m in field.metadata for k in ("ge", "gt", "le", "lt") if (v := getattr(m, k, None)) is not None}


def within(value: float, bounds: Bounds) -> bool:
    """Whether a value respects its bounds."""
    compare = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}
    return all(compare[k](value, limit) for k, limit in bounds.items())


def range_text(bounds: Bounds) -> str:
    """Bounds as a reader writes them: `[0, 1]`, `> 0`, `>= 0`."""
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if low is not None and high is not None:
        return f"{'[' if 'ge' in bounds else '('}{low:g}, {high:g}{']' if 'le' in bounds else ')'}"
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return ", ".join(f"{signs[k]} {v:g}" for k, v in bounds.items())


def canonical(value: float) -> float:
    """`value` rounded to 12 significant digits, so that 0.1 + 0.2 and 0.3 are one grid point."""
    return float(f"{value:.12g}") + 0.0  # + 0.0 turns -0.0 into 0.0


def expand_axis(spec: Any) -> tuple[float, ...]:
    """Values of one axis from a number, a list, `{linspace: [a, b, n]}` or `{logspace: [a, b, n]}`."""
    usage = "give a number, a list of numbers, {linspace: [first, last, n]} or {logspace: [first, last, n]}"
    if isinstance(spec, dict):
        if len(spec) != 1 or not set(spec) <= {"linspace", "logspace"}:
            raise ValueError(usage)
        ((kind, args),) = spec.items()
        if not (isinstance(args, list | tuple) and len(args) == 3 and all(_is_number(a) for a in args)):
            raise ValueError(f"{kind} takes [first, last, n]")
        first, last, n = args
        if n != int(n) or not 1 <= n <= 100_000:
            raise ValueError(f"{kind} takes a whole number of values n from 1 to 100000, not {n}")
        if kind == "logspace" and not (first > 0 and last > 0):
            raise ValueError("logspace takes a first and a last value above 0 (the values themselves, not exponents)")
        with np.errstate(all="ignore"):
            spec = (np.linspace if kind == "linspace" else np.geomspace)(float(first), float(last), int(n)).tolist()
        if not all(_is_number(v) for v in spec):
            raise ValueError(f"{kind}: there are no numbers between {first:g} and {last:g}, they are too far apart")
    values = spec if isinstance(spec, list | tuple) else [spec]
    strange = [v for v in values if not _is_number(v)]
    if strange or not values:
        raise ValueError(f"{usage}, not {_quoted(strange[0])}" if strange else usage)
    return tuple(canonical(v) for v in values)


def axis_problems(values: tuple[float, ...], bounds: Bounds, *, whole: bool) -> list[str]:
    """Everything that is wrong with the values of an axis: their order, whole numbers, the allowed range."""
    problems = []
    falls = [f"{b:.12g} follows {a:.12g}" for a, b in itertools.pairwise(values) if b <= a]
    if falls:
        problems.append(f"values must increase strictly, but {_listed(falls)}")
    broken = [f"{v:.12g}" for v in values if whole and v != int(v)]
    if broken:
        problems.append(f"{_listed(broken)} {'is not a whole number' if len(broken) == 1 else 'are not whole numbers'}")
    outside = [f"{v:.12g}" for v in values if not within(v, bounds)]
    if outside:
        verb = "is" if len(outside) == 1 else "are"
        problems.append(f"{_listed(outside)} {verb} outside the allowed range, {range_text(bounds)}")
    return problems


def points_from(spec: Any) -> tuple[tuple[float, ...], ...] | None:
    """Points of a grid from a list of lists of numbers, one number for each axis."""
    if spec is None:
        return None
    usage = "give a list of points, each a list with a number for each axis, such as [[0.1, 0.8], [0.2, 0.8]]"
    if not isinstance(spec, list | tuple) or not spec:
        raise ValueError(usage)
    for point in spec:
        if not isinstance(point, list | tuple) or not all(_is_number(value) for value in point):
            raise ValueError(f"{usage}, not {_quoted(point)}")
    return tuple(tuple(canonical(value) for value in point) for point in spec)


def point_problems(points: Sequence[tuple[float, ...]], axes: Mapping[str, tuple[float, ...]]) -> list[str]:
    """Everything that is wrong with a list of points: their length, values that are not on the axes, repetitions."""
    names = ", ".join(axes)
    lengths = [_point_text(point) for point in points if len(point) != len(axes)]
    if lengths:
        return [f"a point has a value for each of the axes {names}, but there is {_listed(lengths)}"]
    there = [frozenset(map(canonical, values)) for values in axes.values()]
    stray = [
        f"{name} = {value:.12g} of {_point_text(point)}"
        for point in points
        for name, value, known in zip(axes, point, there, strict=True)
        if value not in known
    ]
    twice = [_point_text(point) for point, n in Counter(points).items() if n > 1]
    problems = [f"{_listed(stray)} is not on its axis"] if stray else []
    return problems + ([f"{_listed(twice)} is there twice"] if twice else [])


def _point_text(point: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.12g}" for value in point) + "]"


def _listed(items: list[str]) -> str:
    """The first few, and how many more there are."""
    more = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _quoted(value: Any) -> str:
    """A wrong value for a message, shortened if it is long."""
    text = "a list" if isinstance(value, list) else "keys" if isinstance(value, dict) else repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _is_number(value: Any) -> bool:
    """Whether a float can represent the number; `math.isfinite` fails for an integer of hundreds of digits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _range_schema(kind: str) -> dict[str, Any]:
    three = {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3}
    return {"type": "object", "properties": {kind: three}, "required": [kind], "additionalProperties": False}


_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "number"},
        {"type": "array", "items": {"type": "number"}, "minItems": 1},
        _range_schema("linspace"),
        _range_schema("logspace"),
    ]
}

Axis = Annotated[tuple[float, ...], BeforeValidator(expand_axis), WithJsonSchema(_SCHEMA)]
"""The values of a swept parameter, not validated: see `axis_problems`."""

Points = Annotated[
    tuple[tuple[float, ...], ...] | None,
    BeforeValidator(points_from),
    WithJsonSchema(
        {"anyOf": [{"type": "array", "items": {"type": "array", "items": {"type": "number"}}}, {"type": "null"}]}
    ),
]
"""Points of the grid, not validated: see `point_problems`."""
