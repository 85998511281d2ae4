"""All figures of a comparison: which files, what they show, and what is refused."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

from figures import draw_fewer
from hpcmass.errors import UserError
from hpcmass.plots import panels, style
from hpcmass.plots.examples import traces
from hpcmass.plots.figures import all_figures
from hpcmass.plots.plane import DIVERGED, FAILED, NO_NEURONS, NOT_COMPUTED, SILENT
from hpcmass.plots.regimes import pick_regimes
from hpcmass.plots.saving import save
from hpcmass.plots.sheets import ON_REQUEST, SHEETS, _compose, sheet
from hpcmass.plots.view import open_sweep_of, open_view
from hpcmass.report import draw
from hpcmass.report.page import report_html
from hpcmass.store import schema

NAMES = ["overview", *(name for name in SHEETS if name not in ON_REQUEST), "traces", "report"]

Make = Callable[..., Path]


def png_size(path: Path) -> tuple[int, int]:
    """Width and height from a PNG's header."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">2I", head[16:24])
    return width, height


FEW = ["overview", "lag", "traces", "report"]
"""Of the figures, where not every one has to be drawn."""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer figures, of fewer pixels."""
    draw_fewer(monkeypatch, "lag")


@pytest.mark.long
def test_all_figures_are_drawn(gappy_comparison: Path, tmp_path: Path):
    """With every kind of gap; and matplotlib's global settings, which a notebook may have changed, are as they were."""
    settings = dict(mpl.rcParams)
    written = draw(gappy_comparison, tmp_path / "maps")
    assert [p.name for p in written] == [*(f"{name}.png" for name in NAMES[:-1]), "report.html"]
    assert sorted((tmp_path / "maps").iterdir()) == sorted(written)
    for path in written[:-1]:
        width, height = png_size(path)
        assert 400 < width < 4000
        assert 300 < height < 2500
    assert dict(mpl.rcParams) == settings


def test_a_single_row_is_lines(small_comparison):
    """A plot for each scale; a model has its colour; bars are standard errors."""
    path = small_comparison([0.1, 0.5, 1], [0.8])
    with h5py.File(path, "r+") as file:
        file["lag_se"][...] = 0.25
        file["lag_se"][0, 0, 1] = np.nan
        contrast = file["spike_contrast"][:, 0, :]
    with open_view(path) as view, style.house_style():
        figure = sheet(view, "correlation")
        assert figure is not None
        (axes,) = figure.axes
        curves = {str(line.get_label()): line for line in axes.get_lines() if line.get_label() in view.models}
        assert list(curves) == ["CFM", "MFM"]
        assert curves["MFM"].get_color() == view.line("MFM")["color"]
        np.testing.assert_array_equal(curves["MFM"].get_ydata(), view.model("rho", "MFM")[0])

        for name, position, expected in (
            ("lag", 1, [0, 0.25, 0.25]),
            ("synchrony", 0, contrast.std(axis=-1, ddof=1) / np.sqrt(contrast.shape[-1])),
        ):
            figure = sheet(view, name)
            assert figure is not None
            bars = figure.axes[0].containers[position]
            assert isinstance(bars, ErrorbarContainer)
            (segments,) = (each.get_segments() for each in bars.lines[2])
            np.testing.assert_allclose([(s[1, 1] - s[0, 1]) / 2 for s in segments], expected, atol=1e-9)
            assert figure.get_supxlabel().endswith("; bars: standard errors over the trials")


def test_a_comparison_with_every_kind_of_gap(gappy_comparison: Path):
    with open_view(gappy_comparison) as view:
        contrast = panels.spike_contrast(view)[0]
        reasons = {gap: {(int(r), int(c)) for r, c in np.argwhere(cells)} for gap, cells in contrast.gaps}
        assert reasons == {NOT_COMPUTED: {(0, 11)}, FAILED: {(1, 10)}, SILENT: {(0, 0), (1, 0), (2, 0)}}
        conventional, modified = panels.correlation(view)
        assert {gap for gap, _ in conventional.gaps} == {NOT_COMPUTED, FAILED}
        away = dict(modified.gaps)[DIVERGED]
        assert {(int(r), int(c)) for r, c in np.argwhere(away)} == {(r, c) for r in (4, 5, 6) for c in (9, 10)}
        assert np.argwhere(modified.crossed).tolist() == [[5, 8]]
        assert not conventional.crossed.any()
        no_neurons = dict(panels.rates(view)[1].gaps)[NO_NEURONS]
        assert no_neurons.sum() == no_neurons[-1].sum() == 12  # λ = 1 leaves no inhibitory neuron


def test_values_are_those_of_the_file(comparison: Make, full):
    """p to the right, λ upwards; per-trial numbers are averaged over the trials that are done."""
    status = full["status"].copy()
    status[4, 3, 1] = schema.PENDING
    with open_view(comparison(status=status)) as view:
        mean = full["spike_contrast"].mean(axis=-1).T
        mean[3, 4] = full["spike_contrast"][4, 3, 0]
        np.testing.assert_allclose(panels.spike_contrast(view)[0].values, mean)
        network, conventional, modified = (p.values for p in panels.median_frequencies(view))
        np.testing.assert_allclose(network, full["median_frequency_lif"].T)
        np.testing.assert_allclose(conventional, full["median_frequency"][..., 0].T)
        np.testing.assert_allclose(modified, full["median_frequency"][..., 1].T)
        np.testing.assert_allclose(panels.median_frequency_differences(view)[1].values, modified - network)
        np.testing.assert_allclose(panels.chi_squared(view)[0].values, full["chi2"][..., 0].T / 250)
        np.testing.assert_allclose(panels.lag(view)[0].values, full["lag"][..., 0].T)


def test_outlines_enclose_what_the_tests_say(full_comparison: Path, full):
    with open_view(full_comparison) as view:
        for make, test, word in ((panels.chi_squared, "chi2", "paper"), (panels.spectral_shapes, "log_ratio", "calib")):
            raw, adjusted, synchrony = make(view)[1].outlines
            np.testing.assert_array_equal(raw.inside, full[f"{test}_pvalue"][..., 1].T > 0.01)
            np.testing.assert_array_equal(adjusted.inside, full[f"{test}_qvalue"][..., 1].T > 0.01)
            np.testing.assert_array_equal(synchrony.inside, full["synchronised"].T == 1)
            assert raw.inside.any()
            assert (raw.inside != adjusted.inside).any()
            assert word in raw.text
            assert "Benjamini" in adjusted.text
        for make in (panels.correlation, panels.lag):
            raw, adjusted, _ = make(view)[0].outlines
            np.testing.assert_array_equal(raw.inside, full["rho_agrees"][..., 0].T == 1)
            np.testing.assert_array_equal(adjusted.inside, full["rho_agrees_bh"][..., 0].T == 1)
            assert "0.9" in raw.text


def test_lags_of_low_correlations_are_dimmed(full_comparison: Path, full):
    with open_view(full_comparison) as view:
        for k, panel in enumerate(panels.lag(view)):
            assert panel.dimmed is not None
            np.testing.assert_array_equal(panel.dimmed, full["rho"][..., k].T < 0.5)
            assert panel.dimmed.any()
            assert not panel.dimmed.all()


def test_most_power_at_the_lowest_frequency_is_no_peak(comparison: Make, full):
    network, models = full["peak_frequency_lif"].copy(), full["peak_frequency"].copy()
    network[3, 2], models[5, 4, 1] = 1.0, 1.0  # the lowest of the file
    with open_view(comparison(peak_frequency_lif=network, peak_frequency=models)) as view:
        own, conventional, modified = panels.peak_frequencies(view)
        assert [np.argwhere(p.dimmed).tolist() for p in (own, conventional, modified)] == [[[2, 3]], [], [[4, 5]]]
        assert own.dimmed_text == "most power at the lowest frequency, 1 Hz: no peak"


def test_the_lowest_row_of_panels_of_each_column_has_labels(small_comparison):
    """Where the last row is not full, the one above it has labels throughout."""
    with open_view(small_comparison([0.1, 0.3], [0.5, 0.8])) as view:
        panel = panels.spike_contrast(view)[0]
        for count, labelled in ((5, [True] * 5), (6, [False] * 3 + [True] * 3)):
            figure = _compose(view, "", [panel] * count, columns=3)
            assert [bool(axes.get_xlabel()) for axes in figure.axes[:count]] == labelled


@pytest.mark.long
def test_a_file_of_an_older_format_shows_what_it_has(comparison: Make, full):
    """Sheets of statistics that it lacks are left out, and the edge of synchrony comes from Spike-contrast."""
    path = comparison()
    with h5py.File(path, "r+") as file:
        for name in ("coherence_mean", "mean_error", "log_variance_ratio", "peak_frequency", "peak_frequency_lif",
                     "synchronised", "chi2_qvalue", "rho_agrees_bh", "spectral_distance"):  # fmt: skip
            del file[name]
    missing = {"coherence", "mean_error", "variance_error", "peak_frequency"}
    with open_view(path) as view:
        assert [name for name, _ in all_figures(view)] == [name for name in NAMES[:-1] if name not in missing]
        np.testing.assert_array_equal(view.synchronised, full["spike_contrast"].mean(axis=-1).T >= 0.2)
        assert len(panels.chi_squared(view)[0].outlines) == 2


def test_regimes_are_picked_by_their_criteria(comparison: Make, full):
    """Planted examples are found; silent ones and p = 0 never compete."""
    contrast, frequency = full["spike_contrast"].copy(), full["median_frequency_lif"].copy()
    rates = full["rate_E"].copy()
    contrast[0, 4] = 0.0  # p = 0
    contrast[2, 1] = 0.001
    contrast[3, 2], rates[3, 2] = 0.0001, 0.1  # too quiet
    contrast[6, 5], frequency[6, 5] = 0.999, 25.0
    contrast[7, 6], frequency[7, 6] = 0.998, 81.0
    changed = {"spike_contrast": contrast, "median_frequency_lif": frequency, "rate_E": rates}
    with open_view(comparison(**changed)) as view:
        slow, synchronous, fast = pick_regimes(view)
        assert (slow.point, synchronous.point, fast.point) == ((1, 2), (5, 6), (6, 7))
        assert slow.name == "de-synchronised"


def test_synchrony_is_shown_at_synchronised_points_only(comparison: Make, full):
    """The fastest point of the plane is not synchronised, and a slow one below 10 Hz is."""
    synchronised, frequency = np.zeros_like(full["synchronised"]), np.full_like(full["median_frequency_lif"], 120.0)
    synchronised[6, 5], frequency[6, 5] = 1, 8.0
    changed = {"synchronised": synchronised, "median_frequency_lif": frequency}
    with open_view(comparison(**changed)) as view:
        _, slow, fast = pick_regimes(view)
        assert (slow.point, fast.point) == ((5, 6), None)
        figure = traces(view)
        assert figure is not None
        assert "median f 8.0 Hz" in figure.axes[1].get_title()
        assert "fast synchrony: greatest Spike-contrast where synchronised, above 80 Hz" in figure.get_supxlabel()


def test_where_all_are_synchronised_none_is_called_otherwise(comparison: Make, full):
    path = comparison(synchronised=np.ones_like(full["synchronised"]))
    with open_view(path) as view:
        assert pick_regimes(view)[0].name == "least synchronised"


def test_a_regime_that_does_not_occur_is_marked_as_missing(comparison: Make, full):
    path = comparison(median_frequency_lif=np.full_like(full["median_frequency_lif"], 20.0))
    with open_view(path) as view:
        assert pick_regimes(view)[2].point is None
        figure = traces(view)
        assert figure is not None
        assert any("no point qualifies" in text.get_text() for text in figure.axes[2].texts)


@pytest.mark.long
@pytest.mark.usefixtures("few")
def test_no_traces_without_examples(comparison: Make, full):
    with open_view(comparison(example_v_lif=np.full_like(full["example_v_lif"], np.nan))) as view:
        assert [name for name, _ in all_figures(view)] == FEW[:-2]


@pytest.mark.long
def test_sides_of_a_map_say_what_a_parameter_is(small_comparison):
    path = small_comparison([0.1, 0.3], [0.5, 0.8], further="w_I: [0.001, 0.002]")
    with open_view(path, ("w_I", "lam")) as view:
        assert view.plane.right_label == "jump of the conductance at an\ninhibitory spike, w_I"
        page = report_html(view)
        assert '"label":"jump of the conductance at an inhibitory spike, w_I"' in page
    path.unlink()
    path = small_comparison([0.1, 0.3], [0.5, 0.8], further="external_rate_hz: [4, 5]")
    with open_view(path, ("external_rate_hz", "lam")) as view:
        assert " ".join(view.plane.right_label.split()) == "firing rate of each external unit, external_rate_hz (Hz)"
        assert view.plane.up_label == "excitatory fraction λ"


def test_the_sweep_is_found_where_it_was(comparison: Make, sweep: Path, other_sweep: Path):
    with open_view(comparison()) as view:
        beside = view.path.with_name("swept.h5")
        for source, found in ((None, False), (other_sweep, False), (sweep, True)):
            if source is not None:
                shutil.copy(source, beside)
            with open_sweep_of(view, ()) as recorded:
                assert (recorded is not None) == found


@pytest.mark.usefixtures("few")
def test_another_sweep_is_refused(comparison: Make, other_sweep: Path, tmp_path: Path):
    with pytest.raises(UserError, match="is not the sweep that was compared"):
        draw(comparison(), tmp_path / "maps", sweep_paths=[other_sweep])


@pytest.mark.parametrize(
    ("p", "lam", "blank"),
    [([0.3], [0.5, 0.8, 1.0], False), ([0, 0.3, 1], [0.8], False), ([0.3], [0.5, 0.8], True)],
)
@pytest.mark.long
@pytest.mark.usefixtures("few")
def test_single_rows_and_columns(small_comparison, p, lam, blank, tmp_path: Path):
    path = small_comparison(p, lam, blank=blank)
    assert len(draw(path, tmp_path / "maps")) == len(FEW) - blank


def test_one_point_has_traces_and_no_maps(small_comparison, tmp_path: Path):
    path = small_comparison([0.3], [0.8])
    assert [file.name for file in draw(path, tmp_path / "maps")] == ["traces.png", "report.html"]
    (asked,) = draw(path, tmp_path / "asked", maps=["lag"])
    assert asked.name == "lag.png"
    with open_view(path) as view:
        figure = traces(view)
        assert figure is not None
        assert len(figure.axes) == 2  # potentials and spectra, once
        assert figure.axes[0].get_title().startswith("p = 0.3, λ = 0.8\nmedian f ")


def test_one_point_without_results_has_the_page_alone(small_comparison, tmp_path: Path):
    path = small_comparison([0.3], [0.8], blank=True)
    assert [file.name for file in draw(path, tmp_path / "maps")] == ["report.html"]


def test_further_axes_are_fixed_and_named(small_comparison):
    path = small_comparison([0.1, 0.3], [0.5, 0.8, 1.0], further="n_neurons: [1000, 5000]")
    with h5py.File(path) as file:
        lag = file["lag"][()]
    with open_view(path) as view:
        assert view.plane.shape == (3, 2)
        assert view.plane.coordinate("lam").tolist() == [[0.5, 0.5], [0.8, 0.8], [1.0, 1.0]]
        assert view.plane.coordinate("p").tolist() == [[0.1, 0.3]] * 3
        assert "n_neurons = 1000" in view.caption()
        np.testing.assert_allclose(panels.lag(view)[0].values, lag[:, :, 0, 0].T)
    with open_view(path, fixed={"n_neurons": 5000}) as view:
        assert "n_neurons = 5000" in view.caption()
        np.testing.assert_allclose(panels.lag(view)[0].values, lag[:, :, 1, 0].T)


@pytest.mark.long
def test_any_two_axes_can_be_shown(small_comparison):
    path = small_comparison([0.1, 0.3], [0.5, 0.8, 1.0], further="w_I: [0.001, 0.002, 0.003, 0.004]")
    with h5py.File(path) as file:
        lag = file["lag"][()]
    with open_view(path, ("lam", "w_I"), {"p": 0.3}) as view:
        assert view.plane.shape == (4, 3)
        np.testing.assert_allclose(panels.lag(view)[1].values, lag[1, :, :, 1].T)
        assert view.plane.coordinate("p").tolist() == [[0.3] * 3] * 4
        assert view.plane.coordinate("lam")[2].tolist() == [0.5, 0.8, 1.0]
        assert view.plane.where(1, 2) == "λ = 1, w_I = 0.002"
    for axes, fixed, message in (
        (("lam", "tau"), {}, "'tau' is not an axis of this sweep; it has p, lam, w_I"),
        (("lam", "lam"), {}, "two different axes"),
        (("lam", "w_I"), {"lam": 0.5}, "shown along a side"),
        (None, {"w_I": 0.0015}, "w_I = 0.0015 is not on the grid; choose from 0.001, 0.002, 0.003, 0.004"),
    ):
        with pytest.raises(UserError, match=message), open_view(path, axes, fixed):
            pass


def test_axes_of_one_value_are_not_shown_where_others_vary(small_comparison):
    with open_view(small_comparison([0.1], [0.5, 1.0], further="w_I: [0.001, 0.002]")) as view:
        assert (view.plane.right, view.plane.up) == ("lam", "w_I")
        assert view.plane.fixed_values == {"p": 0.1}


# Refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.usefixtures("few")
def test_figures_are_replaced_by_force_only(small_comparison, tmp_path: Path):
    path, maps = small_comparison([0.1, 0.3], [0.5, 0.8]), tmp_path / "maps"
    maps.mkdir()
    (maps / "lag.png").write_text("mine")
    (maps / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"lag\.png exists.*--force"):
        draw(path, maps)
    assert [p.name for p in sorted(maps.iterdir())] == ["lag.png", "notes.txt"]
    draw(path, maps, force=True)
    assert png_size(maps / "lag.png")[0] > 100
    assert (maps / "notes.txt").read_text() == "mine"


@pytest.mark.usefixtures("few")
def test_refused_paths(comparison: Make, sweep: Path, tmp_path: Path):
    path = comparison()
    with pytest.raises(UserError, match="does not exist; create it first"):
        draw(path, tmp_path / "none" / "maps")
    with pytest.raises(UserError, match="it is a file; give a directory"):
        draw(path, path)
    with pytest.raises(UserError, match="there is no file"):
        draw(tmp_path / "none.h5", tmp_path / "maps")
    with pytest.raises(UserError, match="is a sweep, which has no statistics yet"):
        draw(sweep, tmp_path / "maps", force=True)
    damaged = shutil.copyfile(sweep, tmp_path / "damaged.h5")
    with h5py.File(damaged, "r+", locking=False) as file:
        del file["status"]
    with pytest.raises(UserError, match="is a file of type 'hpcmass-sweep'"):
        draw(damaged, tmp_path / "maps")
    assert not (tmp_path / "maps").exists()  # what cannot be drawn leaves no directory behind


@pytest.mark.long
def test_every_format_and_no_other(small_comparison, tmp_path: Path):
    path = small_comparison([0.1, 0.3], [0.5, 0.8])
    with pytest.raises(UserError, match="unknown figure format 'gif'; choose from png, svg, pdf"):
        draw(path, tmp_path / "maps", formats=("png", "gif"))
    with open_view(path) as view, style.house_style():
        for kind, start in (("svg", b"<?xml"), ("pdf", b"%PDF")):
            first, again = (save(sheet(view, "lag"), tmp_path / f"{n}.{kind}").read_bytes() for n in ("lag", "again"))
            assert first.startswith(start)
            assert again == first  # no dates, no random names
        text = (tmp_path / "lag.svg").read_text()
        assert text.count("<image") <= 4  # cells and colour bars; lines and text stay vectors
        with pytest.raises(UserError, match=r"figures end in \.png, \.svg, \.pdf"):
            save(sheet(view, "lag"), tmp_path / "lag.gif")


@pytest.mark.parametrize("name", ["chi2", "lag", "example_v", "median_frequency"])
def test_a_file_without_a_variable_that_every_comparison_has_is_refused(comparison: Make, name: str):
    path = comparison()
    with h5py.File(path, "r+") as file:
        del file[name]
    with (
        pytest.raises(UserError, match=f"lacks {name}, which every map needs; compare the sweep again"),
        open_view(path),
    ):
        pass
