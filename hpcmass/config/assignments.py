"""`--set KEY=VALUE`: values in place of a configuration's own, before it is validated."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import yaml
from pydantic import BaseModel

from hpcmass.config.derived import is_tie
from hpcmass.config.experiment import SPELT, Experiment
from hpcmass.config.network import SWEEPABLE
from hpcmass.config.yaml_text import Document, Refused, written
from hpcmass.errors import UserError
from hpcmass.nearest import did_you_mean
from hpcmass.text import one_line, shortened

Path = tuple[str, ...]

SECTIONS: dict[str, type[BaseModel]] = {
    name: field.annotation
    for name, field in Experiment.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
"""The sections of a configuration, by name."""

PLACES: dict[str, Path] = {
    **{name: (name,) for name in Experiment.model_fields if name not in SECTIONS},
    **{
        key: (name, key)
        for name, section in SECTIONS.items()
        for key in (("p", "lam") if name == "grid" else section.model_fields)
    },
}
"""Plain name of each key → its path; a parameter of the network counts as that, not as an axis."""


def place_of(name: str, value: Any, swept: Collection[str]) -> Path | None:
    """Path of a key by its plain name; None for an unknown name.

    Parameters
    ----------
    name : str
    value : object
        Its new value. A list makes a parameter of the network an axis, `{times: AXIS}` makes it follow one.
    swept : collection of str
        The axes of the grid.
    """
    if name in SWEEPABLE and (name in swept or isinstance(value, list | dict)) and not is_tie(value):
        return "grid", name
    return PLACES.get(name)


def assigned(keys: Mapping[str, Any], texts: Sequence[str]) -> dict[str, Any]:
    """The keys of a configuration file with other values for some of them.

    Parameters
    ----------
    keys : mapping of str to object
        As read from the file. A value that replaces another may be wrong: that is found when the result is validated.
    texts : sequence of str
        `KEY=VALUE`, the value in YAML.

    Raises
    ------
    UserError
        If one is not such a text, or there is no such key; if a key is given twice, or has no effect.
    """
    result = dict(keys)
    given: dict[Path, str] = {}
    for text in texts:
        name, value = _read(text)
        path = _path(name, value, _swept(result))
        if path in given:
            raise UserError(f"--set {name}: {'.'.join(path)} is given twice; give it once")
        given[path] = name
        result = _with(result, path, value)
    for path, name in given.items():
        if path[0] == "network" and path[1] in _swept(result):
            raise UserError(f"--set {name} has no effect, because the grid sweeps {path[1]}; set grid.{path[1]}")
    return result


def require_sections(texts: Sequence[str], sections: Collection[str], what: str) -> None:
    """Refuse assignments to keys of other sections of a configuration, which have no effect on `what`.

    Raises
    ------
    UserError
        If there is one, or one that `assigned` would refuse by its key.
    """
    for text in texts:
        name, value = _read(text)
        if _path(name, value, ())[0] not in sections:
            raise UserError(f"--set {name} has no effect on {what}; set a key of {' or '.join(sections)}")


def _with(keys: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """Keys with another value at a path; the same where something on the way is no section."""
    first, *rest = path
    if not rest:
        return {**keys, first: value}
    section = keys.get(first, {})
    return {**keys, first: _with(section, tuple(rest), value)} if isinstance(section, dict) else dict(keys)


def assigned_text(keys: Mapping[str, Any], texts: Sequence[str]) -> str:
    """YAML text of a configuration with such values (`keys`: what `assigned` returns)."""
    return "".join(f"# --set {one_line(text)}\n" for text in texts) + written(dict(keys))


def set_in_history(texts: Sequence[str]) -> str:
    """The end of a line of history that says what was set, if anything was."""
    return f", set {', '.join(map(shortened, texts))}" if texts else ""


def _read(text: str) -> tuple[str, Any]:
    """Key and value of one assignment."""
    name, equals, raw = text.partition("=")
    name = name.strip()
    if not name or not equals:
        raise UserError(f"--set takes KEY=VALUE, such as network.tau_E_ms=5, not '{text}'")
    try:
        document = Document(raw)
    except yaml.YAMLError as error:
        raise UserError(f"--set {name}: the value is not YAML: {' '.join(str(error).split())}") from None
    except Refused as error:
        raise UserError(f"--set {name}: the value {error}") from None
    problem = next(iter([*document.twice.values(), *document.ambiguous.values()]), None)
    if document.value is None and not raw.strip():
        problem = "has no value; give one"
    elif _ends_in_comment(raw, document.value):
        problem = "YAML reads the value only up to the #; write the value in quotes"
    if problem is not None:
        raise UserError(f"--set {name}: {problem}")
    return name, document.value


def _ends_in_comment(raw: str, value: Any) -> bool:
    """Whether a part of the text is a comment."""
    found = re.search(r"(^|\s)#", raw)
    if found is None:
        return False
    try:
        return bool(Document(raw[: found.start()]).value == value)
    except (yaml.YAMLError, Refused):  # the # is within quotes
        return False


def _swept(keys: Mapping[str, Any]) -> set[str]:
    grid = keys.get("grid")
    return {name for name, value in grid.items() if value is not None} if isinstance(grid, dict) else set()


def _path(name: str, value: Any, swept: Collection[str]) -> Path:
    """Path of a key by its plain or dotted name."""
    first, *rest = name.split(".")
    if not rest:
        if first in SECTIONS:
            key = next(iter(SECTIONS[first].model_fields))
            raise UserError(f"--set {name}: {name} is a section; set a key of it, such as {name}.{key}")
        path = place_of(name, value, swept)
        if path is not None:
            return path
    elif first == "mass" and len(rest) > 1 and rest[0] not in SECTIONS[first].model_fields:
        return first, ".".join(rest[:-1]), rest[-1]  # a parameter that a mass model declares
    elif first in SECTIONS and rest[0] in SECTIONS[first].model_fields:
        if len(rest) == 1:
            return first, rest[0]
        raise UserError(f"--set {name}: {first}.{rest[0]} is one value; set the whole of it")
    raise UserError(f"--set {name}: unknown key; {_hint(name)}")


def _hint(name: str) -> str:
    """What an unknown key was meant to be."""
    section, _, key = name.rpartition(".")
    key = SPELT.get(key.casefold(), key)
    known = {f"{first}.{second}" for first, fields in SECTIONS.items() for second in fields.model_fields}
    known |= {path[0] for path in PLACES.values() if len(path) == 1}
    if key in PLACES and f"{section}.{key}" not in known:
        return f"did you mean '{'.'.join(PLACES[key])}'?"
    spelt = f"{section}.{key}" if section else key
    if spelt in known:
        return f"did you mean '{spelt}'?"
    hint = did_you_mean(spelt, sorted(known)) if section else did_you_mean(key, PLACES)
    return hint or "`hpcmass config --defaults` lists all keys"
