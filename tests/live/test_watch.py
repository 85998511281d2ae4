"""`hpcmass watch`: the picture of a sweep in the terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpcmass.cli import main
from hpcmass.costs import Part
from hpcmass.errors import UserError
from hpcmass.live.picture import LastTrial, Screen, picture, sides
from hpcmass.live.trials import read_trials
from hpcmass.store.lock import SweepLock

Write = Callable[..., Path]
ASCII = Screen(unicode=False)


def drawn(path: Path, show: str = "state", screen: Screen = ASCII, **how: object) -> list[str]:
    names = {"rate": "rate_E", "state": None}
    trials = read_trials([path], names.get(show, show))
    return picture(trials, show, sides(trials.axes), screen, **how).splitlines()  # type: ignore[arg-type]


def test_every_state_of_a_point(write_sweep: Write) -> None:
    path = write_sweep(
        done=lambda t: t.values["lam"] == 0.5 or (t.values["p"] == 0.1 and t.number == 0),
        failed=lambda t: t.values["lam"] == 0.8 and (t.values["p"] == 0.4 or (t.values["p"] == 0.1 and t.number == 1)),
    )
    assert drawn(path)[:8] == [
        "not running",
        "7 of 12 trials done, 3 failed, 2 pending",
        "lam  trials of each point",
        "0.8 | x    .    X",
        "0.5 |#### #### ####",
        "  p  0.1  0.2  0.4",
        "# all done   + some done   . none done   x a trial failed   X all failed",
        "rank",
    ]


def test_a_statistic_has_a_scale(write_sweep: Write) -> None:
    path = write_sweep(done=lambda t: t.values["lam"] == 0.5)
    lines = drawn(path, "rate")
    assert lines[3:7] == [
        "0.8 | .    .    .",
        "0.5 | 0    3    9",
        "  p  0.1  0.2  0.4",
        "10 0123456789 40 Hz   - not defined   x failed",
    ]


@pytest.mark.parametrize(("p", "lam", "reduced"), [(24, 21, False), (21, 24, False), (40, 3, False), (200, 2, True)])
def test_80_columns(p: int, lam: int, reduced: bool, write_sweep: Write) -> None:
    path = write_sweep(p=np.linspace(0, 1, p).tolist(), lam=np.linspace(0, 1, lam).tolist(), n_trials=1)
    for show in ("state", "spike_contrast"):
        lines = drawn(path, show, title="a/long/name/" * 9)
        assert max(map(len, lines)) <= 80
        grid = [line for line in lines if "|" in line]
        assert len(grid) == lam
        assert any("a cell is" in line for line in lines) == reduced
        marks = re.findall(r"[-#.\d]+", grid[0].split("|")[1])
        assert "".join(marks)


def test_a_low_terminal_shows_several_rows_as_one(write_sweep: Write) -> None:
    path = write_sweep(lam=np.linspace(0, 1, 21).tolist())
    lines = drawn(path, screen=Screen(rows=24, unicode=False))
    assert len(lines) < 24
    assert "a cell is 1 x 2 points, for lack of room" in lines


def test_a_cell_of_several_points_counts_all_of_them(write_sweep: Write) -> None:
    path = write_sweep(p=[0.1, 0.2, 0.3, 0.4], n_trials=1, done=lambda t: t.values["p"] < 0.35)
    lines = drawn(path, screen=Screen(columns=7, unicode=False))
    assert [line.split("|")[1] for line in lines if "|" in line] == ["#+", "#+"]


def test_further_axes_are_fixed(write_sweep: Write) -> None:
    path = write_sweep(further="  w_I: [0.001, 0.004]\n", done=lambda t: t.values["w_I"] == 0.004)
    trials = read_trials([path])
    first = picture(trials, "state", sides(trials.axes), ASCII)
    second = picture(trials, "state", sides(trials.axes, at={"w_I": 0.004}), ASCII)
    assert "w_I = 0.001" in first.splitlines()
    assert "####" not in first
    assert "w_I = 0.004" in second.splitlines()
    assert second.count("####") == 6
    turned = picture(trials, "state", sides(trials.axes, ("w_I", "p")), ASCII).splitlines()
    assert "0.4 | .   ####" in turned


@pytest.mark.parametrize(
    ("shown", "at", "sentence"),
    [
        (None, {"w_E": 1.0}, "'w_E' is not an axis of this sweep; it has p, lam"),
        (None, {"p": 0.1}, "p is a side of the picture"),
        (("p", "p"), {}, "two different axes"),
        (("p", "lam"), {"w_I": 3.0}, "w_I = 3 is not in this sweep; it has 0.001, 0.004"),
    ],
)
def test_a_wrong_axis(shown: tuple[str, str] | None, at: dict[str, float], sentence: str) -> None:
    axes = {"p": (0.1, 0.2), "lam": (0.5, 0.8), "w_I": (0.001, 0.004)}
    if "it has p, lam" in sentence:
        del axes["w_I"]
    with pytest.raises(UserError, match=re.escape(sentence)):
        sides(axes, shown, at)


def test_ranks_and_their_last_trials(write_sweep: Write) -> None:
    path = write_sweep(done=lambda t: t.number == 0, rank=1)
    write_sweep(done=lambda t: t.number == 1 and t.values["p"] == 0.1, rank=12, more=True)
    lines = drawn(path, last={(0, 12): LastTrial("p=0.1 lam=0.8 trial 1", 1.5, 75.0)})
    assert lines[-3:] == [
        "rank",
        "   1  6 trials, 1.5 s each",
        "  12  2 trials, 1.5 s each; last p=0.1 lam=0.8 trial 1, 1.5 s, 1 min 15 s ago",
    ]


def test_rate_and_time_left_while_it_runs(write_sweep: Write) -> None:
    path = write_sweep(done=lambda t: t.number == 0)
    with SweepLock(path) as lock:
        lock.announce(4)
        lines = drawn(path, title="sweep.h5")
    assert lines[0] == "sweep.h5 (running)"
    assert re.fullmatch(r"6 of 12 trials done, 0 failed, 6 pending   2\.67/s on 4 workers, \d+ s left", lines[1]), (
        lines[1]
    )


def test_parts_are_one_sweep(write_sweep: Write, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [write_sweep(f"part-{n}.h5", part=Part(n, 2), done=lambda t: False, uuid=f"0{n}") for n in (1, 2)]
    assert main(["watch", *map(str, paths), "--once"]) == 0
    assert "0 of 12 trials done, 0 failed, 12 pending" in capsys.readouterr().out


@pytest.mark.parametrize(("failed", "code"), [(0.0, 0), (0.4, 3)])
def test_it_ends_with_the_sweep(
    failed: float, code: int, write_sweep: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_sweep(failed=lambda t: t.values["p"] == failed)
    assert main(["watch", str(path)]) == code
    text = capsys.readouterr().out
    assert "(finished)" in text
    assert "\x1b" not in text


def test_an_unknown_statistic(write_sweep: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(write_sweep()), "--show", "spike_contrst"]) == 2
    assert "did you mean 'spike_contrast'" in capsys.readouterr().err


def terminal(path: Path, *options: str, **environment: str) -> str:
    """What `hpcmass watch` writes to a terminal of 80 columns in two seconds, or until it ends."""
    ours, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "hpcmass", "watch", str(path), *options],
        stdin=theirs, stdout=theirs, stderr=theirs, env=env | {"TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(theirs)
    text, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                text += os.read(ours, 65536)
            except OSError:
                break
        elif process.poll() is not None:
            break
    process.kill()
    process.wait()
    os.close(ours)
    return text.decode(errors="replace")


@pytest.mark.process
def test_colours_in_a_terminal_alone(write_sweep: Write) -> None:
    path = write_sweep()
    assert "\x1b[32m" in terminal(path, PYTHONIOENCODING="utf-8")
    plain = terminal(path, NO_COLOR="1", PYTHONIOENCODING="utf-8")
    assert "\x1b[3" not in plain
    assert "█" in plain
    ascii_only = terminal(path, "--once", NO_COLOR="1", PYTHONIOENCODING="ascii", TERM="dumb")
    assert ascii_only.isascii()
    assert "\x1b" not in ascii_only
    assert "####" in ascii_only


@pytest.mark.process
def test_it_follows_a_sweep_to_its_end(write_sweep: Write) -> None:
    path = write_sweep(done=lambda t: False)
    process = subprocess.Popen(
        [sys.executable, "-m", "hpcmass", "watch", str(path), "--interval", "0.2"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("0 of 12"):
        pass
    write_sweep(rank=3, more=True)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "12 of 12 trials done" in text
    assert re.search(r"3  12 trials, 1\.5 s each; last p=0\.4 lam=0\.8 trial 1, 1\.5 s, 0 s ago", text)


@pytest.mark.parametrize("words", [("watch", "--interval"), ("status", "--watch")])
def test_an_interval_is_at_most_a_day(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    command, option = words
    with pytest.raises(SystemExit) as exit_:
        main([command, "sweep.h5", option, "1e300"])
    assert exit_.value.code == 2
    assert "give at most 86400 (a day), not '1e300'" in capsys.readouterr().err
