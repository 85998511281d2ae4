"""Changed copies of an experiment: keys by their plain or dotted names, validated as in a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpcmass.config.assignments import PLACES, SECTIONS, Path, place_of
from hpcmass.config.experiment import SPELT, Experiment
from hpcmass.config.file import parse_experiment, plain
from hpcmass.config.yaml_text import written
from hpcmass.errors import UserError
from hpcmass.nearest import did_you_mean


def varied(experiment: Experiment, keys: Mapping[str, Any], named: Mapping[str, Any]) -> Experiment:
    """What `Experiment.vary` returns."""
    changes: dict[Path, Any] = {}
    for name, given in [*keys.items(), *named.items()]:
        value = plain(name, given)
        path = tuple(name.split(".")) if "." in name else _path(name, value, experiment)
        if path in changes:
            raise UserError(f"{'.'.join(path)} is given twice; give it once")
        changes[path] = value
    document: dict[str, Any] = experiment.model_dump(mode="json", exclude_none=True)
    for path, value in changes.items():
        _set(document, path, value)
    return parse_experiment(written(document), "the changed experiment")


def _path(name: str, value: Any, experiment: Experiment) -> Path:
    """Where a plain name belongs."""
    path = place_of(name, value, experiment.grid.axes())
    if path is None and name in SECTIONS:
        raise UserError(f"{name} is a section; give the keys in it, by their own names")
    if path is None:
        hint = did_you_mean(SPELT.get(name.casefold(), name), PLACES)
        raise UserError(f"there is no key '{name}'; {hint or '`hpcmass config --defaults` lists all keys'}")
    return path


def _set(document: dict[str, Any], path: Path, value: Any) -> None:
    """Set one key, or with None leave it out."""
    *sections, key = path
    for section in sections:
        document = document.setdefault(section, {})
        if not isinstance(document, dict):
            raise UserError(f"{'.'.join(path)}: {section} is not a section; give it a single value")
    if value is None:
        document.pop(key, None)
    else:
        document[key] = value
