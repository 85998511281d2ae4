"""How far and how long still: a bar on a terminal, lines now and then in a log, both with rate and time left."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm

from hpcmass.messages import shown

CADENCE_S = 10.0
"""Least time between two lines in a log."""
COLUMNS = 80
"""Width of a terminal that does not know its own, as one within a container or an editor may."""


class _Bar(tqdm):  # type: ignore[type-arg]
    """A bar that a terminal of no size shows, too."""

    @property
    def ncols(self) -> int | None:
        """Columns but for the last one, which is the cursor's; None if there is nothing to ask."""
        return COLUMNS - 1 if self._told is not None and self._told <= 0 else self._told

    @ncols.setter
    def ncols(self, told: int | None) -> None:
        self._told = told

    nrows = property(lambda self: None, lambda self, told: None)
    """A single bar needs no room for others."""


class Progress:
    """Counts units of work as they end; a context manager.

    Parameters
    ----------
    total : int
        Units to do.
    unit : str
        What they are, singular, e.g. `trial`.
    work : float, optional
        Sum of the units' weights, if they are not equally costly: bar and time left then go by weight.
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
        stream: TextIO | None = None,
        cadence_s: float = CADENCE_S,
    ) -> None:
        self.total, self.unit = total, unit
        self.done = 0
        self._weighted = work is not None
        self._work = float(total) if work is None else work
        self._work_done = 0.0
        self._stream = sys.stderr if stream is None else stream
        self._cadence_s = cadence_s
        self._start = self._last = time.monotonic()
        self._silent = not shown(logging.INFO)
        self._bar: _Bar | None = None
        self._bar = self._make_bar() if total and self._stream.isatty() and not self._silent else None

    def _make_bar(self) -> _Bar:
        shape = ("work " if self._weighted else "") + "{percentage:3.0f} % |{bar}| {desc}"
        return _Bar(total=self._work, file=self._stream, bar_format=shape, dynamic_ncols=True, desc=self.line())

    def advance(self, weight: float = 1.0, units: int = 1) -> None:
        """Say that `units` more have ended, of `weight` together."""
        self.done += units
        self._work_done += weight
        if self._bar is not None:
            self._bar.set_description_str(self.line(), refresh=False)
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
        """Write a warning on a line of its own."""
        if not shown(logging.WARNING):
            return
        if self._bar is not None:
            self._bar.write(message, file=self._stream)
        else:
            print(message, file=self._stream, flush=True)

    def line(self) -> str:
        """Count, rate and time left, e.g. `12/300 trials (4 %), 3.2/min, 1 h 30 min left`.

        In a log that of units not equally costly says the work's share, too, for the time goes by it:
        `12/300 trials (4 %) with 13 % of the expected work, …`; a bar has it in front.
        """
        text = f"{self.done}/{self.total} {self.unit}s ({_percent(self.done, self.total)})"
        if self._weighted and self._bar is None and 0 < self.done < self.total:
            text += f" with {_percent(self._work_done, self._work)} of the expected work"
        elapsed = time.monotonic() - self._start
        if self.done == 0 or elapsed <= 0:
            return text
        text += f", {rate(self.done / elapsed)}"
        if self.done == self.total:
            return f"{text}, took {duration(elapsed)}"
        left = (self._work - self._work_done) * elapsed / self._work_done if self._work_done > 0 else math.nan
        return f"{text}, {duration(left)} left"

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _log(self) -> None:
        self._last = time.monotonic()
        if self._silent:
            return
        print(self.line(), file=self._stream, flush=True)


@contextmanager
def progress_of(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A function of (done, total) that shows the progress of some work, which need not know of `Progress`."""
    shown: list[Progress] = []

    def advance(done: int, total: int) -> None:
        if not shown:
            shown.append(Progress(total, unit))
        news = done - shown[0].done
        shown[0].advance(units=news, weight=news)

    try:
        yield advance
    finally:
        for progress in shown:
            progress.close()


def _percent(part: float, whole: float) -> str:
    """A share for people: never 100 % before the end."""
    share = 100 * part / whole if whole > 0 else 100.0
    return f"{share:.0f} %" if part >= whole else f"{min(99, int(share))} %"


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
    """A rate for people: `3.2/s`, `12/min`, `4.5/h`."""
    for unit, factor in (("s", 1.0), ("min", 60.0)):
        if per_second * factor >= 1:
            return f"{per_second * factor:.3g}/{unit}"
    return f"{per_second * 3600:.3g}/h"
