"""YAML text → plain values; what two YAML parsers read differently is found.

YAML 1.1 and 1.2 disagree about `010`, `1_000`, `30:00`, `on` and others, and so do programs. A file that was written
by hand is read strictly: each of these is reported with what to write instead. Texts that were accepted before, such as
the configuration within a sweep file, are read as before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import yaml

MOST_LEVELS: Final = 20
"""Deepest nesting; a configuration has five levels: file, section, axis, list, number."""

MOST_VALUES: Final = 1_000_000
"""Values in a document with its aliases expanded: nested aliases grow exponentially."""

Path = tuple[str | int, ...]

MERGE: Final = "<<"


class Refused(Exception):
    """A document that is YAML but cannot be taken as a configuration; the message follows its name."""


@dataclass(frozen=True)
class Document:
    """Contents of a YAML text.

    Attributes
    ----------
    value : object
        Mappings with names as keys, lists, texts, numbers, truth values, None.
    twice : dict
        Path of a key that is given twice → the message.
    ambiguous : dict
        Path of a value → how other parsers read it, and what to write.
    """

    value: Any
    twice: dict[Path, str]
    ambiguous: dict[Path, str]


def read(text: str) -> Document:
    """Read one YAML document.

    Anchors, aliases and merge keys (`<<`) are followed.

    Raises
    ------
    yaml.YAMLError
        If it is not YAML, or has tags for more than texts, numbers and truth values.
    Refused
        If it is nested too deeply, its aliases make it too large or contain themselves, or a key is not a name.
    """
    node = _Loader(text).get_single_node()
    if node is None:
        return Document(None, {}, {})
    reader = _Reader()
    return Document(reader.value(node, ()), reader.twice, reader.ambiguous)


def written(value: Any) -> str:
    """Plain values as YAML that `read` reads back as they are: a text such as 1e3 or 08 in quotes."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False)


class _Dumper(yaml.SafeDumper):
    """Also quotes what only YAML 1.1 reads as a string."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        tag = str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]
        if kind is yaml.ScalarNode and implicit[0] and tag == TAG + "str":
            meaning = meaning_of(value)
            return tag if meaning.problem is None and isinstance(meaning.value, str) else PLAIN
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


class _Reader:
    """Values of nodes, each made once however many aliases it has."""

    def __init__(self) -> None:
        self.twice: dict[Path, str] = {}
        self.ambiguous: dict[Path, str] = {}
        self._made: dict[yaml.Node, Any] = {}
        self._sizes: dict[yaml.Node, int] = {}

    def value(self, node: yaml.Node, path: Path) -> Any:
        """The value of a node, and of all within it."""
        if node in self._made:
            if node not in self._sizes:
                raise Refused(f"has an alias in line {_line(node)} that contains itself; write the values out")
            return self._made[node]
        self._made[node] = None
        made, size = self._make(node, path)
        if size > MOST_VALUES:
            raise Refused(f"holds more than {MOST_VALUES} values when its aliases are written out; write fewer")
        self._made[node], self._sizes[node] = made, size
        return made

    def _make(self, node: yaml.Node, path: Path) -> tuple[Any, int]:
        if isinstance(node, yaml.MappingNode) and node.tag == TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == TAG + "seq":
            values = [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
            return values, 1 + sum(self._sizes[item] for item in node.value)
        if isinstance(node, yaml.ScalarNode) and node.tag == TAG + "str":
            return str(node.value), 1
        if isinstance(node, yaml.ScalarNode) and node.tag in SCALARS:
            meaning = meaning_of(str(node.value))
            problem = meaning.problem
            if node.tag != PLAIN:
                problem = f"the tag {node.tag.replace(TAG, '!!')} changes what a value means; write the value alone"
            if problem is not None:
                self.ambiguous[path] = problem
            return meaning.value, 1
        known = f"the tag '{node.tag}' is not understood; leave it out"
        raise yaml.constructor.ConstructorError(None, None, known, node.start_mark)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> tuple[dict[str, Any], int]:
        made: dict[str, Any] = {}
        size = 1
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
            made[key] = self.value(value_node, (*path, key))
            size += 1 + self._sizes[value_node]
        for other in merged:  # the first that has a key counts
            if not isinstance(other, yaml.MappingNode):
                raise Refused(
                    f"merges something in line {_line(other)} that has no keys; give << the alias of a section"
                )
            for key, value in self.value(other, (*path, MERGE)).items():
                made.setdefault(key, value)
            size += self._sizes[other]
        return made, size


@dataclass(frozen=True)
class Meaning:
    """What a plain word stands for.

    Attributes
    ----------
    value : object
        As hpcmass always read it.
    problem : str or None
        How other parsers read it, and what to write.
    """

    value: Any
    problem: str | None = None


def meaning_of(word: str) -> Meaning:
    """The meaning of a plain word, one without quotes."""
    if word == "":
        return Meaning(None, "has no value; give one, or leave the key out")
    if word in NULLS:
        return Meaning(None)
    if word in TRUTHS:
        return Meaning(TRUTHS[word])
    if word in OTHER_TRUTHS:
        truth = OTHER_TRUTHS[word]
        return _either(word, truth, str(truth).lower(), is_text=True)
    if DATE.fullmatch(word):
        return Meaning(word, f"{word} is a date to some YAML parsers and a string to others; write '{word}' in quotes")
    for pattern, number in NUMBERS:
        if pattern.fullmatch(word):
            if len(word) > MOST_DIGITS:
                return Meaning(math.inf, f"a number of {len(word)} digits is too long; write it with an exponent")
            return number(word)
    return Meaning(word)


def _either(word: str, value: Any, what: str, *, is_text: bool = False) -> Meaning:
    """Another value in YAML 1.1 than the string of YAML 1.2; `is_text`: the string may be intended."""
    quoted = f", or '{word}' in quotes" if is_text else ""
    return Meaning(value, f"{word} is {what} to some YAML parsers and a string to others; write {what}{quoted}")


def _leading_zero(word: str) -> Meaning:
    """`010`: 8 in YAML 1.1, 10 in YAML 1.2; `08`: a text in YAML 1.1."""
    decimal = int(word)
    if not re.fullmatch(r"[-+]?[0-7]+", word):
        return Meaning(word, f"{word} has a zero in front; write {decimal}")
    octal = int(word, 8)
    if octal == decimal:
        return Meaning(octal, f"{word} has a zero in front; write {decimal}")
    return Meaning(octal, f"{word} is {decimal} to some YAML parsers and {octal} to others; write {decimal} or {octal}")


def _of_base(base: int) -> Callable[[str], Meaning]:
    """A number in another base; YAML 1.1 has no `0o17`."""

    def meaning(word: str) -> Meaning:
        value = int(word.replace("_", ""), base)
        return Meaning(word if base == 8 else value, f"{word} is not a decimal number; write {value}")

    return meaning


def _sexagesimal(word: str) -> Meaning:
    """`30:00`: 30 times 60 in YAML 1.1, a text in YAML 1.2."""
    value: float = 0
    for part in word.lstrip("+-").replace("_", "").split(":"):
        value = 60 * value + (float(part) if "." in part else int(part))
    value = -value if word[0] == "-" else value
    return _either(word, value, f"{value:.15g}", is_text=True)


def _grouped(word: str) -> Meaning:
    """`1_000`: a number in YAML 1.1, a text in YAML 1.2."""
    value = meaning_of(word.replace("_", "")).value
    return Meaning(word) if isinstance(value, str) else _either(word, value, f"{value:.15g}")


def _floating(word: str) -> Meaning:
    value = float(word)
    if value == 0 and re.search(r"[1-9]", re.split("[eE]", word)[0]):
        return Meaning(value, f"{word} is too small for a number; write 0")
    return Meaning(value)


TAG: Final = "tag:yaml.org,2002:"
PLAIN: Final = "plain"
"""In place of a tag: a word without quotes and without a tag."""
SCALARS: Final = (PLAIN, *(TAG + kind for kind in ("int", "float", "bool", "null")))

NULLS: Final = ("~", "null", "Null", "NULL")


def _cases(word: str) -> tuple[str, str, str]:
    return word, word.capitalize(), word.upper()


TRUTHS: Final = {w: truth for word, truth in (("true", True), ("false", False)) for w in _cases(word)}
OTHER_TRUTHS: Final = {
    w: truth for word, truth in (("yes", True), ("no", False), ("on", True), ("off", False)) for w in _cases(word)
}

DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}|"
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?"
    r"([ \t]*(Z|[-+][0-9]{1,2}(:[0-9]{2})?))?"
)

MOST_DIGITS: Final = 400
"""More digits than a float can represent."""

NUMBERS: Final[tuple[tuple[re.Pattern[str], Callable[[str], Meaning]], ...]] = (
    (re.compile(r"[-+]?(0|[1-9][0-9]*)"), lambda word: Meaning(int(word))),
    (re.compile(r"[-+]?0[0-9]+"), _leading_zero),
    # of YAML 1.2, and with it 1e3 and -.5, which YAML 1.1 takes for texts
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), _floating),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda word: Meaning(-math.inf if word[0] == "-" else math.inf)),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda word: Meaning(math.nan)),
    (re.compile(r"[-+]?0b_*[01][01_]*"), _of_base(2)),
    (re.compile(r"[-+]?0o[0-7]+"), _of_base(8)),
    (re.compile(r"[-+]?0x_*[0-9a-fA-F][0-9a-fA-F_]*"), _of_base(16)),
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"), _sexagesimal),
    (re.compile(r"[-+]?[0-9.][0-9_.eE+-]*_[0-9_.eE+-]*"), _grouped),
)
"""Notations of numbers, and what each means; the first that fits counts."""


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
