"""What goes wrong on one rank ends the job with its message and never hangs it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpcmass.configfile import load_experiment
from hpcmass.grid import trials
from hpcmass.store.creation import create_sweep_file
from hpcmass.store.reader import stored_experiment
from hpcmass.store.reuse import take_over
from hpcmass.store.status import sweep_status

Run = Callable[..., Any]

PROLOGUE = """
import os, sys
from pathlib import Path
from hpcmass.cli import main
from hpcmass.errors import UserError
from hpcmass.sweep import executor, mpi, run
rank = mpi.world().rank
"""

pytestmark = pytest.mark.mpi


@pytest.fixture
def sabotage(tmp_path: Path, config: Path, mpi_run: Run) -> Run:
    """Give `sabotage(n, code, *options)`: `hpcmass run` on n ranks after some code has spoiled it."""

    def launch(n: int, code: str, *options: str) -> Any:
        script = tmp_path / "script.py"
        script.write_text(f"{PROLOGUE}\n{code}\nsys.exit(main(sys.argv[1:]))\n")
        return mpi_run(n, script, "run", config, "-o", tmp_path / "sweep.h5", *options, check=False, timeout=60)

    return launch


@pytest.mark.parametrize("culprit", [0, 2])
def test_an_unforeseen_error_before_a_barrier_aborts_with_its_message(sabotage: Run, culprit: int) -> None:
    done = sabotage(
        3,
        f"""
def broken():
    raise RuntimeError("no such kernel")
if rank == {culprit}:
    run._warm_up = broken
""",
    )
    assert done.returncode not in (0, 2)
    assert "RuntimeError: no such kernel" in done.stderr
    assert f"rank {culprit} stops the job" in done.stderr


def test_an_unforeseen_error_on_the_master_aborts(sabotage: Run) -> None:
    done = sabotage(
        3,
        """
def broken(*args):
    raise ZeroDivisionError("in the master")
executor.costliest_first = broken
""",
    )
    assert done.returncode not in (0, 2)
    assert "ZeroDivisionError: in the master" in done.stderr


def test_an_unforeseen_error_in_the_store_aborts(sabotage: Run, tmp_path: Path) -> None:
    done = sabotage(
        3,
        """
from hpcmass.store.writer import SlabWriter
def broken(self, trial, values, *, rank):
    raise KeyError("a bug in the writer")
if rank == 1:
    SlabWriter.write = broken
""",
    )
    assert done.returncode not in (0, 2, 3)
    assert "a bug in the writer" in done.stderr
    assert sweep_status(tmp_path / "sweep.h5").failed == 0


def test_an_unforeseen_error_in_one_trial_is_that_trials_failure(sabotage: Run, tmp_path: Path) -> None:
    done = sabotage(
        3,
        """
import hpcmass.network
simulate = hpcmass.network.simulate
def broken(network, p, lam, seed, **options):
    if p == 1.0 and network.n_neurons == 200:
        raise IndexError("out of bounds")
    return simulate(network, p, lam, seed, **options)
hpcmass.network.simulate = broken
""",
    )
    assert done.returncode == 3
    status = sweep_status(tmp_path / "sweep.h5")
    assert (status.done, status.failed) == (8, 4)
    assert status.failures[0].message.startswith("IndexError: out of bounds (script.py:")


def test_a_trial_that_waits_for_ever_is_interrupted(sabotage: Run, tmp_path: Path) -> None:
    done = sabotage(
        3,
        """
import time
import hpcmass.network
from hpcmass.sweep import watchdog
watchdog.ALARM_AFTER_S = 0.2
simulate = hpcmass.network.simulate
def waiting(network, p, lam, seed, **options):
    if p == 1.0 and network.n_neurons == 200:
        time.sleep(1000)
    return simulate(network, p, lam, seed, **options)
hpcmass.network.simulate = waiting
""",
        "--trial-timeout", "3s",
    )  # fmt: skip
    assert done.returncode == 3
    status = sweep_status(tmp_path / "sweep.h5")
    assert (status.done, status.failed) == (8, 4)
    assert status.failures[0].message.startswith("took longer than --trial-timeout, 3 s; interrupted")


def test_a_trial_stuck_outside_python_ends_the_job_with_its_stack_and_nothing_is_lost(
    sabotage: Run, tmp_path: Path
) -> None:
    done = sabotage(
        3,
        """
import ctypes
import hpcmass.network
from hpcmass.sweep import watchdog
watchdog.END_AFTER_S = 0.5
simulate, sleep = hpcmass.network.simulate, ctypes.PyDLL(None).sleep  # which keeps the interpreter's lock
def stuck(network, p, lam, seed, **options):
    if rank == 2 and network.n_neurons == 200:
        sleep(1000)
    return simulate(network, p, lam, seed, **options)
hpcmass.network.simulate = stuck
""",
        "--trial-timeout", "2s",
    )  # fmt: skip
    assert done.returncode not in (0, 2, 3, 75)
    assert "in stuck" in done.stderr
    status = sweep_status(tmp_path / "sweep.h5")
    assert not status.running
    assert status.failed == 0
    assert 1 <= status.done < 12


def test_a_rank_that_dies_takes_the_job_with_it_and_nothing_is_lost(sabotage: Run, tmp_path: Path) -> None:
    done = sabotage(
        3,
        """
from hpcmass.store.writer import SlabWriter
write, written = SlabWriter.write, []
def dying(self, *args, **options):
    write(self, *args, **options)
    written.append(1)
    if rank == 2 and len(written) == 2:
        os.kill(os.getpid(), 9)
SlabWriter.write = dying
""",
    )
    assert done.returncode != 0
    status = sweep_status(tmp_path / "sweep.h5")
    assert status.done >= 2


def test_a_rank_that_is_slow_to_leave_does_not_spoil_the_exit_code(sabotage: Run, tmp_path: Path) -> None:
    """mpiexec sends SIGTERM to the others when rank 0 has ended with 75."""
    done = sabotage(
        3,
        """
import signal
def main(arguments, work=main):
    code = work(arguments)
    os.kill(os.getpid(), signal.SIGTERM)
    return code
""",
        "--time-limit", "0.001s",
    )  # fmt: skip
    assert done.returncode == 75, done.stderr


DEATHS = {
    "before the shards are joined": (3, "run.join_shards = die", ["--shards"]),
    "one file is about to become a shard": (1, "prepare.os.rename = die", ["--shards"]),
    "history written, configuration not": (1, "prepare.append_configuration = die", []),
    "a shard is about to appear": (1, "layout.os.replace = die", ["--shards"]),
}


@pytest.mark.parametrize("moment", DEATHS)
@pytest.mark.parametrize("then", ["the same command", "--force"])
def test_death_between_two_steps_loses_nothing(
    moment: str,
    then: str,
    sabotage: Run,
    python_run: Run,
    config: Path,
    reference: Path,
    fingerprint: Callable[[Path], dict[str, str]],
    tmp_path: Path,
) -> None:
    n, spoiled, options = DEATHS[moment]
    path = tmp_path / "sweep.h5"
    experiment = load_experiment(config)
    create_sweep_file(path, experiment, driver="serial", provenance={"uuid": "1", "date": "2026"})
    take_over(reference, path, trials(experiment)[:5])
    config.with_name("old.yml").write_text(config.read_text())
    changed = config.read_text().replace("title: small", "title: another")
    config.write_text(changed)
    try:
        died = sabotage(
            n,
            f"""
from hpcmass.store import layout
from hpcmass.sweep import prepare
def die(*args, **options):
    os._exit(9)
{spoiled}
""",
            *options,
        )
        assert died.returncode == 9
        assert sweep_status(path).done >= 5
        if then == "--force":
            python_run("-m", "hpcmass", "run", config, "-o", path, "--force")
            assert sweep_status(tmp_path / "sweep.1.h5").done >= 5
        else:
            python_run("-m", "hpcmass", "run", config, "-o", path, *options)
            assert stored_experiment(path).text == changed
        assert fingerprint(path) == fingerprint(reference)
    finally:
        config.write_text(config.with_name("old.yml").read_text())


@pytest.mark.parametrize("options", [(), ("--shards",)], ids=["one file", "shards"])
def test_a_full_disk_stops_the_sweep_with_a_sentence(sabotage: Run, tmp_path: Path, options: tuple[str, ...]) -> None:
    done = sabotage(
        3,
        """
import errno
from hpcmass.store.writer import SlabWriter
settle, settled = SlabWriter._settle, []
def full(self):
    settled.append(1)
    if len(settled) > 4:
        raise OSError(errno.ENOSPC, "No space left on device")
    settle(self)
SlabWriter._settle = full
""",
        *options,
    )
    assert done.returncode == 2
    assert done.stderr.count("no space left on device; free some space") == 1
    assert "Traceback" not in done.stderr
    status = sweep_status(tmp_path / "sweep.h5")
    assert 2 <= status.done <= 4
    assert status.failed == 0
    again = sabotage(3, "", *options)
    assert again.returncode == 0, again.stderr
    assert sweep_status(tmp_path / "sweep.h5").done == 12


def test_a_mistake_found_on_one_rank_ends_all_with_one_sentence(mpi_run: Run, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        PROLOGUE
        + """
def find():
    if rank == 2:
        raise UserError("this is not possible here")
try:
    with mpi.world().guarded():
        mpi.world().together(find)
    print("went on")
except UserError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""
    )
    done = mpi_run(4, script, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("this is not possible here") == 1
    assert "went on" not in done.stdout
    assert "Traceback" not in done.stderr


def test_a_mistake_that_only_one_rank_knows_of_aborts(mpi_run: Run, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        PROLOGUE
        + """
with mpi.world().guarded():
    if rank == 1:
        raise UserError("only here")
    mpi.world().comm.Barrier()
"""
    )
    done = mpi_run(3, script, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("only here") == 1


def test_a_result_of_the_master_reaches_all(mpi_run: Run, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        PROLOGUE
        + """
order = []
world = mpi.world()
world.one_per_node_first(lambda: order.append(rank))
assert order == [rank]
print(world.on_root(lambda: f"from {rank}"), flush=True)
"""
    )
    assert mpi_run(3, script).stdout.count("from 0") == 3


@pytest.mark.parametrize("signal", ["SIGUSR1", "SIGINT"])
def test_a_signal_before_the_first_trial_is_a_stop_and_no_death(signal: str, sabotage: Run, tmp_path: Path) -> None:
    """Ctrl-C, too, which some launchers pass to the ranks."""
    done = sabotage(
        3,
        f"""
import signal
run._warm_up = lambda: os.kill(os.getpid(), signal.{signal}) if rank == 0 else None
""",
    )
    assert done.returncode == 75, done.stderr
    assert "stopped as asked, 12 trials are left" in done.stderr
    assert sweep_status(tmp_path / "sweep.h5").pending == 12


def test_ctrl_c_pressed_again_ends_a_rank(sabotage: Run, tmp_path: Path) -> None:
    done = sabotage(
        3,
        """
import signal
def press():
    for _ in range(2 if rank == 0 else 0):
        os.kill(os.getpid(), signal.SIGINT)
run._warm_up = press
""",
    )
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
