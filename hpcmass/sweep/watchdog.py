"""Three lines against a trial that does not end.

The time loop looks at its deadline between stretches of steps, which ends whatever is merely slow. An alarm interrupts
what Python waits for. A call that never returns to Python can only be ended with its process, and so with the job: the
stack goes to the log, the trial stays pending, and nothing that is done is lost.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hpcmass.errors import TrialTimeout

ALARM_AFTER_S = 5.0
"""From the deadline to the alarm: the time loop comes first."""

END_AFTER_S = 60.0
"""What a trial that does not react has beyond twice its time, before its process ends."""


@contextmanager
def watched(deadline: float | None, limit_s: float | None) -> Iterator[None]:
    """Interrupt the block when it has not ended long after its deadline.

    Parameters
    ----------
    deadline : float or None
        Time of `time.monotonic` (s); None for no end.
    limit_s : float or None
        What one trial may take: far beyond it the process ends. None leaves that to the batch system.

    Raises
    ------
    TrialTimeout
        From within the block, at the alarm.
    """
    if deadline is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise TrialTimeout("interrupted, it had stopped looking at the time")

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        if limit_s is not None:
            faulthandler.dump_traceback_later(2 * limit_s + END_AFTER_S, exit=True, file=sys.__stderr__ or sys.stderr)
        # again and again: the first may arrive where an exception is swallowed
        signal.setitimer(signal.ITIMER_REAL, max(0.0, deadline - time.monotonic()) + ALARM_AFTER_S, ALARM_AFTER_S)
        yield
    finally:
        try:
            faulthandler.cancel_dump_traceback_later()
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:  # a late alarm may arrive anywhere above
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.cancel_dump_traceback_later()
            signal.signal(signal.SIGALRM, before)
