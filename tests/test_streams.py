"""Standard streams that are closed, full, gone or of few characters: a log ends no work, a lost result is an error."""

import errno
import fcntl
import io
import json
import os
import pty
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpcmass import messages
from hpcmass.store.status import sweep_status
from hpcmass.streams import _Descriptor
from slow_cases import slow_except

Run = Callable[..., Any]
Shared = Callable[[str, Callable[[Path], object]], Path]
Shell = Callable[..., "subprocess.CompletedProcess[str]"]

CONFIG = """\
title: de Gröbner, λ
trials: 1
root_seed: 3
network: {n_neurons: 200, n_external: 200, duration_ms: 400.0, transient_ms: 100.0, p_ext: 1.0, w_ext: 0.1}
grid:
  p: [0.1, 0.5, 1.0]
  lam: [0.5, 0.8, 1.0]
compare: {max_lag_ms: 10.0, bin_hz: 20.0}
"""

COMMANDS = {
    "help": "--help",
    "version": "--version",
    "config": "config --defaults",
    "validate": "validate config.yml",
    "plan": "plan config.yml --seconds 0.1 -j 1",
    "run": "run config.yml -o new.h5",
    "status": "status sweep.h5 --json",
    "check": "check sweep.h5",
    "merge": "merge -o merged.h5 --pack sweep.h5",
    "compare": "compare sweep.h5 -o compared.h5",
    "plot": "plot comparison.h5 -o maps",
    "trial": "trial config.yml --p 0.5 --lam 0.8 -o trial.h5 --plot",
}
"""A line for each command, in a directory with a sweep and its comparison."""

QUICK = [name for name in COMMANDS if name not in ("compare", "plot", "trial")]

FULL = "cannot write the results to standard output: no space left on device"


@pytest.fixture(scope="module")
def finished(shared: Shared, python_run: Run) -> Path:
    """A directory with a configuration, its sweep and the comparison."""

    def make(directory: Path) -> None:
        (directory / "config.yml").write_text(CONFIG)
        python_run("-m", "hpcmass", "run", "config.yml", "-o", "sweep.h5", cwd=directory)
        python_run("-m", "hpcmass", "compare", "sweep.h5", "-o", "comparison.h5", cwd=directory)

    return shared("streams", make)


@pytest.fixture
def here(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "here"))


@pytest.fixture
def shell(here: Path, mpi_env: dict[str, str]) -> Shell:
    """Give `shell("status sweep.h5 >/dev/full", env={})`: hpcmass, started by bash in the directory `here`."""

    def run(line: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", f"{sys.executable} -m hpcmass {line}\nexit ${{PIPESTATUS[0]}}"],
            cwd=here, env=mpi_env | (env or {}), capture_output=True, text=True,
            errors="surrogateescape", timeout=120, check=False,
        )  # fmt: skip

    return run


def closed_pipe() -> int:
    """The writing end of a pipe without a reader."""
    read, write = os.pipe()
    os.close(read)
    return write


BROKEN = ["2>/dev/full", "2>&1 | true", "2>&-", ">&-", "<&-", "<&- >&- 2>&-"]


@pytest.mark.parametrize(
    ("command", "streams"),
    [
        *(("run", streams) for streams in BROKEN),
        pytest.param("compare", "2>/dev/full", marks=pytest.mark.slow),
        pytest.param("compare", "<&- >&- 2>&-", marks=pytest.mark.slow),
    ],
)
def test_a_log_that_cannot_be_written_ends_no_work(command: str, streams: str, shell: Shell, here: Path) -> None:
    done = shell(f"{COMMANDS[command]} {streams}")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if command == "run":
        assert sweep_status(here / "new.h5").done == 9
        assert shell("check new.h5").stdout == "new.h5: no problem found\n"
    else:
        assert "nothing to do" in shell(COMMANDS["compare"]).stderr


def test_work_that_is_left_is_told_whatever_becomes_of_the_streams(shell: Shell) -> None:
    for streams in (">/dev/full 2>&1", ">&- 2>&-", "2>&1 | true"):
        assert shell(f"{COMMANDS['run']} --time-limit 0.001s {streams}").returncode == 75, streams


@pytest.mark.parametrize("command", slow_except(COMMANDS, *QUICK))
def test_results_that_cannot_be_written_are_an_error(command: str, shell: Shell, here: Path) -> None:
    done = shell(f"{COMMANDS[command]} >/dev/full")
    assert done.returncode == 2
    assert done.stderr.count(FULL) == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    # what the command writes into files is there nonetheless
    for name in {"run": ["new.h5"], "trial": ["trial.h5", "trial.png"], "plot": ["maps/report.html"]}.get(command, []):
        assert (here / name).exists()
    if command == "run":
        assert sweep_status(here / "new.h5").done == 9


@pytest.mark.parametrize("command", slow_except(["help", "status", "run", "trial"], "help", "status", "run"))
def test_a_reader_that_leaves_is_no_error_and_ends_no_work(command: str, here: Path, mpi_env: dict[str, str]) -> None:
    """Without buffers the first line fails already, and the rest of the work is yet to be done."""
    pipe = closed_pipe()
    done = subprocess.run(
        [sys.executable, "-u", "-m", "hpcmass", *COMMANDS[command].split()],
        cwd=here, env=mpi_env, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
    )  # fmt: skip
    os.close(pipe)
    assert done.returncode == 0, done.stderr
    assert "rror" not in done.stderr
    for name in {"run": ["new.h5"], "trial": ["trial.h5", "trial.png"], "plot": ["maps/report.html"]}.get(command, []):
        assert (here / name).exists()


def test_a_verdict_outlives_its_reader(shell: Shell, here: Path) -> None:
    (here / "sweep.h5").write_bytes((here / "sweep.h5").read_bytes()[:5000])
    assert shell("check sweep.h5 | true").returncode == 2


def test_watching_ends_with_its_reader_or_its_disk(shell: Shell) -> None:
    assert shell(f"{COMMANDS['run']} --time-limit 0.001s").returncode == 75
    assert shell("status new.h5 --watch 0.01 | head -1").returncode == 0
    done = shell("status new.h5 --watch 0.01 >/dev/full")
    assert done.returncode == 2
    assert done.stderr.count(FULL) == 1


@pytest.mark.process
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_no_file_gets_the_number_of_a_stream(closed: str, tmp_path: Path) -> None:
    """Otherwise messages, also of libraries and child processes, would be written into a sweep."""
    code = (
        "import os, subprocess, sys; from hpcmass.streams import guard; guard()\n"
        "with open('file', 'w') as file:\n"
        "    print(file.fileno() > 2, file=file, flush=True)\n"
        "    for stream in (sys.stdout, sys.stderr): print('text', file=stream, flush=True)\n"
        "    subprocess.run('echo more; echo more >&2', shell=True)\n"
        "    for stream in (1, 2): os.write(stream, b'and by a library')\n"
    )
    command = f"{sys.executable} -c '{code.replace(chr(39), chr(34))}' {closed}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Bad file descriptor" not in done.stderr
    assert (tmp_path / "file").read_text() == "True\n"


@pytest.mark.process
def test_a_file_that_has_the_number_already_is_left_alone(tmp_path: Path) -> None:
    code = (
        "import sys; file = open(sys.argv[1], 'w'); assert file.fileno() == 1\n"
        "from hpcmass.streams import guarded\n"
        "with guarded(): print('text', flush=True)\n"
        "assert sys.stdout is None\n"
    )
    command = f'{sys.executable} -c "$1" "$2" >&-'
    subprocess.run(["bash", "-c", command, "bash", code, str(tmp_path / "file")], check=True)
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.parametrize("command", slow_except(COMMANDS, *QUICK))
def test_few_characters_and_an_unknown_backend(command: str, shell: Shell) -> None:
    """A terminal that knows ASCII alone, and an MPLBACKEND that matplotlib does not know."""
    env = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "MPLBACKEND": "foo"}
    done = shell(COMMANDS[command], env=env)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.isascii()
    if command in ("validate", "plan"):
        assert r"de Gr\xf6bner, \u03bb" in done.stdout


@pytest.mark.slow
def test_names_that_are_no_text(shell: Shell, here: Path) -> None:
    (here / "sweep.h5").rename(here / os.fsdecode(b"\xffsweep.h5"))
    for line in (
        r"status $'\xffsweep.h5'",
        r"compare $'\xffsweep.h5' -o $'\xffc.h5'",
        r"plot $'\xffc.h5' -o $'\xffmaps'",
    ):
        done = shell(line)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("help", "version")])
def test_a_deleted_working_directory_is_one_sentence(command: str, tmp_path: Path, mpi_env: dict[str, str]) -> None:
    code = (
        "import os, sys; os.rmdir(os.getcwd()); sys.argv[0] = 'hpcmass'; from hpcmass.cli import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *COMMANDS[command].split()],
        cwd=tmp_path, env=mpi_env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "hpcmass: the working directory does not exist any more; change to another one (cd)\n"


def test_a_terminal_that_vanishes_ends_no_work(here: Path, mpi_env: dict[str, str]) -> None:
    """Its signal may come late, or not at all; what is written until then is an error."""
    slow = CONFIG.replace("400.0", "6000.0")
    (here / "slow.yml").write_text(slow)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    job = subprocess.Popen(
        [sys.executable, "-m", "hpcmass", "run", "slow.yml", "-o", "new.h5"],
        cwd=here, env=mpi_env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    while job.poll() is None and not ((here / "new.h5").exists() and sweep_status(here / "new.h5").done):
        time.sleep(0.01)
    os.close(ours)
    assert job.wait(120) == 0
    assert sweep_status(here / "new.h5").done == 9


def test_a_stream_that_must_not_block_is_waited_for(here: Path, mpi_env: dict[str, str]) -> None:
    """Another program that shares the terminal or pipe may have made it so."""
    read, write = os.pipe()
    size = fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(write, False)
    job = subprocess.Popen([sys.executable, "-m", "hpcmass", "config", "--schema"], cwd=here, env=mpi_env, stdout=write)
    os.close(write)
    waiting = bytearray(4)
    while int.from_bytes(waiting, sys.byteorder) < size and job.poll() is None:
        fcntl.ioctl(read, termios.FIONREAD, waiting)
    with open(read, encoding="utf-8") as stream:
        schema = json.load(stream)
    assert job.wait(60) == 0
    assert "grid" in schema["properties"]


@pytest.mark.mpi
@pytest.mark.parametrize("streams", slow_except(["2>/dev/full", "<&- 2>&-", "<&- >&- 2>&-"], "2>/dev/full"))
def test_ranks_with_broken_streams(streams: str, here: Path, mpi_env: dict[str, str]) -> None:
    line = f"exec {sys.executable} -m hpcmass run config.yml -o new.h5 {streams}"
    done = subprocess.run(
        [mpi_env["MPIEXEC"], "-n", "3", "bash", "-c", line],
        cwd=here, env=mpi_env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sweep_status(here / "new.h5").done == 9


@pytest.mark.parametrize(("results", "written"), [(True, "1 "), (False, "1 3 ")])
def test_results_have_no_gap_and_a_log_may(results: bool, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a disk is full for a moment."""
    done: list[bytes] = []

    def write(descriptor: int, data: memoryview) -> int:
        if bytes(data).startswith(b"2"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done.append(bytes(data[:2]))
        return 2

    monkeypatch.setattr("hpcmass.streams.os.write", write)
    raw = _Descriptor(1, results=results)
    for text in (b"1 ", b"2 ", b"3 "):
        assert raw.write(text) == 2
    assert b"".join(done).decode() == written
    assert raw.error is not None


class _Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("stream", [None, _Gone(), "closed"])
def test_a_message_is_no_error_in_python_either(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the streams are not the command's: in a notebook, or a script."""
    if stream == "closed":
        stream = io.StringIO()
        stream.close()
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stdout", printed)
    monkeypatch.setattr(sys, "stderr", stream)
    messages.show("info")
    messages.logger.warning("something")
    assert printed.getvalue() == "", "standard output has only results"
