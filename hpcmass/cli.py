"""The command line: one parser over the subcommands, and the exit codes.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from hpcmass import __version__
from hpcmass.commands import COMMANDS
from hpcmass.commands.arguments import Parser
from hpcmass.errors import EXIT_BAD_INPUT, EXIT_DONE, UserError
from hpcmass.messages import say

EXIT_INTERRUPTED = 130
"""As a shell says it for Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code = int(options.run(options))
        sys.stdout.flush()
    except UserError as error:
        say(str(error))
        return EXIT_BAD_INPUT
    except BrokenPipeError:  # the reader of our output, e.g. `head`, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except KeyboardInterrupt:
        say("interrupted; what is done is kept, the same command goes on")
        return EXIT_INTERRUPTED
    return code


def _parser() -> Parser:
    parser = Parser(
        prog="hpcmass",
        description="Brute-force maps of where neural mass models stand for the spiking network they summarise.",
        epilog="exit codes: 0 done, 2 bad input, 3 finished with failed trials, 75 stopped early (run it again)",
    )
    parser.add_argument("--version", action="version", version=f"hpcmass {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser
