"""The command line: one parser over the subcommands, and the exit codes.

Results go to standard output, everything else to standard error. All but the least is imported within `main`, so that
Ctrl-C is answered from the first moment on.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from hpcmass.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, UserError
from hpcmass.interrupts import Interrupts, answered
from hpcmass.streams import drop_results, guarded, lost_results, reader_has_left

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from hpcmass.commands.arguments import Parser

Code = TypeVar("Code")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without them those of the process, which then ends with the command.
    """
    alone = arguments is None
    with answered(to_the_end=alone) as interrupts, guarded(to_the_end=alone):
        return _run(arguments, interrupts)


def _run(arguments: Sequence[str] | None, interrupts: Interrupts) -> int:
    continues = False
    try:
        from hpcmass.messages import logger, show

        show("info")
        _end_ranks_at_once(interrupts)
        options = _parsed(arguments)
        continues = options.continues
        # with colorama installed, numba would end standard output with an escape code, and under mpiexec that is a
        # terminal
        os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
        show(options.log_level)
        _require_working_directory()
        return _with_results_written(int(options.run(options)))
    except SystemExit:
        raise
    except BaseException as error:
        # a library whose import is interrupted may raise another error instead
        if isinstance(error, KeyboardInterrupt) or interrupts.asked:
            drop_results()
            _say_interrupted(continues)
            # Python notes a KeyboardInterrupt that leaves code in a string, such as a dataclass runs, as unhandled, and
            # would end with the signal; the next code in a string makes it forget that
            exec("")
            return EXIT_INTERRUPTED
        sentence = _sentence(error)
        if sentence is None:
            raise
        logger.error(sentence)
        return EXIT_BAD_INPUT


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks how the line may continue
        with suppress(ImportError):
            import argcomplete

            argcomplete.autocomplete(parser)
    try:
        return parser.parse_args(arguments)
    except SystemExit as end:  # after a mistake, or the help
        raise SystemExit(_with_results_written(end.code)) from None


def _sentence(error: BaseException) -> str | None:
    """The message for an error; None if it is a bug, which keeps its traceback."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):  # the machine's or a damaged file's, not the program's
        from hpcmass.store.files import reason

        return f"cannot continue: {reason(error)}; check the disk, and the file with `hpcmass check`"
    return None


def _with_results_written(code: Code) -> Code | int:
    """The exit code of a command that ended with `code`, now that its results have to reach standard output."""
    sys.stdout.flush()
    error = lost_results()
    if error is None or reader_has_left():
        return code
    from hpcmass.messages import logger

    why = (error.strerror or str(error)).lower()
    logger.error(f"cannot write the results to standard output: {why}; free some space there, or send them elsewhere")
    return code or EXIT_BAD_INPUT


def _require_working_directory() -> None:
    """Refuse to work where relative paths lead nowhere, and libraries break."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UserError("the working directory does not exist any more; change to another one (cd)") from None


def _end_ranks_at_once(interrupts: Interrupts) -> None:
    """Let Ctrl-C end one of several ranks at once.

    It cannot clean up with the others: the launcher passes the signal to all, and what is done is on the disk.
    """
    from hpcmass.parallel.communicator import is_first, is_launched

    if is_launched():
        interrupts.at_once = (lambda: _say_interrupted(continues=True)) if is_first() else (lambda: None)


def _say_interrupted(continues: bool) -> None:
    from hpcmass.messages import logger, show

    show("error")  # it may not have been assigned yet
    logger.error("interrupted; what is done is kept, the same command continues" if continues else "interrupted")


def make_parser() -> Parser:
    """The parser of the whole command line."""
    from hpcmass.commands import COMMANDS
    from hpcmass.commands.arguments import Parser
    from hpcmass.versions import Version

    parser = Parser(
        prog="hpcmass",
        description="Map where neural mass models reproduce the spiking network that they summarise.",
        epilog="exit codes: 0 done, 2 bad input or results that could not be written, 3 finished, but trials, "
        "or models or statistics during run --compare, have failed, 75 stopped early (run it again), 130 interrupted "
        "with Ctrl-C (what is done is kept)",
    )
    parser.add_argument("--version", action=Version, nargs=0, help="show the version, and those of MPI, HDF5 and numba")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser
