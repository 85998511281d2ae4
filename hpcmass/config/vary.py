"""Changed copies of an experiment: keys by their plain or dotted names, validated as in a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from hpcmass.config.experiment import SWEEPABLE, Experiment
from hpcmass.config.file import SPELT, parse_experiment, plain
from hpcmass.config.yaml_text import written
from hpcmass.errors import UserError
from hpcmass.nearest import did_you_mean

Path = tuple[str, ...]


def varied(experiment: Experiment, keys: Mapping[str, Any], named: Mapping[str, Any]) -> Experiment:
    """What `Experiment.vary` returns."""
    places = _places()
    changes: dict[Path, Any] = {}
    for name, given in [*keys.items(), *named.items()]:
        value = plain(name, given)
        path = tuple(name.split(".")) if "." in name else _path(name, value, experiment, places)
        if path in changes:
            raise UserError(f"{'.'.join(path)} is given twice; give it once")
        changes[path] = value
    document: dict[str, Any] = experiment.model_dump(mode="json", exclude_none=True)
    for path, value in changes.items():
        _set(document, path, value)
    return parse_experiment(written(document), "the changed experiment")


def _places() -> dict[str, Path]:
    """Plain name of each key → its path; a parameter of the network counts as that, not as an axis."""
    paths: dict[str, Path] = {}
    for name, field in Experiment.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            inner = ("p", "lam") if name == "grid" else section.model_fields
            paths |= {key: (name, key) for key in inner}
        else:
            paths[name] = (name,)
    return paths


def _path(name: str, value: Any, experiment: Experiment, places: Mapping[str, Path]) -> Path:
    """Where a plain name belongs."""
    if name not in places:
        if name in Experiment.model_fields:
            raise UserError(f"{name} is a section; give the keys in it, by their own names")
        hint = did_you_mean(SPELT.get(name.casefold(), name), places)
        raise UserError(f"there is no key '{name}'; {hint or '`hpcmass config --defaults` lists all keys'}")
    if name in SWEEPABLE and (name in experiment.grid.axes() or isinstance(value, list | dict)):
        return "grid", name
    return places[name]


def _set(document: dict[str, Any], path: Path, value: Any) -> None:
    """Set one key, or with None leave it out."""
    *sections, key = path
    for section in sections:
        document = document.setdefault(section, {})
        if not isinstance(document, dict):
            raise UserError(f"{'.'.join(path)}: {section} is no section; give it a value of its own")
    if value is None:
        document.pop(key, None)
    else:
        document[key] = value
