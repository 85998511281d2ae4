"""Progress: a bar on a terminal, occasional lines in a log, both with rate and time left."""

from __future__ import annotations

import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, NoReturn, Self, TextIO

from tqdm import tqdm

from hpcmass.messages import logger

if TYPE_CHECKING:
    Bar = tqdm[NoReturn]

CADENCE_S = 10.0
"""Least time between two lines in a log."""

COLUMNS, ROWS = 80, 24
"""Size of a terminal that does not know its own, as one within a container or an editor may."""

MARGIN = 3
"""Columns that a bar leaves free: for the cursor, and for the ^C that a terminal shows, which would wrap the line."""


class Progress:
    """Counts units of work as they end; a context manager.

    A stream that cannot be written, because it is full or gone, does not end the work.

    Parameters
    ----------
    total : int
        Units in all.
    unit : str
        What they are, singular, e.g. `trial`.
    work : float, optional
        Sum of the units' weights, if they are not equally costly: share done and time left then use the weights.
    before : int
        Units of `total` that an earlier run has done; the rate is that of this run alone.
    work_before : float
        Their weight, as a part of `work`.
    stream : text file, optional
        Standard error by default.
    cadence_s : float
        Least time between two log lines.
    """

    def __init__(
        self,
        total: int,
        unit: str,
        *,
        work: float | None = None,
        before: int = 0,
        work_before: float = 0.0,
        stream: TextIO | None = None,
        cadence_s: float = CADENCE_S,
    ) -> None:
        self.total, self.unit, self.before = total, unit, before
        self.done = before
        self._weighted = work is not None
        self._work = float(total) if work is None else work
        self._work_before = self._work_done = float(before) if work is None else work_before
        self._stream: TextIO | None = sys.stderr if stream is None else stream
        self._cadence_s = cadence_s
        self._start = self._last = time.monotonic()
        self._silent = not logger.isEnabledFor(logging.INFO)
        self._bar: Bar | None = None
        if total > before and not self._silent and self._stream is not None and self._stream.isatty():
            with suppress(OSError, ValueError):
                self._bar = tqdm(
                    total=self._work, initial=self._work_before, desc=self._state(), file=self._stream, position=0,
                    ncols=_columns(self._stream), nrows=ROWS,
                    bar_format=("work " if self._weighted else "") + "{percentage:3.0f} % |{bar}| {desc}",
                )  # fmt: skip

    def advance(self, weight: float = 1.0, units: int = 1) -> None:
        """Count `units` more that have ended, of total weight `weight`."""
        self.done += units
        self._work_done += weight
        if self._bar is not None and self._stream is not None:
            with suppress(OSError, ValueError):
                self._bar.ncols = _columns(self._stream)  # the window may have been resized
                self._bar.set_description_str(self._state(), refresh=False)
                self._bar.update(weight)
        elif self.done == self.total:
            self._log()
        else:
            self.tick()

    def tick(self) -> None:
        """Write a log line if it is time; call it now and then."""
        if self._bar is None and time.monotonic() - self._last >= self._cadence_s:
            self._log()

    def note(self, message: str) -> None:
        """Write a warning on a separate line."""
        if not logger.isEnabledFor(logging.WARNING):
            return
        if self._bar is not None:
            with suppress(OSError, ValueError):
                self._bar.write(message, file=self._stream)
        else:
            self._write(message)

    def line(self) -> str:
        """Count, share, rate and time left, e.g. `12/300 trials (4 %), 3.2/min, 1 h 30 min left`.

        Where the units are not equally costly, the share is that of the work, which determines the time:
        `12/300 trials (13 % of the work), …`.
        """
        if self._weighted and self.done < self.total:
            return self._state(f" ({_percent(self._work_done, self._work)} of the work)")
        return self._state(f" ({_percent(self.done, self.total)})")

    def _state(self, share: str = "") -> str:
        """The same, without the share unless it is given: a bar has it in front."""
        text = f"{self.done}/{self.total} {self.unit}s{share}"
        done, work = self.done - self.before, self._work_done - self._work_before
        elapsed = time.monotonic() - self._start
        if done == 0 or elapsed <= 0:
            return text
        text += f", {rate(done / elapsed)}"
        if self.done == self.total:
            return f"{text}, took {duration(elapsed)}"
        left = (self._work - self._work_done) * elapsed / work if work > 0 else math.nan
        return f"{text}, {duration(left)} left"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None and self._bar is not None:
            # it stays as it is: where a ^C has moved the cursor to the next line, it would be drawn twice
            self._bar.sp = lambda text: None
        if self._bar is not None:
            with suppress(OSError, ValueError):
                self._bar.close()

    def _log(self) -> None:
        self._last = time.monotonic()
        if not self._silent:
            self._write(self.line())

    def _write(self, text: str) -> None:
        if self._stream is not None:
            with suppress(OSError, ValueError):
                print(text, file=self._stream, flush=True)


@contextmanager
def progress_of(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A callback `(done, total)` that shows progress, for code that does not use `Progress`.

    Its first call gives the number done before.
    """
    with ExitStack() as stack:
        shown: list[Progress] = []

        def advance(done: int, total: int) -> None:
            if not shown:
                shown.append(stack.enter_context(Progress(total, unit, before=done)))
            news = done - shown[0].done
            if news:
                shown[0].advance(units=news, weight=news)

        yield advance


def _columns(stream: TextIO) -> int:
    """Columns of a terminal that a bar may take."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return max(1, (columns or shutil.get_terminal_size((COLUMNS, ROWS)).columns) - MARGIN)


def _percent(part: float, whole: float) -> str:
    """A share for people: never 100 % before the end."""
    share = 100 * part / whole if whole > 0 else 100.0
    return f"{share:.0f} %" if part >= whole else f"{min(99, int(share))} %"


def trial_counts(total: int, done: int, failed: int, pending: int) -> str:
    """The state of a sweep's trials: `37 of 300 trials done, 1 failed, 262 pending`."""
    return f"{done} of {total} trials done, {failed} failed, {pending} pending"


def duration(seconds: float) -> str:
    """A time for people: `12 s`, `3 min 20 s`, `5 h 4 min`, `2 d 3 h`."""
    if not math.isfinite(seconds):
        return "unknown time"
    whole = round(seconds)
    for unit, size, lower, lower_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // lower_size
            return f"{whole // size} {unit}" + (f" {rest} {lower}" if rest else "")
    return f"{whole} s"


def rate(per_second: float) -> str:
    """A rate for people, in three digits: `3.2/s`, `15300/s`, `12/min`, `4.5/h`."""
    for unit, factor in (("s", 1.0), ("min", 60.0)):
        if per_second * factor >= 1:
            return f"{_plain(per_second * factor)}/{unit}"
    return f"{_plain(per_second * 3600)}/h"


def _plain(number: float) -> str:
    """Three digits, without an exponent."""
    return f"{Decimal(f'{number:.3g}'):f}"
