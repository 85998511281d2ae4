"""hpcmass against Brian2 and NEST: the same network, one thread, processor time of the simulation alone.

    make bench-peers [PEERS_ARGS="--p 0.02 1 --simulators brian2-same"]

At each connection probability every peer runs between two runs of hpcmass, so that all see the machine in the same
state; a ratio is the peer's time over the mean of the two. Each run is a process of its own; nothing runs at once.
Prints a table in Markdown and whether the mean rates agree (see agreement.py); ends with 1 if they do not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
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

BYTES_PER_SYNAPSE = 40
"""Of Brian2 and NEST at most, while they build."""

FALSE_ALARM = 0.01
"""Probability that at least one test of a comparison calls equal rates different."""


@dataclass(frozen=True)
class Simulator:
    """How to start a simulator."""

    label: str
    environment: str
    runner: str
    variant: str
    hungry: bool = True


HPCMASS = Simulator("hpcmass", ".venv", "run_hpcmass.py", "plain", hungry=False)
PEERS = {
    "brian2-same": Simulator("Brian2", ".venv-peers-brian2", "run_brian2.py", "same"),
    "brian2-bare": Simulator("Brian2, bare", ".venv-peers-brian2", "run_brian2.py", "bare"),
    "nest": Simulator("NEST, bare", ".venv-peers-nest", "run_nest.py", "bare"),
}


@dataclass(frozen=True)
class Row:
    """One peer at one point, with the hpcmass runs around it."""

    p: float
    peer: Simulator
    measured: Measurement
    ours: tuple[Measurement, Measurement]

    @property
    def ours_s(self) -> float:
        """Processor seconds of hpcmass per biological second, mean of before and after."""
        return (self.ours[0].cpu_s_per_s + self.ours[1].cpu_s_per_s) / 2


def run(simulator: Simulator, p: float, seed: int, arguments: argparse.Namespace, trials: int) -> Measurement:
    """Run one simulator in a process of its own."""
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


def measure(arguments: argparse.Namespace) -> list[Row]:
    """Run everything, one after the other."""
    rows = []
    for p in arguments.p:
        if not fits(p):
            continue
        seed = 1
        before = run(HPCMASS, p, seed, arguments, arguments.trials)
        for name in arguments.simulators:
            print(f"p = {p}: {PEERS[name].label} …", file=sys.stderr, flush=True)
            measured = run(PEERS[name], p, seed, arguments, 1)
            seed += 1
            after = run(HPCMASS, p, seed, arguments, arguments.trials)
            rows.append(Row(p, PEERS[name], measured, (before, after)))
            before = after
    return rows


def print_costs(rows: Iterable[Row]) -> None:
    """Print the table of times and memory."""
    print("| p | simulator | rates E, I (Hz) | set-up CPU s | CPU s per biological s | peak MB | time over hpcmass |")
    print("|---|---|---|---|---|---|---|")
    last = None
    for row in rows:
        if row.p != last:
            print_line(row.p, "hpcmass", row.ours[0], "1")
            last = row.p
        ratio = f"{row.measured.cpu_s_per_s / row.ours_s:.0f} ({row.ours_s:.3f})"
        print_line(row.p, row.peer.label, row.measured, ratio)


def print_line(p: float, label: str, m: Measurement, ratio: str) -> None:
    """Print one line of it."""
    rates = f"{np.mean(m.rate_exc):.2f}, {np.mean(m.rate_inh):.2f}"
    print(f"| {p:g} | {label} | {rates} | {m.setup_cpu_s:.2g} | {m.cpu_s_per_s:.3g} | {m.peak_mb:.0f} | {ratio} |")


def print_agreement(rows: list[Row]) -> bool:
    """Print the tests of the rates; whether all are passed."""
    results: dict[tuple[str, str], list[tuple[float, Difference]]] = {}
    for row in rows:
        runs = {id(m): m for r in rows if r.p == row.p for m in r.ours}.values()
        for kind in ("rate_exc", "rate_inh"):
            reference = [rate for m in runs for rate in getattr(m, kind)]
            difference = compare(getattr(row.measured, kind), reference)
            results.setdefault((row.peer.label, kind), []).append((row.p, difference))
    level = FALSE_ALARM / (len(results) + sum(len(v) for v in results.values()))
    print(f"Rates against hpcmass, normal scores (equal at {FALSE_ALARM:g} over all tests if p-values ≥ {level:.2g}):")
    agree = True
    for (label, kind), points in results.items():
        together = pooled([d for _, d in points])
        agree = agree and all(q >= level for q in (together, *(d.pvalue for _, d in points)))
        relative = float(np.mean([d.mean / d.reference - 1 for _, d in points]))
        scores = ", ".join(f"{d.z:+.1f} (p {p:g})" for p, d in points)
        print(f"  {label} {kind[-3:]}: {scores}; together {100 * relative:+.1f} %, p-value {together:.2g}")
    print("mean rates agree" if agree else "MEAN RATES DIFFER")
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
    print(describe(), flush=True)
    rows = measure(arguments)
    if not rows:
        return 1
    print("; ".join(dict.fromkeys([rows[0].ours[0].version, *(r.measured.version for r in rows)])))
    print(f"{arguments.duration_ms / 1e3:g} s after {arguments.warmup_ms / 1e3:g} s, one thread\n")
    print_costs(rows)
    print()
    return 0 if print_agreement(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
