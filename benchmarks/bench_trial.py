"""Full-size trials against NumPy: processor seconds, and the ratio to drawing as many normals.

A trial at the paper's size draws 3·10⁹ normal numbers, one per neuron and step. How long NumPy's fastest generator
(SFC64, float32) takes for the same count, in the same run on the same machine, is the baseline: machines differ and
are noisy, the ratio much less. NumPy is timed before and after each trial.

    python benchmarks/bench_trial.py [--points 0.8,0.2 1,1] [--duration-ms 30000] [--repeats 2]
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np
from machine import describe

from hpcmass.config import NetworkParameters
from hpcmass.grid import trial_seed
from hpcmass.network import simulate, warm_up

POINTS = ("0.8,0.02", "0.8,0.2", "0.8,1.0", "1.0,1.0")
TARGETS = {"0.8,0.02": 0.12, "0.8,0.2": 0.13, "0.8,1.0": 0.12, "1.0,1.0": 0.20}


def numpy_s_per_normal(n: int = 20_000_000) -> float:
    """Processor seconds of NumPy per float32 normal."""
    generator = np.random.Generator(np.random.SFC64(1))
    out = np.empty(10_000, np.float32)
    start = time.process_time()
    for _ in range(n // out.size):
        generator.standard_normal(out=out, dtype=np.float32)
    return (time.process_time() - start) / (n // out.size * out.size)


def main() -> int:
    """Print one line per point; 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", nargs="+", default=POINTS, metavar="LAM,P")
    parser.add_argument("--duration-ms", type=float, default=3e4)
    parser.add_argument("--repeats", type=int, default=2, help="the best of so many counts")
    arguments = parser.parse_args()
    network = NetworkParameters(duration_ms=arguments.duration_ms, transient_ms=arguments.duration_ms / 10)
    warm_up()
    print(describe())
    normals = network.n_neurons * network.n_steps
    print(f"N = M = {network.n_neurons}, {network.n_steps} steps, {normals:.1e} normals; one core, processor time")
    titles = (
        ("lam", 5), ("p", 5), ("rate Hz", 8), ("S", 6), ("events", 8), ("trial s", 8), ("NumPy s", 8),
        ("ratio", 6), ("target", 7),
    )  # fmt: skip
    print(" ".join(f"{title:>{width}}" for title, width in titles))
    missed = 0
    for point in arguments.points:
        lam, p = (float(x) for x in point.split(","))
        best = None
        for repeat in range(arguments.repeats):
            before = numpy_s_per_normal()
            start = time.process_time()
            recording = simulate(network, p, lam, trial_seed(1, {"p": p, "lam": lam}, repeat))
            seconds = time.process_time() - start
            baseline = normals * (before + numpy_s_per_normal()) / 2
            if best is None or seconds / baseline < best[0] / best[1]:
                best = (seconds, baseline, recording)
        assert best is not None
        seconds, baseline, recording = best
        analysed_s = (network.duration_ms - network.transient_ms) / 1e3
        rate = recording.n_spikes / network.n_neurons / analysed_s
        events = (
            1e-3
            * network.dt_ms
            * network.n_neurons
            * float((recording.phi_E + recording.phi_I + recording.phi_ext).sum(dtype=np.float64) * 1e3)
        )
        target = TARGETS.get(point)
        ratio = seconds / baseline
        missed += target is not None and ratio > target
        print(
            f"{lam:5.2f} {p:5.2f} {rate:8.1f} {recording.spike_contrast:6.3f} {events:8.1e} {seconds:8.2f} "
            f"{baseline:8.2f} {ratio:6.3f} {target if target else '':>7}",
            flush=True,
        )
    print(f"peak resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
