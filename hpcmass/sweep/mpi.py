"""MPI for the sweep: initialised once, here; what goes wrong on one rank ends all ranks, and never hangs them.

Nothing else in the package imports mpi4py. Two kinds of trouble are told apart. A user's mistake (`UserError`) inside
`World.on_root` or `World.together` is made known to all ranks, which leave together while rank 0 alone says the
sentence. Anything else inside `World.guarded` prints its traceback and aborts the job.
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


class SharedUserError(UserError):
    """A user's mistake that every rank knows of; raised on rank 0, while the others exit in silence."""


@dataclass(frozen=True)
class World:
    """The processes of this job.

    Attributes
    ----------
    comm : mpi4py.MPI.Intracomm or None
        None where no MPI library can be loaded: one process alone.
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

    def on_root(self, function: Callable[[], T]) -> T:
        """Call on rank 0 and give its result to all ranks; a `UserError` reaches all ranks."""
        outcome: tuple[T | None, str | None] = (None, None)
        if self.is_root:
            outcome = _attempt(function)
        if self.size > 1:
            outcome = self.comm.bcast(outcome, root=0)
        return self._result(*outcome)

    def together(self, function: Callable[[], T]) -> T:
        """Call on every rank; a `UserError` on any of them reaches all, after every rank is through."""
        result, error = _attempt(function)
        if self.size > 1:
            error = next((e for e in self.comm.allgather(error) if e is not None), None)
        return self._result(result, error)

    def _result(self, result: T | None, error: str | None) -> T:
        if error is None:
            return result  # type: ignore[return-value]
        if self.is_root:
            raise SharedUserError(error)
        raise SystemExit(EXIT_BAD_INPUT)  # in silence: the sentence is rank 0's to say

    def one_per_node_first(self, function: Callable[[], None]) -> None:
        """Call on one rank of each node, and when it is through on the node's other ranks."""
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
        """Abort the whole job if the block raises on this rank and the others do not know of it."""
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


@functools.cache
def world() -> World:
    """Initialise MPI, once per process.

    Raises
    ------
    UserError
        If this process is one of many but the MPI library cannot be loaded.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        if any(name in os.environ for name in LAUNCHERS):
            raise UserError(
                f"cannot load the MPI library that mpiexec belongs to ({' '.join(str(error).split())}); "
                "load the module of the MPI that mpi4py was built for, or run `make env` again"
            ) from None
        return World(None, 0, 1, "none")
    if not MPI.Is_initialized():
        MPI.Init_thread(MPI.THREAD_MULTIPLE)
        atexit.register(_finalize)
    comm = MPI.COMM_WORLD
    return World(comm, comm.rank, comm.size, _first_line(MPI.Get_library_version()))


def library_version() -> str:
    """Name and version of the MPI library, which is loaded but not initialised; or that there is none."""
    import mpi4py

    mpi4py.rc.initialize = False
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError):
        return "none found"
    return _first_line(MPI.Get_library_version())


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
    except OSError as error:  # a disk that is full, a directory that is gone: the same sentence as in one process
        return None, f"cannot go on: {error.strerror or error}" + (f" ({error.filename})" if error.filename else "")


def _wait(request: Any) -> None:
    """Wait without spinning: another rank of this node may need the core."""
    while not request.Test():
        time.sleep(0.01)
