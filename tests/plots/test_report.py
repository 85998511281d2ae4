"""The report page as text: complete, self-contained, and nothing in it that a result file could inject."""

from __future__ import annotations

import base64
import html
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

from hpcmass.config.file import parse_experiment
from hpcmass.config.reference import values_in_use
from hpcmass.plots.plane import Plane
from hpcmass.plots.regimes import regime_masks
from hpcmass.plots.regions import as_text, medians_table, regions_table
from hpcmass.plots.view import open_sweep_of, open_view
from hpcmass.report import curves, encoding, page, plane_variables, write_report
from hpcmass.report.page import report_html
from hpcmass.report.plane_variables import BOOKKEEPING
from hpcmass.store import schema
from hpcmass.store.parts import SweepParts
from hpcmass.summary import model_lines, summary_of

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


def blob(text: str, name: str) -> str:
    """The text of one of the page's script elements that hold numbers."""
    found = re.search(rf'<script type="text/plain" id="{name}">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return found[1].strip()


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


def statistics(text: str) -> dict[tuple[str, str], np.ndarray]:
    """Name and source → the page's numbers, flat."""
    data = embedded(text)
    numbers = np.frombuffer(base64.b64decode(blob(text, "numbers")), "<f8")
    size = int(np.prod([len(axis["values"]) for axis in data["axes"]]))
    pairs = [(s["name"], source) for s in data["statistics"] for source in s["sources"]]
    assert numbers.size == size * len(pairs)
    return dict(zip(pairs, numbers.reshape(-1, size), strict=True))


def test_every_plane_variable_is_in_the_page_bit_by_bit(gappy_comparison: Path):
    with open_view(gappy_comparison) as view:
        text = report_html(view)
        data, found = embedded(text), statistics(text)
        seen = set()
        for statistic in data["statistics"]:
            for source, variable in zip(statistic["sources"], statistic["variables"], strict=True):
                if variable not in view.data or not statistic["listed"]:
                    continue
                stored = view.data[variable]
                if "model" in stored.dims:
                    stored = stored.sel(model=source)
                wanted = stored.astype(float)
                if schema.COMPARED_VARIABLES[variable].fill == -1:
                    wanted = wanted.where(stored != -1)
                if "trial" in wanted.dims:
                    wanted = wanted.where(view.data["status"] == schema.DONE).mean("trial")
                own = found[statistic["name"], source]
                np.testing.assert_array_equal(own, wanted.transpose("p", "lam").values.ravel())
                seen.add(variable)
        planes = {
            name for name, v in schema.COMPARED_VARIABLES.items()
            if name in view.data and set(v.dims) <= {schema.AXES, "model", "trial"} and v.role != "bookkeeping"
            and name not in plane_variables.BOOKKEEPING
        }  # fmt: skip
        assert planes - set(BOOKKEEPING) <= seen
    assert [s["name"] for s in data["statistics"]][:2] == ["rho", "lag"]
    assert [axis["symbol"] for axis in data["axes"]] == ["p", "λ"]
    (rho,) = [s for s in data["statistics"] if s["name"] == "rho"]
    assert (rho["p"], rho["q"], rho["se"]) == ("rho_pvalue", "rho_qvalue", "rho_se_trials")
    (frequency,) = [s for s in data["statistics"] if s["name"] == "median_frequency"]
    assert frequency["sources"] == ["network", "CFM", "MFM"]
    assert frequency["variables"] == ["median_frequency_lif", "median_frequency", "median_frequency"]


def test_standard_errors_of_numbers_are_over_the_trials_that_are_done(full_report: str, full):
    found = statistics(full_report)["spike_contrast_se", "network"]
    np.testing.assert_allclose(found, full["spike_contrast"].std(axis=-1, ddof=1).ravel() / np.sqrt(2))


def lines(text: str, name: str, rows: int) -> np.ndarray:
    """16-bit curves: (point, row, sample)."""
    read = [np.frombuffer(base64.b64decode(line), "<i2") for line in blob(text, name).split("\n")]
    return np.array(read).reshape(len(read), rows, -1)


def unpacked(text: str, name: str, scales: str, rows: int) -> np.ndarray:
    whole = lines(text, name, rows).astype(float)
    pairs = np.array(embedded(text)["curves"][scales], dtype=float).reshape(whole.shape[0], rows, 2)
    return np.where(whole == encoding.MISSING, np.nan, pairs[..., :1] + pairs[..., 1:] * whole)


def test_curves_are_those_of_the_files(comparison: Make, commented_sweep: Path, full):
    """The whole stored window, in steps of half a millisecond; inputs and further trials are the sweep's."""
    with open_view(comparison()) as view, open_sweep_of(view, ()) as swept:
        assert swept is not None
        text = report_html(view, swept)
        inputs = swept.traces((6, 4), 1)
    described = embedded(text)["curves"]
    assert described["series"] == ["network", "CFM", "MFM", "phi_E", "phi_I", "phi_ext"]
    assert (described["further"], described["further_trials"]) == (["network", "phi_E", "phi_I", "phi_ext"], 1)
    assert (described["samples"], described["step"], described["start"]) == (1000, 0.5, pytest.approx(500.2))
    assert described["trials"][0] == [0, 1]
    traces = unpacked(text, "traces", "scales", 10)[6 * 9 + 4]
    means = full["example_v_lif"][6, 4].reshape(1000, 5).mean(axis=1)
    np.testing.assert_allclose(traces[0], means, atol=1e-3)
    np.testing.assert_allclose(traces[2], full["example_v"][6, 4, 1].reshape(1000, 5).mean(axis=1), atol=1e-3)
    second = inputs["phi_E"][5000:10000].reshape(1000, 5).mean(axis=1)
    np.testing.assert_allclose(traces[7], second, atol=1e-3)
    spectra = 10 ** unpacked(text, "spectra", "spectrum_scales", 4)[6 * 9 + 4]
    np.testing.assert_allclose(spectra[1:3], full["spectrum"][6, 4], rtol=1e-3)


def test_large_grids_get_coarser_curves_of_fewer_trials(comparison: Make, commented_sweep: Path, monkeypatch):
    path = comparison()
    with open_view(path) as view, open_sweep_of(view, ()) as swept:
        fine = report_html(view, swept)
        monkeypatch.setattr(curves, "MOST_BYTES", 108 * 1000 * 8 / 3)
        coarse = report_html(view, swept)
    assert len(blob(coarse, "traces")) <= 108 * 1000 * 8 / 3 * 1.01 < len(blob(fine, "traces")) / 5
    described = embedded(coarse)["curves"]
    assert described["further_trials"] == 0
    assert described["samples"] * 6 <= 1000


def test_curves_are_a_little_coarser_where_all_trials_then_fit(comparison: Make, commented_sweep: Path, monkeypatch):
    path = comparison()
    monkeypatch.setattr(curves, "BYTES_A_POINT", 10 * 1000 * 8 / 3)
    with open_view(path) as view, open_sweep_of(view, ()) as swept:
        assert embedded(report_html(view, swept))["curves"]["step"] == 0.5
        monkeypatch.setattr(curves, "BYTES_A_POINT", 8 * 1000 * 8 / 3)
        described = embedded(report_html(view, swept))["curves"]
    assert (described["step"], described["further_trials"]) == (0.7, 1)


def test_models_are_solved_again_in_further_trials(comparison: Make, commented_sweep: Path):
    """With a solver; a fitted model, which needs the other trials, is left out."""

    class Solve:
        models = ("MFM",)

        def __call__(self, point: tuple[int, ...], trial: int) -> dict[str, np.ndarray]:
            return {"MFM": np.full(15_000, 100.0 * trial + point[0])}

    with open_view(comparison()) as view, open_sweep_of(view, ()) as swept:
        text = report_html(view, swept, lambda data, experiment, sweep: Solve())
    described = embedded(text)["curves"]
    assert described["further"] == ["network", "MFM", "phi_E", "phi_I", "phi_ext"]
    traces = unpacked(text, "traces", "scales", 11)
    np.testing.assert_allclose(traces[6 * 9 + 4, 7], 106.0)


def test_spikes_that_were_kept_are_shown(tmp_path: Path):
    from hpcmass import compare_sweep
    from hpcmass.trial import simulate

    experiment = parse_experiment(
        "trials: 1\nnetwork: {n_neurons: 50, n_external: 100, duration_ms: 400.0, transient_ms: 100.0,\n"
        "  external_rate_hz: 60.0, w_ext: 0.5}\ngrid: {p: [0.2], lam: [0.8]}\ncompare: {max_lag_ms: 20.0}\n"
    )
    result = simulate(experiment, 0.2, 0.8, output=tmp_path / "one.h5", keep_spikes=True, store_spikes=True)
    compare_sweep(tmp_path / "one.h5", tmp_path / "cmp.h5")
    with open_view(tmp_path / "cmp.h5") as view, open_sweep_of(view, ()) as swept:
        raster = embedded(report_html(view, swept))["curves"]["raster"]
    time = result.recording.spike_time
    assert time is not None
    assert len(raster["time"]) == ((time >= 100) & (time <= 399.9)).sum() > 0
    assert (raster["rows"], raster["excitatory"], raster["neurons"]) == (50, 40, 50)


@pytest.mark.long
def test_the_configuration_is_shown_as_it_was_written(comparison: Make, commented_sweep: Path):
    """With its comments where the sweep is available, and the comparison's other settings are shown beside it."""
    path = comparison()
    with open_view(path) as view, open_sweep_of(view, ()) as swept:
        with_sweep, alone = report_html(view, swept), report_html(view)
    assert "# Q: the paper&#39;s" in with_sweep
    assert "in place of the sweep" not in with_sweep
    assert "# Q" not in alone
    with h5py.File(path, "r+") as file:
        file.attrs["config_yaml"] = f"{file.attrs['config_yaml']}\ncompare: {{alpha: 0.05}}\n"
    with open_view(path) as view, open_sweep_of(view, ()) as swept:
        text = report_html(view, swept)
    assert "in place of the sweep&#39;s:</p><pre><code>compare:\n  alpha: 0.05\n</code>" in text.replace("'", "&#39;")
    assert "# Q: the paper&#39;s" in text


def test_a_variable_is_read_a_few_times(gappy_comparison: Path, monkeypatch: pytest.MonkeyPatch):
    """However many points, maps and tables ask for it: on a large grid that was most of the time."""
    read: Counter[str] = Counter()
    cut = Plane.cut

    def counted(plane: Plane, data: xr.DataArray) -> xr.DataArray:
        read[str(data.name)] += 1
        return cut(plane, data)

    monkeypatch.setattr(Plane, "cut", counted)
    with open_view(gappy_comparison) as view:
        report_html(view)
    assert 1 <= read["rho"] <= 3  # for the maps, the answer, and the claims
    assert max(read.values()) <= 3, read.most_common(3)


def test_points_without_curves(comparison: Make, gappy):
    """Nothing was compared there, or the model diverged."""
    data = dict(gappy)
    data["example_v"] = gappy["example_v"].copy()
    data["example_v"][9, 5, 1] = np.nan
    with open_view(comparison(**data)) as view:
        text = report_html(view)
    assert embedded(text)["curves"]["trials"][11 * 9] == []
    assert embedded(text)["done"][11 * 9] == 0
    traces = unpacked(text, "traces", "scales", 3)
    assert np.isnan(traces[11 * 9]).all()
    assert np.isnan(traces[9 * 9 + 5, 2]).all()
    assert np.isfinite(traces[9 * 9 + 5, :2]).all()


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
    assert text.count("<script") == text.count("</script>") == 5
    assert embedded(text)["models"][0] == "</script><b>"
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
    assert row["variance, model / network"] == f"{np.median(np.exp(full['log_variance_ratio'][inside, 1])):.1f}"
    ratio = np.median(full["median_frequency"][inside, 1] / full["median_frequency_lif"][inside])
    assert row["median f, model / network"] == f"{ratio:.2f}"


def test_a_report_of_nothing(small_comparison: Make):
    with open_view(small_comparison([0.3], [0.8], blank=True)) as view:
        text = report_html(view)
    data = embedded(text)
    assert data["initial"]["point"] == [0, 0]
    assert data["curves"]["trials"] == [[]]
    assert "0 of 2 trials done" in text


def test_the_page_has_all_values_in_use(full_comparison: Path, full_report: str):
    with open_view(full_comparison) as view:
        values = values_in_use(view.experiment)
    assert html.unescape(full_report).count(values) == 1
    assert "  tau_m_ms: 20.0  # ms, default (related literature): membrane time constant\n" in values
    assert "Each number has its unit" not in full_report


def test_every_statistic_has_a_label_of_its_own(full_comparison: Path):
    with open_view(full_comparison) as view:
        variables = {v.name: v for v in plane_variables.plane_variables(view.data)}
    labels = [variable.label for variable in variables.values() if variable.listed]
    assert sorted(set(labels)) == sorted(labels)
    test = "q-value of the calibrated spectral test (p-value adjusted over the map, Benjamini-Hochberg)"
    assert variables["log_ratio_qvalue"].label == test
    assert (variables["silent"].label, variables["synchronised"].label) == ("state of the network", "synchrony")


def test_the_tests_of_an_own_statistic_have_one_name_for_network_and_models():
    single = schema.OwnStatistic("dip", "1", "bimodality", single=True, pvalue=True)
    texts = {variable.name: variable.long_name for variable in single.variables()}
    for ending in ("_pvalue", "_qvalue"):
        assert plane_variables.base_name(f"dip_lif{ending}") == f"dip{ending}"
        assert texts[f"dip_lif{ending}"].removesuffix(", network") == texts[f"dip{ending}"]
    assert texts["dip_qvalue"] == "q-value of dip (p-value adjusted over the map, Benjamini-Hochberg)"


def test_parts_of_the_page_are_installed():
    assert {p.name for p in page.PARTS.iterdir()} >= {"page.html", "page.css", "js"}
    assert {p.name for p in (page.PARTS / "js").iterdir()} == {f"{name}.js" for name in page.LIVE_SCRIPTS}


def test_the_answer_is_the_summary_s(gappy_comparison: Path):
    with open_view(gappy_comparison) as view:
        text = re.sub(r"<[^>]*>", "", report_html(view)).replace("\N{NO-BREAK SPACE}", " ")
        found = summary_of(view)
    for model in found.models:
        for sentence in model_lines(model):
            assert sentence.replace(">", "&gt;").replace("'", "&#39;") in text
    (reading,) = found.readings
    assert reading.certainty_note in text
    for claim in reading.claims:
        assert claim.verdict in text
        assert claim.numbers.replace("'", "&#39;") in text.replace("'", "&#39;")


def test_claims_are_left_out_where_there_is_no_plane(small_comparison):
    sentence = "The paper's claims are about a plane of p and λ, not about one point."
    with open_view(small_comparison([0.2], [0.6])) as view:
        assert summary_of(view).text().endswith(f"\n\n{sentence}")
        assert summary_of(view).to_dict()["readings"] == []
        text = report_html(view)
    assert sentence.replace("'", "&#39;") in text
    assert "The paper&#39;s six claims" not in text


def test_a_line_has_claims(small_comparison):
    with open_view(small_comparison([0.1, 0.2], [0.6])) as view:
        assert [reading.points for reading in summary_of(view).readings] == [2]


def test_the_sweep_completes_the_provenance(full_comparison: Path, full_report: str, sweep: Path):
    with open_view(full_comparison) as view, SweepParts([sweep]) as swept:
        assert swept.physics_sha256 in report_html(view, swept)
        assert swept.physics_sha256 not in full_report
