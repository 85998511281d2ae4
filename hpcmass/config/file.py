"""A configuration file: YAML text → `Experiment`, or every problem at once, one line each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from operator import eq
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from hpcmass.config.assignments import PLACES, SECTIONS, assigned, assigned_text, require_sections
from hpcmass.config.axes import bounds_of, range_text
from hpcmass.config.experiment import ASIDE, SPELT, Experiment, plain_message
from hpcmass.config.imported import Imported
from hpcmass.config.settings import CompareParameters, MassParameters
from hpcmass.config.yaml_text import MERGE, Document, Refused, written
from hpcmass.errors import ConfigError, UserError
from hpcmass.nearest import missing_file, nearest
from hpcmass.text import shortened

Section = TypeVar("Section", bound=BaseModel)

IMPORTED = "imported"
"""Key of the section that only `hpcmass import` writes."""

HDF5: Final = b"\x89HDF\r\n\x1a\n"
"""The first bytes of a sweep or comparison file, which may be given by mistake."""


def parse_experiment(
    text: str, name: str = "configuration", *, strict: bool = False, assignments: Sequence[str] = ()
) -> Experiment:
    """Validate YAML text.

    Top-level keys that begin with `x-` are not read: a place for anchors.

    Parameters
    ----------
    text : str
        The YAML document.
    name : str
        What to call it in messages (a path).
    strict : bool
        Refuse what is ambiguous, such as 010: for a file that is about to be used. The text in a result file was
        accepted once, and is read as before.
    assignments : sequence of str
        Values in place of the document's, `KEY=VALUE` with the value in YAML.

    Raises
    ------
    UserError
        If an assignment has a mistake.
    ConfigError
        If it is not YAML or holds no keys; else with every problem of the document, one line each: the key's path, what
        is wrong, what is allowed.
    """
    try:
        document = Document(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not YAML: {' '.join(str(error).split())}") from None
    except Refused as error:
        raise ConfigError(f"{name} {error}") from None
    if not isinstance(document.value, dict):
        raise ConfigError(f"{name} holds no keys; it needs at least 'grid' with the axes p and lam")
    keys = {key: value for key, value in document.value.items() if not key.startswith(ASIDE)}
    origin = None
    if IMPORTED in keys:
        if strict:
            raise UserError(f"{name} describes imported recordings, which cannot be simulated; leave out '{IMPORTED}'")
        origin = _origin(keys.pop(IMPORTED), name)
    if assignments:
        keys = assigned(keys, assignments)
        text, name = assigned_text(keys, assignments), " --set ".join([name, *map(shortened, assignments)])
    found = document.twice | (document.ambiguous if strict else {})
    problems = [f"{_path_text(path)}: {problem}" for path, problem in found.items()]
    experiment = None
    try:
        experiment = Experiment.model_validate(keys)
    except ValidationError as error:
        # errors that follow from an ambiguous value are not reported as well
        others = (e for e in error.errors() if not any(all(map(eq, path, e["loc"])) for path in found))
        problems += [_explain(dict(e), keys) for e in others]
    if experiment is None or problems:
        raise ConfigError.of(name, problems)
    experiment._text, experiment._assignments, experiment._imported = text, tuple(assignments), origin
    return experiment


def _origin(section: Any, name: str) -> Imported:
    try:
        return Imported.model_validate(section)
    except ValidationError as error:
        (first, *_) = error.errors()
        path = ".".join(map(str, (IMPORTED, *first["loc"])))
        raise ConfigError.of(name, [f"{path}: {plain_message(first['msg'])}"]) from None


def _path_text(path: Iterable[str | int]) -> str:
    """A path for messages; places in a list are left out."""
    return ".".join(shortened(part) for part in path if isinstance(part, str) and part != MERGE)


def _explain(error: dict[str, Any], document: Any) -> str:
    """One line for one pydantic error in a document: the key's path, what is wrong, what is allowed."""
    location = [part for part in error["loc"] if isinstance(part, str | int)]
    path = ".".join(shortened(str(part)) for part in location)
    if not path:  # a condition on the whole file names its own path
        return plain_message(str(error["msg"]))
    section, field = _resolve(location)
    # the section `mass` takes the parameters of any model: a key without such is a mistake
    stray = error["type"] == "dict_type" and location[:-1] == ["mass"] and field is None
    if error["type"] == "extra_forbidden" or stray:
        return f"{path}: unknown key; {_hint(str(location[-1]), section)}"
    if error["type"] == "missing":
        return f"{path}: required, but missing"
    line = f"{path}: {plain_message(error['msg'])}"
    if not isinstance(error["input"], dict | list | tuple) and location[:-1] != ["grid"]:  # an axis's message names it
        line += f", not {shortened(repr(error['input']))}"
        line += "" if _is_given(location, document) else ", its default"
    allowed = range_text(bounds_of(field)) if field is not None else ""
    return f"{line} (allowed: {allowed})" if allowed else line


def _is_given(location: list[str | int], document: Any) -> bool:
    """Whether a document has the key that a location points at."""
    for part in location:
        if isinstance(document, dict) and part not in document:
            return False
        document = document[part] if isinstance(document, dict) else None
    return True


def _hint(name: str, section: type[BaseModel]) -> str:
    """What an unknown key of a section was meant to be, or where it belongs."""
    known = list(section.model_fields)
    spelt = SPELT.get(name.casefold(), name)
    if spelt not in known and spelt in PLACES:
        home = PLACES[spelt][:-1]
        return f"{spelt} belongs {f'under {home[0]}' if home else 'at the top level'}"
    near = nearest(spelt, [*known, *PLACES] if section is Experiment else known)
    if near is None:
        return f"known keys: {', '.join(known)}"
    return f"did you mean '{near if near in known else '.'.join(PLACES[near])}'?"


def _resolve(location: list[str | int]) -> tuple[type[BaseModel], FieldInfo | None]:
    """The section and the field that a location points at."""
    section: type[BaseModel] = Experiment
    field: FieldInfo | None = None
    for part in location:
        field = section.model_fields.get(str(part))
        inner = field.annotation if field is not None else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            section = inner
    return section, field


def load_experiment(path: str | Path, assignments: Sequence[str] = ()) -> Experiment:
    """Read and validate a configuration file.

    Parameters
    ----------
    path : path
    assignments : sequence of str
        Values in place of the file's, such as `network.tau_E_ms=5`.

    Raises
    ------
    UserError
        If the file cannot be read, or an assignment has a mistake.
    ConfigError
        If it does not validate (all problems at once).
    """
    return parse_experiment(configuration_text(Path(path)), str(path), strict=True, assignments=assignments)


def configuration_text(path: Path) -> str:
    """The text of a configuration file.

    Raises
    ------
    UserError
        If the file cannot be read, or is no text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror
        if isinstance(error, FileNotFoundError):
            reason = f"there is no such file; {missing_file(path)}"
        raise UserError(f"cannot read the configuration {path}: {reason}") from None
    if content.startswith(HDF5):
        raise UserError(f"{path} is an HDF5 file; give a configuration (YAML)")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"cannot read the configuration {path}: it is not UTF-8 text") from None


def experiment_of(config: Any, assignments: Sequence[str] = ()) -> Experiment:
    """The experiment in a file, or one that is in memory (`config`: a path or an `Experiment`).

    Raises
    ------
    UserError
        As of `load_experiment`, and if it is neither of the two.
    """
    if isinstance(config, Experiment):
        return config
    if not isinstance(config, str | os.PathLike):
        raise UserError(f"give the path of a configuration, or an Experiment, not {type(config).__name__}")
    return load_experiment(Path(config), assignments)


def changed(experiment: Experiment, keys: dict[str, Any], name: str = "configuration") -> Experiment:
    """An experiment with other values of some keys of its file, validated as one (`name`: see `parse_experiment`)."""
    result = parse_experiment(written(experiment.document() | keys), name)
    result._assignments = experiment.assignments
    return result


def comparison_settings(
    path: Path | None, assignments: Sequence[str] = ()
) -> tuple[MassParameters | None, CompareParameters | None]:
    """Settings of mass models and statistics that replace a sweep's own; without a file None for both.

    Raises
    ------
    UserError
        As of `load_experiment`; also if an assignment names a key of another section, or there is no file for it.
    """
    if path is None:
        if assignments:
            raise UserError("--set gives a key of another configuration its value; name that with --config")
        return None, None
    require_sections(assignments, ("mass", "compare"), "a comparison")
    experiment = load_experiment(path, assignments)
    return experiment.mass, experiment.compare


def validated(section: type[Section], keys: Mapping[str, Any]) -> Section:
    """One section of a configuration from its keys; the others have their defaults.

    Raises
    ------
    UserError
        With every problem, in one sentence.
    """
    try:
        return section.model_validate({key: plain(key, value) for key, value in keys.items()})
    except ValidationError as error:
        raise UserError("; ".join(refusal(section, error, keys).problems)) from None


def refusal(section: type[BaseModel], error: ValidationError, keys: Mapping[str, Any]) -> ConfigError:
    """The error of an experiment, or of one section, that was made in place from some keys."""
    name = next((name for name, kind in SECTIONS.items() if kind is section), None)
    if name is None:
        return ConfigError.of("the experiment", [_explain(dict(e), keys) for e in error.errors()])
    found = [_explain({**e, "loc": (name, *e["loc"])}, {name: keys}) for e in error.errors()]
    return ConfigError.of(f"the section {name}", found)


def plain(name: str, value: Any) -> Any:
    """Arrays and other sequences as lists, NumPy's numbers as Python's."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(name, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(name, inner) for inner in value]
    array = np.asarray(value)
    if array.dtype.kind not in "biufU":
        raise UserError(f"{name} must be a number, a text or a sequence of them, not {type(value).__name__}")
    return array.tolist()
