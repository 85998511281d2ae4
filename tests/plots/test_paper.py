"""`hpcmass figure` and `Comparison.figure`: what is drawn, how wide, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from command_line import refused
from hpcmass import open_comparison
from hpcmass.cli import main
from hpcmass.errors import UserError
from hpcmass.plots import maps, paper
from hpcmass.plots.examples import traces
from hpcmass.plots.requested import limited, requested, statistics_of
from hpcmass.plots.style import chosen_style
from hpcmass.plots.view import open_view

Make = Callable[..., Path]


def test_panels_are_those_asked_in_their_order(full_comparison: Path, full):
    with open_view(full_comparison) as view:
        names = ["rho:MFM", "lag:CFM", "rho:CFM", "spike_contrast", "median_frequency:network", "mean_v_lif"]
        shown = requested(view, names)
        assert [each.panel.title for each in shown] == ["MFM", "CFM", "CFM", "network", "network", "network"]
        np.testing.assert_array_equal(shown[0].panel.values, full["rho"][..., 1].T)
        np.testing.assert_array_equal(shown[1].panel.values, full["lag"][..., 0].T)
        np.testing.assert_array_equal(shown[2].panel.values, full["rho"][..., 0].T)
        np.testing.assert_array_equal(shown[4].panel.values, full["median_frequency_lif"].T)
        assert shown[0].panel.scale is shown[2].panel.scale
        assert [each.source for each in requested(view, ["median_frequency"])] == ["network", "CFM", "MFM"]


@pytest.mark.long
def test_every_statistic_has_a_map(full_comparison: Path):
    with open_view(full_comparison) as view:
        for name in statistics_of(view):
            for each in requested(view, [name]):
                assert each.panel.values.shape == view.plane.shape, name


def test_a_map_of_rates_says_of_which_neurons(full_comparison: Path):
    with open_view(full_comparison) as view:
        labels = [each.panel.scale.label for each in requested(view, ["rate_E", "rate_I"])]
    assert labels == [f"rate of {kind} neurons (Hz), square-root scale" for kind in ("excitatory", "inhibitory")]


def test_lines_have_room(full_comparison: Path):
    """Short labels on one line, three ticks or more, and panels that take most of the width."""
    names = ["rho", "log_ratio_pvalue", "lag"]
    with open_view(full_comparison) as view, chosen_style():
        figure = paper.paper_figure(view, names, width_mm=180, along={"p": 0.4})
        FigureCanvasAgg(figure).draw()
        assert [axes.get_ylabel() for axes in figure.axes] == ["ρ", "log_ratio_pvalue", "lag (ms)"]
        assert {axes.get_xlabel() for axes in figure.axes} == {"excitatory fraction λ"}
        for axes in figure.axes:
            low, high = axes.get_ylim()
            assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 3
            box = axes.get_window_extent()
            assert box.width > figure.get_figwidth() * figure.dpi / 3 * 0.6
            assert box.height > 0.75 * box.width


@pytest.mark.parametrize(("low", "high"), [(-0.79, 0.39), (-0.701, 0.249), (0.1, 0.99)])
def test_three_ticks_or_more(full_comparison: Path, low: float, high: float):
    limits = {"rho": (low, high)}
    with open_view(full_comparison) as view, chosen_style():
        figure = paper.paper_figure(view, ["rho"], width_mm=45, along={"p": 0.4}, limits=limits)
        FigureCanvasAgg(figure).draw()
        assert sum(low <= tick <= high for tick in figure.axes[0].get_yticks()) >= 3


def test_scales_are_those_of_the_models_shown(full_comparison: Path, full):
    with open_view(full_comparison) as view:
        alone = requested(view, ["chi2:CFM"])[0].panel.scale
        assert alone.norm.vmax == pytest.approx(full["chi2"][..., 0].max() / 250)


def test_colour_limits(full_comparison: Path):
    with open_view(full_comparison) as view:
        shown = requested(view, ["rho:MFM", "lag:MFM", "chi2:MFM"], {"rho": (0.5, 0.9), "chi2": (0.1, 100)})
        assert (shown[0].panel.scale.norm.vmin, shown[0].panel.scale.norm.vmax) == (0.5, 0.9)
        assert shown[0].panel.scale.extend == "both"
        assert isinstance(shown[2].panel.scale.norm, LogNorm)
        signed = shown[1].panel.scale
        assert limited(signed, "lag", 0, 5, [shown[1].panel.values]).colours == "viridis"
        for limits, message in (
            ({"rho": (1, 0.5)}, "give a lower and an upper one"),
            ({"chi2": (0, 1)}, "its scale is logarithmic; begin above 0"),
            ({"lag": (-1, 5)}, "give lag=-5:5"),
            ({"rate_E": (0, 5)}, "colour limits for rate_E, which is not drawn"),
        ):
            with pytest.raises(UserError, match=message):
                requested(view, ["rho:MFM", "lag:MFM", "chi2:MFM"], limits)


def test_standard_errors(comparison: Make, full):
    """That of ρ is of Fisher's z; that of χ² per degree of freedom; of numbers of trials, over the trials."""
    z_error, chi2_error = np.full(full["rho"].shape, 0.1), np.full(full["rho"].shape, 25.0)
    with open_view(comparison(rho_se_trials=z_error, chi2_se=chi2_error)) as view:
        rho, chi2, rate, frequency = requested(view, ["rho:MFM", "chi2:MFM", "rate_E", "median_frequency:MFM"])
        np.testing.assert_allclose(np.arctanh(rho.high) - np.arctanh(rho.panel.values), 0.1)
        np.testing.assert_allclose(chi2.panel.values - chi2.low, 25 / 250)
        trials = full["rate_E"]
        np.testing.assert_allclose(rate.high - rate.panel.values, trials.std(axis=-1, ddof=1).T / np.sqrt(2), atol=1e-9)
        assert np.isnan(frequency.low).all()


@pytest.mark.long
@pytest.mark.parametrize("width_mm", [85, 180])
def test_nothing_leaves_the_figure(full_comparison: Path, width_mm: float):
    with open_view(full_comparison) as view, chosen_style():
        names = ["rho:MFM", "rho:CFM", "chi2:CFM", "lag:MFM", "median_frequency:network"]
        figure = paper.paper_figure(view, names, width_mm=width_mm, letters=True)
        FigureCanvasAgg(figure).draw()
        assert figure.get_figwidth() == pytest.approx(width_mm / 25.4)
        assert [axes.get_title(loc="left") for axes in figure.axes[:5]] == list("abcde")
        whole = figure.bbox
        for axes in figure.axes:
            box = axes.get_tightbbox()
            assert box is not None
            assert box.x0 >= whole.x0 - 1
            assert box.x1 <= whole.x1 + 1
            assert box.y0 >= whole.y0 - 1
            assert box.y1 <= whole.y1 + 1


@pytest.mark.long
def test_long_labels_stay_beside_their_panel(small_comparison: Make):
    """Whatever the size of the panels; a width without room for them is refused."""
    path = small_comparison([0.1, 0.5, 1], [0.8], "external_rate_hz: [3, 5, 8]")
    with open_view(path, ("p", "external_rate_hz")) as view, chosen_style():
        figure = paper.paper_figure(view, ["rho", "lag"], width_mm=120, columns=2)
        FigureCanvasAgg(figure).draw()
        for axes in figure.axes:
            for label, side in ((axes.xaxis.label, "width"), (axes.yaxis.label, "height")):
                box, panel = label.get_window_extent(), axes.get_window_extent()
                assert getattr(box, side) <= 1.25 * getattr(panel, side), label.get_text()
        with pytest.raises(UserError, match="no room for the panels in 60 mm"):
            paper.paper_figure(view, ["rho", "lag"], width_mm=60, columns=4)


def test_a_single_row_is_a_line(small_comparison: Make):
    """Without `along`, in a figure and in axes of the user."""
    with open_view(small_comparison([0.1, 0.5, 1], [0.8])) as view, chosen_style():
        (axes,) = paper.paper_figure(view, ["rho"], width_mm=85).axes
        assert [list(line.get_xdata()) for line in axes.get_lines()[:1]] == [[0.1, 0.5, 1]]
        assert axes.get_title() == "λ = 0.8"
        own = Figure().subplots()
        paper.draw_into([own], view, ["rho"])
        assert own.get_title() == "λ = 0.8"


def test_a_model_has_one_colour(full_comparison: Path):
    """Whatever models are shown, in whatever order."""
    with open_view(full_comparison) as view:
        colour = view.line("MFM")["color"]
        shown = view.of_models(["MFM", "CFM"])
        assert shown.line("MFM")["color"] == shown.of_models(["MFM"]).line("MFM")["color"] == colour
        figure = traces(shown)
        assert figure is not None
        legend = figure.axes[0].get_legend()
        assert legend is not None
        pairs = zip(legend.get_texts(), legend.get_lines(), strict=True)
        colours = {text.get_text()[:3]: line.get_color() for text, line in pairs}
        assert colours["MFM"] == colour
        assert colours["CFM"] == view.line("CFM")["color"]


def test_lines_replace_maps(full_comparison: Path, full):
    """One panel for each statistic, a curve for the network and each model."""
    with open_view(full_comparison) as view, chosen_style():
        figure = paper.paper_figure(view, ["rho:MFM", "median_frequency", "rho:CFM"], width_mm=180, along={"p": 0.2})
        assert len(figure.axes) == 2
        (first, second) = (axes.get_lines() for axes in figure.axes)
        curves = {str(line.get_label()): line for line in first if not str(line.get_label()).startswith("_")}
        assert list(curves) == ["MFM", "CFM"]
        np.testing.assert_array_equal(curves["MFM"].get_xdata(), view.plane.up_values)
        np.testing.assert_array_equal(curves["MFM"].get_ydata(), full["rho"][6, :, 1])
        assert "network" in {str(line.get_label()) for line in second}
        assert figure.axes[1].get_yscale() == "log"
        for along, message in (
            ({"w_I": 1.0}, "lines run along one value of p or of lam"),
            ({"p": 0.21}, "p = 0.21 is not on the grid"),
        ):
            with pytest.raises(UserError, match=message):
                paper.paper_figure(view, ["rho"], width_mm=180, along=along)


def test_axes_of_the_user_are_drawn_into(full_comparison: Path):
    settings = dict(mpl.rcParams)
    with open_comparison(full_comparison) as comparison:
        figure = Figure(layout="constrained")
        left, right = figure.subplots(1, 2)
        assert comparison.figure(["rho:MFM", "lag:CFM"], ax=(left, right), letters=True) is figure
        assert (left.get_title(), left.get_title(loc="left"), right.get_title(loc="left")) == ("MFM", "a", "b")
        assert len(figure.axes) == 4  # with colour bars
        with pytest.raises(UserError, match="2 panels for 1 axes"):
            comparison.figure("rho", ax=left)
        whole = comparison.figure("rho:MFM", width_mm=90)
        assert whole.get_figwidth() == pytest.approx(90 / 25.4)
    assert dict(mpl.rcParams) == settings


def test_text_stays_text(full_comparison: Path, tmp_path: Path):
    """In a file that the command writes, and in one that a notebook writes whatever its settings are."""
    arguments = [str(full_comparison), "--panels", "rho:MFM", "--width", "8.5cm"]
    assert main(["figure", *arguments, "-o", str(tmp_path / "one.svg")]) == 0
    with open_comparison(full_comparison) as comparison, mpl.rc_context({"svg.fonttype": "path"}):
        comparison.figure("rho:MFM", width_mm=85, style="user").savefig(tmp_path / "two.svg")
    for name in ("one.svg", "two.svg"):
        assert ">connection probability" in (tmp_path / name).read_text()
    assert main(["figure", *arguments, "-o", str(tmp_path / "one.pdf")]) == 0
    content = (tmp_path / "one.pdf").read_bytes()
    assert b"/FontFile2" in content  # TrueType
    assert b"/Type3" not in content
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", content)
    assert box is not None
    assert float(box[1]) / 72 * 25.4 == pytest.approx(85)


def test_a_style_of_the_user():
    with mpl.rc_context({"font.size": 5.5}):
        with chosen_style("user"):
            assert mpl.rcParams["font.size"] == 5.5
        with chosen_style("ggplot"):
            assert mpl.rcParams["axes.grid"] is True
        with chosen_style():
            assert mpl.rcParams["font.size"] == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--panels", "roh:MFM"], "has no statistic 'roh'; did you mean 'rho'?"),
        (["--panels", "rho:MMF"], "rho has no 'MMF'; did you mean 'MFM'?"),
        (["--panels", "spike_contrast:MFM"], "spike_contrast has no 'MFM'; it has network"),
        (["--panels", "rho", "--style", "gplot"], "there is no style 'gplot'; did you mean 'ggplot'?"),
        (["--panels", "rho", "--width", "3mm"], "give a width from 30 to 1000 mm"),
        (["--panels", "rho", "--width", "180"], "give a length such as 180mm, 18cm or 7in, not '180'"),
        (["--panels", "rho", "--clim", "rho=1"], "give STATISTIC=LOW:HIGH, such as rho=0.5:1, not 'rho=1'"),
        (["--panels", "rho", "-o", "fig.gif"], "figures end in .png, .svg, .pdf"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], message: str, full_comparison: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    output = [] if "-o" in arguments else ["-o", tmp_path / "fig.pdf"]
    printed = refused(capsys, "figure", full_comparison, *output, *arguments)
    assert message in printed
    assert printed.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_ticks_have_room(full_comparison: Path):
    with open_view(full_comparison) as view, chosen_style():
        axes = Figure().subplots()
        maps.thin_ticks(axes, view.plane, (4.0, 3.0))
        assert len(axes.get_xticks()) == 12
        maps.thin_ticks(axes, view.plane, (0.9, 0.4))
        assert len(axes.get_xticks()) == 6
        assert len(axes.get_yticks()) == 3
