"""hpcmass against Brian2, BrainPy and NEST: the same network, one thread, processor time of the simulation alone.

    make bench-peers [PEERS_ARGS="--p 0.02 1 --simulators brian2-same"]

At each connection probability every peer runs between two runs of hpcmass, so that all see the machine in the same
state; a ratio is the peer's time over the mean of the two. Each run is a separate process, one at a time. Prints a
table in Markdown and whether the mean rates agree, and the mean and standard deviation of the mean potential where the
peer records it (see agreement.py); ends with 1 if they do not. NEST's shortest delay makes spikes one step later than
the model has them, so its rates are compared with those of Brian2 with that delay.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from agreement import Difference, compare, pooled
from measurement import Measurement
from scenario import Scenario

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.append(str(HERE.parent))

from machine import describe  # noqa: E402

BYTES_PER_SYNAPSE = 30
"""Of a peer at most, while it builds."""

FALSE_ALARM = 0.01
"""Probability that at least one test of a comparison calls equal numbers different."""

QUANTITIES = {"rate_exc": "E", "rate_inh": "I", "mean_v_mv": "mean of v", "sd_v_mv": "sd of v"}
"""What is tested."""


@dataclass(frozen=True)
class Simulator:
    """How to start a simulator, and whose rates it should have (None: hpcmass's)."""

    label: str
    environment: str
    runner: str
    variant: str
    trials: int = 1
    reference: Simulator | None = None


HPCMASS = Simulator("hpcmass", ".venv", "run_hpcmass.py", "plain")
LATE = Simulator("Brian2, one step late", ".venv-peers-brian2", "run_brian2.py", "late", trials=4)
PEERS = {
    "brian2-same": Simulator("Brian2", ".venv-peers-brian2", "run_brian2.py", "same", trials=3),
    "brian2-bare": Simulator("Brian2, bare", ".venv-peers-brian2", "run_brian2.py", "bare"),
    "brainpy-same": Simulator("BrainPy", ".venv-peers-brainpy", "run_brainpy.py", "same", trials=3),
    "brainpy-bare": Simulator("BrainPy, bare", ".venv-peers-brainpy", "run_brainpy.py", "bare"),
    "nest": Simulator("NEST, bare", ".venv-peers-nest", "run_nest.py", "bare", reference=LATE),
}


@dataclass(frozen=True)
class Row:
    """One peer at one point, the hpcmass runs around it, and the reference of its rates unless that is hpcmass."""

    p: float
    peer: Simulator
    measured: Measurement
    ours: tuple[Measurement, Measurement]
    reference: Measurement | None

    @property
    def ours_s(self) -> float:
        """Processor seconds of hpcmass per biological second, mean of before and after."""
        return (self.ours[0].cpu_s_per_s + self.ours[1].cpu_s_per_s) / 2


def run(simulator: Simulator, p: float, seed: int, arguments: argparse.Namespace, trials: int) -> Measurement:
    """Run one simulator in a separate process."""
    python = Path(sys.executable) if simulator is HPCMASS else ROOT / simulator.environment / "bin" / "python"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "PYNEST_QUIET": "1"}
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "measurement.json"
        command = [
            str(python), str(HERE / simulator.runner), "--p", str(p), "--seed", str(seed),
            "--warmup-ms", str(arguments.warmup_ms), "--duration-ms", str(arguments.duration_ms),
            "--variant", simulator.variant, "--trials", str(trials), "--output", str(output),
        ]  # fmt: skip
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode or not output.exists():
            raise SystemExit(f"{simulator.label} at p = {p} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return Measurement.read(output)


def fits(p: float) -> bool:
    """Whether a peer's synapses fit the memory that is free now."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    need = BYTES_PER_SYNAPSE * Scenario(p).n_synapses + 5e8
    if need > 0.9 * free:
        print(f"p = {p}: needs {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free: left out", file=sys.stderr)
    return need <= 0.9 * free


def measure(arguments: argparse.Namespace) -> Iterator[Row]:
    """Run everything, one after the other."""
    for p in arguments.p:
        if not fits(p):
            continue
        seed = 1
        before = run(HPCMASS, p, seed, arguments, arguments.trials)
        for name in arguments.simulators:
            peer = PEERS[name]
            measured = run(peer, p, seed, arguments, peer.trials)
            seed += 1
            after = run(HPCMASS, p, seed, arguments, arguments.trials)
            reference = run(peer.reference, p, seed, arguments, peer.reference.trials) if peer.reference else None
            yield Row(p, peer, measured, (before, after), reference)
            before = after


def print_costs(rows: Iterable[Row]) -> list[Row]:
    """Print the table of times and memory line by line, as the rows come; return the rows."""
    print("| p | simulator | rates E, I (Hz) | set-up CPU s | CPU s per biological s | peak MB | time over hpcmass |")
    print("|---|---|---|---|---|---|---|", flush=True)
    printed: list[Row] = []
    for row in rows:
        if not printed or row.p != printed[-1].p:
            # the second run: the first may have compiled the kernels, which takes memory
            print_line(row.p, "hpcmass", row.ours[1], "1")
        ratio = f"{row.measured.cpu_s_per_s / row.ours_s:.0f} ({row.ours_s:.3f})"
        print_line(row.p, row.peer.label, row.measured, ratio)
        printed.append(row)
    return printed


def print_line(p: float, label: str, m: Measurement, ratio: str) -> None:
    """Print one line of it."""
    rates = f"{np.mean(m.rate_exc):.2f}, {np.mean(m.rate_inh):.2f}"
    print(
        f"| {p:g} | {label} | {rates} | {m.setup_cpu_s:.2g} | {m.cpu_s_per_s:.3g} | {m.peak_mb:.0f} | {ratio} |",
        flush=True,
    )


def print_agreement(rows: list[Row]) -> bool:
    """Print the tests of the rates, and of the mean potential; whether all are passed."""
    results: dict[str, list[tuple[float, Difference]]] = {}
    for row in rows:
        runs = {id(m): m for r in rows if r.p == row.p for m in r.ours}.values()
        against = row.peer.reference or HPCMASS
        for kind, label in QUANTITIES.items():
            if not getattr(row.measured, kind):
                continue
            ours = [number for m in runs for number in getattr(m, kind)]
            reference = ours if row.reference is None else getattr(row.reference, kind)
            difference = compare(getattr(row.measured, kind), reference, ours)
            name = f"{label}, {row.peer.label} against {against.label}"
            results.setdefault(name, []).append((row.p, difference))
    level = FALSE_ALARM / (len(results) + sum(len(v) for v in results.values()))
    print(f"Rates and potentials, normal scores; all equal at {FALSE_ALARM:g} if every p-value ≥ {level:.2g}:")
    agree = True
    for name, points in results.items():
        together = pooled([d for _, d in points])
        agree = agree and all(q >= level for q in (together, *(d.pvalue for _, d in points)))
        relative = float(np.mean([d.mean / d.reference - 1 for _, d in points]))
        scores = ", ".join(f"{d.z:+.1f} at p {p:g}" for p, d in points)
        print(f"  {name}: {scores}; together {100 * relative:+.1f} %, p-value {together:.2g}")
    print("all agree" if agree else "NOT ALL AGREE")
    return agree


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--p", type=float, nargs="+", default=[0.02, 0.1, 0.5, 1.0])
    parser.add_argument("--simulators", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--warmup-ms", type=float, default=500.0)
    parser.add_argument("--duration-ms", type=float, default=2000.0)
    parser.add_argument("--trials", type=int, default=12, help="of hpcmass, before and after each peer")
    arguments = parser.parse_args()
    print(describe())
    print(f"{arguments.duration_ms / 1e3:g} s after {arguments.warmup_ms / 1e3:g} s, one thread\n")
    rows = print_costs(measure(arguments))
    if not rows:
        return 1
    print("\n" + "; ".join(dict.fromkeys([rows[0].ours[0].version, *(r.measured.version for r in rows)])))
    return 0 if print_agreement(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
