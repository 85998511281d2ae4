"""A sweep of very many tiny trials: what the master, the file and a look at it cost, and how that grows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from harness import Installation, write_config

RUN = """\
import json, sys, time
from pathlib import Path
from hpcmass.sweep.mpi import world
from hpcmass.sweep.run import run_sweep
here = world()
begin, processor = time.perf_counter(), time.process_time()
summary = run_sweep(Path(sys.argv[1]), Path(sys.argv[2]))
if here.rank == 0:
    print(json.dumps([summary.done, time.perf_counter() - begin, time.process_time() - processor]))
"""

OPEN = """\
import json, sys, time
import xarray, hpcmass.store.masked
from hpcmass.store.reader import SweepFile, open_sweep
from hpcmass.store.status import sweep_status
times = []
for look in (SweepFile, open_sweep, sweep_status):
    best = 1e9
    for _ in range(3):
        begin = time.perf_counter()
        look(sys.argv[1])
        best = min(best, time.perf_counter() - begin)
    times.append(best)
print(json.dumps(times))
"""


JOIN = """\
import json, shutil, sys, time
from pathlib import Path
import h5py, numpy as np
from hpcmass.store.reader import SweepFile
from hpcmass.store.sources import shard_paths
from hpcmass.store.status import sweep_status
from hpcmass.sweep.prepare import join_shards
whole, joint, n_shards = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
parts = joint.with_name(joint.name + ".parts")
parts.mkdir()
owner = None
for i in range(n_shards):
    shard = parts / f"shard-{i:05d}.h5"
    shutil.copyfile(whole, shard)
    with h5py.File(shard, "r+", locking=False) as file:
        if owner is None:
            owner = np.random.default_rng(1).integers(n_shards, size=file["status"].shape)
        file["status"][...] = owner == i
def seconds(action):
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin
joining = seconds(lambda: join_shards(joint))
opening = min(seconds(lambda: SweepFile(joint).close()) for _ in range(3))
looking = min(seconds(lambda: sweep_status(joint)) for _ in range(3))
with SweepFile(joint, checked=True) as sweep:
    trials = [(i, k) for i in np.ndindex(sweep.shape[:-1]) for k in range(50)]
    reading = seconds(lambda: [sweep.traces(*trial) for trial in trials]) / len(trials)
with SweepFile(joint) as sweep, SweepFile(whole) as truth:
    assert all(np.array_equal(sweep.traces(*t)["mean_v"], truth.traces(*t)["mean_v"]) for t in trials)
print(json.dumps([joining, opening, looking, reading]))
"""


@dataclass(frozen=True)
class Joined:
    """The same trials in shards, every trial in any of them; times in seconds, `trace_s` for one trial's."""

    trials: int
    shards: int
    join_s: float
    open_s: float
    status_s: float
    trace_s: float


@dataclass(frozen=True)
class Scale:
    """One size of sweep; times in seconds."""

    trials: int
    wall_s: float
    master_cpu_s: float
    open_s: float
    xarray_s: float
    status_s: float
    megabytes: float


def at_scale(here: Installation, directory: Path, trials: int) -> Scale:
    """Run so many trials of 8 neurons and 2 ms on 2 workers and a master, and look at the file."""
    config = write_config(directory / f"scale-{trials}.yml", trials=trials // 10, n=8, t=8.0)
    path = directory / f"scale-{trials}.h5"
    run = subprocess.run(
        [here.env["MPIEXEC"], "-n", "3", here.python, "-c", RUN, str(config), str(path)],
        env=here.env, capture_output=True, text=True, timeout=1200, check=True,
    )  # fmt: skip
    said = re.findall(r"\[\d+, [\d.]+, [\d.]+\]", run.stdout)  # the launcher may colour its output
    assert said, run.stdout + run.stderr
    done, wall_s, cpu_s = json.loads(said[-1])
    assert done == trials
    look = subprocess.run(
        [here.python, "-c", OPEN, str(path)], env=here.env, capture_output=True, text=True, timeout=300, check=True
    )
    return Scale(trials, wall_s, cpu_s, *json.loads(look.stdout), os.stat(path).st_size / 1e6)


def joined_at_scale(here: Installation, directory: Path, trials: int, shards: int = 4) -> Joined:
    """Deal the trials that `at_scale` has left out to shards, join these, and look at the result."""
    whole, joint = directory / f"scale-{trials}.h5", directory / f"joined-{trials}.h5"
    done = subprocess.run(
        [here.python, "-c", JOIN, str(whole), str(joint), str(shards)],
        env=here.env, capture_output=True, text=True, timeout=1200, check=True,
    )  # fmt: skip
    return Joined(trials, shards, *json.loads(done.stdout))


def command_s(here: Installation, path: Path) -> float:
    """Wall time of `hpcmass status`, the start of Python included."""
    begin = time.perf_counter()
    here.run(0, "status", path)
    return time.perf_counter() - begin
