"""`docs/results.md` states what the comparison that is kept with it says."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from hpcmass.cli import main
from hpcmass.plots.regions import as_text, medians_table, regions_table
from hpcmass.plots.view import open_view
from programs import ROOT

KEPT = ROOT / "docs" / "data" / "paper-cmp.h5"
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def lines(table: pd.DataFrame) -> list[str]:
    """The rows of a table as Markdown."""
    return [f"| {' | '.join(row)} |" for row in as_text(table).to_numpy().tolist()]


def test_regimes_and_medians_are_those_of_the_file() -> None:
    with open_view(KEPT) as view:
        regions = regions_table(view)
        expected = [*lines(regions.loc[["network"]]), *lines(medians_table(view))]
    assert len(expected) == 4 + 4 * 6
    assert [line for line in expected if line not in PAGE] == []


def test_claims_are_those_of_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", str(KEPT), "--csv"]) == 0
    claims = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [claim["claim"] for claim in claims] == ["1", "2a", "2b", "3", "4", "5", "6"]
    for claim in claims:
        certainty = f"{100 * float(claim['certainty']):.0f} %"
        assert f"| {claim['claim']} | **{claim['verdict']}** | {certainty} | {claim['numbers']} |" in PAGE


def test_the_whole_experiment_is_kept() -> None:
    with open_view(KEPT) as view:
        assert (
            view.experiment.title
            == "Deschle et al. (2021): the plane of connection probability and excitatory fraction"
        )
        assert (view.data["n_compared"] == 10).all()
        assert view.data["n_compared"].shape == (24, 21)
    assert KEPT.stat().st_size < 20e6


@pytest.mark.slow
@pytest.mark.process
def test_every_figure_is_drawn_from_it(tmp_path: Path) -> None:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    program = ROOT / "analysis" / "figures.sh"
    subprocess.run([program, KEPT, tmp_path], env=environment, check=True, timeout=300)
    shown = re.findall(r"\(images/results/([\w-]+\.png)\)", PAGE)
    assert sorted(shown) == sorted(path.name for path in tmp_path.iterdir())
    assert all((ROOT / "docs" / "images" / "results" / name).exists() for name in shown)
