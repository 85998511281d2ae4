"""Standard output has only results; the user sets the level of the messages."""

import io
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from hpcmass import messages
from hpcmass.cli import main
from hpcmass.progress import Progress

CONFIG = """
trials: 2
network: {n_neurons: 100, n_external: 100, duration_ms: 100.0, transient_ms: 10.0}
grid: {p: 0.1, lam: 0.8}
compare: {max_lag_ms: 20}  # or the sweep warns that it is too short to be compared
"""


@pytest.mark.parametrize("level", messages.LEVELS)
def test_levels(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    messages.show(level)
    messages.logger.debug("a")
    messages.logger.info("b")
    messages.logger.warning("c")
    messages.logger.error("d")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.split() == [w for m in "abcd"[messages.LEVELS.index(level) :] for w in ("hpcmass:", m)]


def test_messages_of_parts_of_the_package_are_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    messages.show("info")
    messages.show("info")
    logging.getLogger("hpcmass.network.machine_code").warning("slow")
    assert capsys.readouterr().err == "hpcmass: slow\n"


def test_progress_keeps_quiet() -> None:
    printed = io.StringIO()
    for level, lines in (("info", 2), ("warning", 1), ("error", 0)):
        messages.show(level)
        printed.seek(0)
        printed.truncate()
        with Progress(1, "trial", stream=printed) as progress:
            progress.note("failed: one")
            progress.advance()
        assert printed.getvalue().count("\n") == lines, level


def test_quiet_shows_only_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yml").write_text(CONFIG)
    for k, option in enumerate(([], ["--quiet"], ["-q"], ["--log-level", "warning"])):
        output = tmp_path / f"{k}.h5"
        assert main(["run", str(tmp_path / "config.yml"), "-o", str(output), *option]) == 0
        printed = capsys.readouterr()
        assert printed.out == f"{output}: 2 of 2 trials done\n"
        assert ("2 of 2 trials to do" in printed.err) == (not option)
        assert not (option and printed.err)
    assert main(["validate", "-q", str(tmp_path / "none.yml")]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_no_colours_and_a_plain_stream(tmp_path: Path, python_run) -> None:
    (tmp_path / "config.yml").write_text(CONFIG)
    done = python_run("-m", "hpcmass", "run", tmp_path / "config.yml", "-o", tmp_path / "sweep.h5")
    assert done.stdout.splitlines() == [f"{tmp_path / 'sweep.h5'}: 2 of 2 trials done"]
    assert "2 of 2 trials to do" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.process
def test_no_escape_codes_on_a_terminal(tmp_path: Path) -> None:
    """mpiexec gives its ranks a terminal, and libraries like to colour those."""
    pytest.importorskip("colorama")
    (tmp_path / "config.yml").write_text(CONFIG)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "hpcmass", "trial", str(tmp_path / "config.yml"), "--p", "0.1", "--lam", "0.8"]
    subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, check=True, timeout=120)
    os.close(theirs)
    printed = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "spike_contrast" in printed
    assert "\x1b" not in printed


def test_versions_without_initialising_mpi(python_run) -> None:
    done = python_run("-m", "hpcmass", "--version")
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == ["hpcmass", "Python", "MPI", "HDF5", "numba", "NumPy"]
    assert "parallel" in done.stdout or "serial" in done.stdout
    python_run(
        "-c",
        "from hpcmass.versions import describe; describe()\n"
        "try: from mpi4py import MPI\n"
        "except (ImportError, RuntimeError): pass\n"
        "else: assert not MPI.Is_initialized()",
    )


def test_the_shell_gets_completions(python_run) -> None:
    line = "hpcmass plan --se"
    asked = (
        "import os, sys; os.environ.update(_ARGCOMPLETE='1', _ARGCOMPLETE_STDOUT_FILENAME='/dev/stdout', "
        f"COMP_LINE={line!r}, COMP_POINT='{len(line)}', _ARGCOMPLETE_IFS='\\n', IFS='\\n')\n"
        "from hpcmass.cli import main; main()"
    )
    assert "--seconds" in python_run("-c", asked).stdout
