"""Do other simulators agree with hpcmass on variants of the network: a delay, input to inhibitory neurons, EIF neurons?

    python benchmarks/peers/variants.py [--networks delay input-to-I EIF] [--simulators brian2 nest]
    python benchmarks/peers/variants.py --networks paper-0.72 --p 0.33 --simulators brian2   paper.yml at λ = 0.72

after `benchmarks/peers/setup_peers.sh`. Prints rates, and mean and standard deviation of the population mean of v, for
each simulator, with the normal scores of their differences from hpcmass (see agreement.py); NEST's potentials are not
recorded. Ends with 1 if a difference is significant at 1 % over all tests.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from agreement import compare
from measurement import Measurement
from scenario import NETWORKS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

FALSE_ALARM = 0.01
"""Probability that at least one test calls equal numbers different."""

QUANTITIES = {"rate_exc": "rate E Hz", "rate_inh": "rate I Hz", "mean_v_mv": "mean v mV", "sd_v_mv": "sd v mV"}

PEERS = {"brian2": ("Brian2", "run_brian2.py", "same", 4), "nest": ("NEST", "run_nest.py", "bare", 1)}
"""Name → label, runner, its variant, trials."""


def measure(python: Path, runner: str, variant: str, trials: int, a: argparse.Namespace, network: str) -> Measurement:
    """Run a simulator in a separate process."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "PYNEST_QUIET": "1"}
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "measurement.json"
        command = [
            str(python), str(HERE / runner), "--p", str(a.p), "--seed", "1", "--network", network, "--variant", variant,
            "--warmup-ms", str(a.warmup_ms), "--duration-ms", str(a.duration_ms), "--trials", str(trials),
            "--output", str(output),
        ]  # fmt: skip
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode or not output.exists():
            raise SystemExit(f"{runner}, {network} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return Measurement.read(output)


def main() -> int:
    """Measure and print, a line for each simulator and network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    variants = [name for name in NETWORKS if name != "plain" and not name.startswith("paper-")]
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=variants)
    parser.add_argument("--simulators", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--p", type=float, default=0.1)
    parser.add_argument("--warmup-ms", type=float, default=500.0)
    parser.add_argument("--duration-ms", type=float, default=2000.0)
    parser.add_argument("--trials", type=int, default=24, help="of hpcmass")
    a = parser.parse_args()
    print("| network | simulator | trials | " + " | ".join(QUANTITIES.values()) + " | normal scores |")
    print("|---" * (4 + len(QUANTITIES)) + "|", flush=True)
    pvalues = []
    for network in a.networks:
        ours = measure(Path(sys.executable), "run_hpcmass.py", "plain", a.trials, a, network)
        print_line(network, "hpcmass", ours, "")
        for name in a.simulators:
            label, runner, variant, trials = PEERS[name]
            python = ROOT / f".venv-peers-{name}" / "bin" / "python"
            theirs = measure(python, runner, variant, trials, a, network)
            differences = [
                compare(getattr(theirs, key), getattr(ours, key), getattr(ours, key))
                for key in QUANTITIES
                if getattr(theirs, key)
            ]
            pvalues += [d.pvalue for d in differences]
            print_line(network, label, theirs, ", ".join(f"{d.z:+.1f}" for d in differences))
    agree = min(pvalues) >= FALSE_ALARM / len(pvalues)
    verdict = "all agree" if agree else "NOT ALL AGREE"
    print(f"\nsmallest p-value {min(pvalues):.2g} of {len(pvalues)}, level {FALSE_ALARM / len(pvalues):.2g}: {verdict}")
    return 0 if agree else 1


def print_line(network: str, label: str, m: Measurement, scores: str) -> None:
    """Print means over the trials with their standard deviation."""
    cells = []
    for key in QUANTITIES:
        values = getattr(m, key)
        spread = f" ± {np.std(values, ddof=1):.2g}" if len(values) > 1 else ""
        cells.append(f"{np.mean(values):.5g}{spread}" if values else "")
    print(f"| {network} | {label} | {len(m.rate_exc)} | {' | '.join(cells)} | {scores} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
