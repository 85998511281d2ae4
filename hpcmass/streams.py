"""Standard output and standard error of a command: either may be closed, full, or lost with its terminal or reader.

What cannot be written to standard error is dropped, because a log never ends the work. Standard output holds results:
its first error is kept for the exit code, and the work continues. Characters that a stream's encoding lacks are written
as escapes.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from hpcmass.text import ANY_TEXT

CLEAR_SCREEN = "\x1b[H\x1b[J"
"""Escape sequence of a command that redraws: cursor to the first line of the terminal, nothing below it."""


@contextmanager
def guarded(*, to_the_end: bool = False) -> Iterator[None]:
    """Guard the standard streams within the block, see `guard`.

    Parameters
    ----------
    to_the_end : bool
        The process ends with the block: the streams stay guarded, so that later writes and flushes never fail.
    """
    before = (sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__)
    guard()
    try:
        yield
    finally:
        if not to_the_end:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__ = before  # type: ignore[misc]


def guard() -> None:
    """Open standard streams that are closed on the null device, and replace the two for output by ones that never fail.

    Streams that a test or a notebook has replaced already are left alone.
    """
    _open_missing()
    if sys.stdout is sys.__stdout__:
        sys.stdout = sys.__stdout__ = _guard(sys.stdout, 1, results=True)  # type: ignore[misc]
    if sys.stderr is sys.__stderr__:
        sys.stderr = sys.__stderr__ = _guard(sys.stderr, 2, results=False)  # type: ignore[misc]


def lost_results() -> OSError | None:
    """Why something could not be written to standard output; None if everything was."""
    raw = _raw(sys.stdout)
    return None if raw is None else raw.error


def reader_has_left() -> bool:
    """Whether nothing reads the results any more: the next program in the pipe has ended, or the terminal is closed."""
    error, raw = lost_results(), _raw(sys.stdout)
    if error is None or raw is None:
        return False
    return error.errno == errno.EPIPE or (error.errno == errno.EIO and raw.was_terminal)


def drop_results() -> None:
    """Write no more results, not even what is still in a buffer: the command was interrupted."""
    raw = _raw(sys.stdout)
    if raw is not None and raw.error is None:
        raw.error = InterruptedError(errno.EINTR, os.strerror(errno.EINTR))


def _open_missing() -> None:
    """Otherwise the next file that is opened, such as a sweep, gets the number of a stream, and messages go into it."""
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)  # which gets the lowest number that is free, this one


def _guard(stream: TextIO | None, descriptor: int, *, results: bool) -> io.TextIOWrapper:
    """A stream to the same place as `stream`, in the same encoding; None is one that was closed at the start."""
    if stream is None:
        # the number may belong to a file that was opened since
        return _text(_Descriptor(os.open(os.devnull, os.O_WRONLY), results=results), "utf-8", line_buffering=True)
    stream.flush()
    old = cast("io.TextIOWrapper", stream)
    raw = _Descriptor(descriptor, results=results)
    return _text(raw, old.encoding, line_buffering=old.line_buffering, write_through=old.write_through)


def _text(raw: _Descriptor, encoding: str, *, line_buffering: bool, write_through: bool = False) -> io.TextIOWrapper:
    # without buffers (python -u) the text goes straight to the descriptor
    buffer = cast("io.BufferedWriter", raw) if write_through else io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffer, encoding, errors=ANY_TEXT, line_buffering=line_buffering, write_through=write_through
    )


class _Descriptor(io.RawIOBase):
    """Writes everything it is given, or drops it; of results nothing after the first error, for a gap would be worse.

    Attributes
    ----------
    error : OSError or None
        The last one.
    was_terminal : bool
        At the start; false for a terminal that has vanished.
    """

    mode = "wb"

    def __init__(self, descriptor: int, *, results: bool) -> None:
        self._descriptor, self._results = descriptor, results
        self.name = descriptor
        self.error: OSError | None = None
        self.was_terminal = os.isatty(descriptor)

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        length = len(rest)
        while rest and not (self._results and self.error):
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # another program has made the terminal or pipe that we share non-blocking
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.error = error
                break
        return length

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True


def _raw(stream: object) -> _Descriptor | None:
    """The descriptor behind a stream, if it is one of ours."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    return raw if isinstance(raw, _Descriptor) else None
