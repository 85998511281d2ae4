"""Real jobs under a Slurm of one node: `make test-slurm` starts it around these tests, and stops it.

Without it they are skipped, so that nothing is ever submitted to a real cluster.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slurm_cluster import Slurm
from sweep_contents import fingerprint


@pytest.fixture(scope="session")
def slurm(mpi_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    conf = Path(os.environ.get("SLURM_CONF", "/nowhere"))
    if not conf.is_file() or "ClusterName=one\n" not in conf.read_text():
        pytest.skip("there is no Slurm of one node; `make test-slurm` starts one")
    cluster = Slurm(mpi_env | {"VENV": sys.prefix}, tmp_path_factory.mktemp("slurm"))
    # Debian's Open MPI needs this setting; on a cluster it is in the recipe.
    cluster.environment["SLURM_MPI_TYPE"] = "pmix"
    yield cluster
    cluster.call("scancel", "--me")


def write_config(directory: Path, *, trials: int, network: str) -> Path:
    path = directory / "sweep.yml"
    path.write_text(
        f"title: under Slurm\nroot_seed: 11\ntrials: {trials}\n"
        f"grid:\n  p: [0.1, 0.3, 0.9]\n  lam: [0.7, 0.8]\nnetwork: {{{network}}}\n"
    )
    return path


SMALL = "n_neurons: 200, n_external: 150, duration_ms: 400.0, transient_ms: 100.0, w_ext: 0.3, w_E: 0.02, w_I: 0.1"
# Costly for its size on the disk.
BIG = "n_neurons: 10000, n_external: 200, duration_ms: 200.0, transient_ms: 50.0"


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 trials of milliseconds."""
    return write_config(tmp_path_factory.mktemp("small"), trials=2, network=SMALL)


@pytest.fixture(scope="session")
def middling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 trials of less than a tenth of a second: to be interrupted."""
    return write_config(tmp_path_factory.mktemp("middling"), trials=20, network=BIG)


@pytest.fixture(scope="session")
def undisturbed(
    python_run: Callable[..., object], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], dict[str, str]]:
    """Give `undisturbed(config)`: the scientific content of the sweep, run by one process without Slurm or MPI."""
    known: dict[Path, dict[str, str]] = {}

    def run(config: Path) -> dict[str, str]:
        if config not in known:
            path = tmp_path_factory.mktemp("undisturbed") / "sweep.h5"
            python_run("-m", "hpcmass", "run", config, "-o", path, timeout=600)
            known[config] = fingerprint(path)
        return known[config]

    return run
