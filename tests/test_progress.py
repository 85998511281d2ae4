"""Lines in a log now and then, a bar on a terminal, both with count, rate and time left."""

import io
import os
import pty
import termios
import time

import pytest

from hpcmass.progress import Progress, duration, rate


class Clock:
    """Time that passes when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_log_lines_keep_their_distance(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress(100, "trial", stream=stream, cadence_s=10) as progress:
        for _ in range(99):
            clock.now += 1
            progress.advance()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 9
    assert lines[0] == "10/100 trials (10 %), 1/s, 1 min 30 s left"


def test_the_end_is_always_logged(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress(2, "point", stream=stream) as progress:
        clock.now += 1
        progress.advance()
        progress.advance()
    assert stream.getvalue().splitlines() == ["2/2 points (100 %), 2/s, took 1 s"]


def test_time_passes_without_news_too(clock: Clock) -> None:
    stream = io.StringIO()
    progress = Progress(2, "trial", stream=stream, cadence_s=10)
    clock.now = 11
    progress.tick()
    progress.tick()
    assert stream.getvalue().splitlines() == ["0/2 trials (0 %)"]


def test_the_time_left_goes_by_weight(clock: Clock) -> None:
    progress = Progress(4, "trial", work=100.0, stream=io.StringIO())
    clock.now = 90
    progress.advance(weight=90)
    assert progress.line().endswith(", 10 s left")


@pytest.mark.parametrize("terminal", [False, True])
def test_the_share_of_the_trials_is_not_taken_for_that_of_the_work(clock: Clock, terminal: bool) -> None:
    """The dearest trials come first: a few of them are much of the work."""
    stream = Terminal() if terminal else io.StringIO()
    with Progress(300, "trial", work=1000.0, stream=stream, cadence_s=10) as progress:
        clock.now = 10
        progress.advance(weight=130, units=12)
        progress.note("failed: x")  # draws a bar anew
        clock.now = 20
        progress.advance(weight=865, units=287)
        clock.now = 30
        progress.advance(weight=5)
    shown = stream.getvalue()
    if terminal:
        assert "work  13 % |" in shown
        assert "| 12/300 trials (4 %), 1.2/s, 1 min 7 s left" in shown
    else:
        assert "12/300 trials (4 %) with 13 % of the expected work, 1.2/s, 1 min 7 s left\n" in shown
        assert "299/300 trials (99 %) with 99 % of the expected work" in shown
    assert "300/300 trials (100 %), 10/s, took 30 s" in shown


def test_a_terminal_gets_a_bar(clock: Clock) -> None:
    stream = Terminal()
    with Progress(2, "trial", stream=stream) as progress:
        clock.now = 1
        progress.advance()
        progress.note("failed: x")
        clock.now = 2
        progress.advance()
    shown = stream.getvalue()
    assert "failed: x\n" in shown
    assert " 50 % |" in shown
    assert "| 1/2 trials (50 %), 1/s, 1 s left" in shown
    assert "work" not in shown  # equally costly: one share says it
    last = shown.rsplit("\r", 1)[-1]
    assert last.startswith("100 % |")
    assert last.endswith("| 2/2 trials (100 %), 1/s, took 2 s\n")


@pytest.mark.parametrize(("columns", "expected"), [(0, 79), (60, 59)])
def test_a_terminal_without_a_width_gets_a_bar(clock: Clock, columns: int, expected: int) -> None:
    """Some say that they have no columns at all, as one within a container or an editor may."""
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (0, columns))
    os.set_blocking(reader, False)  # nothing written is an error, not a wait
    with os.fdopen(writer, "w") as stream, Progress(2, "trial", stream=stream):
        shown = os.read(reader, 10_000).decode()
    os.close(reader)
    last = shown.rsplit("\r", 1)[-1]
    assert last.startswith("  0 % |")
    assert last.endswith("| 0/2 trials (0 %)")
    assert len(last) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.6, "1 min"), (200, "3 min 20 s"), (3600, "1 h"), (18_240, "5 h 4 min"), (183_600, "2 d 3 h"),
     (float("nan"), "unknown time")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("per_second", "text"), [(3.14159, "3.14/s"), (0.1, "6/min"), (0.001, "3.6/h")])
def test_rates(per_second: float, text: str) -> None:
    assert rate(per_second) == text
