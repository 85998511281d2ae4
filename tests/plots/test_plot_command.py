"""`hpcmass plot`: its options, what it prints, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from figures import draw_fewer
from hpcmass.cli import main

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer figures, of fewer pixels."""
    draw_fewer(monkeypatch, "lag")


@pytest.mark.long
def test_the_files_written_are_named(small_comparison: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = small_comparison([0.1, 0.3], [0.5, 0.8], further="w_I: [0.001, 0.002, 0.003]")
    maps = tmp_path / "maps"
    arguments = ["plot", str(path), "-o", str(maps), "--formats", "png, svg", "--axes", "lam,w_I", "--at", "p=0.3"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    names = [f"{name}.{kind}" for name in ("overview", "lag", "traces") for kind in ("png", "svg")]
    assert printed.out.split() == [str(maps / name) for name in (*names, "report.html")]
    assert printed.err == ""
    page = (maps / "report.html").read_text()
    assert "at p = 0.3" in page
    assert '"initial":{"right":"lam","up":"w_I"' in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--formats", "gif"], "unknown figure format 'gif'; choose from png, svg, pdf"),
        (["--axes", "p,q"], "'q' is not an axis of this sweep; it has p, lam"),
        (["--at", "w_I=1"], "'w_I' is not an axis of this sweep; it has p, lam"),
        (["--at", "p=0.1"], "p is shown along a side of the map"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], message: str, small_comparison: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = small_comparison([0.1, 0.3], [0.5, 0.8])
    assert main(["plot", str(path), "-o", str(tmp_path / "maps"), *arguments]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert not any((tmp_path / "maps").glob("*.png"))


@pytest.mark.parametrize("axes", ["p", "p,lam,w_I"])
def test_a_map_has_two_axes(axes: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main(["plot", "cmp.h5", "-o", "maps", "--axes", axes])
    assert end.value.code == 2
    assert f"give two axes separated by a comma, not '{axes}'" in capsys.readouterr().err
