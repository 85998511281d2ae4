"""Calls of a user's functions: whatever one raises is one sentence with its name and the line in its code."""

from __future__ import annotations

import copy
import importlib
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcmass.compile_lock import WaitStopped
from hpcmass.errors import UserError

Failures = dict[str, str]
"""What failed at a point, `the mass model WC`, → its first error there."""

BUGS: Final = (AttributeError, NameError, ImportError, TypeError, SyntaxError, NotImplementedError)
"""Exceptions that code raises whatever its data are."""

LONGEST_REASON: Final = 300
"""Most characters of another library's message that are shown: some fill a page."""

_READ_ONLY: Final = re.compile(r"read-?only|is frozen|cannot assign to field|cannot set WRITEABLE", re.IGNORECASE)

_HERE: Final = Path(__file__).parent
CALLERS: Final = {
    __file__,
    *(str(_HERE / name) for name in ("plugins.py", "mass/contract.py", "mass/registry.py", "compare/own.py")),
    copy.__file__,
    importlib.__file__,
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
}
"""Files between the program and a user's code, which do not help its author."""


def reason(error: BaseException) -> str:
    """An exception of user code on one line: type, message, and the line in that code."""
    text = " ".join(str(error).split())
    if len(text) > LONGEST_REASON:
        text = f"{text[:LONGEST_REASON]}…"
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    theirs = [f for f in traceback.extract_tb(error.__traceback__) if f.filename not in CALLERS]
    if not theirs or isinstance(error, SyntaxError):  # whose message has the line
        return message
    last = [f for f in theirs if f.filename == theirs[0].filename][-1]  # not within a library that it calls
    return f"{message} ({Path(last.filename).name}, line {last.lineno})"


Errors = dict[str, "UserCodeError"]
"""The same before it is text."""


class UserCodeError(UserError):
    """An error of a user's code.

    Parameters
    ----------
    what : str
        Whose code did what.
    advice : str
        What to do where nothing can go on.
    """

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(f"{what}; {advice}" if advice else what)
        self.what = what

    @property
    def is_bug(self) -> bool:
        """Whether the code fails whatever its data are: it returned a wrong kind or length, or raised one of `BUGS`.

        So does code that changes its arguments, and code that numba cannot compile.
        """
        cause = self.__cause__
        if cause is None or isinstance(cause, BUGS):
            return True
        return type(cause).__module__ == "numba.core.errors" or bool(_READ_ONLY.search(str(cause)))


@contextmanager
def called(what: str, listed: str, kind: type[UserCodeError]) -> Iterator[None]:
    """Turn whatever user code raises into one sentence; ignore NumPy's floating-point warnings in it.

    Parameters
    ----------
    what : str
        `the mass model WC`.
    listed : str
        Where it can be left out: `models`.
    kind : type of UserCodeError
    """
    try:
        with np.errstate(all="ignore"):  # a value that overflows is a result
            yield
    except (KeyboardInterrupt, WaitStopped):
        raise
    except BaseException as error:  # also sys.exit: one does not end the comparison of the others
        message = reason(error)
        advice = f"correct it, or leave it out of the {listed}"
        if _READ_ONLY.search(message):
            advice = "its arguments are read-only: change a copy"
        raise kind(f"{what} failed, {message}", advice) from error


def kind_of(value: Any) -> str:
    """What something is, for a sentence: `nothing (None)`, `a list`, `a masked array`."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, np.ma.MaskedArray):
        return "a masked array"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
