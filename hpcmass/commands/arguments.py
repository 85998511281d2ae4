"""What the subcommands' parsers share: the kind of parser, and the types of arguments."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from hpcmass.errors import EXIT_BAD_INPUT
from hpcmass.messages import LEVELS, logger
from hpcmass.nearest import did_you_mean
from hpcmass.text import counted


class _Once(argparse._StoreAction):
    """An option with a value: given a second time, it would silently replace the first."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        given = vars(namespace).setdefault("_given", set())
        if option_string is not None and self.dest in given:
            raise argparse.ArgumentError(self, "is given twice; give it once")
        given.add(self.dest)
        super().__call__(parser, namespace, values, option_string)


class Named(argparse.Action):
    """A repeatable option NAME=…, as a dict; its `type` gives name and value, and a name has one value."""

    def __init__(self, option_strings: Sequence[str], dest: str, **details: Any) -> None:
        super().__init__(option_strings, dest, default={}, **details)

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        name, value = values
        before = getattr(namespace, self.dest)
        if name in before:
            raise argparse.ArgumentError(self, f"{name} is given twice{self.remedy(before[name], value)}")
        setattr(namespace, self.dest, {**before, name: value})

    def remedy(self, first: Any, second: Any) -> str:
        """The end of the message for a name that is given twice."""
        return "; give it once"


class Assignments(Named):
    """A repeatable option NAME=VALUE with numbers."""

    def __init__(self, option_strings: Sequence[str], dest: str, **details: Any) -> None:
        super().__init__(option_strings, dest, type=assignment, metavar="NAME=VALUE", **details)

    def remedy(self, first: Any, second: Any) -> str:
        return f", as {first:g} and {second:g}; give it once"


class Parser(argparse.ArgumentParser):
    """Reports an error in one sentence, with a suggestion for a misspelt word."""

    def __init__(self, *arguments: Any, **details: Any) -> None:
        super().__init__(*arguments, **details)
        for name in (None, "store"):
            self.register("action", name, _Once)

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message}; see `{self.prog} --help`\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Like argparse's, but a command's own parser reports unknown options, because it knows the others."""
        options, unknown = super().parse_known_args(args, namespace)
        option = next((text.partition("=")[0] for text in unknown if text.startswith("--")), None)
        if option is not None:
            hint = did_you_mean(option, self._option_string_actions)
            self.error(f"there is no option {option}" + (f"; {hint}" if hint else ""))
        return options, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            hint = did_you_mean(str(value), known) or f"choose from {', '.join(known)}"
            raise argparse.ArgumentError(action, f"invalid choice: '{value}'; {hint}")


LONGEST_INTERVAL_S = 86400
"""Longest time between two pictures or reports."""

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"

Run = Callable[[argparse.Namespace], int]
"""Does a command's work; returns the exit code."""


def add_command(commands: Commands, name: str, run: Run, what: str, *examples: str, continues: bool = False) -> Parser:
    """A subcommand's parser: what it does, in the imperative, and examples for its help.

    `continues`: the same command continues what was interrupted.
    """
    parser = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog="\n  ".join(["examples:", *examples]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, continues=continues)
    messages = parser.add_argument_group("messages", "on standard error; standard output holds results only")
    level = messages.add_mutually_exclusive_group()
    level.add_argument("-q", "--quiet", action="store_const", dest="log_level", const="error", default="info",
                       help="show errors only: no progress, no warnings")  # fmt: skip
    level.add_argument("--log-level", choices=LEVELS, default="info", help="lowest level shown (default: info)")
    return parser


def add_plane(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the axes of the maps."""
    parser.add_argument("--axes", type=two_names, metavar="RIGHT,UP",
                        help="swept axes to show (default: the first two that vary)")  # fmt: skip
    parser.add_argument("--at", action=Assignments,
                        help="value at which a further axis is fixed (default: its first)")  # fmt: skip


def add_set(parser: Parser) -> None:
    """Let a command change single values of its configuration."""
    parser.add_argument("--set", action="append", default=[], dest="assignments", metavar="KEY=VALUE",
                        help="another value for one key, such as network.tau_E_ms=5 (repeatable)")  # fmt: skip


def sweeps_given(paths: Sequence[Path]) -> list[Path]:
    """Sweep files of a command line without the comparisons of these sweeps, which `part-*.h5` matches, too.

    A note says which ones are left out. Any other file stays, and the command refuses it.
    """
    from hpcmass.store.schema import comparison_path

    named = {os.path.abspath(comparison_path(path)) for path in paths}
    left_out = [path for path in paths if os.path.abspath(path) in named and _is_comparison(path)]
    if left_out:
        shown = str(left_out[0]) + (", …" if len(left_out) > 1 else "")
        logger.info("left out: %s of the sweeps given (%s)", counted(len(left_out), "comparison"), shown)
    return [path for path in paths if path not in left_out]


def _is_comparison(path: Path) -> bool:
    from hpcmass.store.files import read_hdf5
    from hpcmass.store.opening import UNUSABLE, filetype_of
    from hpcmass.store.schema import COMPARISON_FILETYPE

    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with read_hdf5(path) as file:
            return filetype_of(file) == COMPARISON_FILETYPE
    except UNUSABLE:
        return False


def whole(least: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number from `least`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"give a whole number from {least}, not '{text}'")
        return int(text)

    return parse


def assignment(text: str) -> tuple[str, float]:
    """The type of an argument NAME=VALUE."""
    name, _, value = text.partition("=")
    try:
        if not name.strip():
            raise ValueError
        return name.strip(), float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"give NAME=VALUE with a number, not '{text}'") from None


def positive(text: str) -> float:
    """The type of an argument that is a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"give a number above 0, not '{text}'")
    return value


def interval(text: str) -> float:
    """The type of an argument that is a time between two repetitions, in seconds."""
    value = positive(text)
    if value > LONGEST_INTERVAL_S:
        raise argparse.ArgumentTypeError(f"give at most {LONGEST_INTERVAL_S} (a day), not '{text}'")
    return value


def time_span(text: str) -> float:
    """The type of an argument that is a length of time, in seconds: `90m`, `24h`, `2d`, `08:00:00`, `1-00:00:00`."""
    usage = f"give a time such as 90m, 24h, 2d or 08:00:00, not '{text}'"
    if found := re.fullmatch(r"(\d+(?:\.\d*)?)\s*([smhd])", text):
        seconds = float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]
    elif found := re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)", text):
        days, hours, minutes, rest = (int(part or 0) for part in found.groups())
        seconds = 86400.0 * days + 3600 * hours + 60 * minutes + rest
    else:
        raise argparse.ArgumentTypeError(usage)
    if seconds <= 0:
        raise argparse.ArgumentTypeError(usage)
    return seconds


def scan(text: str) -> dict[str, object]:
    """The type of an argument NAME=FIRST:LAST:N or NAME=VALUE,VALUE,…"""
    name, _, values = text.partition("=")
    try:
        if not name.strip():
            raise ValueError
        if ":" in values:
            first, last, n = values.split(":")
            return {name.strip(): {"linspace": [float(first), float(last), int(n)]}}
        return {name.strip(): [float(value) for value in values.split(",")]}
    except ValueError:
        usage = "give NAME=FIRST:LAST:N or NAME=VALUE,VALUE,…, such as tau_s_ms=2:10:9"
        raise argparse.ArgumentTypeError(f"{usage}, not '{text}'") from None


def names(text: str) -> tuple[str, ...]:
    """The type of an argument that is a list of names, A,B,C."""
    listed = tuple(name.strip() for name in text.split(","))
    if not all(listed):
        raise argparse.ArgumentTypeError(f"give names separated by commas, not '{text}'")
    return listed


def two_names(text: str) -> tuple[str, str]:
    """The type of an argument that is two axes, RIGHT,UP."""
    listed = names(text)
    if len(listed) != 2:
        raise argparse.ArgumentTypeError(f"give two axes separated by a comma, not '{text}'")
    return listed[0], listed[1]
