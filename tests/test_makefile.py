"""`make run` with a fake program: what it calls, what it prints, which exit codes are a success."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = """\
#!/bin/bash
echo "$@" > call
echo results/quickstart.h5: 3 of 4 trials done
[ "$(cat code)" = 75 ] || echo results/quickstart-maps/report.html
exit $(cat code)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout with a fake program."""
    for name, text in {".venv/bin/hpcmass": PROGRAM, "scripts/setup_env.sh": "#!/bin/bash\n"}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        path.chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("code", "succeeds"), [(0, True), (3, True), (75, False), (2, False), (130, False)])
def test_make_run(code: int, succeeds: bool, place: Path) -> None:
    (place / "code").write_text(str(code))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "run", "RUN_ARGS=--reuse old.h5"]
    environment = inherited | {"VENV": ".venv", "CORES": "2"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    assert (place / "call").read_text() == "go configs/quickstart.yml -o results -j 2 --reuse old.h5\n"
    said = ["results/quickstart.h5: 3 of 4 trials done", "open results/quickstart-maps/report.html"]
    assert done.stdout.splitlines() == said[: 1 if code == 75 else 2]
