"""Real commands where paths and titles hold what Linux and YAML allow: other scripts, bytes, quotes, line breaks."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import h5py
import pytest
import xarray as xr
from markupsafe import escape

from hpcmass.store.provenance import HISTORY_BYTES, append_history, history_line, history_of, history_value
from hpcmass.text import one_line, readable

pytestmark = pytest.mark.process

TITLE = 'Übung λ $title <b>&amp; %s {x} "q" \''
CONFIG = f"""\
title: {json.dumps(TITLE)}
trials: 1
network: {{n_neurons: 200, n_external: 200, p_ext: 1.0, w_ext: 0.1, duration_ms: 400, transient_ms: 100}}
grid: {{p: [0.1, 0.5, 1.0], lam: [0.5, 0.8, 1.0]}}
"""
NAMES = {
    "signs": "Übung λ 脳 a b%20c'\"\n$x ${y} <b>&amp; \\n".encode(),
    "bytes": b"b\xfcro \xff",
}
STRICT = {"PYTHONIOENCODING": "utf-8:strict"}
"""As standard output is in most UTF-8 locales; in the C locale it takes any bytes."""


PROGRAM = (sys.executable, "-m", "hpcmass")


def hpcmass(home: Path, *args: str, code: int = 0, program: tuple[str, ...] = PROGRAM, **env: str) -> tuple[bytes, str]:
    """Run a command in a directory; its standard output and error."""
    command = [*program, *args]
    done = subprocess.run(command, cwd=home, env={**os.environ, **STRICT, **env}, capture_output=True, timeout=300)
    printed = done.stderr.decode(errors="backslashreplace")
    assert "Traceback" not in printed, printed
    assert done.returncode == code, printed
    return done.stdout, printed


@pytest.fixture(params=[NAMES["signs"], pytest.param(NAMES["bytes"], marks=pytest.mark.slow)], ids=["signs", "bytes"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A directory of an odd name, with a configuration."""
    home = tmp_path / os.fsdecode(request.param)
    home.mkdir()
    (home / f"{home.name}.yml").write_text(CONFIG, encoding="utf-8")
    return home


def require_utf8(path: Path) -> None:
    """Every text attribute of a file is what it is declared as, UTF-8."""
    with h5py.File(path, locking=False) as file:
        holders: list[h5py.Group | h5py.Dataset] = [file, *file.values()]
        for holder in holders:
            for name in holder.attrs:
                kind = holder.attrs.get_id(name).get_type()
                if isinstance(kind, h5py.h5t.TypeStringID) and name not in ("CLASS", "NAME"):  # those are HDF5's own
                    assert kind.get_cset() == h5py.h5t.CSET_UTF8, (holder.name, name)
    with xr.open_dataset(path, engine="h5netcdf", driver_kwds={"locking": False}) as data:
        for holder in (data, *data.variables.values()):
            for value in holder.attrs.values():
                str(value).encode()


class Text(HTMLParser):
    """The text of a page by element, all of it closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "link", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


@pytest.mark.slow
def test_every_command_in_a_directory_of_an_odd_name(home: Path) -> None:
    name = home.name
    config, sweep, comparison = f"{name}.yml", f"{name}.h5", f"{name} cmp.h5"
    out, _ = hpcmass(home, "validate", config)
    assert TITLE.encode() in out
    out, _ = hpcmass(home, "run", config, "-o", sweep)
    assert out == os.fsencode(sweep) + b": 9 of 9 trials done\n"
    out, _ = hpcmass(home, "status", sweep, "--json")
    assert json.loads(out)["title"] == TITLE
    assert json.loads(out)["path"] == sweep
    hpcmass(home, "status", sweep)
    hpcmass(home, "check", sweep)
    hpcmass(home, "run", config, "-o", "reused.h5", "--reuse", str(home / sweep))
    hpcmass(home, "merge", "--pack", "-o", f"{name} packed.h5", sweep)
    hpcmass(home, "compare", str(home / sweep), "-o", comparison)
    out, _ = hpcmass(home, "plot", comparison, "-o", f"{name} maps")
    assert os.fsencode(f"{name} maps/report.html\n") in out
    for path in home.glob("*.h5"):
        require_utf8(path)
    with xr.open_dataset(home / comparison, engine="h5netcdf") as data:
        assert data.attrs["title"] == TITLE
        assert one_line(f"comparison of {home / sweep} started") in data.attrs["history"].split("\n")[0]
    page = (home / f"{name} maps" / "report.html").read_text(encoding="utf-8")
    texts = Text(page).texts
    assert texts["title"] == [TITLE]
    assert "".join(texts["h1"]) == TITLE
    assert "not available" not in page, "the sweep is found by the path in the comparison"
    assert str(escape(one_line(str(home / sweep)))) in page
    assert readable(f"comparison ({comparison})") in texts["th"]


@pytest.mark.slow
def test_single_trials_and_plans(home: Path) -> None:
    name = home.name
    out, _ = hpcmass(home, "trial", f"{name}.yml", "--p", "0.5", "--lam", "0.8", "-o", f"{name}.h5", "--plot")
    assert os.fsencode(f"\n{name}.h5\n{name}.png\n") in out
    require_utf8(home / f"{name}.h5")
    out, _ = hpcmass(home, "plan", f"{name}.yml", "-n", "3", "--seconds", "0.1", "-j", "1")
    found = re.search(rb"Slurm job   (CONFIG=.*) TIME_LIMIT", out, re.DOTALL)
    assert found is not None
    shell = ["bash", "-c", found[1] + b'; printf %s "$CONFIG"']
    assert subprocess.run(shell, capture_output=True, check=True).stdout == os.fsencode(f"{name}.yml")


MODEL = "Mödell λ 100% \"q\" '<b>' \\n"
WITH_MODEL = f"""
import sys
from hpcmass.cli import main
from hpcmass.mass import mass_model
from hpcmass.mass.freeman import cfm

mass_model({MODEL!r})(cfm)
sys.exit(main())
"""


@pytest.mark.slow
def test_a_model_of_an_odd_name(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(WITH_MODEL, encoding="utf-8")
    (tmp_path / "c.yml").write_text(f"{CONFIG}mass: {{models: [CFM, {json.dumps(MODEL)}]}}\n", encoding="utf-8")
    program = (sys.executable, "program.py")
    hpcmass(tmp_path, "run", "c.yml", "-o", "s.h5", program=program)
    hpcmass(tmp_path, "compare", "s.h5", "-o", "cmp.h5", "--models", f"{MODEL},CFM", program=program)
    hpcmass(tmp_path, "plot", "cmp.h5", "-o", "maps", "--formats", "svg", program=program)
    with xr.open_dataset(tmp_path / "cmp.h5", engine="h5netcdf") as data:
        assert list(data["model"].values) == [MODEL, "CFM"]
    texts = Text((tmp_path / "maps" / "report.html").read_text(encoding="utf-8")).texts
    assert MODEL in texts["td"]
    assert MODEL in texts["dt"]
    assert html.escape("Mödell λ 100%") in (tmp_path / "maps" / "correlation.svg").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.mpi
def test_ranks_in_a_directory_of_an_odd_name(home: Path, mpi_env: dict[str, str]) -> None:
    program = (mpi_env["MPIEXEC"], "-n", "3", *PROGRAM)
    hpcmass(home, "run", f"{home.name}.yml", "-o", f"{home.name}.h5", program=program, **mpi_env)
    require_utf8(home / f"{home.name}.h5")
    hpcmass(home, "compare", f"{home.name}.h5", "-o", "cmp.h5", program=program, **mpi_env)
    require_utf8(home / "cmp.h5")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8:strict", "latin-1"])
def test_standard_output_accepts_any_title(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "c.yml").write_text(CONFIG.replace("title: ", "title: '脳' #"), encoding="utf-8")
    out, _ = hpcmass(tmp_path, "validate", "c.yml", PYTHONIOENCODING=encoding)
    assert ("脳".encode() if "utf" in encoding else b"\\u8133") in out


@pytest.mark.parametrize(
    ("title", "printed"),
    [
        (r'"a\0b"', "title: must be text without control characters, not 'a\\x00b'"),
        (r'"a\ud800b"', "title: must be text without control characters, not 'a\\ud800b'"),
        (r'"a\eb"', "title: must be text without control characters"),
        ("[" * 3000 + "]" * 3000, "line 1"),
        ("{a: " * 3000 + "}" * 3000, "line 1"),
        (
            "2024-99-99",
            "title: 2024-99-99 is a date to some YAML parsers and a string to others; write '2024-99-99' in",
        ),
        ("!!int ''", "title: the tag !!int changes what a value means; write the value alone"),
    ],
    ids=["NUL", "surrogate", "escape", "lists", "mappings", "date", "tag"],
)
@pytest.mark.parametrize("command", [("validate",), ("run", "-o", "new.h5")], ids=lambda command: command[0])
def test_a_title_that_no_file_can_hold(tmp_path: Path, command: tuple[str, ...], title: str, printed: str) -> None:
    (tmp_path / "c.yml").write_text(f"title: {title}\ngrid: {{p: 0.1, lam: 0.8}}\n")
    _, stderr = hpcmass(tmp_path, command[0], "c.yml", *command[1:], code=2)
    assert stderr.startswith("hpcmass: c.yml ")
    assert printed in stderr
    assert not (tmp_path / "new.h5").exists()


# History -------------------------------------------------------------------------------------------------------------


def test_the_history_is_utf8_and_changed_in_place(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file.attrs["history"] = history_value([history_line("Übung \udcfc\n started")])
    before = path.read_bytes()
    begin = before.index("Übung".encode()) - len("2026-11-26T00:00:00+00:00 hpcmass 0.1.0: ")
    for _ in range(3):
        with h5py.File(path, "r+") as file:
            append_history(file, "λ" * 1500)
    after = path.read_bytes()
    assert len(after) == len(before)
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert begin <= changed[0] <= changed[-1] < begin + HISTORY_BYTES
    with h5py.File(path) as file:
        lines = history_of(file)
        assert file.attrs.get_id("history").get_type().get_cset() == h5py.h5t.CSET_UTF8
    assert lines[0].endswith(r"Übung \xfc\n started")
    assert len(lines) == 3, "the oldest but the first gave way"
    assert lines[-1].endswith("λ" * 1500)


def test_a_history_is_cut_between_characters() -> None:
    for shift in range(3):
        value = history_value(["脳" * 3000, "a" * shift + "脳" * 3000])
        assert value.dtype.itemsize == HISTORY_BYTES
        value.item().decode()
        assert len(value.item()) > HISTORY_BYTES - 5


def test_a_history_of_an_older_file_stays_ascii(tmp_path: Path) -> None:
    """Its type cannot be changed in place, so what ASCII lacks is written as an escape."""
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.attrs.create("history", "Übung\n2".encode().ljust(HISTORY_BYTES, b"\0"), dtype=f"S{HISTORY_BYTES}")
        append_history(file, "脳")
        lines = history_of(file)
    assert lines[:2] == [r"\xdcbung", "2"]
    assert lines[2].endswith(r"\u8133")


def test_a_history_that_another_program_has_written(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.attrs["history"] = "first"
        append_history(file, "second")
        append_history(file, "third")
        assert [line.split(": ")[-1] for line in history_of(file)] == ["first", "second", "third"]
