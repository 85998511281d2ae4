"""Lines in a log now and then, a bar on a terminal, both with count, rate and time left."""

import io
import os
import pty
import termios
import time

import pytest

from hpcmass.progress import Progress, duration, rate


class Clock:
    """A clock that the test advances."""

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
def test_one_share_is_given_and_it_is_that_of_the_work(clock: Clock, terminal: bool) -> None:
    """The costliest trials come first: a few of them are much of the work."""
    stream = Terminal() if terminal else io.StringIO()
    with Progress(300, "trial", work=1000.0, stream=stream, cadence_s=10) as progress:
        clock.now = 10
        progress.advance(weight=130, units=12)
        progress.note("failed: x")  # redraws the bar
        clock.now = 20
        progress.advance(weight=865, units=287)
        clock.now = 30
        progress.advance(weight=5)
    shown = stream.getvalue()
    if terminal:
        assert "work  13 % |" in shown
        assert "| 12/300 trials, 1.2/s, 1 min 7 s left" in shown
        assert "work 100 % |" in shown
        assert "| 300/300 trials, 10/s, took 30 s\n" in shown
        assert all(picture.count("%") == 1 for picture in shown.split("\r") if "|" in picture)
    else:
        assert "12/300 trials (13 % of the work), 1.2/s, 1 min 7 s left\n" in shown
        assert "299/300 trials (99 % of the work)" in shown
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
    assert "| 1/2 trials, 1/s, 1 s left" in shown
    assert "work" not in shown  # equally costly: one share is enough
    last = shown.rsplit("\r", 1)[-1]
    assert last.startswith("100 % |")
    assert last.endswith("| 2/2 trials, 1/s, took 2 s\n")


def test_an_interrupted_bar_stays_as_it_is(clock: Clock) -> None:
    """Drawn again after the ^C that a terminal shows has wrapped the line, it would be there twice."""
    stream = Terminal()
    progress = Progress(3, "trial", stream=stream)
    progress.advance()
    drawn = stream.getvalue()
    with pytest.raises(KeyboardInterrupt), progress:
        raise KeyboardInterrupt
    assert stream.getvalue() == drawn + "\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_a_resumed_run_counts_what_was_done_before(clock: Clock, terminal: bool) -> None:
    stream = Terminal() if terminal else io.StringIO()
    with Progress(600, "trial", before=500, stream=stream, cadence_s=10) as progress:
        clock.now = 10
        progress.tick()
        progress.advance(units=50, weight=50)
        clock.now = 20
        progress.advance(units=50, weight=50)
    shown = stream.getvalue()
    if terminal:
        assert " 83 % |" in shown
        assert "| 500/600 trials" in shown
        assert "| 600/600 trials, 5/s, took 20 s" in shown
    else:
        assert shown.splitlines()[0] == "500/600 trials (83 %)"
        assert shown.splitlines()[-1] == "600/600 trials (100 %), 5/s, took 20 s"
        assert progress.line().startswith("600/600")


def test_a_resumed_run_counts_the_work_done_before(clock: Clock) -> None:
    progress = Progress(600, "trial", work=1000.0, before=500, work_before=900.0, stream=io.StringIO())
    clock.now = 10
    progress.advance(weight=50)
    assert progress.line() == "501/600 trials (95 % of the work), 6/min, 10 s left"


class Gone(Terminal):
    """A terminal that has vanished, or a disk that is full."""

    def __init__(self, terminal: bool, error: Exception) -> None:
        super().__init__()
        self.terminal, self.error = terminal, error

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), BrokenPipeError(), ValueError("closed file")])
def test_a_stream_that_cannot_be_written_ends_no_work(clock: Clock, terminal: bool, error: Exception) -> None:
    with Progress(2, "trial", stream=Gone(terminal, error), cadence_s=1) as progress:
        for _ in range(2):
            clock.now += 2
            progress.advance()
            progress.note("failed: x")
            progress.tick()
    assert progress.done == 2


def test_there_may_be_no_stream_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    with Progress(1, "trial") as progress:
        progress.advance()
        progress.note("failed: x")
    assert progress.done == 1


@pytest.mark.parametrize(("columns", "expected"), [(0, 77), (60, 57)])
def test_a_terminal_without_a_width_gets_a_bar(
    clock: Clock, columns: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some say that they have no columns at all, as one within a container or an editor may.

    A few columns stay free, for the cursor and a ^C.
    """
    monkeypatch.delenv("COLUMNS", raising=False)
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (0, columns))
    os.set_blocking(reader, False)  # nothing written is an error, not a wait
    with os.fdopen(writer, "w") as stream, Progress(2, "trial", stream=stream):
        shown = os.read(reader, 10_000).decode()
    os.close(reader)
    last = shown.rsplit("\r", 1)[-1]
    assert last.startswith("  0 % |")
    assert last.endswith("| 0/2 trials")
    assert len(last) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.6, "1 min"), (200, "3 min 20 s"), (3600, "1 h"), (18_240, "5 h 4 min"), (183_600, "2 d 3 h"),
     (float("nan"), "unknown time")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (3.14159, "3.14/s"),
        (15_312.0, "15300/s"),
        (2.5e6, "2500000/s"),
        (0.1, "6/min"),
        (0.001, "3.6/h"),
        (1e-8, "0.000036/h"),
    ],
)
def test_rates(per_second: float, text: str) -> None:
    assert rate(per_second) == text
