"""The network in BrainPy (JAX, compiled by XLA for the processor), one thread.

Given a fair chance: float32, the event-driven product with a sparse matrix (`brainpy.math.event.csrmv`), one weight for
all synapses of a kind, loops compiled in pieces of 100 ms, and only counts of spikes recorded. NumPy makes the graph:
BrainPy's `FixedProb` gives every neuron the same number of targets. Variants:

same   the external trains are drawn and the mean potential is recorded while it simulates, as hpcmass does
bare   the external trains are given, nothing but spikes is recorded
"""

from __future__ import annotations

import math
import os
import time

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before JAX counts the processors

import brainpy as bp  # noqa: E402
import brainpy.math as bm  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402
from measurement import Measurement, peak_mb, tapered_rate  # noqa: E402
from scenario import Scenario, Task  # noqa: E402

PIECE_MS = 100.0
"""Network time of one call of the compiled loop."""


class Rows:
    """Rows of a random graph: source → targets, without connections of a neuron with itself."""

    def __init__(
        self, rng: np.random.Generator, p: float, sources: int, targets: int, first: int | None, weight: float
    ) -> None:
        """`first`: the target that is the first source; None if sources are no targets."""
        rows = []
        for i in range(sources):
            row = np.flatnonzero(rng.random(targets, dtype=np.float32) < p).astype(np.int32)
            rows.append(row if first is None else row[row != first + i])
        self.indices = jax.numpy.asarray(np.concatenate(rows))
        self.indptr = jax.numpy.asarray(np.cumsum([0, *map(len, rows)]).astype(np.int32))
        self.shape = (sources, targets)
        self.weight = jax.numpy.full(1, weight, jax.numpy.float32)

    def __call__(self, spikes: bm.Array) -> bm.Array:
        """Sum of the weights that arrive at each target."""
        return bm.event.csrmv(self.weight, self.indices, self.indptr, spikes, shape=self.shape, transpose=True)


class Network(bp.DynamicalSystem):
    """The scenario's network without delay; `trains` are the external spikes if they are not drawn."""

    def __init__(self, s: Scenario, seed: int, trains: npt.NDArray[np.int32] | None) -> None:
        super().__init__()
        self.s = s
        rng = np.random.default_rng(seed)
        n_inh = s.n_neurons - s.n_exc
        self.from_exc = Rows(rng, s.p, s.n_exc, s.n_neurons, 0, s.w_exc)
        self.from_inh = Rows(rng, s.p, n_inh, s.n_neurons, s.n_exc, s.w_inh)
        self.to_exc = Rows(rng, s.p_ext, s.n_external, s.n_exc, None, s.w_ext)
        self.trains = None if trains is None else jax.numpy.asarray(trains)
        v = rng.uniform(s.v_reset_mv, s.v_threshold_mv, s.n_neurons).astype(np.float32)
        self.v = bm.Variable(v)
        self.g_exc = bm.Variable(bm.zeros(s.n_neurons))
        self.g_inh = bm.Variable(bm.zeros(s.n_neurons))
        self.waiting = bm.Variable(bm.zeros(s.n_neurons, dtype=bm.int32))

    def update(self, step: bm.Array) -> tuple[bm.Array, bm.Array, bm.Array]:
        """One Euler step: spikes of either population, mean potential."""
        s, h = self.s, self.s.dt_ms / self.s.tau_m_ms
        v, g_exc, g_inh = self.v.value, self.g_exc.value, self.g_inh.value
        drift = v - s.v_leak_mv + g_exc * (v - s.v_exc_mv) + g_inh * (v - s.v_inh_mv)
        noise = bm.random.randn(s.n_neurons) * (s.noise_sd_mv * math.sqrt(2 * h))
        free = self.waiting.value == 0
        v = bm.where(free, v - h * drift + noise, v)
        spikes = free & (v >= s.v_threshold_mv)
        self.v.value = bm.where(spikes, s.v_reset_mv, v)
        n_wait = round(s.t_ref_ms / s.dt_ms)
        self.waiting.value = bm.where(spikes, n_wait, bm.maximum(self.waiting.value - 1, 0))
        if self.trains is None:
            external = bm.random.rand(s.n_external) < s.external_rate_hz * s.dt_ms / 1e3
        else:
            # absent spikes have the number n_external, which is outside and dropped
            external = jax.numpy.zeros(s.n_external, bool).at[self.trains[step]].set(True, mode="drop")
        arrivals = bm.as_jax(self.from_exc(spikes[: s.n_exc])).at[: s.n_exc].add(bm.as_jax(self.to_exc(external)))
        self.g_exc.value = g_exc * (1 - s.dt_ms / s.tau_exc_ms) + arrivals
        self.g_inh.value = g_inh * (1 - s.dt_ms / s.tau_inh_ms) + self.from_inh(spikes[s.n_exc :])
        mean_v = bm.mean(self.v.value) if self.trains is None else bm.zeros(())
        return bm.sum(spikes[: s.n_exc]), bm.sum(spikes[s.n_exc :]), mean_v


def padded_trains(s: Scenario, seed: int, duration_ms: float) -> npt.NDArray[np.int32]:
    """The units that spike in each step, one row a step, filled up with `n_external`."""
    unit, step = s.external_trains(seed, duration_ms)
    counts = np.bincount(step, minlength=round(duration_ms / s.dt_ms))
    padded = np.full((counts.size, counts.max()), s.n_external, np.int32)
    padded[step, np.arange(step.size) - np.repeat(np.cumsum(counts) - counts, counts)] = unit
    return padded


def main() -> None:
    """Simulate `--trials` networks one after the other."""
    task = Task.from_command_line(("same", "bare"), __doc__)
    s = task.scenario
    if s.jump_exc is not None or s.delay_ms != s.dt_ms or s.p_ext_inh or s.delta_t_mv is not None:
        raise SystemExit("run_brainpy.py simulates only the network `plain`")
    bm.set_platform("cpu")
    bm.set_dt(s.dt_ms)
    n_steps = round(task.duration_ms / s.dt_ms)
    piece = round(PIECE_MS / s.dt_ms)
    warmup = round(task.warmup_ms / s.dt_ms)
    if warmup % piece or n_steps % piece:
        raise SystemExit(f"--warmup-ms and --duration-ms must be multiples of {PIECE_MS:g}")
    cpu = setup = 0.0
    rate_exc, rate_inh, mean, sd = [], [], [], []
    for trial in range(task.trials):
        start = time.process_time()
        seed = 1000 * task.seed + trial
        bm.random.seed(seed)
        trains = padded_trains(s, seed, task.warmup_ms + task.duration_ms) if task.variant == "bare" else None
        network = Network(s, seed, trains)
        steps = bm.arange(piece)

        @bm.jit
        def simulate(first: int, network: Network = network, steps: bm.Array = steps) -> tuple[bm.Array, ...]:
            return bm.for_loop(network.update, first + steps, progress_bar=False)

        first_piece = time.process_time()
        jax.block_until_ready(bm.as_jax(simulate(0)[0]))
        compiled = time.process_time()
        for first in range(piece, warmup, piece):
            simulate(first)
        begin = time.process_time()
        parts = [simulate(first) for first in range(warmup, warmup + n_steps, piece)]
        exc, inh, mean_v = (np.concatenate([np.asarray(part[k]) for part in parts]) for k in range(3))
        used = time.process_time() - begin
        cpu += used
        if trial == 0:  # the first piece is part of the simulation, its compilation is not
            setup = first_piece - start + compiled - first_piece - used * piece / n_steps
        at = np.arange(n_steps)
        rate_exc.append(tapered_rate(np.repeat(at, exc), n_steps, s.n_exc, s.dt_ms))
        rate_inh.append(tapered_rate(np.repeat(at, inh), n_steps, s.n_neurons - s.n_exc, s.dt_ms))
        if task.variant == "same":
            mean.append(float(mean_v.mean()))
            sd.append(float(mean_v.std()))
    Measurement(
        version=f"BrainPy {bp.__version__} (JAX {jax.__version__}, float32)",
        setup_cpu_s=setup,
        cpu_s_per_s=cpu / task.trials / (task.duration_ms / 1e3),
        peak_mb=peak_mb(),
        rate_exc=rate_exc,
        rate_inh=rate_inh,
        mean_v_mv=mean,
        sd_v_mv=sd,
    ).write(task.output)


if __name__ == "__main__":
    main()
