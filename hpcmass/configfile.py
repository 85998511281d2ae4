"""A configuration file: YAML text → `Experiment`, or every problem at once, one line each."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from hpcmass.axes import bounds_of, range_text
from hpcmass.config import Experiment, plain_message
from hpcmass.errors import ConfigError, UserError
from hpcmass.nearest import did_you_mean, missing_file

SPELT = {"λ": "lam", "lambda": "lam", "lamda": "lam"}
"""Other spellings of a key, in lower case."""

LONGEST_QUOTE = 60
"""Letters of a wrong value that a message repeats."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 5e-4 as a number (YAML 1.1 wants 5.0e-4) and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a name", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse_experiment(text: str, name: str = "configuration") -> Experiment:
    """Validate YAML text.

    Parameters
    ----------
    text : str
        The YAML document.
    name : str
        What to call it in messages (a path).

    Raises
    ------
    ConfigError
        If it is not YAML or holds no keys; else with every problem of the document, one line each: the key's path, what
        is wrong, what is allowed.
    """
    try:
        document = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{name} holds no keys; it needs at least 'grid' with the axes p and lam")
    try:
        experiment = Experiment.model_validate(document)
    except ValidationError as error:
        raise ConfigError.of(name, [_explain(dict(e), document) for e in error.errors()]) from None
    experiment._text = text
    return experiment


def _explain(error: dict[str, Any], document: Any) -> str:
    """One line for one pydantic error in a document: the key's path, what is wrong, what is allowed."""
    location = [part for part in error["loc"] if isinstance(part, str | int)]
    path = ".".join(_shortened(str(part)) for part in location)
    if not path:  # a condition on the whole file says its own path
        return plain_message(str(error["msg"]))
    section, field = _resolve(location)
    if error["type"] == "extra_forbidden":
        return f"{path}: unknown key; {_hint(str(location[-1]), section)}"
    if error["type"] == "missing":
        return f"{path}: required, but missing"
    line = f"{path}: {plain_message(error['msg'])}"
    if not isinstance(error["input"], dict | list | tuple):
        line += f", not {_shortened(repr(error['input']))}"
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


def _shortened(text: str) -> str:
    """A text for a message: of one that is very long the beginning."""
    return text if len(text) <= LONGEST_QUOTE else f"{text[: LONGEST_QUOTE - 1]}…"


def _hint(name: str, section: type[BaseModel]) -> str:
    """What an unknown key of a section was meant to be."""
    known = list(section.model_fields)
    spelt = SPELT.get(name.casefold())
    return did_you_mean(spelt if spelt in known else name, known) or f"known keys: {', '.join(known)}"


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


def load_experiment(path: str | Path) -> Experiment:
    """Read and validate a configuration file.

    Raises
    ------
    UserError
        If the file cannot be read.
    ConfigError
        If it does not validate (all problems at once).
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        if isinstance(error, FileNotFoundError):
            reason = f"there is no such file; {missing_file(Path(path))}"
        raise UserError(f"cannot read the configuration {path}: {reason}") from None
    return parse_experiment(text, str(path))
