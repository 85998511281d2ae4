"""`docs/results.md` states what the comparison that is kept with it says."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

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


def test_where_the_models_may_be_used() -> None:
    """The table at the end of the page, and what it says before it of the points that are not synchronised."""
    with open_view(KEPT) as view:
        plane = view.data[["synchronised", "rho", "mean_error", "rate_E", "rate_I"]].sel(model=["CFM", "MFM"])
        plane = plane.transpose("lam", "p", "trial", "model").load()
    lam, p = plane["lam"], plane["p"]
    synchronised, error, rho = plane["synchronised"] == 1, np.abs(plane["mean_error"]), plane["rho"]
    before = synchronised.cumsum("p") == 0

    def largest(where: xr.DataArray) -> list[float]:
        return error.where(where).max(("lam", "p")).values.tolist()

    assert max(largest(before & (lam >= 0.65) & (lam <= 0.95))) < 0.6
    assert max(largest(before & (lam >= 0.5) & (lam <= 0.95))) < 1.5
    followed = rho.where(before & (p >= 0.1) & (lam > 0.4) & (lam < 1))
    assert (followed.min(("lam", "p")) > 0.84).all()
    assert ((followed > 0.9).sum(("lam", "p")) / followed.notnull().sum(("lam", "p")) > 0.9).all()
    in_synchrony = plane["mean_error"].sel(model="CFM").where(synchronised & (lam <= 0.85))
    assert [round(float(in_synchrony.min())), round(float(in_synchrony.max()))] == [2, 70]
    mfm = [largest((lam > 0) & (lam <= limit))[1] for limit in (0.4, 0.8)]
    assert mfm[0] < 3
    assert mfm[1] < 10
    assert largest(~synchronised & (lam <= 0.4)) == pytest.approx([15.8, 2.5], abs=0.05)


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
