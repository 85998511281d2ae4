"""`hpcmass plot`: its options, what it prints, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from figures import draw_fewer
from hpcmass.cli import main, make_parser
from hpcmass.plots import panels
from hpcmass.plots.view import open_view
from hpcmass.report.draw import MAPS

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


@pytest.mark.long
def test_only_what_is_asked_is_drawn(small_comparison: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, maps = small_comparison([0.1, 0.3], [0.5, 0.8]), tmp_path / "maps"
    arguments = ["plot", str(path), "-o", str(maps), "--models", "CFM"]
    assert main([*arguments, "--maps", "lag,overview,best_value"]) == 0
    printed = capsys.readouterr()
    assert printed.out.split() == [str(maps / "overview.png"), str(maps / "lag.png")]
    assert printed.err == f"hpcmass: there is no best_value in {path}: nothing is drawn for it\n"
    assert sorted(file.name for file in maps.iterdir()) == ["lag.png", "overview.png"]
    assert main([*arguments, "--maps", "report"]) == 0
    assert capsys.readouterr().out.split() == [str(maps / "report.html")]


def test_models_are_those_asked_in_their_order(full_comparison: Path, full):
    with open_view(full_comparison) as view:
        chosen = view.of_models(["MFM", "CFM", "MFM"])
        assert [panel.title for panel in panels.lag(chosen)] == ["MFM", "CFM"]
        np.testing.assert_array_equal(panels.lag(chosen)[0].values, full["lag"][..., 1].T)
        assert (view.leading_model, view.of_models(["CFM"]).leading_model) == ("MFM", "CFM")


def test_every_map_is_in_the_help():
    parser = make_parser()
    help_text = parser._subparsers._group_actions[0].choices["plot"].format_help()
    assert " ".join(", ".join(MAPS).split()) in " ".join(help_text.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--formats", "gif"], "unknown figure format 'gif'; choose from png, svg, pdf"),
        (["--maps", "lags"], "there is no map 'lags'; did you mean 'lag'?"),
        (["--models", "MMF"], "there is no model 'MMF' in"),
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
