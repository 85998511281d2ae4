"""A sweep of four small trials, for processes and ranks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from hpcmass.store.schema import DONE

CONFIG = """\
title: four trials
trials: 1
root_seed: 5
network: {n_neurons: 100, n_external: 50, duration_ms: 100.0, transient_ms: 20.0, w_ext: 0.3, w_E: 0.02, w_I: 0.1}
grid:
  p: [0.1, 1.0]
  lam: [0.5, 0.9]
compare: {max_lag_ms: 5.0}
"""


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "four.yml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="session")
def sweep(config: Path, python_run: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep of `config`, run by one process; not to be changed."""
    path = tmp_path_factory.mktemp("sweep") / "sweep.h5"
    python_run("-m", "hpcmass", "run", config, "-o", path)
    return path


@pytest.fixture(scope="session")
def is_complete() -> Callable[[Path], bool]:
    def all_done(path: Path) -> bool:
        with h5py.File(path, "r", locking=False) as file:
            return bool((file["status"][()] == DONE).all())

    return all_done
