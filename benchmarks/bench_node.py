"""A full node whose memory is too slow for its cores, by simulation: the costliest first, and the sweep's own order.

Short trials at the coarse grid of the sweep count how many rows of its graphs a trial adds up. How long it takes
follows from the times of `bench_kernels.py`. Then a node runs the sweep, one trial a core. A trial reads its rows from
memory, unless they are in its share of the last cache. Where all trials together ask for more than the memory gives,
the bandwidth is divided fairly: those that ask for little get it, the others get the same share and are slower. The
bound is the larger one of all processor time over the cores and all bytes over the bandwidth: no order is quicker.

    python benchmarks/bench_node.py [--cores 128] [--gb-s 200 350 700] [--cache-mb 4] [--config configs/paper.yml]
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
from bench_cores import row_bytes

from hpcmass.config import Experiment
from hpcmass.config.file import load_experiment
from hpcmass.costs import point_costs
from hpcmass.forecast.sample import coordinates, interpolate
from hpcmass.grid import point_values, trial_seed
from hpcmass.network import simulate, warm_up
from hpcmass.network.digraph import words_per_row
from hpcmass.network.simulation import external_words
from hpcmass.order import Ints, Real, grid_levels, point_order

PAPER = Path(__file__).resolve().parents[1] / "configs" / "paper.yml"

UPDATE_NS, ROWS_GB_S = 0.57, 30.0
"""Time of an update of a neuron, without recurrent rows, and speed of adding up rows: `docs/performance.md`."""

TRIAL_ERROR = 0.05
"""Relative difference of the trials of a point: without it they would end at the same instant."""


def demand(experiment: Experiment, duration_ms: float) -> tuple[Real, Real]:
    """Processor seconds of a trial alone, and bytes of rows, at every point: counted on the coarse grid."""
    network, shape = experiment.network, point_costs(experiment).shape
    values = [point_values(experiment, number) for number in range(math.prod(shape))]
    external = np.array([row_bytes(network, at["lam"], 0) for at in values]) / network.n_steps
    counted, a_step = [], []
    warm_up()
    for number in np.flatnonzero(grid_levels(shape).ravel() == 0):
        if values[number]["p"] == 1:  # a complete graph is not read
            continue
        short = {"duration_ms": duration_ms, "transient_ms": duration_ms / 10}
        here = experiment.network_at(values[number]).model_copy(update=short)
        recording = simulate(here, values[number]["p"], values[number]["lam"], trial_seed(1, values[number], 0))
        counted.append(number)
        a_step.append(row_bytes(here, values[number]["lam"], recording.n_spikes) / here.n_steps)
    places = coordinates(shape)
    n_bytes = interpolate(places[counted], np.array(a_step), places)
    complete = np.array([at["p"] == 1 for at in values])
    n_bytes[complete] = external[complete]
    seconds = 1e-9 * (UPDATE_NS * network.n_neurons + (n_bytes - external) / ROWS_GB_S)
    return network.n_steps * seconds, network.n_steps * n_bytes


def from_memory(experiment: Experiment, cache_mb: float) -> Real:
    """Fraction of the rows at every point that come from memory: of the graphs, what the cache cannot contain."""
    network = experiment.network
    recurrent = words_per_row(network.n_neurons) * network.n_neurons
    lam = [point_values(experiment, number)["lam"] for number in range(math.prod(point_costs(experiment).shape))]
    external = np.array([external_words(network, each) * network.n_external for each in lam])
    return np.maximum(0.0, 1 - cache_mb / (8e-6 * (recurrent + external)))


def length(seconds: Real, n_bytes: Real, cores: int, bandwidth: float) -> float:
    """How long the trials take on a node, begun in this order as soon as a core is free."""
    wanted = n_bytes / seconds  # bytes a second, at full speed
    left = np.zeros(cores)
    rate = np.zeros(cores)
    waiting = iter(range(seconds.size))
    now, free = 0.0, list(range(cores))
    while True:
        for core in free:
            trial = next(waiting, None)
            left[core], rate[core] = (np.inf, 0.0) if trial is None else (seconds[trial], wanted[trial])
        if not np.isfinite(left).any():
            return now
        share = fair_share(rate, bandwidth)
        speed = np.where(rate > share, share / np.maximum(rate, 1.0), 1.0)
        step = float((left / speed).min())
        now += step
        left = left - step * speed
        free = list(np.flatnonzero(left < 1e-9))


def fair_share(wanted: Real, bandwidth: float) -> float:
    """The most that one may get, where nobody gets more than it wants and all is given away."""
    if wanted.sum() <= bandwidth:
        return float("inf")
    rising = np.sort(wanted)
    given = np.concatenate([[0.0], rising.cumsum()[:-1]])
    share = (bandwidth - given) / np.arange(rising.size, 0, -1)
    return float(share[np.flatnonzero(share <= rising)[0]])


def orders(experiment: Experiment, cores: int) -> tuple[Ints, Ints]:
    """The points, the costliest first, and as the sweep has them."""
    costs = point_costs(experiment)
    n_trials = np.full(costs.shape, experiment.trials)
    return np.argsort(-costs.ravel(), kind="stable"), point_order(costs, n_trials, cores)


def main() -> int:
    """Print a line per bandwidth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=128)
    parser.add_argument("--gb-s", type=float, nargs="+", default=[200.0, 350.0, 700.0], help="of the node's memory")
    parser.add_argument("--cache-mb", type=float, default=4.0, help="of the last cache, per core")
    parser.add_argument("--config", type=Path, default=PAPER)
    parser.add_argument("--duration-ms", type=float, default=500.0, help="of a trial that counts rows")
    arguments = parser.parse_args()
    experiment = load_experiment(arguments.config)
    seconds, n_bytes = demand(experiment, arguments.duration_ms)
    n_bytes = n_bytes * from_memory(experiment, arguments.cache_mb)
    cores, ways = arguments.cores, orders(experiment, arguments.cores)
    error = np.exp(np.random.default_rng(1).normal(0, TRIAL_ERROR, (seconds.size, experiment.trials)))
    print(
        f"{cores} cores, {error.size} trials, {seconds.sum() * experiment.trials / 3600:.2f} core-hours without waiting"
    )
    print(f"{'GB/s':>6} {'points bound':>12} {'bound s':>8} {'costliest s':>11} {'mixed s':>8} {'gain':>6}")
    for gb_s in arguments.gb_s:
        bandwidth = 1e9 * gb_s
        bound = max(seconds.sum() / cores, n_bytes.sum() / bandwidth) * experiment.trials
        share = float((cores * n_bytes / seconds > bandwidth).mean())
        costliest, mixed = (
            length(
                (seconds[order, None] * error[order]).ravel(), (n_bytes[order, None] * error[order]).ravel(), cores,
                bandwidth,
            )
            for order in ways
        )  # fmt: skip
        print(f"{gb_s:6.0f} {share:12.0%} {bound:8.1f} {costliest:11.1f} {mixed:8.1f} {1 - mixed / costliest:6.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
