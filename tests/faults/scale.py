"""A sweep of very many tiny trials: what rank 0, the file and its readers cost, and how that grows."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness import Installation, write_config

RUN = """\
import json, sys, time
from pathlib import Path
from hpcmass.parallel.communicator import communicator
from hpcmass.sweep.run import run_sweep
here = communicator()
begin, processor = time.perf_counter(), time.process_time()
summary = run_sweep(Path(sys.argv[1]), Path(sys.argv[2]))
if here.rank == 0:
    print(json.dumps([summary.done, time.perf_counter() - begin, time.process_time() - processor]))
"""

READ = """\
import json, sys, time
import xarray, hpcmass.store.labelled
from hpcmass.store.labelled import open_sweep
from hpcmass.store.status import sweep_status
from hpcmass.store.sweep_file import SweepFile
times = []
for read in (SweepFile, open_sweep, sweep_status):
    best = 1e9
    for _ in range(3):
        begin = time.perf_counter()
        read(sys.argv[1])
        best = min(best, time.perf_counter() - begin)
    times.append(best)
print(json.dumps(times))
"""


@dataclass(frozen=True)
class Scale:
    """One size of sweep; times in seconds."""

    trials: int
    wall_s: float
    rank0_cpu_s: float
    open_s: float
    xarray_s: float
    status_s: float
    megabytes: float


def at_scale(here: Installation, directory: Path, trials: int) -> Scale:
    """Run so many trials of 8 neurons and 8 ms on 2 workers and rank 0, and read the file."""
    config = write_config(directory / f"scale-{trials}.yml", trials=trials // 10, n=8, t=8.0)
    path = directory / f"scale-{trials}.h5"
    run = subprocess.run(
        [here.env["MPIEXEC"], "-n", "3", here.python, "-c", RUN, str(config), str(path)],
        env=here.env, capture_output=True, text=True, timeout=1200, check=True,
    )  # fmt: skip
    printed = re.findall(r"\[\d+, [\d.]+, [\d.]+\]", run.stdout)  # the launcher may colour its output
    assert printed, run.stdout + run.stderr
    done, wall_s, cpu_s = json.loads(printed[-1])
    assert done == trials
    read = subprocess.run(
        [here.python, "-c", READ, str(path)], env=here.env, capture_output=True, text=True, timeout=300, check=True
    )
    return Scale(trials, wall_s, cpu_s, *json.loads(read.stdout), os.stat(path).st_size / 1e6)
