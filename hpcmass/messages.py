"""Messages: one line each on standard error, behind the program's name, without colours.

Everything goes through the logger `hpcmass`, so that a notebook or another program may redirect it. The import alone
configures nothing: the command line, or the program that uses the package, sets the level.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

LEVELS = ("debug", "info", "warning", "error")
"""What `--log-level` takes."""

logger = logging.getLogger("hpcmass")
logger.setLevel(logging.INFO)


def show(level: str) -> None:
    """Show messages from this level on, one of `LEVELS`, on standard error."""
    logger.setLevel(level.upper())
    logger.propagate = False
    if not any(isinstance(handler, _StandardError) for handler in logger.handlers):
        handler = _StandardError()
        handler.setFormatter(logging.Formatter("hpcmass: %(message)s"))
        logger.addHandler(handler)


class _StandardError(logging.Handler):
    """Writes to the current standard error; a log that cannot be written does not end the work."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:
            with suppress(OSError, ValueError):  # full, closed, or gone with its terminal
                print(self.format(record), file=sys.stderr, flush=True)
