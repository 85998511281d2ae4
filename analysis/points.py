"""Rasters, potentials, inputs and spectra of chosen points, or of one point a regime.

    python analysis/points.py results/quickstart-cmp.h5 -o figures
    python analysis/points.py results/quickstart-cmp.h5 -o figures --point 0.15,0.8 --point 0.4,0.8

A sweep keeps no spikes. For the rasters, each point's trial is simulated again from its seed, a second or so each;
`--no-rasters` does without.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from program import parser_of, run

from hpcmass.grid import trial_seed
from hpcmass.network import simulate
from hpcmass.plots.examples import Point, first_trial, traces
from hpcmass.plots.lines import Spikes
from hpcmass.plots.plane import grid_index
from hpcmass.plots.regimes import Example, pick_regimes
from hpcmass.plots.view import View
from hpcmass.store.parts import SweepParts


def make(view: View, sweep: SweepParts | None, options: argparse.Namespace) -> Mapping[str, Figure | None]:
    """One figure, a column for each point."""
    examples = choose(view, options.point) if options.point else pick_regimes(view)
    spikes = {} if options.no_rasters else rasters(view, sweep, examples)
    return {"points": traces(view, sweep, examples=examples, spikes=spikes)}


def choose(view: View, values: Sequence[tuple[float, float]]) -> list[Example]:
    """The points at these values to the right (p) and upwards (λ)."""
    plane = view.plane
    return [
        Example("", "", (grid_index(plane.up, up, plane.up_values), grid_index(plane.right, right, plane.right_values)))
        for right, up in values
    ]


def rasters(view: View, sweep: SweepParts | None, examples: Sequence[Example]) -> dict[Point, Spikes]:
    """Spikes of the trial that each point's example window shows, simulated again."""
    found = {}
    for point in (e.point for e in examples if e.point is not None and view.shown[e.point]):
        values = view.plane.point(*point)
        number = int(view.data["trial"].values[first_trial(view, point)])
        seed = trial_seed(view.experiment.root_seed, values, number)
        network = view.experiment.network_at(values)
        recording = simulate(network, values["p"], values["lam"], seed, keep_spikes=True)
        assert recording.spike_time is not None
        assert recording.spike_neuron is not None
        if sweep is not None:
            recorded = sweep.traces(view.plane.index(*point, tuple(sweep.axes)), first_trial(view, point))
            if not np.array_equal(recorded["mean_v"], recording.mean_v):
                print(f"{view.plane.where(*point)}: this machine's bits differ from those of the sweep, so the raster "
                      "shows another course of the same network", file=sys.stderr)  # fmt: skip
        excitatory = round(values["lam"] * network.n_neurons)
        found[point] = Spikes(recording.spike_time, recording.spike_neuron, network.n_neurons, excitatory)
    return found


def pair(text: str) -> tuple[float, float]:
    """`0.4,0.8` → (0.4, 0.8)."""
    right, up = (float(part) for part in text.split(","))
    return right, up


if __name__ == "__main__":
    parser = parser_of(__doc__.splitlines()[0])
    parser.add_argument("--point", type=pair, action="append", default=[], metavar="P,LAM",
                        help="a point of the grid; again for more (default: one a regime)")  # fmt: skip
    parser.add_argument("--no-rasters", action="store_true", help="simulate nothing")
    raise SystemExit(run(make, parser))
