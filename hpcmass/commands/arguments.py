"""What the subcommands' parsers share: the kind of parser, and the types of arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn, TypeAlias

from hpcmass.errors import EXIT_BAD_INPUT


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message}; see `{self.prog} --help`\n")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"

Run = Callable[[argparse.Namespace], int]
"""Does a command's work; returns the exit code."""


def add_command(commands: Commands, name: str, run: Run, what: str, *examples: str) -> Parser:
    """A subcommand's parser.

    Parameters
    ----------
    commands : argparse subparsers
    name : str
    run : callable
        The command's `run`.
    what : str
        What it does, in the imperative.
    examples : str
        Lines for the end of its help.
    """
    parser = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog="\n  ".join(["examples:", *examples]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


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
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"give NAME=VALUE with a number, not '{text}'") from None
