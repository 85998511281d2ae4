"""An error on one rank ends the job with one message, and never hangs it."""

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpcmass.errors import UserError
from hpcmass.parallel import communicator as module
from hpcmass.parallel.communicator import Communicator

Run = Callable[..., Any]

PROLOGUE = """
import os, sys
from hpcmass.errors import UserError
from hpcmass.parallel.communicator import communicator
comm = communicator()
rank = comm.rank
"""

ALONE = Communicator(None, 0, 1, "none")


def fail(error: Exception) -> None:
    raise error


@pytest.fixture
def ranks_run(mpi_run: Run, tmp_path: Path) -> Run:
    """Give `ranks_run(n, code)`: output of n ranks of a program; after a UserError it ends like the command line."""

    def launch(n: int, code: str) -> Any:
        lines = "".join(f"    {line}\n" for line in code.strip().splitlines())
        script = tmp_path / "script.py"
        script.write_text(f"{PROLOGUE}\ntry:\n{lines}except UserError as e:\n    sys.exit(f'hpcmass: {{e}}')\n")
        return mpi_run(n, script, check=False, timeout=60)

    return launch


# ------------------------------------------------------------------------------------------ one process


def test_alone_everything_happens_here() -> None:
    assert ALONE.is_root
    assert ALONE.on_root(lambda: 7) == ALONE.on_all(lambda: 7) == 7
    assert ALONE.gather("mine") == ["mine"]
    with ALONE.guarded():
        ALONE.one_per_node_first(lambda: None)


@pytest.mark.parametrize("call", [ALONE.on_root, ALONE.on_all])
def test_alone_a_mistake_keeps_its_sentence_and_an_error_of_the_system_gets_one(call: Callable[[Any], Any]) -> None:
    with pytest.raises(UserError, match=r"^not like this$"):
        call(lambda: fail(UserError("not like this")))
    full = OSError(errno.ENOSPC, "No space left on device", "sweep.h5")
    with pytest.raises(UserError, match=r"^cannot continue: No space left on device \(sweep.h5\)$"):
        call(lambda: fail(full))
    with pytest.raises(ZeroDivisionError):
        call(lambda: 1 / 0)


def test_alone_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), ALONE.guarded():
        raise ZeroDivisionError


def test_waiting_ranks_leave_the_core_to_others() -> None:
    """The pause of a waiting rank is a sleep: it leaves the core to a rank that compiles."""

    class Request:
        calls = 0

        def Test(self) -> bool:
            self.calls += 1
            return self.calls > 10

    busy = time.process_time()
    module._wait(Request())
    assert time.process_time() - busy < 0.05


# ------------------------------------------------------------------------------------------ several ranks


@pytest.mark.mpi
def test_a_result_of_rank_0_reaches_all(ranks_run: Run) -> None:
    done = ranks_run(
        3,
        """
order = []
comm.one_per_node_first(lambda: order.append(rank))
assert order == [rank]
assert comm.gather(rank) == ([0, 1, 2] if rank == 0 else [])
others = comm.without_root()
assert (others is None) if rank == 0 else (others.size, others.rank) == (2, rank - 1)
assert comm.on_all(lambda: rank) == rank
print(comm.on_root(lambda: f"from {rank}"), flush=True)
""",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("from 0") == 3


@pytest.mark.mpi
def test_a_mistake_found_on_one_rank_ends_all_with_one_sentence(ranks_run: Run) -> None:
    done = ranks_run(
        4,
        """
def find():
    if rank == 2:
        raise UserError("this is not possible here")
with comm.guarded():
    comm.on_all(find)
print("continues")
""",
    )
    assert done.returncode != 0
    assert done.stderr.count("this is not possible here") == 1
    assert "continues" not in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.mpi
def test_a_mistake_on_one_rank_alone_aborts(ranks_run: Run) -> None:
    done = ranks_run(
        3,
        """
with comm.guarded():
    if rank == 1:
        raise UserError("only here")
    comm.comm.Barrier()
""",
    )
    assert done.returncode == 2
    assert done.stderr.count("hpcmass: only here") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.mpi
def test_a_bug_on_one_rank_aborts_with_its_traceback(ranks_run: Run) -> None:
    done = ranks_run(
        3,
        """
with comm.guarded():
    if rank == 2:
        raise KeyError("forgotten")
    comm.comm.Barrier()
""",
    )
    assert done.returncode not in (0, 2)
    assert "rank 2 stops the job" in done.stderr
    assert "KeyError: 'forgotten'" in done.stderr
