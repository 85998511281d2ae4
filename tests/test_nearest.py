"""Suggestions for misspelt keys, commands, options, models and files."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import refused
from hpcmass.errors import UserError
from hpcmass.mass import models_named
from hpcmass.nearest import missing_file, nearest, nearest_file
from hpcmass.store.opening import open_hdf5
from hpcmass.store.schema import SWEEP_FILETYPE


@pytest.mark.parametrize(
    ("name", "found"),
    [("trails", "trials"), ("W_E", "w_E"), ("w_i", "w_I"), ("xyzzy", None), ("", None), ("TRIALS", "trials")],
)
def test_the_nearest_name(name: str, found: str | None):
    assert nearest(name, ["trials", "title", "w_E", "w_I"]) == found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in (
        "quickstart.yml",
        "paper.yml",
        "quickstart.h5",
        "quickstart-cmp.h5",
        "notes.txt",
        ".sweep.h5.1.growing",
    ):
        (tmp_path / name).touch()
    (tmp_path / "quikstart.d").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("quikstart.yml", "quickstart.yml"),
        ("Quickstart.yml", "quickstart.yml"),
        ("quickstart", "quickstart.h5"),
        ("paper", "paper.yml"),
        ("paper.yaml", "paper.yml"),
        ("paper.h5", "paper.yml"),
        ("quickstar-cmp.h5", "quickstart-cmp.h5"),
        ("zebra.yml", None),
        ("notes.h5", None),
        ("none/quickstart.yml", None),
    ],
)
def test_the_nearest_file(name: str, found: str | None, place: Path):
    assert nearest_file(place / name) == (None if found is None else place / found)


def test_a_directory_of_many_files_is_not_searched(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hpcmass.nearest.MOST_FILES", 0)
    assert missing_file(place / "quikstart.yml") == "check the name"


def error_line(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """One line."""
    printed = refused(capsys, *arguments)
    assert printed.count("\n") == 1
    return printed


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("compre", "sweep.h5"), "'compre'; did you mean 'compare'?"),
        (("valdate", "c.yml"), "did you mean 'validate'?"),
        (
            ("run", "c.yml", "-o", "s.h5", "--partt", "1/3"),
            "hpcmass run: there is no option --partt; did you mean '--part'?",
        ),
        (("run", "c.yml", "-o", "s.h5", "--retry_failed=1"), "did you mean '--retry-failed'?"),
        (("status", "s.h5", "--log-level", "warn"), "did you mean 'warning'?"),
        (("status", "s.h5", "--zzzzz"), "there is no option --zzzzz; see"),
        (
            ("xyzzy",),
            "choose from config, validate, plan, go, run, watch, status, check, merge, import, compare, summary",
        ),
    ],
)
def test_words_of_the_command_line(arguments: tuple[str, ...], hint: str, capsys: pytest.CaptureFixture[str]):
    assert hint in error_line(capsys, *arguments)


def test_files_that_are_read(place: Path, capsys: pytest.CaptureFixture[str]):
    right = f"did you mean {place / 'quickstart.yml'}?"
    assert right in error_line(capsys, "validate", place / "quickstar.yml")
    assert right in error_line(capsys, "plan", place / "quickstar.yml")
    assert "check the name" in error_line(capsys, "validate", place / "zebra.yml")
    with pytest.raises(UserError, match=r"did you mean .*quickstart\.h5\?"):
        open_hdf5(place / "quikstart.h5", SWEEP_FILETYPE)


def test_mass_models():
    with pytest.raises(UserError, match=r"no mass model 'MFN'; known models: .*CFM.* \(did you mean 'MFM'\?\)$"):
        models_named(["MFN"])
    with pytest.raises(UserError, match=r"no mass model 'xyzzy'; known models: .*MFM"):
        models_named(["xyzzy"])
