"""`make run` with fake programs: what is repeated, and that an interrupted comparison is continued."""

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
SWEEP = "results/quickstart.h5"
COMPARISON = "results/quickstart-cmp.h5"

# As the real ones: sweep and comparison leave a complete file as it is, and continue another.
PROGRAM = """\
#!/bin/bash
set -e
[ "$1" = validate ] || echo "$1" >> calls
case $1 in
  run) [ -f "$4" ] || echo sweep > "$4" ;;
  compare)
    if grep -qs whole "$4"; then exit 0; fi
    [ ! -f "$4" ] || echo continued >> calls
    echo half >> "$4"
    [ ! -f stop ]
    echo whole >> "$4" ;;
  plot) mkdir -p "$4"; echo "$4/one.png" ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout of fake programs, all of it made a minute ago."""
    files = {
        ".venv/bin/hpcmass": PROGRAM,
        "scripts/setup_env.sh": "#!/bin/bash\n",
        "scripts/mpi_env.sh": "launch() { shift 2; \"$@\"; }\nMPIEXEC=launch\n",
        CONFIG: "",
        **{f"hpcmass/{name}.py": "" for name in ("grid", "config/file", "store/schema", "compare/point", "mass/freeman",
                                                 "plots/maps", "report/page")},
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
    """The subcommands called, and the lines that `make run` printed."""
    calls = place / "calls"
    calls.unlink(missing_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment = inherited | {"VENV": ".venv", "CORES": "2"}
    done = subprocess.run(
        ["make", "run"], cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    return calls.read_text().split(), done.stdout.splitlines()


def touch(path: Path, seconds: float = 1) -> None:
    """Make a file so much newer, or older, than now."""
    os.utime(path, (time.time() + seconds,) * 2)


def test_a_rerun_changes_nothing_draws_nothing_and_is_short(place: Path) -> None:
    calls, printed = make_run(place)
    assert calls == ["run", "compare", "plot"]
    assert printed == ["open results/quickstart-maps/report.html"]
    assert make_run(place) == (["run", "compare"], printed)
    assert (place / COMPARISON).read_text() == "half\nwhole\n"


@pytest.mark.parametrize("newer", [CONFIG, SWEEP, "hpcmass/mass/freeman.py", "hpcmass/store/schema.py"])
def test_a_comparison_older_than_what_it_follows_from_starts_over(place: Path, newer: str) -> None:
    make_run(place)
    for _ in range(2):
        touch(place / newer)
        assert make_run(place)[0] == ["run", "compare", "plot"], "and does not continue what is there"
        touch(place / newer, -60)
        assert make_run(place)[0] == ["run", "compare"]
    assert sorted(p.name for p in (place / "results").iterdir()) == [
        "quickstart-cmp.h5", "quickstart-maps", "quickstart.h5",
    ]  # fmt: skip
    assert (place / COMPARISON).read_text() == "half\nwhole\n"


def test_newer_drawing_code_draws_again_and_compares_nothing(place: Path) -> None:
    make_run(place)
    touch(place / "hpcmass/plots/maps.py")
    assert make_run(place)[0] == ["run", "compare", "plot"]
    assert (place / COMPARISON).read_text() == "half\nwhole\n"


def test_an_interrupted_comparison_is_continued_unless_its_source_changed(place: Path) -> None:
    (place / "stop").touch()
    assert make_run(place, succeeds=False)[0] == ["run", "compare"]
    assert make_run(place, succeeds=False)[0] == ["run", "compare", "continued"]
    (place / "stop").unlink()
    assert make_run(place)[0] == ["run", "compare", "continued", "plot"]
    assert (place / COMPARISON).read_text() == "half\nhalf\nhalf\nwhole\n"
    (place / "stop").touch()
    touch(place / CONFIG)
    assert make_run(place, succeeds=False)[0] == ["run", "compare"]
    touch(place / COMPARISON, 2)
    (place / "stop").unlink()
    touch(place / CONFIG, 3)
    assert make_run(place)[0] == ["run", "compare", "plot"]
    assert (place / COMPARISON).read_text() == "half\nwhole\n"
