"""What all faults need: sweeps of tiny trials, jobs to hurt, and the comparison with a sweep that nothing disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from hpcmass.store.reader import open_sweep
from hpcmass.store.sources import open_all, sources_of

from hpcmass.store.schema import DONE, NUMBERS, TRACES

ROOT = Path(__file__).resolve().parents[2]
COMPARED = (*TRACES, *NUMBERS, "seed")
PATIENCE_S = 240.0

CONFIG = """\
title: faults
trials: {trials}
root_seed: 3
network: {{n_neurons: {n}, n_external: 32, duration_ms: {t}, transient_ms: 5.0, w_ext: 0.3, w_E: 0.02, w_I: 0.1}}
grid:
  p: {{linspace: [0.0, 1.0, 5]}}
  lam: [0.5, 0.9]
compare: {{max_lag_ms: 10.0}}
"""


def write_config(path: Path, *, trials: int, n: int = 200, t: float = 100.0) -> Path:
    """Write a configuration of 10 points with tiny trials."""
    path.write_text(CONFIG.format(trials=trials, n=n, t=t))
    return path


@dataclass(frozen=True)
class Installation:
    """A Python with hpcmass, and the mpiexec that belongs to it."""

    python: str
    env: dict[str, str] = field(repr=False)
    mpi: str = "Open MPI"
    parallel_hdf5: bool = True

    @classmethod
    def of(cls, venv: Path) -> Installation:
        """Read the environment that `scripts/mpi_env.sh` makes for a virtual environment."""
        listing = subprocess.run(
            ["bash", "-c", '. "$1" && env -0', "bash", str(ROOT / "scripts" / "mpi_env.sh")],
            env={k: v for k, v in os.environ.items() if k != "MPIEXEC"} | {"VENV": str(venv)},
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        env = dict(entry.split("=", 1) for entry in listing.split("\0") if "=" in entry)
        env["PYTHONPATH"] = str(ROOT)
        mpi = "MPICH" if (venv / "bin" / "mpiexec").exists() else "Open MPI"
        python = str(venv / "bin" / "python")
        question = "import h5py; print(h5py.get_config().mpi)"
        asked = subprocess.run([python, "-c", question], env=env, capture_output=True, text=True, check=True)
        return cls(python, env, mpi, asked.stdout.strip() == "True")

    def command(self, ranks: int, *arguments: object) -> list[str]:
        """`hpcmass …` on so many ranks; 0 means without mpiexec."""
        launch = [self.env["MPIEXEC"], "-n", str(ranks)] if ranks else []
        return [*launch, self.python, "-m", "hpcmass", *map(str, arguments)]

    def run(self, ranks: int, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        return subprocess.run(
            self.command(ranks, *arguments), env=self.env, capture_output=True, text=True, timeout=PATIENCE_S,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self, ranks: int, *arguments: object) -> subprocess.Popen[str]:
        """Start in the background."""
        return subprocess.Popen(
            self.command(ranks, *arguments), env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip


def this_installation() -> Installation:
    """The one that runs this program."""
    return Installation.of(Path(sys.prefix))


def ranks_of(output: Path, python: str) -> dict[int, int]:
    """Rank → process id of the processes that run a sweep into `output`."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[0] != os.fsencode(python) or os.fsencode(output) not in words:
                continue
            environment = dict(
                item.split(b"=", 1) for item in (entry / "environ").read_bytes().split(b"\0") if b"=" in item
            )
        except OSError:
            continue
        rank = environment.get(b"OMPI_COMM_WORLD_RANK", environment.get(b"PMI_RANK", b"0"))
        found[int(rank)] = int(entry.name)
    return found


def kill(pids: list[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to processes, some of which may have ended."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def end(job: subprocess.Popen[str], output: Path, python: str) -> None:
    """Wait until the job and all of its ranks have ended; nothing of it may hang."""
    limit = time.monotonic() + 60
    try:
        job.wait(60)
    except subprocess.TimeoutExpired:
        kill([*ranks_of(output, python).values(), job.pid])
        raise AssertionError("a job hung after one of its ranks was killed") from None
    while pids := ranks_of(output, python):
        if time.monotonic() > limit:
            kill(list(pids.values()))
            raise AssertionError("ranks outlived their job")
        time.sleep(0.02)


@dataclass
class Truth:
    """The undisturbed sweep, in memory."""

    values: dict[str, np.ndarray]

    @classmethod
    def of(cls, path: Path) -> Truth:
        with h5py.File(path, "r", locking=False) as file:
            if not (file["status"][()] == DONE).all():
                raise AssertionError(f"{path} is not complete")
            return cls({name: file[name][()] for name in COMPARED})

    def wrong_in(self, path: Path) -> tuple[set[tuple[int, ...]], int]:
        """Trials that are done in a sweep, and how many of them are not what they should be."""
        done_all: set[tuple[int, ...]] = set()
        wrong = 0
        with open_all(sources_of(path)) as files:
            for file in files:
                done = file["status"][()] == DONE
                done_all |= {tuple(map(int, index)) for index in np.argwhere(done)}
                bad = np.zeros(done.shape, bool)
                for name, truth in self.values.items():
                    a, b = file[name][()][done], truth[done]
                    if a.tobytes() != b.tobytes():
                        size = a[:1].nbytes
                        ours = np.frombuffer(a.tobytes(), "u1").reshape(-1, size)
                        theirs = np.frombuffer(b.tobytes(), "u1").reshape(-1, size)
                        bad[done] |= (ours != theirs).any(axis=1)
                wrong += int(bad.sum())
        return done_all, wrong

    def equals(self, path: Path) -> bool:
        """True if a file is the same bit for bit, through its own virtual datasets and as our reader reads it."""
        with h5py.File(path, "r", locking=False) as file:
            complete = bool((file["status"][()] == DONE).all())
            same = complete and all(file[n][()].tobytes() == v.tobytes() for n, v in self.values.items())
        if not same:
            return False
        with open_sweep(path) as dataset:
            return all(dataset[n].values.tobytes() == self.values[n].tobytes() for n in TRACES)


def reference(here: Installation, config: Path) -> Truth:
    """Run a configuration in one process that nothing disturbs."""
    path = config.with_suffix(".reference.h5")
    done = here.run(0, "run", config, "-o", path)
    assert done.returncode == 0, done.stderr
    return Truth.of(path)
