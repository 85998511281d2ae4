"""Reading large sweeps: processor time of opening, `hpcmass status` and xarray, against what HDF5 itself takes.

One file of 10⁵ trials, and the parts of a job array, all with traces of a few steps. Every process is a new one, so
that what is counted is what a user waits for; the imports alone are counted, too.

    python benchmarks/bench_files.py [--trials 100000] [--parts 1000] [--repeats 5]
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import h5py
from machine import describe

from hpcmass.config import Experiment
from hpcmass.config.file import load_experiment
from hpcmass.costs import Part, assign
from hpcmass.grid import shape
from hpcmass.store.writer import create_sweep_file

CONFIG = """\
title: benchmark of large sweeps
trials: {trials}
network: {{duration_ms: 20, transient_ms: 10, n_neurons: 200, n_external: 200}}
grid:
  p: {{linspace: [0.01, 1, {n_p}]}}
  lam: {{linspace: [0.5, 1, {n_lam}]}}
compare: {{bin_hz: 100, max_lag_ms: 2}}
"""

OPEN = "from hpcmass.store.sweep_file import SweepFile"
XARRAY = "from hpcmass.store.labelled import open_sweep"
READ = {
    "h5py alone": ("import h5py", "h5py.File(path)['status'][()]"),
    "SweepFile": (OPEN, "SweepFile(path).close()"),
    "xarray alone": (
        "import xarray, h5netcdf, xarray.backends.h5netcdf_",
        "xarray.open_dataset(path, engine='h5netcdf')['rate_E'].mean()",
    ),
    "open_sweep": (XARRAY, "open_sweep(path)['rate_E'].mean()"),
    "sweep_status": ("from hpcmass.store.status import sweep_status", "sweep_status(path)"),
}
"""Reader → its imports, and one use of it; the second use in a process is what is timed."""

TIMED = """\
import sys, time
path = sys.argv[1]
{imports}
{use}
best = 1e9
for _ in range({repeats}):
    start = time.process_time()
    {use}
    best = min(best, time.process_time() - start)
print(best)
"""


def main() -> int:
    """Print a table for each kind of sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--parts", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5, help="the best of so many counts")
    options = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        one_file(home, options.trials, options.repeats)
        if options.parts:
            many_files(home, options.parts)
    return 0


def experiment(home: Path, *, n_p: int, n_lam: int, trials: int) -> Experiment:
    """A sweep of so many points and trials."""
    path = home / "bench.yml"
    path.write_text(CONFIG.format(n_p=n_p, n_lam=n_lam, trials=trials))
    return load_experiment(path)


def one_file(home: Path, n_trials: int, repeats: int) -> None:
    """Time the readers of one large file."""
    large, small = home / "large.h5", home / "small.h5"
    for path, n_p in ((large, n_trials // 100), (small, 1)):
        sweep = experiment(home, n_p=n_p, n_lam=10, trials=10)
        create_sweep_file(path, sweep, driver="serial", provenance={"uuid": str(uuid.uuid4())})
    print(f"one file of {n_trials} trials; processor time (ms), and with 100 trials")
    for name, (imports, use) in READ.items():
        code = TIMED.format(imports=imports, use=use, repeats=repeats)
        times = [1e3 * float(run(sys.executable, "-c", code, str(path))[0]) for path in (large, small)]
        print(f"{name:<14} {times[0]:8.1f} {times[1]:8.1f}", flush=True)


def many_files(home: Path, n_parts: int) -> None:
    """Count `hpcmass status` of the parts of a job array of the paper's grid."""
    sweep = experiment(home, n_p=24, n_lam=21, trials=10)
    paths = [home / f"part-{number}.h5" for number in range(1, n_parts + 1)]
    first = assign(sweep, Part(1, n_parts))
    create_sweep_file(paths[0], sweep, driver="serial", provenance={"uuid": str(uuid.uuid4())}, assignment=first)
    for number, path in enumerate(paths[1:], 2):  # a copy is made faster than a new file
        shutil.copy(paths[0], path)
        part = assign(sweep, Part(number, n_parts))
        with h5py.File(path, "r+") as file:
            file.attrs.update({"part": str(part.part), "part_trials": (part.start, part.stop)})
    program = [sys.executable, "-m", "hpcmass", "status"]
    n_trials = math.prod(shape(sweep))
    print(f"`hpcmass status` of parts of {n_trials} trials; processor time (s) and peak memory (MB) of the process")
    for some in (paths[:1], paths):
        _, seconds, megabytes = run(*program, *map(str, some))
        print(f"{len(some):>4} parts {seconds:8.2f} {megabytes:8.0f}", flush=True)


def run(*command: str) -> tuple[str, float, float]:
    """A process's output, its processor time (s) and its peak resident memory (MB)."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:4])} … ended with {process.returncode}")
    return output.strip(), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
