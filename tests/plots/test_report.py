"""The report page as text: complete, self-contained, and nothing in it that a result file could inject."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from hpcmass.plots import panels
from hpcmass.plots.lines import window_ms
from hpcmass.plots.plane import Plane
from hpcmass.plots.regimes import regime_masks
from hpcmass.plots.regions import as_text, medians_table, regions_table
from hpcmass.plots.view import open_sweep_of, open_view
from hpcmass.report import page, payload, write_report
from hpcmass.report.page import report_html
from hpcmass.store import schema
from hpcmass.store.parts import SweepParts

Make = Callable[..., Path]
VOID = {"meta", "link", "br", "input"}


class Page(HTMLParser):
    """Elements, texts and whether every one is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def embedded(text: str) -> dict[str, Any]:
    """The page's data."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1], parse_constant=pytest.fail)  # NaN is no JSON


def unpacked(packed: dict[str, Any]) -> np.ndarray:
    whole = np.frombuffer(base64.b64decode(packed["data"]), "<i2")
    return np.where(whole == payload.MISSING, np.nan, packed["offset"] + packed["scale"] * whole.astype(float))


@pytest.fixture(scope="module")
def full_report(full_comparison: Path) -> str:
    """Its page."""
    with open_view(full_comparison) as view:
        return report_html(view)


def test_the_page_stands_alone(full_comparison: Path, tmp_path: Path):
    """Well-formed, one root, unique ids, and no address of anything outside."""
    with open_view(full_comparison) as view:
        path = write_report(view, None, tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    parsed = Page(text)
    assert parsed.open == []
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in parsed.elements:
        for name in ("src", "href", "xlink:href", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)
            if value is not None and value.startswith("#"):
                assert value[1:] in ids
    outside = re.sub(r'"http://www\.w3\.org/2000/svg"', "", text.replace(view.experiment.text, ""))
    assert not re.search(r"(https?:)?//[a-z]+\.[a-z]", re.sub(r"<pre>.*</pre>", "", outside, flags=re.DOTALL))
    assert "default-src 'none'" in text
    assert "$" not in re.sub(r"<script>.*</script>", "", text, flags=re.DOTALL)  # no place left unfilled


def test_every_map_has_its_cells_values_and_notes(gappy_comparison: Path, gappy):
    with open_view(gappy_comparison) as view:
        text = report_html(view)
        made = {"lag-1": panels.lag(view)[1], "synchrony-0": panels.spike_contrast(view)[0]}
    data = embedded(text)
    keys = re.findall(r'data-map="([^"]+)"', text)
    assert sorted(keys) == sorted(data["maps"])
    assert text.count("<rect data-i=") == 108 * len(keys)
    assert (len(data["up"]["values"]), len(data["right"]["values"])) == (9, 12)
    for key, panel in made.items():
        values = np.array([np.nan if v is None else v for v in data["maps"][key]["values"]])
        np.testing.assert_allclose(values, panel.values.ravel(), rtol=1e-4)
        assert np.isnan(values).any()
        for text_, inside in data["maps"][key]["notes"]:
            assert len(inside) == 108
            assert text_
    lag = data["maps"]["lag-1"]
    assert lag["gaps"][5 * 12 + 9] == "model diverged in every trial"
    notes = dict(lag["notes"])
    agreed = next(inside for text_, inside in notes.items() if text_.startswith("ρ > 0.9"))
    assert agreed == "".join(str(int(v == 1)) for v in gappy["rho_agrees"][..., 1].T.ravel())


def test_curves_are_those_of_the_file(full_report: str, full):
    data = embedded(full_report)
    assert [s["name"] for s in data["series"]] == ["LIF", "CFM", "MFM"]
    np.testing.assert_allclose(data["frequency"], np.arange(1.0, 500.0, 2.0))
    row, column = 4, 6
    point = data["points"][row * 12 + column]
    np.testing.assert_allclose(10 ** unpacked(point["spectra"][2]), full["spectrum"][column, row, 1], rtol=1e-3)
    v = full["example_v_lif"][column, row]
    shown = min(v.size, int(window_ms(full["median_frequency_lif"][column, row], np.inf) / 0.1) + 1)
    width = round(point["step"] / 0.1)
    v = v[:shown][: shown // width * width].reshape(-1, width).mean(axis=1)
    trace = point["traces"][0]
    np.testing.assert_allclose(trace["mean"] + trace["sd"] * unpacked(trace), v, atol=0.01)
    assert point["start"] == 500.0
    assert v.size <= payload.SAMPLES * 1.5


def test_curves_say_what_the_tables_do(comparison: Make, full):
    """Mean and standard deviation of all trials, in the digits of the figure, whatever is shown."""
    known = {"mean_v_lif": np.full(full["chi2"].shape[:2], -61.234), "sd_v_lif": np.full(full["chi2"].shape[:2], 1.456)}
    with open_view(comparison(**known)) as view:
        (point, *_) = embedded(report_html(view))["points"]
    assert [trace["text"] for trace in point["traces"]] == ["LIF: \N{MINUS SIGN}61.23 ± 1.46 mV", "CFM", "MFM"]


@pytest.mark.long
def test_the_configuration_is_shown_as_it_was_written(comparison: Make, commented_sweep: Path):
    """With its comments where the sweep is available, and the comparison's other settings are shown beside it."""
    path = comparison()
    with open_view(path) as view, open_sweep_of(view, ()) as swept:
        with_sweep, alone = report_html(view, swept), report_html(view)
    assert "# Q: the paper&#39;s" in with_sweep
    assert "in place of the sweep" not in with_sweep
    assert "# Q" not in alone
    assert '<a href="#configuration">Configuration</a>.</p>' in alone
    with h5py.File(path, "r+") as file:
        file.attrs["config_yaml"] = f"{file.attrs['config_yaml']}\ncompare: {{alpha: 0.05}}\n"
    with open_view(path) as view, open_sweep_of(view, ()) as swept:
        text = report_html(view, swept)
    assert "in place of the sweep&#39;s:</p><pre><code>compare:\n  alpha: 0.05\n</code>" in text.replace("'", "&#39;")
    assert "# Q: the paper&#39;s" in text


def test_large_grids_get_coarser_curves(full_comparison: Path, full_report: str, monkeypatch: pytest.MonkeyPatch):
    size = len(full_report)
    with open_view(full_comparison) as view:
        curves = 108 * 3 * (payload.SAMPLES + 250) * 8 / 3
        monkeypatch.setattr(payload, "LARGEST_BYTES", curves / 4)
        smaller = report_html(view)
    assert len(smaller) < size - 0.6 * curves
    data = embedded(smaller)
    assert len(unpacked(data["points"][50]["spectra"][0])) == len(data["frequency"]) == 62


def test_a_variable_is_read_once_or_twice(gappy_comparison: Path, monkeypatch: pytest.MonkeyPatch):
    """However many points, maps and tables ask for it: on a large grid that was most of the time."""
    read: Counter[str] = Counter()
    cut = Plane.cut

    def counted(plane: Plane, data: xr.DataArray) -> xr.DataArray:
        read[str(data.name)] += 1
        return cut(plane, data)

    monkeypatch.setattr(Plane, "cut", counted)
    with open_view(gappy_comparison) as view:
        report_html(view)
    assert read["rho"] == read["mean_v_lif"] == 1
    assert max(read.values()) == 2, read.most_common(3)


def test_points_without_examples_and_models_that_ran_away(comparison: Make, gappy):
    data = dict(gappy)
    data["example_v"] = gappy["example_v"].copy()
    data["example_v"][9, 5, 1] = np.nan
    data["example_v_lif"] = gappy["example_v_lif"].copy()
    data["example_v_lif"][11, 0] = np.nan
    with open_view(comparison(**data)) as view:
        points = embedded(report_html(view))["points"]
    assert points[11] is None
    assert points[5 * 12 + 9]["traces"][2] == {"mean": None, "sd": None, "data": "", "text": "MFM: diverged"}


def test_contents_of_a_file_are_text_and_never_markup(comparison: Make, sweep: Path, tmp_path: Path, full):
    status = full["status"].copy()
    status[3, 2, 1] = schema.FAILED
    path = comparison(status=status)
    hostile = "</script><script>alert(1)</script><img src=x> & $style"
    with h5py.File(path, "r+") as file:
        file.attrs["history"] = hostile
        file["model"][0] = "</script><b>"
        file.attrs["config_yaml"] = f"title: '{hostile}'\n{file.attrs['config_yaml']}"
    copy = tmp_path / "swept.h5"
    copy.write_bytes(sweep.read_bytes())
    with h5py.File(copy, "r+") as file:
        file["status"][3, 2, 1] = schema.FAILED
        file["error"][3, 2, 1] = np.frombuffer(b"mean_v left [-200, 100] mV <b>".ljust(240, b"\0"), "S1")
    with open_view(path) as view, open_sweep_of(view, [copy]) as swept:
        text = report_html(view, swept)
    assert hostile not in text
    assert "alert(1)" in text  # as text
    assert text.count("<script") == text.count("</script>") == 2
    assert embedded(text)["series"][1]["name"] == "</script><b>"
    assert Page(text).open == []
    assert "mean_v left [-200, 100] mV &lt;b&gt;" in text
    assert "215 of 216 trials done, 1 failed" in text
    row = re.search(r"<tr>(?:(?!</tr>).)*mean_v left.*?</tr>", text)
    assert row is not None
    assert re.findall(r"<td[^>]*>([^<]*)</td>", row[0])[:3] == ["0.05", "0.7", "1"]


def test_failures_without_the_sweep_say_so(gappy_comparison: Path):
    with open_view(gappy_comparison) as view:
        text = report_html(view)
    assert "212 of 216 trials done, 2 failed, 2 not computed yet" in text
    assert "was not available" in text
    assert "MFM diverged in 13 trials" in text


def test_regimes_part_the_spiking_points(full_comparison: Path, gappy_comparison: Path, full):
    with open_view(gappy_comparison) as view:
        masks = list(regime_masks(view).values())
        np.testing.assert_array_equal(np.sum(masks, axis=0), view.spiking)
    with open_view(full_comparison) as view:
        table = regions_table(view)
        texts = as_text(table).set_index(table.index)
    inside = (full["synchronised"] == 1) & (full["median_frequency_lif"] > 80)
    row = texts.loc[("network", "synchronised, above 80 Hz")]
    assert row["points"] == str(inside.sum())
    assert row["synchronised (%)"] == "100"
    assert row["share (%)"] == f"{100 * inside.mean():.0f}"
    frequency = full["median_frequency_lif"][inside]
    np.testing.assert_allclose(table.loc[row.name, "median f (Hz)"], (frequency.min(), frequency.max()))
    agrees = (full["rho_agrees"][..., 1] == 1).sum()
    assert next(r["points"] for (who, what), r in table.iterrows() if who == "MFM" and what.startswith("ρ")) == agrees


def test_medians_by_regime(full_comparison: Path, full):
    with open_view(full_comparison) as view:
        table = medians_table(view)
    inside = (full["synchronised"] == 1) & (full["median_frequency_lif"] > 80)
    row = as_text(table).set_index(table.index).loc[("synchronised, above 80 Hz", "MFM")]
    assert row["ρ"] == f"{np.median(full['rho'][inside, 1]):.2f}"
    assert row["agrees (%)"] == f"{100 * np.mean(full['rho_agrees'][inside, 1] == 1):.0f}"
    assert row["χ²/dof"] == f"{np.median(full['chi2'][inside, 1] / 250):.2f}"
    assert row["variance, model / LIF"] == f"{np.median(np.exp(full['log_variance_ratio'][inside, 1])):.1f}"
    ratio = np.median(full["median_frequency"][inside, 1] / full["median_frequency_lif"][inside])
    assert row["median f, model / LIF"] == f"{ratio:.2f}"


def test_a_report_of_nothing(small_comparison: Make):
    with open_view(small_comparison([0.3], [0.8], blank=True)) as view:
        text = report_html(view)
    data = embedded(text)
    assert data["first"] is None
    assert data["points"] == [None]
    assert "0 of 2 trials done" in text


def test_parts_of_the_page_are_installed():
    assert {p.name for p in page.PARTS.iterdir()} >= {"page.html", "page.css", "page.js"}


def test_the_sweep_completes_the_provenance(full_comparison: Path, full_report: str, sweep: Path):
    with open_view(full_comparison) as view, SweepParts([sweep]) as swept:
        assert swept.physics_sha256 in report_html(view, swept)
        assert swept.physics_sha256 not in full_report
