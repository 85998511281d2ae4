"""A configuration file: YAML text → `Experiment`, or every problem at once, one line each."""

from __future__ import annotations

import difflib
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

_STUMBLES = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError)
"""What PyYAML raises in place of its own error."""

MOST_NESTED = 50
"""Lists and mappings within each other that a file may hold; a configuration needs four."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 5e-4 as a number (YAML 1.1 wants 5.0e-4) and refuses a key given twice."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nested = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse what is nested deeper than Python can follow."""
        if self._nested > MOST_NESTED:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, f"more than {MOST_NESTED} lists within lists", mark)
        self._nested += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._nested -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Say where a value is that PyYAML stumbles over, such as 2024-99-99 or `!!int ''`."""
        try:
            return super().construct_object(node, deep)
        except _STUMBLES:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"this is no {kind}", node.start_mark) from None

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
        With every problem of the document, one line each: the key's path, what is wrong, what is allowed.
    """
    try:
        document = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not YAML: {' '.join(str(error).split())}") from None
    except _STUMBLES:
        raise ConfigError(f"{name} is not YAML: a value is not what its tag says") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{name} holds no keys; it needs at least 'grid' with the axes p and lam")
    try:
        experiment = Experiment.model_validate(document)
    except ValidationError as error:
        problems = [_explain(dict(e)) for e in error.errors()]
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError("\n  ".join([f"{name} has {count}:", *problems])) from None
    experiment._text = text
    return experiment


def _explain(error: dict[str, Any]) -> str:
    """One line for one pydantic error: the key's path, what is wrong, what is allowed."""
    location = [part for part in error["loc"] if isinstance(part, str | int)]
    path = ".".join(str(part) for part in location)
    if not path:  # a condition on the whole file says its own path
        return plain_message(str(error["msg"]))
    section, field = _resolve(location)
    if error["type"] == "extra_forbidden":
        near = _nearest(str(location[-1]), list(section.model_fields))
        hint = f"did you mean '{near}'?" if near else f"known keys: {', '.join(section.model_fields)}"
        return f"{path}: unknown key; {hint}"
    if error["type"] == "missing":
        return f"{path}: required, but missing"
    line = f"{path}: {plain_message(error['msg'])}"
    if not isinstance(error["input"], dict | list | tuple):
        line += f", not {error['input']!r}"
    allowed = range_text(bounds_of(field)) if field is not None else ""
    return f"{line} (allowed: {allowed})" if allowed else line


def _nearest(name: str, known: list[str]) -> str | None:
    """The known key most like `name`; one that differs in case alone comes first."""
    same = [k for k in known if k.lower() == name.lower()]
    return next(iter(same or difflib.get_close_matches(name, known, n=1, cutoff=0.5)), None)


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
        raise UserError(f"cannot read the configuration {path}: {reason}") from None
    return parse_experiment(text, str(path))
