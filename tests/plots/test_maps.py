"""One map: outlines follow cells, gaps are hatched and named, scales are labelled."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hpcmass.plots import maps
from hpcmass.plots.maps import Panel, draw_map, legend_entries
from hpcmass.plots.outlines import (
    ADJUSTED,
    RAW,
    SYNCHRONY,
    TICK,
    Outline,
    boundary,
    dots_of,
    edge,
    inward_ticks,
    tag_place,
)
from hpcmass.plots.plane import DIVERGED, SILENT, UNDEFINED, Plane, explain

NAN = float("nan")


def plane(rows: int, columns: int) -> Plane:
    return plane_of(tuple(np.linspace(0, 1, columns)), tuple(np.linspace(0.5, 1, rows)))


def plane_of(p: tuple[float, ...], lam: tuple[float, ...]) -> Plane:
    return Plane("p", "lam", p, lam, "p", "λ", {}, {})


masks = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**36 - 1)).map(
    lambda t: np.array([t[2] >> i & 1 for i in range(t[0] * t[1])], bool).reshape(t[0], t[1])
)


@given(masks)
def test_a_boundary_separates_inside_from_outside(inside):
    """From the left of the map to a cell's centre one crosses the line an odd number of times iff it is inside."""
    segments = boundary(inside)
    upright = segments[segments[:, 0, 0] == segments[:, 1, 0]]
    level = segments[segments[:, 0, 0] != segments[:, 1, 0]]
    assert len(upright) + len(level) == len(segments)
    for (row, column), within in np.ndenumerate(inside):
        spans = (upright[:, 0, 1] < row) & (row < upright[:, 1, 1])
        assert (np.count_nonzero(spans & (upright[:, 0, 0] < column)) % 2 == 1) == within
        spans = (level[:, 0, 0] < column) & (column < level[:, 1, 0])
        assert (np.count_nonzero(spans & (level[:, 0, 1] < row)) % 2 == 1) == within


def test_a_boundary_has_as_few_segments_as_corners():
    inside = np.zeros((5, 7), bool)
    inside[1:4, 2:6] = True
    assert len(boundary(inside)) == 4
    assert boundary(np.zeros((3, 3), bool)).shape == (0, 2, 2)


def test_a_border_between_regions_does_not_run_along_the_frame():
    inside = np.zeros((3, 4), bool)
    inside[:, 2:] = True
    assert len(boundary(inside)) == 4
    assert edge(Outline("", "", inside, RAW)).tolist() == boundary(inside).tolist()
    assert edge(Outline("", "", inside, SYNCHRONY)).tolist() == [[[1.5, -0.5], [1.5, 2.5]]]
    assert len(edge(Outline("", "", np.ones((3, 4), bool), SYNCHRONY))) == 0


@given(st.tuples(st.integers(0, 2**20 - 1), st.integers(0, 2**20 - 1)))
def test_an_adjusted_outline_is_drawn_only_where_it_differs(numbers):
    """Together with the raw line it still encloses its region, and no piece of it lies on the raw one."""
    inside, raw = (np.array([n >> i & 1 for i in range(20)], bool).reshape(4, 5) for n in numbers)
    outline = Outline("q", "q", inside, ADJUSTED, raw=raw)
    own, both, other = (_pieces(segments) for segments in (edge(outline), boundary(inside), boundary(raw)))
    assert own == both - other
    cells = {dots.text: dots.cells for dots in dots_of(outline)}
    added = cells.get("inside by Benjamini–Hochberg only", np.zeros_like(raw))
    removed = cells.get("outside by Benjamini–Hochberg", np.zeros_like(raw))
    np.testing.assert_array_equal((raw | added) & ~removed, inside)
    assert not (added & raw).any()
    assert not (removed & ~raw).any()
    assert dots_of(Outline("q", "q", raw, ADJUSTED, raw=raw)) == []


def _pieces(segments):
    """The unit pieces of straight lines, as their middles."""
    found = set()
    for (x, y), (u, v) in segments:
        count = round(abs(u - x) + abs(v - y))
        found |= {(x + (u - x) * (k + 0.5) / count, y + (v - y) * (k + 0.5) / count) for k in range(count)}
    return found


def test_dots_and_lines_say_what_they_mean():
    raw, adjusted = np.array([[True, True, False, False]]), np.array([[True, False, True, False]])
    agrees = Outline("agrees", "ρ", raw)
    changed = Outline("agrees, adjusted", "ρ BH", adjusted, ADJUSTED, raw, "adjusted")
    same = Outline("agrees, adjusted", "ρ BH", raw, ADJUSTED, raw, "adjusted")
    values = np.zeros((1, 4))
    differing, coinciding = (Panel("", values, maps.linear("x"), outlines=[agrees, o]) for o in (changed, same))
    printed = [e.get_label() for e in legend_entries([coinciding])]
    assert printed == ["ρ: agrees, and the same adjusted", "inside an outline"]  # no handle of a line that is nowhere
    expected = ["ρ: agrees", "ρ BH: adjusted, where it differs", "inside an outline",
                "inside by Benjamini–Hochberg only", "outside by Benjamini–Hochberg"]  # fmt: skip
    assert [e.get_label() for e in legend_entries([coinciding, differing])] == expected
    axes = Figure().subplots()
    draw_map(axes, plane(1, 4), differing)
    dots = [sorted(np.round(np.asarray(line.get_xdata(), dtype=float))) for line in axes.lines]
    assert dots == [[0, 1], [2], [1]]
    assert [text.get_text() for text in axes.texts] == ["ρ"]  # a tag would cover what differs


def test_a_text_that_begins_with_its_tag_does_not_repeat_it():
    panel = Panel("", np.zeros((1, 2)), maps.linear("x"), outlines=[Outline("ρ > 0.9", "ρ", np.array([[True, False]]))])
    assert legend_entries([panel])[0].get_label() == "ρ > 0.9"


@given(masks)
def test_ticks_point_into_the_region(inside):
    """From the middle of every side between in and out, and nowhere else."""
    ticks = inward_ticks(Outline("", "", inside, SYNCHRONY))
    assert {(x, y) for x, y in ticks[:, 0]} == _pieces(edge(Outline("", "", inside, SYNCHRONY)))
    for start, end in ticks:
        column, row = np.round(start + (end - start) * 0.5 / TICK).astype(int)
        assert inside[row, column]
        assert np.abs(end - start).sum() == pytest.approx(TICK)
    assert len(inward_ticks(Outline("", "", inside, RAW))) == 0


def test_ticks_are_drawn():
    inside = np.array([[False, True, True]])
    panel = Panel("", np.zeros((1, 3)), maps.linear("x"), outlines=[Outline("in", "S", inside, SYNCHRONY)])
    axes = Figure().subplots()
    draw_map(axes, plane(1, 3), panel)
    drawn = [path.vertices.tolist() for lines in axes.collections[1:] for path in lines.get_paths()]
    assert drawn.count([[0.5, 0.0], [0.5 + TICK, 0.0]]) == 2  # halo and line
    assert legend_entries([panel])[0].get_label() == "S: in, on the side of the ticks"


def test_a_label_stands_on_its_line_and_clear_of_others():
    inside = np.zeros((6, 8), bool)
    inside[:2, 1:6] = True  # along the lower frame
    segments, outline = boundary(inside), Outline("", "", inside)
    assert tag_place(outline, segments, []) == (3.0, 1.5)
    assert tag_place(outline, segments, [(3.0, 1.5)]) in {(0.5, 0.5), (5.5, 0.5)}
    assert tag_place(outline, boundary(np.ones((6, 8), bool)), []) is not None
    assert tag_place(outline, boundary(np.zeros((6, 8), bool)), []) is None


def test_signs_show_in_grey():
    """The two ends of a centred scale have one grey; a drawn minus tells them apart."""
    values = np.array([[-1.0, 1.0, -0.001, NAN]])
    panel = Panel("", values, maps.centred("x", values, quantile=1.0))
    assert panel.negative.tolist() == [[True, False, False, False]]
    figure = Figure(figsize=(4, 1), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    draw_map(axes, plane(1, 4), panel)
    axes.set_axis_off()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    grey = np.asarray(canvas.buffer_rgba())[..., :3] @ (0.299, 0.587, 0.114)
    assert np.ptp(grey[:, 20:80]) > 100  # white ink on dark blue
    assert np.ptp(grey[:, 120:180]) < 3
    assert [e.get_label() for e in legend_entries([panel])] == ["negative"]
    assert not Panel("", values, maps.linear("x", values)).negative.any()


def test_dimmed_cells_are_hatched_and_explained():
    values, low = np.array([[3.0, -2.0, NAN]]), np.array([[True, False, True]])
    panel = Panel("", values, maps.centred("x", values), dimmed=low, dimmed_text="means little")
    axes = Figure().subplots()
    draw_map(axes, plane(1, 3), panel)
    assert [patch.get_xy() for patch in axes.patches] == [(-0.5, -0.5)]  # what has no value is not dimmed
    assert [e.get_label() for e in legend_entries([panel])] == ["negative", "means little"]


def test_cells_are_where_their_values_are():
    """Colour of a cell as drawn: column = p, row = λ from the bottom."""
    values = np.full((3, 4), 0.0)
    values[2, 1] = 1.0  # λ highest, second p
    figure = Figure(figsize=(4, 3), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    draw_map(axes, plane(3, 4), Panel("", values, maps.linear("x", low=0, high=1)))
    axes.set_axis_off()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3]
    top, bottom = (np.array(mpl.colormaps["viridis"](v)[:3]) * 255 for v in (1.0, 0.0))
    np.testing.assert_allclose(image[50, 150], top, atol=2)
    for x, y in ((50, 50), (250, 50), (150, 150), (150, 250)):
        np.testing.assert_allclose(image[y, x], bottom, atol=2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (30, 60)])
def test_any_shape_can_be_drawn(shape, tmp_path: Path):
    figure = Figure()
    axes = figure.subplots()
    values = np.full(shape, NAN)
    inside = np.ones(shape, bool)
    panel = Panel("", values, maps.logarithmic("x", values), [(SILENT, inside)], [Outline("all", "a", inside)], inside)
    draw_map(axes, plane(*shape), panel)
    figure.savefig(tmp_path / "map.png")
    assert 1 <= len(axes.get_xticks()) <= 30
    assert axes.get_xlim() == (-0.5, shape[1] - 0.5)
    assert sum(isinstance(patch, Rectangle) for patch in axes.patches) == values.size


def test_ticks_name_grid_values():
    figure = Figure()
    axes = figure.subplots()
    irregular = plane_of((0.0, 0.01, 0.02, 0.5, 1.0), (0.5, 1.0))
    draw_map(axes, irregular, Panel("", np.zeros((2, 5)), maps.linear("x")))
    assert [t.get_text() for t in axes.get_xticklabels()] == ["0", "0.01", "0.02", "0.5", "1"]
    assert list(axes.get_xticks()) == [0, 1, 2, 3, 4]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["0.5", "1"]


def test_the_first_reason_wins_and_what_is_left_is_undefined():
    values = np.array([[NAN, NAN, NAN, 1.0]])
    silent = np.array([[True, False, False, True]])
    away = np.array([[True, True, False, False]])
    found = dict(explain(values, [(DIVERGED, away), (SILENT, silent)]))
    assert set(found) == {DIVERGED, UNDEFINED}
    np.testing.assert_array_equal(found[DIVERGED], [[True, True, False, False]])
    np.testing.assert_array_equal(found[UNDEFINED], [[False, False, True, False]])
    assert explain(np.ones((1, 4)), [(SILENT, silent)]) == []


def test_the_legend_names_what_occurs_once():
    values, cells = np.array([[NAN, 1.0]]), np.array([[True, False]])
    scale = maps.linear("x", values)
    panels = [
        Panel(
            "a",
            values,
            scale,
            [(SILENT, cells)],
            [Outline("agrees", "p", cells), Outline("other", "q", ~cells & cells, ADJUSTED)],
        ),
        Panel("b", values, scale, [(SILENT, cells)], [Outline("agrees", "p", cells)], crossed=cells),
    ]
    assert [e.get_label() for e in legend_entries(panels)] == [
        "p: agrees", "q: other (nowhere)", "inside an outline", "network silent",
        "model diverged in some of the trials",
    ]  # fmt: skip
    assert legend_entries([Panel("c", values, scale)]) == []


def test_scales():
    data = np.array([[-3.0, NAN], [1.0, 0.5]])
    signed = maps.centred("lag", data)
    assert signed.norm.vmin == -3.0
    assert signed.norm.vmax == 3.0
    assert signed.extend == "neither"
    many = np.append(np.linspace(-0.5, 1, 999), 100.0).reshape(1, -1)
    assert maps.centred("lag", many).extend == "max"
    assert maps.centred("lag", many).norm.vmax < 1.1
    assert maps.linear("x", data, low=0, high=1).extend == "min"
    assert maps.linear("x", data, low=-5, high=1).extend == "neither"
    log = maps.logarithmic("x", np.array([[0.02, 3.0, NAN]]))
    assert isinstance(log.norm, LogNorm)
    assert (log.norm.vmin, log.norm.vmax) == (0.02, 3.0)
    assert maps.logarithmic("x", np.array([[0.0, 3.0]])).extend == "min"


@pytest.mark.parametrize(
    "values", [np.full((2, 2), NAN), np.zeros((2, 2)), np.full((2, 2), 7.0), np.full((1, 1), -1.0)]
)
@pytest.mark.parametrize("make", [maps.linear, maps.logarithmic, maps.centred])
def test_scales_of_nothing_or_of_one_value_are_usable(make, values, tmp_path: Path):
    scale = make("x", values)
    assert scale.norm.vmin < scale.norm.vmax
    figure = Figure()
    axes = figure.subplots()
    draw_map(axes, plane(*values.shape), Panel("", values, scale))
    scale.bar(figure, [axes])
    figure.savefig(tmp_path / "map.png")


@given(low=st.floats(1e-3, 10), span=st.floats(10, 1e5))
def test_logarithmic_bars_have_round_ticks_within_the_range(low, span):
    ticks = maps._round_numbers(low, low * span)
    assert 1 <= len(ticks) <= 10
    assert all(low <= t <= low * span for t in ticks)
    assert {f"{t:.0e}"[0] for t in ticks} <= {"1", "2", "5"}
