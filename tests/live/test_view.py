"""`hpcmass view` as a program, in a real browser, beside a sweep under mpiexec."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from selenium.webdriver.support.ui import Select, WebDriverWait

from browser import address, choose, count, find, headless, text_of
from hpcmass.cli import main
from hpcmass.compare.pipeline import compare_sweep
from hpcmass.live import viewer
from processes import worker_processes_of
from sweep_contents import fingerprint

Write = Callable[..., Path]

CONFIG = """\
title: seen while it runs
trials: 2
root_seed: 5
network: {n_neurons: 100, n_external: 50, duration_ms: 600, transient_ms: 100, external_rate_hz: 100, w_ext: 0.1}
compare: {max_lag_ms: 10.0}
grid:
  p: [0.1, 0.4, 1.0]
  lam: [0.5, 0.8, 1.0]
"""

SLOW = """\
import sys, time, pathlib, hpcmass.network as network
from hpcmass.cli import main
from hpcmass.compare.pipeline import compare_sweep
simulate, gate = network.simulate, pathlib.Path(sys.argv[1])
def late(*a, **k):
    while not (gate / "all").exists():
        for ticket in sorted(gate.glob("ticket-*")):
            try:
                ticket.unlink()
            except FileNotFoundError:
                continue
            return simulate(*a, **k)
        time.sleep(0.02)
    return simulate(*a, **k)
network.simulate = late
sys.exit(main(sys.argv[2:]))
"""
"""A sweep whose trials wait for a ticket, so that a test decides how far it is."""


@contextmanager
def running(*command: object, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A program of its own session, which is killed at the end."""
    process = subprocess.Popen(
        list(map(str, command)), env=os.environ | (env or {}), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@contextmanager
def viewing(*files: Path, env: dict[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`hpcmass view` and its link."""
    command = (sys.executable, "-m", "hpcmass", "view", "--no-browser", *files)
    with running(*command, env={"SSH_CONNECTION": "a b c d", **(env or {})}) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()


def until(condition: Callable[[], bool], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.1)


def trials_done(note: str) -> int:
    """Of a sweep's sentence; a rank reports a trial when it has the next one, so the last ones are not counted yet."""
    found = re.search(r"(\d+) of \d+ trials done", note)
    return int(found[1]) if found else 0


def state(link: str) -> dict[str, str]:
    with urllib.request.urlopen(f"{link}update", timeout=60) as answer:
        found: dict[str, str] = json.load(answer)
    return found


@pytest.mark.slow
@pytest.mark.mpi
@pytest.mark.browser
def test_the_map_fills_beside_mpiexec(tmp_path: Path, mpi_env: dict[str, str]) -> None:
    """Neither the viewer nor the sweep is hurt when the other one is killed."""
    directory, gate = tmp_path / "sweep", tmp_path / "gate"
    directory.mkdir()
    gate.mkdir()
    config, script, path = tmp_path / "c.yml", tmp_path / "slow.py", directory / "sweep.h5"
    config.write_text(CONFIG)
    script.write_text(SLOW)

    def give(n: int) -> None:
        for k in range(n):
            (gate / f"ticket-{time.monotonic_ns()}-{k}").touch()

    sweep = (mpi_env["MPIEXEC"], "-n", "3", sys.executable, script, gate, "run", config, "-o", path, "-q")
    with running(*sweep, env=mpi_env) as job:
        until(path.exists)
        give(4)
        with viewing(path) as (process, link), headless(offline=False) as chrome:
            until(lambda: trials_done(state(link)["note"]) >= 2 and state(link)["identity"] != "")
            chrome.get(link)
            WebDriverWait(chrome, 60).until(lambda _: count(chrome, '[data-map="CFM"] .cells rect') == 9)
            WebDriverWait(chrome, 60).until(lambda _: "is running" in text_of(chrome, "#live"))
            before = count(chrome, '[data-map="CFM"] .cells rect[fill^="rgb"]')
            assert 1 <= before <= 4
            choose(chrome, "rate_E")
            find(chrome, "#pin").click()
            Select(find(chrome, "#scale")).select_by_value("log")
            chosen = address(chrome)
            assert not list(directory.glob("*-cmp*"))
            assert {p.name for p in directory.iterdir()} <= {"sweep.h5", ".sweep.h5.lock"}

            give(8)
            filled = '[data-map="network"] .cells rect[fill^="rgb"]'
            WebDriverWait(chrome, 240).until(lambda _: trials_done(text_of(chrome, "#live")) >= 10)
            WebDriverWait(chrome, 240).until(lambda _: count(chrome, filled) > before)
            assert address(chrome) == chosen, "the view is the same"
            assert count(chrome, "#pins li") == 1
            assert chrome.get_log("browser") == []

            os.kill(process.pid, signal.SIGKILL)  # in the middle of its work
            WebDriverWait(chrome, 60).until(lambda _: "viewer has ended" in text_of(chrome, "#live"))
            until(lambda: not worker_processes_of(process.pid))
        with viewing(path) as (process, link), headless(offline=False) as chrome:
            until(lambda: trials_done(state(link)["note"]) >= 10)
            assert state(link)["state"] == "running"
            chrome.get(link + chosen)
            os.killpg(job.pid, signal.SIGKILL)
            until(lambda: state(link)["state"] == "stopped")
            WebDriverWait(chrome, 60).until(lambda _: "No job is writing the sweep" in text_of(chrome, "#live"))
            assert address(chrome) == chosen
            assert process.poll() is None
            (gate / "all").touch()
            subprocess.run(list(map(str, sweep)), env=mpi_env, check=True, timeout=240, capture_output=True)
            WebDriverWait(chrome, 240).until(lambda _: "has finished: 18 of 18" in text_of(chrome, "#live"))
            WebDriverWait(chrome, 240).until(lambda _: count(chrome, filled) == 9)
    alone = tmp_path / "alone.h5"
    assert main(["run", str(config), "-o", str(alone), "-q"]) == 0
    assert fingerprint(path) == fingerprint(alone)


@pytest.mark.process
def test_a_request_without_the_token_is_refused(write_sweep: Write) -> None:
    with viewing(write_sweep()) as (_, link):
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+/)[\w-]{32}/", link)
        assert found
        for url in (found[1], found[1] + "update", link[:-2] + "/"):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(url, timeout=60)
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(link, data=b"x", timeout=60)
        assert state(link)["note"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "interrupted"),
        pytest.param(signal.SIGTERM, 143, "", marks=pytest.mark.slow),
    ],
)
def test_it_ends_cleanly(number: signal.Signals, code: int, said: str, write_sweep: Write, tmp_path: Path) -> None:
    own = tmp_path / "tmp"
    own.mkdir()
    with viewing(write_sweep(), env={"TMPDIR": str(own)}) as (process, link):
        until(lambda: state(link)["identity"] != "")
        assert len(list(own.glob("hpcmass-view-*"))) == 1
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == code
        assert [line for line in err.splitlines() if "the sweep has finished" not in line] == [
            f"hpcmass: {said}" for said in [said] if said
        ]
        assert list(own.glob("hpcmass-view-*")) == []


@pytest.mark.process
def test_the_link_is_not_on_the_command_line_of_the_browser(write_sweep: Write, tmp_path: Path) -> None:
    own, browser, called = tmp_path / "tmp", tmp_path / "browser", tmp_path / "called"
    own.mkdir()
    browser.write_text(f'#!/bin/sh\necho "$@" > "{called}.new"; mv "{called}.new" "{called}"\n')
    browser.chmod(0o755)
    env = {"TMPDIR": str(own), "DISPLAY": ":0", "SSH_CONNECTION": "", "SSH_TTY": "", "BROWSER": f"{browser} %s"}
    with running(sys.executable, "-m", "hpcmass", "view", write_sweep(), env=env) as process:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        until(called.exists)
        address = called.read_text().strip()
        page = Path(address.removeprefix("file://"))
        assert page.parent.parent == own
        assert [path.stat().st_mode & 0o777 for path in (page.parent, page)] == [0o700, 0o600]
        assert f"url={link}" in page.read_text()
        assert link.rstrip("/").rpartition("/")[2] not in address


@pytest.mark.process
def test_the_directory_of_a_viewer_that_was_killed_is_removed(write_sweep: Write, tmp_path: Path) -> None:
    own = tmp_path / "tmp"
    own.mkdir()
    path, env = write_sweep(), {"TMPDIR": str(own)}
    (own / "hpcmass-view-other").mkdir()  # without a lock: whose it is cannot be told
    with viewing(path, env=env) as (killed, link):
        until(lambda: state(link)["identity"] != "")
        (left,) = set(own.glob("hpcmass-view-*")) - {own / "hpcmass-view-other"}
        with viewing(path, env=env):
            assert (left / "comparison.h5").exists()  # its viewer lives
        killed.kill()
        killed.wait(timeout=60)
    assert (left / "comparison.h5").exists()
    with viewing(path, env=env):
        until(lambda: not left.exists())
        assert (own / "hpcmass-view-other").exists()


LOST = """
import os, signal, time, weakref
from hpcmass.commands.view import _end_cleanly
class Thing: pass
_end_cleanly()
thing = Thing()
reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGTERM))
del thing  # the handler's exception is lost here
time.sleep(20)
"""


@pytest.mark.process
def test_a_signal_that_python_loses_ends_it_too(python_run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = python_run("-c", LOST, check=False)
    assert done.returncode == 143
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.process
def test_its_second_process_is_started_again(write_sweep: Write) -> None:
    with viewing(write_sweep(done=lambda t: t.number == 0)) as (process, link):
        until(lambda: state(link)["identity"] != "")
        (worker,) = worker_processes_of(process.pid)
        assert os.getpriority(os.PRIO_PROCESS, worker) >= 10
        os.kill(worker, signal.SIGKILL)
        until(lambda: "starts again" in state(link)["note"])
        assert urllib.request.urlopen(link, timeout=60).status == 200
        write_sweep(more=True)
        until(lambda: state(link)["state"] == "finished")


@pytest.mark.slow
@pytest.mark.process
def test_a_file_that_disappears_and_returns(write_sweep: Write) -> None:
    path = write_sweep()
    with viewing(path) as (_, link):
        until(lambda: state(link)["state"] == "finished")
        moved = path.rename(path.with_name("moved.h5"))
        until(lambda: state(link)["state"] == "gone")
        assert "there is no file" in state(link)["note"]
        assert urllib.request.urlopen(link, timeout=60).status == 200
        moved.rename(path)
        until(lambda: state(link)["state"] == "finished")


def test_what_it_does_not_open(write_sweep: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comparison = tmp_path / "cmp.h5"
    compare_sweep(write_sweep(), comparison)
    text = tmp_path / "notes.txt"
    text.write_text("x")
    config = tmp_path / "other.yml"
    config.write_text("grid: {p: 0.1, lam: 0.8}\n")
    for arguments, sentence in (
        (["view", str(tmp_path / "nothing.h5")], "there is no file"),
        (["view", str(text)], "it is not an HDF5 file"),
        (["view", str(text), "--port", "70000"], "give a number up to 65535"),
        (["view", str(comparison), "--models", "MFM"], "give --models with a sweep"),
        (["view", str(comparison), "--statistics", "own.py:x"], "give --statistics with a sweep"),
        (["view", str(comparison), "--config", str(config)], "give --config with a sweep"),
        (["view", str(comparison), "--set", "compare.alpha=0.1"], "name that with --config"),
        (["view", str(comparison), "--config", "missing.yml"], "there is no such file"),
    ):
        assert main(arguments) == 2
        assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variables", "display"),
    [({}, False), ({"DISPLAY": ":0"}, True), ({"WAYLAND_DISPLAY": "w"}, True),
     ({"DISPLAY": ":0", "SSH_CONNECTION": "x"}, False)],
)  # fmt: skip
def test_the_display(variables: dict[str, str], display: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", "linux")
    assert viewer.has_display() == display


def test_the_ssh_line() -> None:
    assert re.fullmatch(r"ssh -N -L 8765:127\.0\.0\.1:8765 \S+@\S+", viewer.ssh_line(8765))
