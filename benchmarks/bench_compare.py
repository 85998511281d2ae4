"""Comparison of full-size trials: processor time a trial, all models and statistics; memory.

The trials are simulated first (a few seconds each) and compared from a file, as `hpcmass compare` does it, on one core.

    python benchmarks/bench_compare.py [--duration-ms 30000] [--trials 2] [--repeats 3]
"""

# ruff: noqa: E402 (the number of threads has to be set before NumPy is imported)
from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # one core is what is measured

from machine import describe

from hpcmass.compare.pipeline import Task, run_task
from hpcmass.config import MassParameters
from hpcmass.config.file import load_experiment
from hpcmass.mass import known_models
from hpcmass.store.sweep_file import SweepFile
from hpcmass.sweep.run import run_sweep

TARGET_S = 0.25
"""Of processor time for a trial of 3·10⁵ samples."""

CONFIG = """\
title: benchmark of the comparison
trials: {trials}
network: {{duration_ms: {duration_ms}, transient_ms: {transient_ms}}}
grid: {{p: [0.2, 1.0], lam: [0.8]}}
"""


def main() -> int:
    """Print one line per point and set of models; 1 if the target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration-ms", type=float, default=3e4)
    parser.add_argument("--trials", type=int, default=2, help="per point")
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many counts")
    options = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as directory:
        config, path = Path(directory, "bench.yml"), Path(directory, "bench.h5")
        config.write_text(
            CONFIG.format(trials=options.trials, duration_ms=options.duration_ms, transient_ms=options.duration_ms / 10)
        )
        run_sweep(config, path)
        return measure(path, config, options.repeats)


def measure(path: Path, config: Path, repeats: int) -> int:
    """Time the comparison of every point of the sweep."""
    experiment = load_experiment(config)
    everything = known_models()
    missed = 0
    with SweepFile(path) as sweep:
        points = [(point, tuple(sweep.done_trials(point))) for point in ((0, 0), (1, 0))]
    print(
        f"{experiment.network.n_steps} samples a trial, {experiment.trials} trials a point; processor seconds a trial"
    )
    for models in (("CFM", "MFM"), everything):
        for point, trials in points:
            wanted = tuple((path, trial) for trial in trials)
            task = Task(point, point, wanted, MassParameters(models=models), experiment.compare, {})
            run_task(task)  # kernels are compiled
            best = float("inf")
            for _ in range(repeats):
                start = time.process_time()
                run_task(task)
                best = min(best, time.process_time() - start)
            seconds = best / len(trials)
            missed += seconds > TARGET_S
            p = experiment.grid.axes()["p"][point[0]]
            print(f"p = {p:<4g} {', '.join(models):<28} {seconds:6.3f} (target {TARGET_S})", flush=True)
    print(f"peak resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
