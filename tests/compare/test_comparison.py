"""A comparison in a notebook: maps and lines hold the file's numbers, and NaN where there is none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcmass import open_comparison, open_sweep
from hpcmass.comparison import Comparison
from hpcmass.errors import UserError
from hpcmass.store.labelled import comparison_dataset
from hpcmass.store.schema import COMPARED_VARIABLES


@pytest.fixture(scope="module")
def comparison(compared: tuple[Path, ...]) -> Iterator[Comparison]:
    with open_comparison(str(compared[1])) as opened:
        yield opened


def test_what_it_is(comparison: Comparison) -> None:
    assert comparison.models == ("CFM", "MFM")
    assert comparison.axes == {"p": (0.1, 0.2), "lam": (0.7, 0.8), "tau_m_ms": (10.0, 20.0)}
    assert comparison.experiment.title == "synthetic"
    title = "cmp.h5: synthetic, axes p (2), lam (2), tau_m_ms (2), 8 of 8 points compared"
    assert repr(comparison) == f"<{title}>"
    assert title in comparison._repr_html_()
    assert "<table" in comparison._repr_html_()


def test_a_map_is_the_files(comparison: Comparison, compared: tuple[Path, ...]) -> None:
    rho = comparison.map("rho", model="MFM")
    assert rho.dims == ("tau_m_ms", "lam", "p")
    assert rho.attrs["units"] == "1"
    assert set(rho.coords) == {"p", "lam", "tau_m_ms", "model"}
    with comparison_dataset(compared[1]) as data:
        np.testing.assert_array_equal(rho.transpose("p", "lam", "tau_m_ms"), data["rho"].sel(model="MFM"))
    assert comparison.map("rho").dims == ("tau_m_ms", "model", "lam", "p")
    agrees = comparison.map("rho_agrees", model="MFM")
    assert set(np.unique(agrees)) <= {0.0, 1.0}


def test_there_is_no_value_where_a_point_is_not_compared(comparison: Comparison) -> None:
    blank = comparison.to_xarray()
    for name, variable in COMPARED_VARIABLES.items():
        if name in blank.data_vars and variable.fill is not None and set(comparison.axes) <= set(blank[name].dims):
            blank[name] = blank[name].where(blank["p"] < 0.15, variable.fill)
    blank["status"] = blank["status"].where(blank["p"] < 0.15, 0)
    growing = Comparison(comparison.path, blank)
    for name in ("rho", "rho_agrees", "chi2_dof", "spike_contrast", "n_spikes", "synchronised", "n_diverged"):
        values = growing.map(name)
        assert np.isnan(values.sel(p=0.2)).all(), name
        assert np.isfinite(values.sel(p=0.1)).any(), name


def test_numbers_of_trials_are_averaged_over_those_that_are_done(comparison: Comparison) -> None:
    """At the first point one trial is pending, at the second one failed."""
    assert (comparison.map("spike_contrast") == 0.5).all()
    assert (comparison.map("n_spikes") == 100).all()


def test_a_line(comparison: Comparison) -> None:
    line = comparison.line("rho", along="p", model="MFM", lam=0.8, tau_m_ms=20)
    assert line.dims == ("p",)
    np.testing.assert_array_equal(line, comparison.map("rho", model="MFM").sel(lam=0.8, tau_m_ms=20))
    assert comparison.line("spike_contrast", along="lam", p=0.1, tau_m_ms=10).dims == ("lam",)
    assert comparison.line("rho", along="p", lam=0.8, tau_m_ms=20).dims == ("model", "p")


def test_a_table(comparison: Comparison) -> None:
    table = comparison.to_dataframe()
    assert table.index.names == ["p", "lam", "tau_m_ms", "model"]
    assert len(table) == 16
    assert table["rho"].loc[0.2, 0.7, 10.0, "MFM"] == pytest.approx(
        float(comparison.map("rho", model="MFM").sel(p=0.2, lam=0.7, tau_m_ms=10)), nan_ok=True
    )
    assert {"spike_contrast", "n_compared", "rho_agrees", "mean_v_lif"} <= set(table.columns)
    assert "spectrum" not in table.columns


def test_the_summary(comparison: Comparison) -> None:
    agrees = comparison.map("rho_agrees", model="MFM").values
    lag = comparison.map("lag", model="MFM").values
    text = comparison.summary()
    compared = comparison.map("n_compared").values > 0
    mine = " ".join(text[text.index("MFM ") : text.index("The paper's six claims")].split())
    assert f"follows at {(agrees == 1).sum()} of {compared.sum()} points" in mine
    sentence = r"over all points: ρ (\S+), lag (\S+) ms, mean (?:off by )?(\S+) mV .*?, variance .*?([\d.]+)"
    numbers = re.search(sentence, mine)
    assert numbers is not None
    error = np.nanmedian(np.abs(comparison.map("mean_error", model="MFM")))
    ratio = comparison.map("log_variance_ratio", model="MFM").values
    low = np.nanmax(ratio) < 0  # then the text has the ratio, not the factor
    factor = np.exp(np.nanmedian(ratio) if low else np.nanmedian(np.abs(ratio)))
    shown = [float(n.replace("\N{MINUS SIGN}", "-")) for n in numbers.groups()]
    rho = np.nanmedian(comparison.map("rho", model="MFM"))
    assert shown == pytest.approx([rho, np.nanmedian(lag), error, factor], rel=0.05)
    assert "ρ > 0.9, significant at α = 0.01" in text


@pytest.mark.long
def test_the_report(comparison: Comparison, tmp_path: Path) -> None:
    path = comparison.report(str(tmp_path / "report.html"), at={"tau_m_ms": 20})
    assert path.read_text().startswith("<!doctype html>")
    assert comparison.report(path) == path
    with pytest.raises(UserError, match=r"give a name that ends in \.html"):
        comparison.report(tmp_path)
    with pytest.raises(UserError, match="tau_m_ms = 15 is not on the grid"):
        comparison.report(path, at={"tau_m_ms": 15})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.map("rhho"), "there is no variable 'rhho'; did you mean 'rho'"),
        (lambda c: c.map("status"), "there is no variable 'status'"),
        (lambda c: c.map("spectrum"), r"spectrum depends on frequency, too, and is no map; take it from to_xarray"),
        (lambda c: c.map("rho", model="mfm"), "there is no model 'mfm' in .*; did you mean 'MFM'"),
        (lambda c: c.map("spike_contrast", model="MFM"), "does not depend on the model"),
        (lambda c: c.line("rho", along="q"), "'q' is no axis of this sweep; "),
        (lambda c: c.line("rho", along="p", lamb=0.8), "'lamb' is no axis of this sweep; did you mean 'lam'"),
        (lambda c: c.line("rho", along="p", lam=0.8), "has an axis tau_m_ms, too; give tau_m_ms=VALUE"),
        (lambda c: c.line("rho", along="p", p=0.1, lam=0.8, tau_m_ms=10), "p is the axis of the line"),
        (lambda c: c.line("rho", along="p", lam=0.75, tau_m_ms=10), "not on the grid; choose from 0.7, 0.8"),
    ],
)
def test_a_wrong_name_is_one_sentence(comparison: Comparison, call: Callable[[Any], object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call(comparison)


def test_a_variable_that_an_older_file_lacks(comparison: Comparison) -> None:
    older = Comparison(comparison.path, comparison.to_xarray().drop_vars("mean_error"))
    with pytest.raises(UserError, match="has no mean_error: an earlier hpcmass made it"):
        older.map("mean_error")
    assert "–" in older.summary()
    assert "mean_error" not in older.to_dataframe()


def test_another_file_is_refused(compared: tuple[Path, ...]) -> None:
    with pytest.raises(UserError, match="hpcmass-sweep"):
        open_comparison(compared[0])
    with pytest.raises(UserError, match="no file"):
        open_comparison("nowhere.h5")
    with open_sweep(str(compared[0])) as sweep:
        assert sweep["mean_v"].dims[-1] == "time"
