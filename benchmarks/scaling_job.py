"""What one process of `bench_scaling.py` runs under mpiexec: a sweep, timed on rank 0.

With `--canned` every trial returns a recording made beforehand, so that what is left is the scattering, the
writing and the file: everything but the simulation.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import hpcmass.network as network
from hpcmass.sweep.run import run_sweep


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--canned", action="store_true")
    arguments = parser.parse_args()
    if arguments.canned:
        from hpcmass.config.file import load_experiment

        recording = network.simulate(load_experiment(arguments.config).network, 0.1, 0.8, (1, 2, 3, 4))
        network.simulate = lambda *args, **kwargs: recording
    start, processor = time.perf_counter(), time.process_time()
    summary = run_sweep(arguments.config, arguments.output)
    if summary is not None:
        seconds = time.perf_counter() - start
        print(json.dumps({"done": summary.done, "s": seconds, "cpu_s": time.process_time() - processor}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
