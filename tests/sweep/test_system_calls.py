"""What a worker writes, as the kernel sees it; and what happens when the kernel refuses it. Needs strace."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
from sweep_state import require_true, science, trials_done

from hpcmass.store.layout import trial_bytes
from hpcmass.store.schema import TRACES
from hpcmass.store.sweep_file import SweepFile

Run = Callable[..., Any]

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(not h5py.get_config().mpi, reason="only ranks with a parallel HDF5 write traces themselves"),
]

STARTER = """
import os, sys
rank = os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ.get("PMI_RANK")
trace, *options = sys.argv[1].split()
hpcmass = [sys.executable, "-m", "hpcmass", *sys.argv[2:]]
strace = ["strace", "-f", "-y", "-s", "0", "-o", trace, *options] if rank == "1" else []
os.execvp((strace + hpcmass)[0], strace + hpcmass)
"""

WRITES = "write,writev,pwrite64,pwritev,pwritev2,ftruncate,fallocate"
SYNCS = "fsync,fdatasync,sync_file_range,msync"


@pytest.fixture
def traced(config: Path, mpi_run: Run, tmp_path: Path) -> Run:
    """Give `traced(*options)`: the sweep by two workers, the first of them (rank 1) under strace.

    Returns the process and the system calls, in order, on `sweep.h5`.
    """
    if shutil.which("strace") is None:
        pytest.skip("there is no strace here, which shows system calls")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("strace may not trace processes here")

    def run(*options: str) -> tuple[Any, list[str]]:
        path, trace, script = tmp_path / "sweep.h5", tmp_path / "trace", tmp_path / "starter.py"
        script.write_text(STARTER)
        how = " ".join([str(trace), f"-etrace={WRITES},{SYNCS}", *options])
        done = mpi_run(3, script, how, "run", config, "-o", path, check=False)
        lines = trace.read_text().splitlines()
        return done, [line for line in lines if f"<{path}>" in line]

    return run


def kind(line: str) -> str:
    """The name of the call, without the number of the thread."""
    match = re.match(r"\d+ +(\w+)\(", line)
    assert match, f"strace shows something else: {line}"
    return match[1]


def test_a_trial_costs_a_worker_five_slabs_and_one_sync(traced: Run, reference: Path, tmp_path: Path) -> None:
    done, calls = traced()
    assert done.returncode == 0, done.stderr
    path = tmp_path / "sweep.h5"
    assert science(path) == science(reference)
    with SweepFile(path) as file:
        mine = int((file.variable("rank") == 1).sum())
        slab = trial_bytes(file.experiment) // len(TRACES)
    assert mine > 0
    last = max(i for i, line in enumerate(calls) if kind(line) in SYNCS.split(","))
    names = [kind(line) for line in calls[: last + 1]]
    assert names == (["pwrite64"] * len(TRACES) + ["fdatasync"]) * mine
    for line in calls[: last + 1]:
        if kind(line) == "pwrite64":
            assert line.endswith(f"= {slab}"), "a whole slab at once"
    # When it closes the file, HDF5 writes its superblock as it was; no more.
    for line in calls[last + 1 :]:
        assert re.search(r", 96, 0\) += 96$", line), line


@pytest.mark.parametrize(
    ("refusal", "why"),
    [
        ("pwrite64:error=ENOSPC:when=13+", "can't write data"),
        pytest.param("pwrite64:retval=100:when=13+", "can't write data", marks=pytest.mark.slow),
        pytest.param("fdatasync:error=EIO:when=3+", "input/output error", marks=pytest.mark.slow),
    ],
    ids=["no space", "half a slab", "no sync"],
)
def test_what_the_kernel_refuses_is_a_sentence_and_a_trial_that_stays_pending(
    refusal: str, why: str, traced: Run, command: Run, config: Path, reference: Path, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    done, calls = traced(f"-P{path}", f"-einject={refusal}")
    assert any("(INJECTED)" in line for line in calls)
    assert done.returncode == 2, done.stderr
    assert f"into {path}: {why}" in done.stderr
    assert done.stderr.count("free some space and start the same command again, what is done is kept") == 1
    assert "Traceback" not in done.stderr
    stored = require_true(path, reference)
    assert len(stored) < 12
    command("check", path)
    command("run", config, "-o", path)
    assert science(path) == science(reference)
    assert trials_done(path) > stored


def test_a_worker_killed_within_a_slab_leaves_its_trial_pending(
    traced: Run, command: Run, config: Path, reference: Path, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    done, _ = traced(f"-P{path}", "-einject=pwrite64:signal=SIGKILL:when=8")
    assert done.returncode not in (0, 2, 3, 75)
    assert len(require_true(path, reference)) < 12
    command("check", path)
    command("run", config, "-o", path)
    assert science(path) == science(reference)
