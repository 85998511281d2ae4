"""What the order of the trials costs and brings, by simulation: no trial is run.

Each trial goes to the first free worker. It takes the time that the order expects of it, times an error of its point
(the prediction is wrong) and one of its own (other work on the machine); both are log-normal. `longer` compares the
mean time of the sweep's order with that of the costliest trials first, with the same errors, and gives the standard
error of the mean. `coarse` and `half` say after which part of the run the coarse grid, and half of all points, are
complete.

    python benchmarks/bench_order.py [--workers 1 2 16 128 1000] [--samples 200]
"""

from __future__ import annotations

import argparse
import heapq
import math
import sys
from pathlib import Path

import numpy as np

from hpcmass.config.file import load_experiment
from hpcmass.costs import Part, assign, point_costs
from hpcmass.grid import shape
from hpcmass.order import Ints, Real, grid_levels, point_order

CONFIGS = Path(__file__).resolve().parents[1] / "configs"

POINT_ERROR, TRIAL_ERROR = 0.2, 0.05
"""Relative errors of a point's predicted time (measured at 43 points of the paper's sweep: 0.13), and of its trials."""


def ends(seconds: Real, workers: int) -> Real:
    """When each trial ends."""
    free_at = [0.0] * workers
    found = np.empty(seconds.size)
    for k, each in enumerate(seconds.tolist()):
        found[k] = free_at[0] + each
        heapq.heapreplace(free_at, found[k])
    return found


def simulate(costs: Real, n_trials: Ints, workers: int, samples: int) -> tuple[Real, Real, Real]:
    """Per sample: the run's length over that of the costliest first; when the coarse grid and half the points end."""
    random = np.random.default_rng(1)
    number, cost = n_trials.ravel(), costs.ravel()
    todo = np.flatnonzero(number)
    order = point_order(costs, n_trials, workers)
    costliest_first = todo[np.argsort(-cost[todo], kind="stable")]
    level = grid_levels(costs.shape).ravel()
    found = []
    for _ in range(samples):
        of_point = np.exp(random.normal(0, POINT_ERROR, cost.size)) * cost
        of_trial = np.exp(random.normal(0, TRIAL_ERROR, (cost.size, int(number.max()))))
        seconds = of_point[:, None] * of_trial
        exists = np.arange(seconds.shape[1]) < number[:, None]
        before = ends(seconds[costliest_first][exists[costliest_first]], workers).max()
        after = ends(seconds[order][exists[order]], workers)
        last = np.maximum.reduceat(after, np.concatenate([[0], np.cumsum(number[order])[:-1]]))
        coarse = last[level[order] == 0].max(initial=0.0)
        found.append((after.max() / before, coarse / after.max(), np.sort(last)[last.size // 2] / after.max()))
    longer, coarse, half = np.array(found).T
    return longer, coarse, half


def main() -> int:
    """Print a line per sweep and number of workers; 1 if an order lengthens a run by more than 2 %."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 16, 128, 1000], metavar="N")
    parser.add_argument("--samples", type=int, default=200)
    arguments = parser.parse_args()
    print(f"{'sweep':<22} {'trials':>6} {'workers':>7} {'longer':>16} {'coarse':>7} {'half':>6}")
    worst = 0.0
    for name, part in (
        ("quickstart", None), ("medium", None), ("paper", None),
        *(("paper", Part(number, 16)) for number in (1, 8, 16)),
    ):  # fmt: skip
        experiment = load_experiment(CONFIGS / f"{name}.yml")
        costs = point_costs(experiment)
        mask = np.ones(shape(experiment), bool) if part is None else assign(experiment, part).mask(shape(experiment))
        n_trials = mask.sum(axis=-1)
        for workers in arguments.workers:
            longer, coarse, half = simulate(costs, n_trials, workers, arguments.samples)
            mean, error = 100 * (longer.mean() - 1), 100 * longer.std() / math.sqrt(arguments.samples)
            worst = max(worst, mean)
            title = name if part is None else f"{name}, part {part}"
            print(
                f"{title:<22} {n_trials.sum():>6} {workers:>7} {mean:>+8.2f} ± {error:.2f} % {coarse.mean():>7.0%} "
                f"{half.mean():>6.0%}",
                flush=True,
            )
    return int(worst > 2)


if __name__ == "__main__":
    sys.exit(main())
