"""Scaling: over the ranks of this machine, and of the master by simulation of what a big job asks of it.

Strong scaling: the same sweep of full-size networks on 1, 2, … worker ranks. The master: sweeps of many trials that
cost nothing, on a few ranks, give its time per trial; a job of R workers with trials of t seconds asks for R/t trials
a second.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from machine import describe

from hpcmass.config.file import parse_experiment
from hpcmass.grid import trials
from hpcmass.parallel.executors import batches
from hpcmass.progress import Progress

JOB = Path(__file__).with_name("scaling_job.py")
MPIEXEC = os.environ.get("MPIEXEC", "mpiexec")

FULL_SIZE = """
grid: {p: {linspace: [0.02, 1, 6]}, lam: [0.7, 0.85]}
trials: 8
network: {duration_ms: 1500.0, transient_ms: 100.0}
"""

TINY = """
grid: {p: {linspace: [0, 1, 100]}, lam: [0.5, 0.8]}
trials: %d
network: {n_neurons: 64, n_external: 64, duration_ms: 20.0, transient_ms: 2.0}
"""


def sweep(config: str, ranks: int, *options: str) -> dict[str, float]:
    """Run a sweep under mpiexec; what rank 0 reports."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yml"
        path.write_text(config)
        command = [MPIEXEC, "-n", str(ranks), sys.executable, str(JOB), str(path), f"{folder}/out.h5", *options]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    # numba may end a rank's standard output with an escape code
    result: dict[str, float] = json.loads(out[out.index("{") : out.index("}") + 1])
    return result


def strong() -> None:
    sweep(FULL_SIZE.replace("trials: 8", "trials: 1"), 1)  # compiles, reads the disk
    alone = sweep(FULL_SIZE, 1)
    print(f"\nstrong scaling, {alone['done']:.0f} full-size trials of 1.5 s")
    print(f"{'workers':>8} {'s':>7} {'speed-up':>9} {'efficiency':>11}")
    print(f"{1:8d} {alone['s']:7.1f} {1:9.2f} {1:11.0%}")
    for workers in range(2, (os.cpu_count() or 2) + 1):
        seconds = sweep(FULL_SIZE, workers + 1)["s"]
        print(f"{workers:8d} {seconds:7.1f} {alone['s'] / seconds:9.2f} {alone['s'] / seconds / workers:11.0%}")


def through_mpi() -> float:
    """Seconds per trial with everything but the simulation, one worker, from the difference of two sweeps."""
    few, many = sweep(TINY % 2, 2, "--canned"), sweep(TINY % 20, 2, "--canned")
    return (many["s"] - few["s"]) / (many["done"] - few["done"])


class _Workers(Executor):
    """An executor whose workers answer at once: a thread completes the oldest tasks."""

    def __init__(self) -> None:
        self.waiting: list[Future[Any]] = []
        self.closed = False

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append(future)
        return future

    def answer(self) -> None:
        at = 0
        while not self.closed:
            if at < len(self.waiting):
                self.waiting[at].set_result(1.0)
                at += 1
            else:
                time.sleep(0)


def master_alone(workers: int, n: int = 20_000) -> float:
    """Seconds per trial of the master's own loop with 2 × `workers` trials in flight, messages not counted."""
    tasks = trials(parse_experiment(TINY % (n // 200)))
    crew = _Workers()
    thread = threading.Thread(target=crew.answer, daemon=True)
    with open(os.devnull, "w") as nowhere, Progress(len(tasks), "trial", stream=nowhere) as progress:
        start = time.perf_counter()
        thread.start()
        for results in batches(crew, str, tasks, in_flight=2 * workers):
            for cost in results:
                progress.advance(cost)
        seconds = time.perf_counter() - start
    crew.closed = True
    thread.join()
    return seconds / len(tasks)


def main() -> None:
    print(describe())
    strong()
    per_trial = through_mpi()
    print(
        f"\neverything but the simulation, through MPI and into the file, one worker: {per_trial * 1e3:.2f} ms a trial"
    )
    print("the master's own loop:")
    for workers in (10, 100, 1000, 10_000):
        own = master_alone(workers)
        print(f"{workers:8d} workers  {own * 1e6:7.0f} µs a trial, keeps up with {1 / own:7.0f} trials/s"
              f" ({workers / 3.0:6.0f}/s are asked for by trials of 3 s)", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
