"""How much the step and the precision matter: the numbers of docs/numerics.md.

    python benchmarks/numerics.py step       # dt, dt/2, dt/4, float32
    python benchmarks/numerics.py precision  # float32 against the tests' float64 oracle, dt

Full-size networks (N = M = 10 000) with the defaults of the keys, not the reference set, and independent seeds; for
each statistic the mean over the seeds and, for every difference, its standard error. Takes about a quarter of an hour
each on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpcmass.config import NetworkParameters
from hpcmass.grid import trial_seed
from hpcmass.network.simulation import Network
from hpcmass.network.spikes import SpikeChunk, SpikeTrains, train_statistics
from hpcmass.network.synchrony import spike_contrast

POINTS = ((0.8, 0.02), (0.8, 0.2), (0.6, 0.7), (0.8, 1.0), (1.0, 1.0))
"""λ, p: each regime of the plane once."""

BURN_IN_MS = 500.0
BAND_HZ = (2.0, 500.0)
NAMES = ("rate E (Hz)", "rate I (Hz)", "mean v (mV)", "sd v (mV)", "S", "CV", "median f (Hz)")


def parameters(dt_ms: float, duration_ms: float) -> NetworkParameters:
    return NetworkParameters(dt_ms=dt_ms, duration_ms=duration_ms, transient_ms=BURN_IN_MS)


def statistics(mean_v: npt.NDArray[np.float64], chunks: list[SpikeChunk], net: Network) -> npt.NDArray[np.float64]:
    """The numbers called `NAMES`, of a run after the burn-in."""
    dt_ms = net.parameters.dt_ms
    trains = SpikeTrains(chunks, net.parameters.n_neurons)
    numbers = train_statistics(trains)
    seconds = mean_v.size * dt_ms / 1e3
    power = np.abs(np.fft.rfft((mean_v - mean_v.mean()) * np.hamming(mean_v.size))) ** 2
    frequency = np.fft.rfftfreq(mean_v.size, dt_ms / 1e3)
    power, frequency = (x[(frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])] for x in (power, frequency))
    below = np.cumsum(power) / power.sum()
    rates = [float(n.mean()) / seconds if n.size else np.nan for n in np.split(numbers.n_per_neuron, [net.n_exc])]
    contrast, _ = spike_contrast(trains, dt_ms, numbers.shortest_isi)
    return np.array([*rates, mean_v.mean(), mean_v.std(), contrast, numbers.cv_isi, np.interp(0.5, below, frequency)])


def kernel(q: NetworkParameters, lam: float, p: float, number: int) -> npt.NDArray[np.float64]:
    """One float32 run."""
    net = Network(q, p, lam, trial_seed(20210114, {"p": p, "lam": lam, "dt_ms": q.dt_ms}, number))
    net.run(q.n_transient)
    mean_v, _, chunks, _ = net.run(q.n_steps - q.n_transient)
    return statistics(mean_v, chunks, net)


def double(q: NetworkParameters, lam: float, p: float, number: int) -> npt.NDArray[np.float64]:
    """One float64 run, with NumPy's noise and NumPy's external spikes; the graph is the kernel's generator's."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))
    from oracle import oracle_of

    net = Network(q, p, lam, trial_seed(5, {"p": p, "lam": lam}, number))
    oracle, rng = oracle_of(net), np.random.default_rng([20210114, number])
    events_per_step = q.n_external * q.external_rate_hz * q.dt_ms / 1e3
    mean_v = np.empty(q.n_steps)
    fired = []
    for t in range(q.n_steps):
        events = rng.integers(0, q.n_external, rng.poisson(events_per_step))
        fired.append(np.flatnonzero(oracle.step(rng.standard_normal(q.n_neurons), events)).astype(np.uint16))
        mean_v[t] = oracle.v.mean()
    late = fired[q.n_transient :]
    return statistics(mean_v[q.n_transient :], [(np.concatenate(late), np.array([f.size for f in late]))], net)


def report(title: str, runs: dict[str, npt.NDArray[np.float64]]) -> None:
    """Means, then the differences to the first kind of run in units of their standard error."""
    print(f"\n{title}", flush=True)
    print(" " * 14 + "".join(f"{name:>15}" for name in NAMES))
    first = next(iter(runs.values()))
    for kind, values in runs.items():
        print(f"{kind:14}" + "".join(f"{x:15.5g}" for x in values.mean(0)))
        error = np.sqrt(values.var(0, ddof=1) / len(values))
        print(f"{'  ± s.e.':14}" + "".join(f"{x:15.2g}" for x in error))
        if values is not first:
            with np.errstate(invalid="ignore"):  # no neuron spiked: 0/0
                z = (values.mean(0) - first.mean(0)) / np.sqrt(error**2 + first.var(0, ddof=1) / len(first))
            print(f"{'  difference':14}" + "".join(f"{x:13.1f} σ" for x in z), flush=True)


def main(what: str, n_seeds: int, duration_ms: float) -> None:
    for lam, p in POINTS:
        runs = {}
        if what == "step":
            for dt_ms in (0.1, 0.05, 0.025):
                q = parameters(dt_ms, duration_ms)
                runs[f"dt {dt_ms} ms"] = np.array([kernel(q, lam, p, k) for k in range(n_seeds)])
        else:
            q = parameters(0.1, duration_ms)
            runs["float64"] = np.array([double(q, lam, p, k) for k in range(n_seeds)])
            runs["float32"] = np.array([kernel(q, lam, p, k) for k in range(4 * n_seeds)])
        report(f"λ = {lam}, p = {p}: {n_seeds} seeds of {(duration_ms - BURN_IN_MS) / 1e3:g} s", runs)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("step", "precision"):
        sys.exit(str(__doc__))
    main(sys.argv[1], *((16, 3500.0) if sys.argv[1] == "step" else (6, 2000.0)))
