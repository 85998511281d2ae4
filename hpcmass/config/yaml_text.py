"""YAML text → plain values; what two YAML parsers read differently is found.

YAML 1.1 and 1.2 disagree about `010`, `1_000`, `30:00`, `on` and others, and so do programs. A file that was written
by hand is read strictly: each of these is reported with what to write instead. Texts that were accepted before, such as
the configuration within a sweep file, are read as before.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

import yaml

MOST_LEVELS: Final = 20
"""Deepest nesting; a configuration has five levels: file, section, axis, list, number."""

MOST_VALUES: Final = 1_000_000
"""Values in a document with its aliases expanded: nested aliases grow exponentially."""

MOST_DIGITS: Final = 400
"""More digits than a float can represent."""

Path = tuple[str | int, ...]

MERGE: Final = "<<"

TAG: Final = "tag:yaml.org,2002:"
PLAIN: Final = "plain"
"""In place of a tag: a word without quotes and without a tag."""
SCALARS: Final = (PLAIN, *(TAG + kind for kind in ("int", "float", "bool", "null")))

NUMBER: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
"""A decimal number of YAML 1.2, and with it 1e3 and -.5, which YAML 1.1 takes for texts."""

OCTAL: Final = re.compile(r"[-+]?0o[0-7]+")
"""YAML 1.1 has none such."""

_YAML_1_1: Final = yaml.SafeLoader("")
"""Knows what a word stands for in YAML 1.1."""


class Refused(Exception):
    """A document that is YAML but cannot be taken as a configuration; the message follows its name."""


class Document:
    """What one YAML document holds; its anchors, aliases and merge keys (`<<`) are followed.

    Attributes
    ----------
    value : object
        Mappings with names as keys, lists, texts, numbers, truth values, None.
    twice : dict
        Path of a key that is given twice → the message.
    ambiguous : dict
        Path of a value → how other parsers read it, and what to write.

    Raises
    ------
    yaml.YAMLError
        If the text is not YAML, or has tags for more than texts, numbers and truth values.
    Refused
        If it is nested too deeply, its aliases make it too large or contain themselves, or a key is not a name.
    """

    def __init__(self, text: str) -> None:
        self.twice: dict[Path, str] = {}
        self.ambiguous: dict[Path, str] = {}
        self._made: dict[yaml.Node, tuple[Any, int] | None] = {}
        node = _Loader(text).get_single_node()
        self.value: Any = None if node is None else self._read(node, ())[0]

    def _read(self, node: yaml.Node, path: Path) -> tuple[Any, int]:
        """The value of a node, and how many values are within it; made once however many aliases it has."""
        if node in self._made:
            known = self._made[node]
            if known is None:
                raise Refused(f"has an alias in line {_line(node)} that contains itself; write the values out")
            return known
        self._made[node] = None
        self._made[node] = value, size = self._make(node, path)
        if size > MOST_VALUES:
            raise Refused(f"holds more than {MOST_VALUES} values when its aliases are written out; write fewer")
        return value, size

    def _make(self, node: yaml.Node, path: Path) -> tuple[Any, int]:
        if isinstance(node, yaml.MappingNode) and node.tag == TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == TAG + "seq":
            items = [self._read(item, (*path, i)) for i, item in enumerate(node.value)]
            return [value for value, _ in items], 1 + sum(size for _, size in items)
        if isinstance(node, yaml.ScalarNode) and node.tag == TAG + "str":
            return str(node.value), 1
        if isinstance(node, yaml.ScalarNode) and node.tag in SCALARS:
            value, problem = meaning_of(str(node.value))
            if node.tag != PLAIN:
                problem = f"the tag {node.tag.replace(TAG, '!!')} changes what a value means; write the value alone"
            if problem is not None:
                self.ambiguous[path] = problem
            return value, 1
        unknown = f"the tag '{node.tag}' is not understood; leave it out"
        raise yaml.constructor.ConstructorError(None, None, unknown, node.start_mark)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> tuple[dict[str, Any], int]:
        made: dict[str, Any] = {}
        total = 1
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise Refused(f"has a key in line {_line(key_node)} that is not a name; write NAME: VALUE")
            key = str(key_node.value)
            if key == MERGE and key_node.style is None:
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            if key in made:
                self.twice[*path, key] = f"the key '{key}' is given twice, again in line {_line(key_node)}"
            made[key], size = self._read(value_node, (*path, key))
            total += 1 + size
        for other in merged:  # the first that has a key counts
            if not isinstance(other, yaml.MappingNode):
                raise Refused(
                    f"merges something in line {_line(other)} that has no keys; give << the alias of a section"
                )
            values, size = self._read(other, (*path, MERGE))
            made |= {key: value for key, value in values.items() if key not in made}
            total += size
        return made, total


def written(value: Any) -> str:
    """Plain values as YAML that `Document` reads back as they are: a text such as 1e3 or 08 in quotes."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False)


class _Dumper(yaml.SafeDumper):
    """Also quotes what only YAML 1.1 reads as a string."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        tag = str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]
        if kind is yaml.ScalarNode and implicit[0] and tag == TAG + "str" and meaning_of(value) != (value, None):
            return PLAIN
        return tag


class _Loader(yaml.SafeLoader):
    """Builds the nodes; the meaning of a plain word is decided later."""

    _level = 0

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        plain = kind is yaml.ScalarNode and implicit[0]
        return PLAIN if plain else str(super().resolve(kind, value, (False, True)))  # type: ignore[no-untyped-call]

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._level += 1
        if self._level > MOST_LEVELS:
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise Refused(f"is nested more than {MOST_LEVELS} levels deep in line {line}; a configuration needs five")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._level -= 1
        return node


def meaning_of(word: str) -> tuple[Any, str | None]:
    """The value of a plain word (one without quotes) as hpcmass always read it, and a problem, if any.

    A word is a problem if other parsers read it differently; the text says what to write.
    """
    if word == "":
        return None, "has no value; give one, or leave the key out"
    kind = str(_YAML_1_1.resolve(yaml.ScalarNode, word, (True, False))).removeprefix(TAG)  # type: ignore[no-untyped-call]
    if kind == "null":
        return None, None
    if kind == "bool":
        truth = _YAML_1_1.bool_values[word.lower()]
        what = str(truth).lower()
        return truth, None if word.lower() == what else _either(word, what, is_text=True)
    if kind == "timestamp":
        return word, f"{word} is a date to some YAML parsers and a string to others; write '{word}' in quotes"
    if kind not in ("int", "float") and not NUMBER.fullmatch(word) and not OCTAL.fullmatch(word):
        return word, None
    if len(word) > MOST_DIGITS:
        return math.inf, f"a number of {len(word)} digits is too long; write it with an exponent"
    if re.fullmatch(r"[-+]?[0-9]+", word):
        return _whole(word)
    if NUMBER.fullmatch(word):
        value: Any = float(word)
        lost = value == 0 and re.search(r"[1-9]", re.split("[eE]", word)[0])
        return value, f"{word} is too small for a number; write 0" if lost else None
    if OCTAL.fullmatch(word):
        return word, f"{word} is not a decimal number; write {int(word, 8)}"
    node = yaml.ScalarNode(TAG + kind, word)
    try:
        value = (_YAML_1_1.construct_yaml_int if kind == "int" else _YAML_1_1.construct_yaml_float)(node)
    except ValueError:  # 0x_
        return word, None
    if not math.isfinite(value):
        return value, None
    if word.lstrip("+-").startswith(("0b", "0x")):
        return value, f"{word} is not a decimal number; write {value}"
    return value, _either(word, f"{value:.15g}" if isinstance(value, float) else str(value), is_text=":" in word)


def _either(word: str, what: str, *, is_text: bool) -> str:
    """Another value in YAML 1.1 than the string of YAML 1.2; `is_text`: the string may be intended."""
    quoted = f", or '{word}' in quotes" if is_text else ""
    return f"{word} is {what} to some YAML parsers and a string to others; write {what}{quoted}"


def _whole(word: str) -> tuple[Any, str | None]:
    """`010`: 8 in YAML 1.1, 10 in YAML 1.2; `08`: a string in YAML 1.1."""
    decimal = int(word)
    if not re.fullmatch(r"[-+]?0[0-9]+", word):
        return decimal, None
    octal = int(word, 8) if re.fullmatch(r"[-+]?[0-7]+", word) else word
    if octal in (decimal, word):
        return octal, f"{word} has a zero in front; write {decimal}"
    return octal, f"{word} is {decimal} to some YAML parsers and {octal} to others; write {decimal} or {octal}"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
