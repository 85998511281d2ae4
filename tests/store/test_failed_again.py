"""A failed trial that is run again, or replaced by a merge, keeps its reason while it counts as failed."""

from pathlib import Path
from typing import Any

import pytest

from hpcmass.config.file import parse_experiment
from hpcmass.errors import UserError
from hpcmass.grid import trials
from hpcmass.store.check import check_sweep
from hpcmass.store.files import RawFile
from hpcmass.store.provenance import provenance
from hpcmass.store.schema import DONE, FAILED, NUMBERS, PENDING, SWEEP_VARIABLES, TRACES
from hpcmass.store.sweep_file import SweepFile
from hpcmass.store.writer import Ended, SweepWriter, create_sweep_file

CONFIG = """\
trials: 2
network: {n_neurons: 10, n_external: 5, duration_ms: 4.0, transient_ms: 1.0}
grid: {p: [0.25], lam: [0.5]}
"""


@pytest.mark.parametrize("syncs", [0, 1, 2])
def test_an_interruption_leaves_no_failed_trial_without_its_reason(
    syncs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, experiment = tmp_path / "sweep.h5", parse_experiment(CONFIG)
    identity = {"uuid": "0f", **provenance(n_ranks=1, mpi_library="none")}
    create_sweep_file(path, experiment, driver="serial", provenance=identity)
    first, second = trials(experiment)
    values: dict[str, Any] = dict.fromkeys(TRACES, 0.0)
    values |= {name: 0 if SWEEP_VARIABLES[name].dtype.startswith("i") else 0.0 for name in NUMBERS}
    values |= {"rank": 0, "wall_s": 1.0, "kernel_s": 1.0}
    with SweepWriter(path) as writer:
        writer.store([Ended(first, {"rank": 0, "wall_s": 1.0}, "diverged")])
    left, sync = [syncs], RawFile.sync

    def refusing(self: RawFile) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        sync(self)

    monkeypatch.setattr(RawFile, "sync", refusing)
    with SweepWriter(path) as writer, pytest.raises(UserError, match="space"):
        writer.store([Ended(first, values), Ended(second, values)])
    with SweepFile(path) as file:
        assert file.status.ravel().tolist() == ([DONE, DONE] if syncs == 2 else [PENDING, PENDING])
    assert check_sweep(path) == []


def test_it_is_done_or_failed_again_at_the_end(tmp_path: Path) -> None:
    path, experiment = tmp_path / "sweep.h5", parse_experiment(CONFIG)
    create_sweep_file(
        path, experiment, driver="serial", provenance={"uuid": "0f", **provenance(n_ranks=1, mpi_library="none")}
    )
    first = trials(experiment)[0]
    with SweepWriter(path) as writer:
        for reason in ("diverged", "diverged again"):
            writer.store([Ended(first, {"rank": 0, "wall_s": 1.0}, reason)])
    with SweepFile(path) as file:
        assert (file.status.ravel()[0], file.error(first.index)) == (FAILED, "diverged again")
