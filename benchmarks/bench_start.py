"""What a task of a job array takes beside its trials: processor seconds of real tasks with one tiny trial.

    cold     two tasks started together, with an empty kernel cache that they share: the longer and the shorter one
    warm     tasks one after the other, with the kernels in the cache
    shared   the same with an empty cache, and HPCMASS_KERNELS naming what `hpcmass kernels` has compiled

Then the whole array, of which each node starts some tasks at the same time: one of them takes the longer time, the
others the shorter one. Processor time counts, of the task and of the processes it starts; waiting does not count.

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
    longer, shorter : float
        Of two cold tasks that start together.
    warm : float
        Mean of warm tasks.
    shared : float or None
        Mean of tasks with kernels compiled in advance; None where the version cannot compile them.
    """

    longer: float
    shorter: float
    warm: float
    shared: float | None


def array_hours(starts: Starts, tasks: int, per_node: int) -> tuple[float, float | None]:
    """Processor hours that the starts of an array take: cold nodes, and kernels compiled in advance.

    Each node has an empty cache, and its tasks start together.
    """
    nodes = -(-tasks // per_node)
    cold = nodes * starts.longer + (tasks - nodes) * starts.shorter
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
    config.write_text(CONFIG % ", ".join(f"{0.3 + 0.5 * k / (tasks + 1):.4f}" for k in range(tasks + 2)))

    def task(number: int, cache: Path, kernels: Path | None = None) -> subprocess.Popen[bytes]:
        output = cache / f"part-{number}.h5"
        return command(
            source, ["run", str(config), "-o", str(output), "--part", f"{number}/{tasks + 2}"], cache, kernels
        )

    cache, own, kernels = folder / "cache", folder / "own", folder / "kernels"
    for path in (cache, own):
        path.mkdir(mode=0o700)
    shorter, longer = sorted(seconds_of(process) for process in [task(tasks + 1, cache), task(tasks + 2, cache)])
    print(f"  two cold tasks together    {longer:6.2f} s and {shorter:6.2f} s", flush=True)
    warm = [seconds_of(task(number, cache)) for number in range(1, tasks + 1)]
    print(
        f"  warm task                  {mean(warm):6.2f} s ({min(warm):.2f} to {max(warm):.2f}, {tasks} tasks)",
        flush=True,
    )
    if not has_kernels_command(source):
        return Starts(longer, shorter, mean(warm), None)
    once = seconds_of(command(source, ["kernels", "--into", str(kernels)], own))
    shared = [seconds_of(task(number, own, kernels)) for number in range(1, tasks + 1)]
    print(f"  kernels --into, once       {once:6.2f} s", flush=True)
    print(f"  task with HPCMASS_KERNELS  {mean(shared):6.2f} s ({min(shared):.2f} to {max(shared):.2f})", flush=True)
    return Starts(longer, shorter, mean(warm), mean(shared))


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
