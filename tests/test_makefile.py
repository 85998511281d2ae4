"""`make run`, its programs replaced by fakes: what is done again, and that an interrupted comparison is resumed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parent.parent
CONFIG = "configs/quickstart.yml"
GROWING = "results/quickstart-cmp.growing.h5"

PROGRAM = """\
#!/bin/bash
set -e
[ "$1" = validate ] || echo "$1" >> calls
case $1 in
  run) [ -f "$4" ] || echo sweep > "$4" ;;
  compare)
    [ ! -f "$4" ] || echo resumed >> calls
    echo compared >> "$4"
    echo "$4: compared"
    [ ! -f stop ] ;;
  plot) mkdir -p "$4"; echo "$4/one.png" ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout of fakes, all of it made a minute ago."""
    files = {
        ".venv/bin/hpcmass": PROGRAM,
        "scripts/setup_env.sh": "#!/bin/bash\n",
        "scripts/mpi_env.sh": "launch() { shift 2; \"$@\"; }\nMPIEXEC=launch\n",
        CONFIG: "",
        **{f"hpcmass/{name}.py": "" for name in ("config", "configfile", "axes", "grid")},
    }  # fmt: skip
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        os.utime(path, (time.time() - 60,) * 2)
    shutil.copy(ROOT / "Makefile", tmp_path)
    return tmp_path


def make_run(place: Path, succeeds: bool = True) -> tuple[list[str], list[str]]:
    """What the program was called for, and the lines that `make run` printed."""
    calls = place / "calls"
    calls.unlink(missing_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment = inherited | {"VENV": ".venv", "CORES": "2"}
    done = subprocess.run(
        ["make", "run"], cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    return calls.read_text().split(), done.stdout.splitlines()


def touch(path: Path) -> None:
    """Make a file newer than all that is there and will be made."""
    os.utime(path, (time.time() + 3600,) * 2)


def test_a_rerun_does_nothing_and_is_short(place: Path):
    calls, said = make_run(place)
    assert calls == ["run", "compare", "plot"]
    assert said == ["open results/quickstart-maps/report.html"]
    assert make_run(place) == (["run"], said)


def test_a_comparison_is_made_anew_in_place_of_the_last_one(place: Path):
    for _ in range(3):
        make_run(place)
        touch(place / CONFIG)
        assert make_run(place)[0] == ["run", "compare", "plot"]
        os.utime(place / CONFIG, (time.time() - 60,) * 2)
    assert sorted(p.name for p in (place / "results").iterdir()) == [
        "quickstart-cmp.h5", "quickstart-maps", "quickstart.h5",
    ]  # fmt: skip
    assert (place / "results/quickstart-cmp.h5").read_text() == "compared\n"


def test_an_interrupted_comparison_is_resumed_unless_its_source_changed(place: Path):
    make_run(place)
    touch(place / "results/quickstart.h5")  # the sweep has grown
    (place / "stop").touch()
    assert make_run(place, succeeds=False)[0] == ["run", "compare"]
    assert (place / "results/quickstart-cmp.h5").read_text() == "compared\n"  # the last whole one is still there
    touch(place / GROWING)
    os.utime(place / "results/quickstart.h5")
    assert make_run(place, succeeds=False)[0] == ["run", "compare", "resumed"]
    (place / "stop").unlink()
    touch(place / CONFIG)
    os.utime(place / GROWING, (time.time() - 30,) * 2)
    assert make_run(place)[0] == ["run", "compare", "plot"]
    assert not (place / GROWING).exists()
