"""MPI, initialised once, here; an error on one rank ends all ranks instead of hanging them.

There are two kinds of errors. A user's mistake (`UserError`) inside `Communicator.on_root` or
`Communicator.on_all` reaches all ranks, which exit together while rank 0 alone prints the sentence. Anything else
inside `Communicator.guarded` prints its traceback and aborts the job.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from hpcmass.errors import EXIT_BAD_INPUT, UserError

T = TypeVar("T")

LAUNCHERS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK", "PALS_RANKID", "MV2_COMM_WORLD_SIZE")
"""Environment variables by which mpiexec or srun tells a process that it is one of many."""

RANKS = ("OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "PALS_RANKID", "SLURM_PROCID")
"""Environment variables by which they number the processes."""

SIZES = ("OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "PMI_SIZE")
"""Environment variables with the number of processes; Cray's PALS sets PMI_SIZE, Slurm's pmix plugin sets none."""


class SharedUserError(UserError):
    """A user's mistake that every rank has received; raised on rank 0, while the others exit silently."""


@dataclass(frozen=True)
class Communicator:
    """The processes of this job.

    Attributes
    ----------
    comm : mpi4py.MPI.Intracomm or None
        None where no launcher started this process: it works alone, and MPI is not touched.
    rank, size : int
    library : str
        The MPI library's name and version, on one line.
    """

    comm: Any
    rank: int
    size: int
    library: str

    @property
    def is_root(self) -> bool:
        return self.rank == 0

    def require_peers(self) -> None:
        """Refuse a communicator of size 1 where the launcher started more processes: each would run the whole job.

        This happens where srun's MPI plugin, or the mpiexec, belongs to another MPI library than mpi4py's.

        Raises
        ------
        UserError
            On the first of the processes, while all others exit.
        """
        n = _n_launched()
        if self.size > 1 or n == 1:
            return
        if not is_first():
            raise SystemExit(EXIT_BAD_INPUT)  # the first one prints the sentence
        raise UserError(
            f"the launcher started {n} processes that do not see each other; use `srun --mpi=pmix` or "
            "`srun --mpi=pmi2`, or the mpiexec of the MPI library that mpi4py loads (jobs/README.md, Once per site)"
        )

    def on_root(self, function: Callable[[], T]) -> T:
        """Call on rank 0 and give its result to all ranks; a `UserError` reaches all ranks."""
        outcome: tuple[T | None, str | None] = (None, None)
        if self.is_root:
            outcome = _attempt(function)
        if self.size > 1:
            outcome = self.comm.bcast(outcome, root=0)
        return self._result(*outcome)

    def on_all(self, function: Callable[[], T]) -> T:
        """Call on every rank; a `UserError` on any of them reaches all, after every rank has finished."""
        result, error = _attempt(function)
        if self.size > 1:
            error = next((e for e in self.comm.allgather(error) if e is not None), None)
        return self._result(result, error)

    def _result(self, result: T | None, error: str | None) -> T:
        if error is None:
            return result  # type: ignore[return-value]
        if self.is_root:
            raise SharedUserError(error)
        raise SystemExit(EXIT_BAD_INPUT)  # rank 0 prints the sentence

    def gather(self, value: T) -> list[T]:
        """The values of all ranks, on rank 0; an empty list on the others."""
        return [value] if self.comm is None else (self.comm.gather(value, root=0) or [])

    def without_root(self) -> Any:
        """The communicator of all ranks but rank 0, where it is None."""
        from mpi4py import MPI

        others = self.comm.Split(MPI.UNDEFINED if self.is_root else 0)
        return None if self.is_root else others

    def has_threads(self) -> bool:
        """Whether several threads of this process may call MPI at the same time."""
        from mpi4py import MPI

        return bool(MPI.Query_thread() == MPI.THREAD_MULTIPLE)

    def one_per_node_first(self, function: Callable[[], None]) -> None:
        """Call on one rank of each node first, then on the node's other ranks."""
        if self.size == 1:
            function()
            return
        from mpi4py import MPI

        node = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        if node.rank == 0:
            function()
        _wait(node.Ibarrier())
        if node.rank != 0:
            function()
        node.Free()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Abort the whole job if the block raises an error on this rank alone."""
        try:
            yield
        except (SharedUserError, SystemExit):
            raise
        except BaseException as error:
            if self.size == 1:
                raise
            if isinstance(error, UserError):
                print(f"hpcmass: {error}", file=sys.stderr, flush=True)
                self.comm.Abort(EXIT_BAD_INPUT)
            print(f"hpcmass: rank {self.rank} stops the job:", file=sys.stderr)
            traceback.print_exc()
            sys.stderr.flush()
            self.comm.Abort(1)
            raise


def is_first() -> bool:
    """Whether this process is rank 0 of those that its launcher started, as far as the environment tells."""
    return next((os.environ[name] for name in RANKS if name in os.environ), "0") == "0"


def is_launched() -> bool:
    """Whether mpiexec or srun started this process."""
    return any(name in os.environ for name in LAUNCHERS) or _n_launched() > 1


@functools.cache
def communicator() -> Communicator:
    """The processes that the launcher started with this one; initialises MPI on the first call only.

    Raises
    ------
    UserError
        If a launcher started this process but the MPI library cannot be loaded.
    """
    if not is_launched():
        return Communicator(None, 0, 1, "none")
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"cannot load the MPI library that mpiexec belongs to ({' '.join(str(error).split())}); "
            "load the module of the MPI that mpi4py was built for, or run `make env` again"
        ) from None
    if not MPI.Is_initialized():
        MPI.Init_thread(MPI.THREAD_MULTIPLE)
        atexit.register(_finalize)
    comm = MPI.COMM_WORLD
    return Communicator(comm, comm.rank, comm.size, _first_line(MPI.Get_library_version()))


def library_version() -> str:
    """Name and version of the MPI library, which is loaded but not initialised; or that there is none."""
    import mpi4py

    mpi4py.rc.initialize = False
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError):
        return "none found"
    return _first_line(MPI.Get_library_version())


def _n_launched() -> int:
    """Number of processes that the launcher started, this one included, as far as the environment shows.

    The launcher nearest to the process counts: mpiexec, whose variables srun does not set, before srun. SLURM_NTASKS
    is no evidence: a batch script is one process, for any number of tasks of its job.
    """
    for name in SIZES:
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    step = os.environ.get("SLURM_STEP_NUM_TASKS", "")
    if "SLURM_PROCID" not in os.environ or not step.isdecimal():
        return 1
    # The batch script of a job that was submitted from within a step inherits the step's variables; of the two that
    # agree inside a step, Slurm renews the job's.
    if os.environ.get("SLURM_STEP_TASKS_PER_NODE") != os.environ.get("SLURM_TASKS_PER_NODE"):
        return 1
    # srun gives no task a terminal but the shell of `srun -n 4 --pty bash`, from which one process is started by hand.
    return 1 if os.isatty(0) else int(step)


def _first_line(text: str) -> str:
    return text.split("\n")[0].strip(" ,\0")


def _finalize() -> None:
    from mpi4py import MPI

    if not MPI.Is_finalized():
        MPI.Finalize()


def _attempt(function: Callable[[], T]) -> tuple[T | None, str | None]:
    try:
        return function(), None
    except UserError as error:
        return None, str(error)
    except OSError as error:  # a full disk or a deleted directory: the same sentence as in one process
        return None, f"cannot continue: {error.strerror or error}" + (f" ({error.filename})" if error.filename else "")


def _wait(request: Any) -> None:
    """Wait without spinning: another rank of this node may need the core."""
    while not request.Test():
        time.sleep(0.01)
