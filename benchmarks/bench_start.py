"""What a task of a job array takes beside its trials: processor seconds of real tasks with one tiny trial.

    cold     one task with an empty kernel cache, then two started together that share one
    warm     tasks one after the other, with the kernels in the cache
    shared   the same with an empty cache, and HPCMASS_KERNELS naming what `hpcmass kernels` has compiled

Then the whole array, of which each node starts some tasks at the same time. What the two cold tasks took more than one
is what each further task takes. Processor time counts, of the task and of the processes it starts; waiting does not.

    python benchmarks/bench_start.py [--tasks 10] [--array 1000] [--per-node 128] [--source DIR ...]

Each `--source` is a directory that contains a package hpcmass, such as another version of it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from machine import describe

HERE = Path(__file__).resolve().parents[1]

CONFIG = """\
title: tiny tasks
trials: 1
network: {n_neurons: 200, n_external: 200, p_ext: 1.0, w_ext: 0.1, duration_ms: 400, transient_ms: 100}
grid: {p: [%s], lam: [0.8]}
"""


@dataclass(frozen=True)
class Starts:
    """Processor seconds of tasks of one version.

    Attributes
    ----------
    alone : float
        A cold task.
    two : float
        Two cold tasks that start together, in all.
    warm : float
        Mean of warm tasks.
    shared : float or None
        Mean of tasks with kernels compiled in advance; None where the version cannot compile them.
    """

    alone: float
    two: float
    warm: float
    shared: float | None


def array_hours(starts: Starts, tasks: int, per_node: int) -> tuple[float, float | None]:
    """Processor hours that the starts of an array take: cold nodes, and kernels compiled in advance.

    Each node has an empty cache, and its tasks start together.
    """
    nodes = -(-tasks // per_node)
    cold = nodes * starts.alone + (tasks - nodes) * (starts.two - starts.alone)
    return cold / 3600, None if starts.shared is None else tasks * starts.shared / 3600


def command(source: Path, arguments: list[str], cache: Path, kernels: Path | None = None) -> subprocess.Popen[bytes]:
    """A command of the hpcmass in a directory, started."""
    environment = {name: value for name, value in os.environ.items() if name != "HPCMASS_KERNELS"}
    environment |= {"PYTHONPATH": str(source), "NUMBA_CACHE_DIR": str(cache)}
    if kernels is not None:
        environment["HPCMASS_KERNELS"] = str(kernels)
    program = [sys.executable, "-m", "hpcmass", *arguments]
    return subprocess.Popen(program, env=environment, cwd=cache, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def seconds_of(process: subprocess.Popen[bytes]) -> float:
    """Processor seconds of a command and of the processes that it started, when it has ended."""
    assert process.stderr is not None
    messages = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"a task ended with exit code {process.returncode}: {messages.decode(errors='replace')}")
    return usage.ru_utime + usage.ru_stime


def has_kernels_command(source: Path) -> bool:
    """Whether kernels can be compiled in advance."""
    return (source / "hpcmass" / "commands" / "kernels.py").exists()


def measure(source: Path, tasks: int, folder: Path) -> Starts:
    """The times of one version (`folder`: empty)."""
    config = folder / "tiny.yml"
    n_parts = max(tasks, 2)
    config.write_text(CONFIG % ", ".join(f"{0.3 + 0.5 * k / n_parts:.4f}" for k in range(n_parts)))

    def task(number: int, cache: Path, kernels: Path | None = None) -> subprocess.Popen[bytes]:
        output = cache / f"part-{number}.h5"
        output.unlink(missing_ok=True)
        return command(source, ["run", str(config), "-o", str(output), "--part", f"{number}/{n_parts}"], cache, kernels)

    first, cache, own, kernels = (folder / name for name in ("first", "cache", "own", "kernels"))
    for path in (first, cache, own):
        path.mkdir(mode=0o700)
    alone = seconds_of(task(1, first))
    print(f"  cold task                  {alone:6.2f} s", flush=True)
    two = [seconds_of(process) for process in [task(1, cache), task(2, cache)]]
    print(f"  two cold tasks together    {sum(two):6.2f} s ({max(two):.2f} and {min(two):.2f})", flush=True)
    warm = [seconds_of(task(number, cache)) for number in range(1, tasks + 1)]
    print(f"  warm task                  {described(warm)}", flush=True)
    if not has_kernels_command(source):
        return Starts(alone, sum(two), mean(warm), None)
    once = seconds_of(command(source, ["kernels", "--into", str(kernels)], own))
    shared = [seconds_of(task(number, own, kernels)) for number in range(1, tasks + 1)]
    print(f"  kernels --into, once       {once:6.2f} s", flush=True)
    print(f"  task with HPCMASS_KERNELS  {described(shared)}", flush=True)
    return Starts(alone, sum(two), mean(warm), mean(shared))


def described(seconds: list[float]) -> str:
    """Mean and range."""
    return f"{mean(seconds):6.2f} s ({min(seconds):.2f} to {max(seconds):.2f}, {len(seconds)} tasks)"


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def main() -> int:
    """Print the times of each version, and what an array takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10, help="warm tasks, one after the other")
    parser.add_argument("--array", type=int, default=1000, help="tasks of the array")
    parser.add_argument("--per-node", type=int, default=128, help="tasks that start together on a node")
    parser.add_argument("--source", type=Path, action="append", metavar="DIR", help="instead of this version")
    arguments = parser.parse_args()
    print(describe())
    for source in arguments.source or [HERE]:
        print(source.resolve())
        with tempfile.TemporaryDirectory() as folder:
            starts = measure(source.resolve(), arguments.tasks, Path(folder))
        cold, shared = array_hours(starts, arguments.array, arguments.per_node)
        last = "" if shared is None else f"; with HPCMASS_KERNELS {shared:.2f}"
        print(f"  {arguments.array} tasks, {arguments.per_node} a node: {cold:.2f} core-hours{last}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
