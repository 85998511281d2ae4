"""A command in the repository's root, with fakes of the batch systems' own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from processes import ROOT

HELPERS = ROOT / "tests" / "helpers"

Submit = Callable[..., str]


@pytest.fixture
def submit(mpi_env: dict[str, str], tmp_path: Path) -> Submit:
    """Give `submit(command, *arguments, stdin=None, check=True, **variables)`: a command in the repository's root.

    It finds the fakes of qsub and bsub first, and returns all output of the command.
    """
    for name in ("qsub", "qstat", "bsub"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HELPERS}/fake_{name}.py" "$@"\n')
        program.chmod(0o755)
    here = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "VENV": sys.prefix, "FAKE_BATCH_LOGS": str(tmp_path)}

    def call(*command: object, stdin: Path | None = None, check: bool = True, **variables: object) -> str:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=ROOT,
            env=mpi_env | here | {name: str(value) for name, value in variables.items()},
            input="" if stdin is None else stdin.read_text(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return call
