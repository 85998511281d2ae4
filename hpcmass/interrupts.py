"""Ctrl-C: the first one unwinds the command, which cleans up; a second one does not disturb that, a third one ends all.

Python raises `KeyboardInterrupt` wherever the program is. Where that is a place that cannot raise (a destructor, a
callback from C), it would print a traceback and be lost; in that case it is raised again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from hpcmass.errors import EXIT_INTERRUPTED

STOPS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""Signals by which batch systems and people ask a job to stop."""

AGAIN_S = 0.02
"""A lost interrupt is raised again after this time (s), when the code that cannot raise has returned."""


class Interrupts:
    """Ctrl-C of this process.

    Attributes
    ----------
    asked : bool
        It was pressed.
    at_once : callable or None
        If set, the first one calls this and ends the process, in place of `KeyboardInterrupt`.
    """

    def __init__(self) -> None:
        self.asked = False
        self.at_once: Callable[[], object] | None = None
        self._count = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signal."""
        self.asked = True
        self._count += 1
        if self._count == 2:
            return
        if self._count == 1:
            if self.at_once is None:
                raise KeyboardInterrupt
            self.at_once()
        os._exit(EXIT_INTERRUPTED)

    def again(self) -> None:
        """Raise it again, soon."""
        self._count = 0
        raise_again(signal.SIGINT)


def raise_again(number: int) -> None:
    """Send this process's main thread a signal, soon: its handler's exception was lost."""
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(AGAIN_S, signal.pthread_kill, (main, number))  # a signal also ends a sleep
    timer.daemon = True
    timer.start()


def lost_to(kind: type[BaseException], again: Callable[[], object]) -> Callable[[sys.UnraisableHookArgs], object]:
    """A `sys.unraisablehook`: an exception of this kind, which Python can only report there, calls `again`."""
    hook = sys.unraisablehook

    def lost(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, kind):
            again()
        else:
            hook(unraisable)

    return lost


@contextmanager
def answered(*, to_the_end: bool = False) -> Iterator[Interrupts]:
    """Raise `KeyboardInterrupt` once within the block.

    Nothing is changed outside the main thread, or where SIGINT is ignored (a job in the background) or handled already.

    Parameters
    ----------
    to_the_end : bool
        The process ends with the block: SIGINT is ignored from then on, while the interpreter shuts down.
    """
    interrupts = Interrupts()
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interrupts
        return

    hook = sys.unraisablehook
    signal.signal(signal.SIGINT, interrupts)
    sys.unraisablehook = lost_to(KeyboardInterrupt, interrupts.again)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN if to_the_end else signal.default_int_handler)
        sys.unraisablehook = hook


@contextmanager
def held_back() -> Iterator[None]:
    """Ctrl-C waits until the block has ended, and processes that are started in the block never receive it."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    noted: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    try:
        with blocked(signal.SIGINT):  # which a process inherits, unlike a handler
            yield
    finally:
        signal.signal(signal.SIGINT, before)
        if noted:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def blocked(*numbers: signal.Signals) -> Iterator[None]:
    """Signals wait until the block has ended; processes that are started in the block have them blocked."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
