"""Shared by all faults: sweeps of tiny trials, jobs to disturb, and the comparison with an undisturbed sweep."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from hpcmass.errors import UserError
from hpcmass.store.check import check_sweep
from hpcmass.store.labelled import open_sweep
from hpcmass.store.schema import DONE, NUMBERS, TRACES
from hpcmass.store.sweep_file import SweepFile
from processes import worker_processes_in, worker_processes_of

ROOT = Path(__file__).resolve().parents[2]
STRUCK = Path(__file__).with_name("struck.py")
COMPARED = (*TRACES, *NUMBERS, "seed")
PATIENCE_S = 900.0
"""For a job that runs to its end, on a machine that is busy."""

AFTER_A_KILL_S = 60.0
"""Time limit (s) for a job to end after one of its ranks was killed."""

SHARED_MEMORY = Path("/dev/shm")
SEGMENTS = ("mpich_shm_*", "vader_segment.*")
"""What MPI libraries leave in the shared memory when a rank is killed."""

ORPHANED_S = 10.0
"""A segment that no process has mapped so long after its creation belongs to a job that has ended."""

Index = tuple[int, ...]

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
class Writer:
    """A way in which a sweep is written: how many ranks (0: without mpiexec), options, the driver that results."""

    name: str
    ranks: int
    options: tuple[str, ...]
    driver: str

    @property
    def slug(self) -> str:
        """Its name, for the names of files."""
        return self.name.replace(" ", "-")

    @property
    def has_workers(self) -> bool:
        """Whether other processes than the first simulate."""
        return self.ranks > 0 or "-j" in self.options


ONE_PROCESS = Writer("one process", 0, (), "serial")
MPIO = Writer("mpio", 3, (), "mpio")
GATHER = Writer("gather", 3, ("--gather",), "gather")
PROCESSES = Writer("two processes", 0, ("-j", "2"), "gather")


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
        python = str(venv / "bin" / "python")
        question = "import hpcmass.store, h5py; from hpcmass.parallel.communicator import library_version as v; " \
                   "print(h5py.get_config().mpi, v())"  # fmt: skip
        asked = subprocess.run([python, "-c", question], env=env, capture_output=True, text=True, check=True)
        parallel, _, library = asked.stdout.strip().partition(" ")
        name = re.match(r"(Open MPI|MPICH)\D*(\d+\.\d+)", library)
        return cls(python, env, f"{name[1]} {name[2]}" if name else library, parallel == "True")

    @property
    def writers(self) -> tuple[Writer, ...]:
        """The ways of writing that it has."""
        return (*((MPIO,) if self.parallel_hdf5 else ()), GATHER, PROCESSES, ONE_PROCESS)

    def command(self, ranks: int, *arguments: object) -> list[str]:
        """`hpcmass …` on so many ranks; 0 means without mpiexec."""
        return [*self._launch(ranks), self.python, "-m", "hpcmass", *map(str, arguments)]

    def struck(self, ranks: int, where: str, number: int, *arguments: object) -> list[str]:
        """The same with a fault at a chosen moment: see `struck.py`."""
        return [*self._launch(ranks), self.python, str(STRUCK), where, str(number), *map(str, arguments)]

    def _launch(self, ranks: int) -> list[str]:
        return [self.env["MPIEXEC"], "-n", str(ranks)] if ranks else []

    def run(self, ranks: int, *arguments: object, file_limit_kib: int = 0) -> subprocess.CompletedProcess[str]:
        """Run to the end, under a limit on file sizes if one is given."""
        command = self.command(ranks, *arguments)
        if file_limit_kib:  # on hpcmass alone: mpiexec under it may hang
            at = command.index(self.python)
            command[at:at] = ["bash", "-c", f'ulimit -f {file_limit_kib}; exec "$@"', "bash"]
        return self.execute(command)

    def execute(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command of `command` or `struck` to the end."""
        return subprocess.run(
            command, env=self.env, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        """Start a command of `command` or `struck` in the background."""
        return subprocess.Popen(
            command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, text=True, start_new_session=True,
            # also where the campaign runs in the background
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip


def this_installation() -> Installation:
    """The one that runs this program."""
    return Installation.of(Path(sys.prefix))


def ranks_of(output: Path, python: str) -> dict[int, int]:
    """Rank → process id of the processes that write into `output`; those that `-j` has started are 1, 2, …."""
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
    workers = worker_processes_of(found[0]) if len(found) == 1 and 0 in found else []
    return found | dict(enumerate(workers, start=1))


def kill(pids: list[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to processes, some of which may have ended."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def end(job: subprocess.Popen[str], output: Path, python: str, patience_s: float = AFTER_A_KILL_S) -> None:
    """Wait until the job and all of its ranks have ended; nothing of it may hang."""
    try:
        job.wait(patience_s)
    except subprocess.TimeoutExpired:
        kill([*ranks_of(output, python).values(), job.pid])
        raise AssertionError("a job hung") from None
    limit = time.monotonic() + AFTER_A_KILL_S
    # a worker process whose parent has ended is still in the job's session
    while pids := [*ranks_of(output, python).values(), *worker_processes_in(job.pid)]:
        if time.monotonic() > limit:
            kill(pids)
            raise AssertionError("ranks outlived their job")
        time.sleep(0.02)
    clear_shared_memory()


def workers_of(pid: int) -> list[int]:
    """Process ids of the worker processes that a process has started with -j."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and b"spawn_main" in (entry / "cmdline").read_bytes():
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                found += [int(entry.name)] if parent == pid else []
        except OSError:
            continue
    return found


def clear_shared_memory() -> None:
    """Remove the segments that killed ranks have left in the shared memory, and that no process uses."""
    found = [path for pattern in SEGMENTS for path in SHARED_MEMORY.glob(pattern)]
    if not found:
        return
    used = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            text = maps.read_text()
        except OSError:
            continue
        used |= {path for path in found if path.name in text}
    for path in set(found) - used:
        with suppress(OSError):
            state = path.stat()
            if state.st_uid == os.getuid() and time.time() - state.st_mtime > ORPHANED_S:
                path.unlink()


def done_in(path: Path) -> int:
    """Trials that are done; 0 while there is no file yet."""
    try:
        with SweepFile(path, checked=True) as file:
            return int((file.status == DONE).sum())
    except UserError:
        return 0


@dataclass
class Truth:
    """The undisturbed sweep, in memory."""

    values: dict[str, np.ndarray]

    @classmethod
    def of(cls, path: Path) -> Truth:
        with SweepFile(path) as file:
            if not (file.status == DONE).all():
                raise AssertionError(f"{path} is not complete")
            return cls({name: file.hdf5[name][()] for name in COMPARED})

    @property
    def trials(self) -> int:
        """Trials of the sweep."""
        return int(self.values["seed"][..., 0].size)

    def wrong_in(self, path: Path) -> tuple[set[Index], int]:
        """Trials that are done in a sweep, and how many of them are wrong.

        What `hpcmass check` finds counts, too.
        """
        wrong = len(check_sweep(path))
        with SweepFile(path) as file:
            done = file.status == DONE
            bad = np.zeros(done.shape, bool)
            for name, truth in self.values.items():
                a, b = file.hdf5[name][()][done], truth[done]
                if a.tobytes() != b.tobytes():
                    size = a[:1].nbytes
                    ours = np.frombuffer(a.tobytes(), "u1").reshape(-1, size)
                    theirs = np.frombuffer(b.tobytes(), "u1").reshape(-1, size)
                    bad[done] |= (ours != theirs).any(axis=1)
        return {tuple(map(int, index)) for index in np.argwhere(done)}, wrong + int(bad.sum())

    def equals(self, path: Path) -> bool:
        """True if a file is complete and the same bit for bit, as HDF5 and as xarray read it, and `check` agrees."""
        with SweepFile(path) as file:
            complete = bool((file.status == DONE).all())
            same = complete and all(file.hdf5[n][()].tobytes() == v.tobytes() for n, v in self.values.items())
        if not same or check_sweep(path):
            return False
        with open_sweep(path) as dataset:
            traces = [name for name in TRACES if name in self.values]
            return all(dataset[name].values.tobytes() == self.values[name].tobytes() for name in traces)


def reference(here: Installation, config: Path) -> Truth:
    """Run a configuration in one undisturbed process."""
    path = config.with_suffix(".reference.h5")
    done = here.run(0, "run", config, "-o", path)
    assert done.returncode == 0, done.stderr
    return Truth.of(path)


def parts_of(here: Installation, config: Path, directory: Path, count: int) -> list[Path]:
    """The parts of a sweep, run one after the other."""
    paths = [directory / f"part-{i}-of-{count}.h5" for i in range(1, count + 1)]
    for i, path in enumerate(paths, 1):
        done = here.run(0, "run", config, "-o", path, "--part", f"{i}/{count}")
        assert done.returncode == 0, done.stderr
    return paths


def datasets(path: Path) -> dict[str, bytes]:
    """The contents of every dataset of numbers in an HDF5 file."""
    with h5py.File(path, "r", locking=False) as file:
        return {name: file[name][()].tobytes() for name in file if file[name].dtype.kind != "O"}
