"""Where a trial's time goes: every kernel on its own, against the design's floor.

Best of many short runs, in processor time of one core. The floor of the design is the noise: a neuron and step need one
normal number, whatever else happens.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable

import numpy as np
from machine import describe
from numba import njit

# nothing from a cache: the compiler's output is looked at below
os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="hpcmass-bench-")

from hpcmass.config import NetworkParameters
from hpcmass.network import Network, warm_up
from hpcmass.network.delivery import add_complete_rows, add_rows, spread
from hpcmass.network.digraph import draw
from hpcmass.network.lanes import draw_normals, fill_bits
from hpcmass.network.machine_code import hot_loop_registers
from hpcmass.network.neurons import advance
from hpcmass.network.simd import aligned
from hpcmass.network.spikes import SpikeTrains, train_statistics
from hpcmass.network.synchrony import spike_contrast

N = 10_000


def best_s(run: Callable[[], object], repeats: int = 40) -> float:
    """Shortest processor time of one call."""
    run()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


@njit  # type: ignore[untyped-decorator]
def advance_often(n, u, g_e, g_i, g_x, p_e, p_i, p_x, refractory, fired, lanes, noise, constants):  # type: ignore[no-untyped-def]
    for _ in range(n):
        advance(u, g_e, g_i, g_x, p_e, p_i, p_x, refractory, fired, lanes, noise, constants, None, None)


@njit  # type: ignore[untyped-decorator]
def normals_often(n, lanes, out):  # type: ignore[no-untyped-def]
    for _ in range(n):
        draw_normals(lanes, out, 0, out.size, 1.0)


@njit  # type: ignore[untyped-decorator]
def rows_often(n, graph, width, order, size, rows, planes):  # type: ignore[no-untyped-def]
    at = 0
    for _ in range(n):
        for k in range(size):
            rows[k] = order[at + k] * width
        at += size
        add_rows(graph, width, rows, size, planes, width)


@njit  # type: ignore[untyped-decorator]
def spread_often(n, planes, width, n_planes, g):  # type: ignore[no-untyped-def]
    for _ in range(n):
        spread(planes, width, n_planes, 1e-30, g)


@njit  # type: ignore[untyped-decorator]
def complete_often(n, fired, kind, size, planes):  # type: ignore[no-untyped-def]
    for _ in range(n):
        add_complete_rows(fired, kind, kind, size, planes)


def line(what: str, value: float, unit: str, note: str = "") -> None:
    print(f"{what:46} {value:8.3f} {unit:22} {note}".rstrip(), flush=True)


def neurons(net: Network) -> None:
    s = net.state
    constants = np.array([1e-6] * 3 + [0.995] + [-0.005] * 3 + [0.3] * 3 + [3.5e-4, 20, 14], np.float32)
    n = 200
    slots = s.u.size
    per = 1e9 / (n * N)
    z = aligned(slots, np.float32)
    line("random bits", best_s(lambda: fill_bits(s.lanes, z.view(np.uint64))) * 1e9 / slots, "ns per 32 bits")
    line(
        "normals (the floor)", best_s(lambda: normals_often(n, s.lanes, z)) * per, "ns per neuron-step",
        f"{slots - N} of {slots} slots are padding",
    )  # fmt: skip
    for what, p_e, p_i in (
        ("whole step, external spikes only", None, None),
        ("whole step, no inhibitory spikes", s.planes_e, None),
        ("whole step, spikes of all kinds", s.planes_e, s.planes_i),
    ):
        args = (s.u, s.g_e, s.g_i, s.g_x, p_e, p_i, s.planes_x, s.refractory, s.fired, s.lanes, s.noise, constants)
        line(what, best_s(lambda args=args: advance_often(n, *args)) * per, "ns per neuron-step", "normals included")


def delivery(net: Network) -> None:
    rng = np.random.default_rng(1)
    graph, width = net.graph.rows.reshape(-1), net.wiring.width
    planes = net.state.planes_e
    rows = np.zeros(N + 16, np.int64)
    degree = net.graph.n_edges / N
    for size in (1, 4, 8, 16, 64, 150, 1000, 5000):
        n = max(2, 4000 // size)
        order = np.concatenate([np.sort(rng.choice(N, size, replace=False)) for _ in range(n)])
        seconds = best_s(lambda a=(n, graph, width, order, size, rows, planes): rows_often(*a), 20) / n
        events, gigabytes = size * degree / seconds / 1e9, size * width * 8 / seconds / 1e9
        note = f"{events:6.1f}e9 synaptic events/s at p = 0.5, {gigabytes:.0f} GB/s"
        line(f"sum of {size} rows of {width * 8} bytes", seconds * 1e6, "µs", note)
    seconds = best_s(lambda: spread_often(100, planes, width, 8, net.state.g_e)) / 100
    line("counts above 15 to conductances", seconds * 1e6, "µs")
    a = (100, net.wiring.excitatory, net.wiring.exists, 8000, planes)
    line("sum of 8000 rows of a complete graph", best_s(lambda: complete_often(*a)) * 1e4, "µs")


def around() -> None:
    for p in (0.001, 0.02, 0.1, 0.5, 0.9, 1.0):
        seconds = best_s(lambda p=p: draw(np.random.SeedSequence(2), N, N, p, loops=False), 5)
        line(f"graph of 10 000 x 10 000, p = {p:g}", seconds, "s")
    parameters = NetworkParameters(duration_ms=3e4, transient_ms=3e3)
    net = Network(parameters, 1.0, 1.0, (1, 2, 3, 4))
    net.run(parameters.n_transient)
    trains = SpikeTrains(net.run(parameters.n_steps - parameters.n_transient)[2], N)
    statistics = train_statistics(trains)
    line(f"interval statistics of {trains.n_spikes:.1e} spikes", best_s(lambda: train_statistics(trains), 2), "s")
    line("their Spike-contrast", best_s(lambda: spike_contrast(trains, 0.1, statistics.shortest_isi), 2), "s")


def main() -> None:
    warm_up()
    print(describe())
    for loop, bits in hot_loop_registers().items():
        print(f"the {loop} loop was compiled for vector registers of {bits} bits")
    net = Network(NetworkParameters(), 0.5, 0.8, (1, 2, 3, 4))
    neurons(net)
    delivery(net)
    around()


if __name__ == "__main__":
    main()
