"""Maps of a comparison that has only some points of its grid, and the refinement of comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.ndimage import binary_dilation

from hpcmass import open_comparison
from hpcmass.cli import main
from hpcmass.config import Experiment
from hpcmass.config.file import load_experiment
from hpcmass.errors import UserError
from hpcmass.grid import requested
from hpcmass.plots import panels
from hpcmass.plots.maps import draw_map, legend_entries
from hpcmass.plots.outlines import RAW, SYNCHRONY, Outline, boundary, dots_of, edge, nearest_known
from hpcmass.plots.paper import draw_lines
from hpcmass.plots.plane import NOT_COMPUTED, NOT_REQUESTED
from hpcmass.plots.requested import requested as requested_maps
from hpcmass.plots.view import open_view
from hpcmass.report.payload import payload
from hpcmass.report.tables import counts

HALF = "points: [[0.1, 0.5], [0.1, 0.7], [0.3, 0.5], [0.3, 0.7], [0.2, 0.6]]"

Make = Callable[..., Path]


@pytest.fixture
def half(small_comparison: Make) -> Path:
    """Five of nine points, of which one is not computed yet."""
    import h5py

    path = small_comparison([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])
    with h5py.File(path, "r+") as file:
        file.attrs["config_yaml"] = f"{file.attrs['config_yaml']}\n{HALF}\n"
        mask = np.ones((3, 3), bool)
        mask[::2, ::2] = mask[1, 1] = False
        for place in [*np.argwhere(mask), (2, 2)]:
            at = tuple(int(i) for i in place)
            file["status"][at], file["n_compared"][at], file["silent"][at] = 0, 0, -1
            for name in ("rho", "spike_contrast", "rho_agrees", "synchronised"):
                file[name][at] = np.nan if file[name].dtype.kind == "f" else -1
    return path


def test_points_that_are_not_requested_are_a_gap_of_their_own(half: Path) -> None:
    with open_view(half) as view:
        (panel, _) = panels.correlation(view)
        gaps = dict(panel.gaps)
        assert {(r, c) for r, c in np.argwhere(gaps[NOT_REQUESTED]).tolist()} == {(0, 1), (1, 0), (1, 2), (2, 1)}
        assert np.argwhere(gaps[NOT_COMPUTED]).tolist() == [[2, 2]]
        assert {"not requested", "not computed yet"} <= {entry.get_label() for entry in legend_entries([panel])}
        axes = Figure().add_subplot()
        draw_map(axes, view.plane, panel)
        white = [patch for patch in axes.patches if patch.get_facecolor()[:3] == (1, 1, 1)]
        assert len(white) == 4
        data = payload(view, None).data
        assert data["requested"] == [1, 0, 1, 0, 1, 0, 1, 0, 1]
        assert counts(view) == {"pending": 2, "done": 8, "failed": 0, "all": 10}


def test_a_curve_runs_across_points_that_are_not_requested(half: Path) -> None:
    """A point that is requested and has no value breaks it."""
    axes = Figure().add_subplot()
    with open_view(half) as view:
        draw_lines(axes, view, requested_maps(view, ["rho:CFM"]), {"lam": 0.7})
        x, y = axes.get_lines()[0].get_data()
        assert np.asarray(x).tolist() == [0.1, 0.3]
        assert np.isfinite(np.asarray(y, float)).tolist() == [True, False]


def test_a_whole_grid_is_requested(full_comparison: Path) -> None:
    with open_view(full_comparison) as view:
        assert view.requested.all()
        assert payload(view, None).data["requested"] is None


def test_a_line_runs_through_cells_that_are_not_requested_and_dots_do_not() -> None:
    known = np.zeros((3, 9), bool)
    known[:, ::4] = known[:, 5:7] = True
    inside = np.zeros((3, 9), bool)
    inside[:, 6] = inside[:, 8] = True
    outline = Outline("in", "in", inside, RAW).across(~known)
    right = np.arange(9) >= 6
    assert np.array_equal(outline.inside, np.broadcast_to(right, (3, 9)))
    assert np.array_equal(edge(outline), boundary(outline.inside))
    (dots,) = dots_of(outline)
    assert np.array_equal(dots.cells, inside)
    border = Outline("in", "in", inside, SYNCHRONY).across(~known)
    assert edge(border)[:, :, 0].tolist() == [[5.5, 5.5]]
    nothing = Outline("in", "in", np.zeros((3, 9), bool), RAW).across(np.ones((3, 9), bool))
    assert len(edge(nothing)) == 0


def test_the_nearest_known_cell_counts() -> None:
    unknown = np.array([[False, True, True, True, False]])
    inside = np.array([[True, False, False, False, False]])
    assert nearest_known(inside, unknown)[0, 1]
    assert not nearest_known(inside, unknown)[0, 3]


def test_refine_writes_a_configuration_with_the_old_points_and_new_ones(
    full_comparison: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "refined.yml"
    assert main(["refine", str(full_comparison), "--by", "rho:MFM", "-o", str(output)]) == 0
    said = capsys.readouterr().out
    experiment = load_experiment(output)
    assert main(["refine", str(full_comparison), "--outlines-only", "-o", str(tmp_path / "outlines.yml")]) == 0
    assert " 0 at differences)" in capsys.readouterr().out
    with open_comparison(full_comparison) as comparison:
        before = comparison.experiment
        found = comparison.refine("rho:MFM")
    assert found.experiment == experiment
    assert f"{output}: {found}" in said
    mask = requested(experiment)
    assert mask[::2, ::2].all()  # the old points
    assert mask.sum() == 12 * 9 + found.new
    assert 0 < found.outlines <= found.new
    assert experiment.grid.p[::2] == before.grid.p
    assert experiment.physics_sha256() == before.physics_sha256()


def test_the_budget_goes_to_outlines_first(full_comparison: Path) -> None:
    with open_comparison(full_comparison) as comparison:
        every = comparison.refine(["rho", "spike_contrast"], difference=0.05)
        few = comparison.refine(["rho", "spike_contrast"], budget=20, difference=0.05)
        with pytest.raises(UserError, match=r"a budget of 1 point is too small for one cell"):
            comparison.refine(budget=1)
    assert every.left == 0
    assert every.differences > 0
    assert 15 < few.new <= 20
    assert few.differences == 0
    assert few.new + few.left == every.new


def test_every_value_of_a_further_axis_is_refined(small_comparison: Make) -> None:
    path = small_comparison([0.05, 0.1, 0.3, 0.6], [0.5, 0.7, 0.8, 0.9], further="w_I: [0.002, 0.004]")
    with open_comparison(path) as comparison:
        found = comparison.refine("spike_contrast")
        other = comparison.refine("rho:CFM", axes=("p", "w_I"), difference=0.001)
    axes = found.experiment.grid.axes()
    assert [len(values) for values in axes.values()] == [7, 7, 2]
    mask = requested(found.experiment)
    assert mask[::2, ::2].all()
    assert mask.sum() == 4 * 4 * 2 + found.new
    assert set(other.experiment.grid.axes()["lam"]) == {0.5, 0.7, 0.8, 0.9}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--by", "rho:MMF"], "rho has no 'MMF'; did you mean 'MFM'?"),
        (["--by", "roh"], "has no statistic 'roh'; did you mean 'rho'?"),
        (["--axes", "p,q"], "'q' is not an axis of this sweep"),
        (["--budget", "0"], "give a whole number from 1, not '0'"),
        (["--difference", "1", "--outlines-only"], "not allowed with argument --difference"),
        (["--difference", "0"], "give a number above 0, not '0'"),
        (["-o", "there.yml"], "there.yml exists; give another -o, or --force to replace it"),
        (["-o", "no/such.yml"], "the directory no does not exist; create it first"),
    ],
)
def test_mistakes_are_one_sentence(
    words: list[str],
    message: str,
    full_comparison: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.yml").write_text("mine")
    try:
        code = main(["refine", str(full_comparison), *words])
    except SystemExit as end:
        code = int(str(end.code))
    assert code == 2
    assert message in capsys.readouterr().err + caplog.text
    assert Path("there.yml").read_text() == "mine"
    assert not Path("refined.yml").exists()


def test_nothing_to_refine_writes_nothing(
    small_comparison: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small_comparison([0.1, 0.2], [0.5, 0.6], blank=True)
    assert main(["refine", str(path), "-o", str(tmp_path / "refined.yml")]) == 0
    assert "nothing to refine by rho:CFM, rho:MFM" in capsys.readouterr().out
    assert not (tmp_path / "refined.yml").exists()


def follows(p: np.ndarray, lam: np.ndarray) -> np.ndarray:
    """A region of the plane that is neither straight nor convex."""
    return (lam > 0.72 + 0.1 * np.sin(6 * p)) & (p > 0.03)


def compared_at_requested(path: Path, experiment: Experiment, write: Make) -> Path:
    """A comparison in which the MFM follows there, at the points that are requested."""
    p, lam = np.meshgrid(experiment.grid.p, experiment.grid.lam, indexing="ij")
    asked, agrees = requested(experiment), np.stack([follows(p, lam)] * 2, axis=-1)
    return write(
        path,
        experiment,
        {
            "status": np.where(asked, 1, 0)[..., None],
            "n_compared": np.where(asked, 1, 0),
            "rho": np.where(asked[..., None], np.where(agrees, 0.95, 0.5), np.nan),
            "rho_agrees": np.where(asked[..., None], agrees, -1),
        },
    )


def test_two_steps_find_the_outline_of_a_grid_four_times_as_fine_at_a_quarter_of_its_points(
    experiment: Experiment, written_comparison: Make, tmp_path: Path
) -> None:
    """A cell of the fine grid is drawn as in the whole grid, or as a neighbour is there: the outline is off by one fine
    cell at most.
    """
    for step in range(2):
        path = compared_at_requested(tmp_path / f"{step}.h5", experiment, written_comparison)
        with open_comparison(path) as comparison:
            experiment = comparison.refine("rho:MFM", difference=math.inf).experiment
    asked = requested(experiment)
    assert asked.shape == (45, 33)
    assert asked.sum() <= asked.size / 4
    truth = follows(*np.meshgrid(experiment.grid.p, experiment.grid.lam, indexing="ij"))
    with open_view(compared_at_requested(tmp_path / "last.h5", experiment, written_comparison)) as view:
        (outline, *_) = panels.agreement(view, "MFM")
        drawn = outline.across(~view.requested).inside.T
    assert np.array_equal(drawn[asked], truth[asked])
    around = np.ones((3, 3), bool)
    assert not (drawn & ~binary_dilation(truth, around)).any()
    assert not (truth & ~binary_dilation(drawn, around)).any()
    assert (drawn != truth).sum() <= 3
