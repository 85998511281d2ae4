"""One trial on each core at the same time, against one alone: what the cores of this machine share.

The cores share memory bandwidth, the last cache, and power. The points are the one that reads the graph most, a fast
network and a slow one. Processor time counts, in which a core also waits for memory; other programs do not count. Rows
are the rows of the packed graphs that the trial adds up, per core, with all cores at work: from caches or from memory.

    python benchmarks/bench_cores.py [--points 1,0.95 0.8,0.2] [--duration-ms 3000] [--repeats 3] [--cores N]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from multiprocessing.synchronize import Barrier

from machine import describe

from hpcmass.config import NetworkParameters
from hpcmass.grid import trial_seed
from hpcmass.network import simulate, warm_up
from hpcmass.network.digraph import words_per_row
from hpcmass.network.simulation import external_words

POINTS = ("1,0.95", "0.8,0.95", "0.8,0.2", "0.8,0.02")


def cores() -> list[int]:
    """Numbers of the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def row_bytes(network: NetworkParameters, lam: float, n_spikes: int) -> float:
    """Bytes of the graphs' rows that a trial of so many analysed spikes adds up."""
    spikes = n_spikes * network.duration_ms / (network.duration_ms - network.transient_ms)
    external = network.n_external * network.external_rate_hz * network.duration_ms / 1e3
    return 8 * (words_per_row(network.n_neurons) * spikes + external_words(network, lam) * external)


def work(core: int, points: list[tuple[float, float]], network: NetworkParameters, repeats: int, together: Barrier,
         results: multiprocessing.Queue[tuple[int, list[tuple[float, float]]]]) -> None:  # fmt: skip
    """The points on one core, each begun with all others: processor seconds, the best of some, and bytes of rows."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    warm_up()
    found = []
    for lam, p in points:
        seconds, n_bytes = [], 0.0
        for repeat in range(repeats):
            together.wait()
            begun = time.process_time()
            recording = simulate(network, p, lam, trial_seed(core, {"p": p, "lam": lam}, repeat))
            seconds.append(time.process_time() - begun)
            n_bytes = row_bytes(network, lam, recording.n_spikes)
        found.append((min(seconds), n_bytes))
    results.put((core, found))


def measure(
    chosen: list[int], points: list[tuple[float, float]], network: NetworkParameters, repeats: int
) -> list[list[tuple[float, float]]]:
    """What `work` finds on each of the chosen cores, at the same time."""
    context = multiprocessing.get_context("spawn")
    together, results = context.Barrier(len(chosen)), context.Queue()
    processes = [
        context.Process(target=work, args=(core, points, network, repeats, together, results)) for core in chosen
    ]
    for process in processes:
        process.start()
    found = dict(results.get() for _ in processes)
    for process in processes:
        process.join()
    return [found[core] for core in chosen]


def main() -> int:
    """Print a line per point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", nargs="+", default=POINTS, metavar="LAM,P")
    parser.add_argument("--duration-ms", type=float, default=3e3)
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--cores", type=int, metavar="N", help="use the first N cores only")
    arguments = parser.parse_args()
    network = NetworkParameters(duration_ms=arguments.duration_ms, transient_ms=arguments.duration_ms / 10)
    points = [(float(lam), float(p)) for lam, p in (point.split(",") for point in arguments.points)]
    chosen = cores()[: arguments.cores]
    print(f"{describe()}; {len(chosen)} of them at the same time")
    alone = measure(chosen[:1], points, network, arguments.repeats)[0]
    everywhere = measure(chosen, points, network, arguments.repeats)
    print(f"{'lam':>5} {'p':>5} {'alone s':>8} {'all s':>8} {'slowest s':>9} {'all/alone':>10} {'rows GB/s':>10}")
    for k, (lam, p) in enumerate(points):
        seconds = [of_core[k][0] for of_core in everywhere]
        mean = sum(seconds) / len(seconds)
        rate = sum(of_core[k][1] / of_core[k][0] for of_core in everywhere) / len(seconds) / 1e9
        times = f"{alone[k][0]:8.2f} {mean:8.2f} {max(seconds):9.2f} {mean / alone[k][0]:10.2f}"
        print(f"{lam:5.2f} {p:5.2f} {times} {rate:10.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
