"""The configuration explained: a JSON Schema for editors, and all keys with their defaults as commented YAML."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hpcmass.config.axes import bounds_of, range_text
from hpcmass.config.experiment import ASIDE, Experiment
from hpcmass.config.network import SWEEPABLE

EXAMPLE_GRID = {"p": "{linspace: [0, 1, 11]}", "lam": "{linspace: [0, 1, 11]}"}
"""`grid` has no default: which plane to sweep is the user's choice."""

MOST_SHOWN = 8
"""Values of an axis that are all written out."""

HEAD = """\
# Every key of a configuration with its default; keep what you change, leave out the rest. Each comment: the unit; where
# the value comes from (paper, related literature, choice); what it is; what is allowed.
"""

GRID_HEAD = """\
# Required: p, lam and, if wanted, further axes. An axis is a number, a list of increasing numbers,
# {linspace: [first, last, n]} or {logspace: [first, last, n]}; its values replace the one under network. Any of:
"""


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a configuration file."""
    aside = {f"^{ASIDE}": {"description": "not read: a place for what is referred to by anchors"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Experiment.model_json_schema(),
        "patternProperties": aside,
    }


@dataclass(frozen=True)
class Key:
    """One key of a configuration.

    Attributes
    ----------
    section : str
        Empty for the keys of the file itself.
    name, unit, origin, meaning, allowed : str
        Empty where there is nothing to say.
    value : str
        The default as YAML.
    """

    section: str
    name: str
    unit: str
    origin: str
    meaning: str
    allowed: str
    value: str

    @property
    def path(self) -> str:
        """The key as error messages name it, `network.tau_E_ms`."""
        return f"{self.section}.{self.name}" if self.section else self.name


def differences(experiment: Experiment) -> Iterator[Key]:
    """The axes of an experiment, and its keys with another value than their default; the title is left out."""
    for key, values in _axes(experiment):
        shown = ", ".join(f"{v:g}" for v in values)
        if len(values) > MOST_SHOWN:
            shown = f"{values[0]:g}, {values[1]:g} … {values[-1]:g} ({len(values)} values)"
        yield replace(key, value=shown)
    document = experiment.model_dump(mode="json")
    for key in all_keys():
        value = json.dumps((document[key.section] if key.section else document)[key.name])
        if key.section != "grid" and key.name != "title" and value != key.value:
            yield replace(key, value=value)


def _axes(experiment: Experiment) -> Iterator[tuple[Key, tuple[float, ...]]]:
    """The axes of the grid, and their values."""
    for name, values in experiment.grid.axes().items():
        yield _key("grid", name, type(experiment.grid).model_fields[name]), values


def defaults() -> str:
    """A configuration with all keys, their defaults and a comment each; valid as it stands."""
    lines = [HEAD]
    section = ""
    for key in all_keys():
        if key.section != section:
            section = key.section
            lines.append(f"\n{section}:\n")
            if section == "grid":
                names = textwrap.wrap(" ".join(SWEEPABLE[2:]), 101, initial_indent="#   ", subsequent_indent="#   ")
                lines += (f"  {line}\n" for line in [*GRID_HEAD.splitlines(), *names])
        source = f"{key.unit}; {key.origin}: " if key.unit else ""
        allowed = f"; {key.allowed}" if key.allowed else ""
        lines.append(_line(key, f"{source}{key.meaning}{allowed}"))
    return "".join(lines)


def values_in_use(experiment: Experiment) -> str:
    """Every key of an experiment with its value, unit and meaning, and whether the value is the default.

    A default has its origin, too. Of imported recordings only the sections of the comparison: the network is another's.
    """
    lines, section = [], ""
    for key in _keys_in_use(experiment):
        if key.section != section:
            section = key.section
            lines.append(f"{section}:\n")
        about = ", ".join(filter(None, (key.unit, key.origin and f"default ({key.origin})")))
        lines.append(_line(key, f"{about}: {key.meaning}" if about else key.meaning))
    return "".join(lines)


def _keys_in_use(experiment: Experiment) -> Iterator[Key]:
    """The keys with the experiment's values; without an origin where the value is not the default."""
    document, axes, units = experiment.model_dump(mode="json"), experiment.axes(), experiment.axis_units()
    for key in all_keys():
        if experiment.imported is not None and key.section not in ("mass", "compare"):
            continue
        if key.section == "grid":
            if key.name == "p":  # then all axes
                for axis, values in _axes(experiment):
                    yield replace(axis, value=json.dumps(values), unit=units.get(axis.name, axis.unit), origin="")
            continue
        if key.section == "network" and key.name in axes:
            continue
        value = (document[key.section] if key.section else document)[key.name]
        origin = key.origin if json.dumps(value) == key.value else ""
        unit = units.get(key.name, key.unit) if key.section == "network" else key.unit
        yield replace(key, value=json.dumps(value, ensure_ascii=False), unit=unit, origin=origin)


def _line(key: Key, comment: str) -> str:
    return f"{'  ' if key.section else ''}{key.name}: {key.value}  # {comment}\n"


def all_keys(section: str = "", model: type[BaseModel] = Experiment) -> Iterator[Key]:
    """All keys, in the order of the file; of the grid only the two axes that must be there."""
    inner = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            inner.append((name, kind))
        elif section != "grid" or name in EXAMPLE_GRID:
            yield _key(section, name, field)
    # the grid first: it is what a user changes
    for name, kind in sorted(inner, key=lambda pair: pair[0] != "grid"):
        yield from all_keys(name, kind)


def _key(section: str, name: str, field: FieldInfo) -> Key:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    return Key(
        section=section,
        name=name,
        unit=str(extra.get("unit", "")),
        origin=str(extra.get("origin", "")),
        meaning=field.description or "",
        allowed=range_text(bounds_of(field)),
        value=EXAMPLE_GRID.get(name, "") if section == "grid" else json.dumps(field.default),
    )
