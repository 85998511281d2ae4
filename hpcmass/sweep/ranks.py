"""The ranks of a job as workers for tasks that are no trials: a comparison under mpiexec."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from hpcmass.errors import UserError
from hpcmass.sweep.mpi import is_launched, world


@dataclass(frozen=True)
class Ranks:
    """Who works.

    Attributes
    ----------
    executor : Executor or None
        Hands tasks to the other ranks; None where this process is alone.
    n_workers : int
    mpi_library : str
        `none` where MPI is not used.
    """

    executor: Executor | None
    n_workers: int
    mpi_library: str


ALONE = Ranks(None, 1, "none")


@contextmanager
def over_ranks() -> Iterator[Ranks | None]:
    """The ranks of this job, for rank 0; MPI is not touched unless mpiexec or srun started this process.

    The block runs on every rank. On rank 0 it gets the executor. Another rank works for rank 0 until that has left
    the block, and only then runs it, with None: it has nothing to do there. A `UserError` on rank 0 ends all ranks with
    the exit code for bad input, anything else aborts the job; nobody hangs.

    Raises
    ------
    UserError
        If this process is one of many but the MPI library cannot be loaded, or does not see the others.
    """
    here = world() if is_launched() else None
    if here is not None:
        here.require_company()
    if here is None or here.size == 1:
        yield ALONE
        return
    from mpi4py.futures import MPICommExecutor

    mistake: list[UserError] = []
    with here.guarded():
        with MPICommExecutor(here.comm, root=0) as executor:
            if executor is not None:
                try:
                    yield Ranks(cast("Executor", executor), here.size - 1, here.library)
                except UserError as error:
                    mistake.append(error)

        def tell() -> None:
            if mistake:
                raise mistake[0]

        here.on_root(tell)
    if not here.is_root:
        yield None
