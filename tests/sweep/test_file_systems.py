"""Who writes a sweep's file, by the file system in which it lies."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest

from hpcmass.config.file import load_experiment
from hpcmass.sweep import prepare as module
from hpcmass.sweep.prepare import RunOptions, prepare


@pytest.mark.parametrize(
    ("kind", "n_ranks", "gather", "driver", "said"),
    [
        ("nfs4", 3, False, "gather", True),
        ("nfs4", 3, True, "gather", False),
        ("nfs4", 1, False, "serial", False),
        ("lustre", 3, False, "mpio", False),
        (None, 3, False, "mpio", False),
    ],
)
def test_several_ranks_do_not_write_one_file_on_nfs(
    kind: str | None,
    n_ranks: int,
    gather: bool,
    driver: str,
    said: bool,
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(h5py, "get_config", lambda: SimpleNamespace(mpi=True))
    monkeypatch.setattr(module, "file_system", lambda path: kind)
    output, options = tmp_path / "sweep.h5", RunOptions(gather=gather)
    prepared, missing = prepare(load_experiment(config), output, options, n_ranks=n_ranks, mpi_library="none")
    assert prepared.driver == driver
    assert len(missing) == 12
    sentence = f"{output} is on a file system (nfs4) that several ranks cannot write safely, so rank 0 writes it"
    assert (sentence in caplog.text) == said
