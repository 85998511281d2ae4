"""The command line: one parser over the subcommands, and the exit codes.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from hpcmass.commands import COMMANDS
from hpcmass.commands.arguments import Parser
from hpcmass.errors import EXIT_BAD_INPUT, EXIT_DONE, UserError
from hpcmass.messages import complain, show, warn
from hpcmass.text import accept_any_text

EXIT_INTERRUPTED = 130
"""As a shell says it for Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    accept_any_text(sys.stdout)
    parser = make_parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks how the line may go on
        _complete(parser)
    options = parser.parse_args(arguments)
    # with colorama installed, numba would end standard output with an escape code, and under mpiexec that is a terminal
    os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
    show(options.log_level)
    try:
        code = int(options.run(options))
        sys.stdout.flush()
    except UserError as error:
        complain(str(error))
        return EXIT_BAD_INPUT
    except BrokenPipeError:  # the reader of our output, e.g. `head`, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except OSError as error:  # the machine's or a damaged file's, not the program's
        from hpcmass.store.files import reason

        complain(f"cannot go on: {reason(error)}; look at the disk, or at the file with `hpcmass check`")
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        warn("interrupted; what is done is kept, the same command goes on")
        return EXIT_INTERRUPTED
    return code


def _complete(parser: Parser) -> None:
    """Answer the shell by argcomplete, if it is installed."""
    with suppress(ImportError):
        import argcomplete

        argcomplete.autocomplete(parser)


class _Version(argparse.Action):
    """Looks at the libraries only if asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from hpcmass.versions import describe

        print(describe())
        parser.exit(EXIT_DONE)


def make_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="hpcmass",
        description="Brute-force maps of where neural mass models stand for the spiking network they summarise.",
        epilog="exit codes: 0 done, 2 bad input, 3 finished with failed trials, 75 stopped early (run it again)",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version, also of MPI, HDF5 and numba")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser
