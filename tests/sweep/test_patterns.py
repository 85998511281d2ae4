"""`part-*.h5` matches the comparisons of the parts, too: commands that take several sweep files leave them out."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sweep_state import require_same, states

from hpcmass.store.schema import DONE, comparison_path

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def parts(config: Path, command: Run, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two parts, compared during their runs; not to be written."""
    directory = tmp_path_factory.mktemp("parts")
    paths = [directory / f"part-{i}.h5" for i in (1, 2)]
    for i, path in enumerate(paths, 1):
        command("run", config, "-o", path, "--compare", "--part", f"{i}/2", "--set", "mass.models=[CFM]")
    return paths


@pytest.fixture(scope="module")
def matched(parts: list[Path]) -> list[Path]:
    """What the shell makes of the pattern."""
    found = sorted(parts[0].parent.glob("part-*.h5"))
    assert [path.name for path in found] == ["part-1-cmp.h5", "part-1.h5", "part-2-cmp.h5", "part-2.h5"]
    return found


@pytest.mark.parametrize("words", [("status",), ("status", "--json"), ("check",), ("watch", "--once")], ids=" ".join)
def test_commands_that_read(words: Sequence[str], parts: list[Path], matched: list[Path], command: Run) -> None:
    done, wanted = command(*words, *matched), command(*words, *parts)
    assert f"left out: 2 comparisons of the sweeps given ({comparison_path(parts[0])}, …)" in done.stderr
    assert done.stdout == wanted.stdout
    assert "left out" not in wanted.stderr


def test_merge_and_compare(parts: list[Path], matched: list[Path], command: Run, tmp_path: Path) -> None:
    for name, paths in (("pattern", matched), ("parts", parts)):
        command("merge", *paths, "-o", tmp_path / f"{name}.h5")
        command("compare", *paths, "-o", tmp_path / f"{name}-cmp.h5")
    assert (states(tmp_path / "pattern.h5") == DONE).all()
    require_same(tmp_path / "pattern.h5", tmp_path / "parts.h5")
    require_same(tmp_path / "pattern-cmp.h5", tmp_path / "parts-cmp.h5")


def test_view_and_plot(
    parts: list[Path], matched: list[Path], command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    monkeypatch.setattr("hpcmass.live.viewer.view", lambda paths, **_: given.append(paths))
    monkeypatch.setattr("hpcmass.report.draw", lambda *_, sweep_paths, **__: given.append(sweep_paths) or [])
    command("view", *matched, "--no-browser")
    command("plot", tmp_path / "cmp.h5", "-o", tmp_path, "--sweep", *matched)
    assert given == [parts, parts]


def test_other_files_are_refused(parts: list[Path], command: Run, tmp_path: Path) -> None:
    own = comparison_path(parts[0])
    for words in ((own,), (own, parts[1]), (own, own)):
        refused = command("check", *words, check=False)
        assert refused.returncode == 2
        assert f"{own} is a file of type 'hpcmass-comparison', not 'hpcmass-sweep'" in refused.stderr
        assert "left out" not in refused.stderr


def test_a_sweep_with_such_a_name_stays(parts: list[Path], command: Run, tmp_path: Path) -> None:
    first, second, third = tmp_path / "a.h5", tmp_path / "a-cmp.h5", tmp_path / "a-cmp-cmp.h5"
    shutil.copy(parts[0], first)
    shutil.copy(parts[1], second)
    shutil.copy(comparison_path(parts[1]), third)
    done = command("status", first, second, third)
    assert f"left out: 1 comparison of the sweeps given ({third})" in done.stderr
    assert "12 of 12 trials done" in done.stdout
    second.write_bytes(b"no HDF5")
    refused = command("status", first, second, check=False)
    assert refused.returncode == 2
    assert f"cannot read {second}" in refused.stderr
