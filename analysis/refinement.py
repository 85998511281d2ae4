"""The outlines of a refined plane against those of the full fine grid, in a real network.

    python analysis/refinement.py results/refinement -o docs/images/refinement.png

A sweep of 12 x 9 points is refined twice, once by the border of synchrony and once by the MFM's correlation. The grid
that is four times as fine everywhere is simulated, too: 1485 trials of 1000 neurons, 10 minutes on 2 cores. The
refined sweeps take their trials from its file, which has the same bits. A rerun continues.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hpcmass import Experiment, compare_sweep, run_sweep
from hpcmass.errors import EXIT_BAD_INPUT, EXIT_DONE, UserError
from hpcmass.grid import requested
from hpcmass.plots.outlines import RAW, SYNCHRONY, boundary
from hpcmass.plots.plane import Mask, Plane
from hpcmass.plots.requested import requested as maps_of
from hpcmass.plots.saving import save
from hpcmass.plots.style import house_style, number
from hpcmass.plots.view import open_view
from hpcmass.refine import halved, refine

BY: Final = {"spike_contrast": "border of synchrony", "rho:MFM": "agreement in ρ, MFM"}
"""Maps that decide, and their outlines."""

FIRST: Final = Experiment.model_validate(
    {
        "title": "Refinement: a network of 1000 neurons",
        "trials": 1,
        "grid": {
            "p": [0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1],
            "lam": [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1],
        },
        "network": {
            "n_neurons": 1000, "n_external": 1000, "external_rate_hz": 50, "p_ext": 0.1, "duration_ms": 1500,
            "transient_ms": 500, "w_E": 0.007, "w_I": 0.04, "w_ext": 0.0133,
        },
        "mass": {"models": ["CFM", "MFM"]},
        "compare": {"max_lag_ms": 50},
    }
)  # fmt: skip
"""The coarse grid."""

STEPS: Final = 2
"""Refinements; each halves the steps of the axes."""


@dataclass(frozen=True, eq=False)
class Refined:
    """A refined plane beside the full fine grid.

    Attributes
    ----------
    step : array of int, (up, right)
        At which refinement a point was requested, 0 for the coarse grid; -1 where it was not.
    full, inside : array of bool, (up, right)
        Points inside the outline: of the full grid; of the refined one, as its map draws them.
    """

    step: npt.NDArray[np.int64]
    full: Mask
    inside: Mask

    @property
    def share(self) -> float:
        """Trials of the refined grid, of those of the full one."""
        return float((self.step >= 0).mean())

    def distances(self) -> npt.NDArray[np.float64]:
        """From each cell's side on the full grid's outline, the distance (cells) to the refined one."""
        return nearest(sides(self.full), sides(self.inside))

    def back(self) -> npt.NDArray[np.float64]:
        """From each cell's side on the refined outline, the distance (cells) to the full grid's."""
        return nearest(sides(self.inside), sides(self.full))


def sides(inside: Mask) -> npt.NDArray[np.float64]:
    """Middles of the cells' sides along an outline, the frame of the map left out, (side, up and right)."""
    level = np.argwhere(inside[1:] != inside[:-1]) + np.array([0.5, 0.0])
    upright = np.argwhere(inside[:, 1:] != inside[:, :-1]) + np.array([0.0, 0.5])
    return np.concatenate([level, upright])


def nearest(points: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """From each point the distance to the nearest one of the others."""
    gaps = points[:, None, :] - others[None, :, :]
    return np.asarray(np.hypot(gaps[..., 0], gaps[..., 1]).min(axis=1, initial=math.inf))


def full_grid(first: Experiment, steps: int = STEPS) -> Experiment:
    """The grid whose axes are finer everywhere."""
    axes = {name: list(values) for name, values in first.axes().items()}
    for _ in range(steps):
        axes = {name: list(halved(name, values)) for name, values in axes.items()}
    return first.vary(**axes)


def computed(
    folder: Path, first: Experiment = FIRST, by: Sequence[str] = tuple(BY), *, steps: int = STEPS, jobs: int = 1
) -> dict[str, Refined]:
    """Simulate and compare the full grid, refine the coarse one by each map; files that are there are continued."""
    folder.mkdir(parents=True, exist_ok=True)
    full = folder / "full.h5"
    compared = _compared(full_grid(first, steps), full, jobs)
    found = {}
    for k, name in enumerate(by):
        experiment = first
        step = np.zeros_like(requested(first), dtype=np.int64)
        comparison = _compared(first, folder / f"refined-{k}-0.h5", jobs, reuse=[full])
        for n in range(1, steps + 1):
            with open_view(comparison) as view:
                experiment = refine(view, [name], budget=10**6, difference=math.inf).experiment
            comparison = _compared(experiment, folder / f"refined-{k}-{n}.h5", jobs, reuse=[full])
            step = _requested_at(step, experiment, n)
        found[name] = Refined(step.T, _inside(compared, name), _inside(comparison, name))
    return found


def _compared(experiment: Experiment, sweep: Path, jobs: int, **how: Any) -> Path:
    comparison = sweep.with_name(f"{sweep.stem}-cmp.h5")
    run_sweep(experiment, sweep, jobs=jobs, **how)
    compare_sweep(sweep, comparison, jobs=jobs)
    return comparison


def _requested_at(before: npt.NDArray[np.int64], experiment: Experiment, n: int) -> npt.NDArray[np.int64]:
    """Refinement at which each point was requested, after the n-th, (p, λ); `before`: the same after the last one."""
    step = np.where(requested(experiment), n, -1)
    coarse = step[::2, ::2]
    coarse[before >= 0] = before[before >= 0]
    return step


def _inside(comparison: Path, name: str) -> Mask:
    """The region that the outline of a map encloses, as it is drawn."""
    with open_view(comparison) as view:
        (shown,) = maps_of(view, [name])
        rank = SYNCHRONY if name == "spike_contrast" else RAW
        (outline,) = (outline for outline in shown.panel.outlines if outline.rank == rank)
        return outline.across(~view.requested).inside


def drawn(found: Mapping[str, Refined], plane: Plane) -> Figure:
    """A panel for each map: the points, and both outlines."""
    figure = Figure(figsize=(11.5, 5.0))
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for axes, (name, refined) in zip(panels, found.items(), strict=True):
        _panel(axes, refined)
        for axis, values in ((axes.xaxis, plane.right_values), (axes.yaxis, plane.up_values)):
            shown = range(0, len(values), 2**STEPS)
            axis.set_ticks(list(shown), [number(values[i]) for i in shown])
        axes.set(xlabel=plane.right_label, ylabel=plane.up_label)
        axes.set_title(f"{BY[name]}: {refined.share:.0%} of the trials")
    figure.legend(handles=_handles(), loc="outside lower center", ncols=5, frameon=False)
    return figure


SIZES: Final = (5.0, 3.2, 1.6)
"""Diameter (points) of a point of the coarse grid, and after each refinement."""
FULL: Final[dict[str, Any]] = {"color": "#F0B37E", "linewidth": 4.5}
REFINED: Final[dict[str, Any]] = {"color": "black", "linewidth": 1.4}


def _panel(axes: Axes, refined: Refined) -> None:
    for inside, line in ((refined.full, FULL), (refined.inside, REFINED)):
        axes.add_collection(LineCollection(list(boundary(inside)), capstyle="projecting", **_plural(line)))
    for n, size in enumerate(SIZES):
        y, x = np.nonzero(refined.step == n)
        axes.plot(x, y, "o", markersize=size, color="#0072B2", markeredgewidth=0)
    rows, columns = refined.full.shape
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(-0.5, rows - 0.5), aspect="equal")


def _plural(line: Mapping[str, Any]) -> dict[str, Any]:
    return {"colors": line["color"], "linewidths": line["linewidth"]}


def _handles() -> list[Line2D]:
    names = ("coarse grid", "first refinement", "second refinement")
    dots = [
        Line2D([], [], marker="o", linestyle="none", color="#0072B2", markeredgewidth=0, markersize=size, label=name)
        for size, name in zip(SIZES, names, strict=True)
    ]
    return [*dots, Line2D([], [], label="outline of the full fine grid", **FULL),
            Line2D([], [], label="outline of the refined grid", **REFINED)]  # fmt: skip


def printed(name: str, refined: Refined) -> str:
    """The counts and distances of a map, a row of a Markdown table."""
    asked, everything = int((refined.step >= 0).sum()), refined.step.size
    cells = [BY[name], f"{asked} of {everything} ({refined.share:.0%})"]
    for gaps in (refined.distances(), refined.back()):
        cells += [f"{(gaps <= 1).mean():.0%}", f"{gaps.mean():.2f}", f"{gaps.max():.1f}"]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="for the sweeps and comparisons, 1 GB")
    parser.add_argument("-o", "--output", type=Path, default=Path("refinement.png"), metavar="FILE", help="the figure")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes")
    options = parser.parse_args()
    try:
        found = computed(options.folder, jobs=options.jobs)
        with open_view(options.folder / "full-cmp.h5") as view, house_style():
            print(save(drawn(found, view.plane), options.output, force=True))
    except UserError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    for name, refined in found.items():
        print(printed(name, refined))
    return EXIT_DONE


if __name__ == "__main__":
    raise SystemExit(main())
