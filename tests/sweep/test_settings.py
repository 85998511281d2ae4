"""A sweep that is continued with another configuration, or through a link: what is added, what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hpcmass.store.chain import configurations_of
from hpcmass.store.reader import experiment_of, open_hdf5, open_sweep
from hpcmass.store.sources import shard_paths
from looks import history, times_of_trials

from hpcmass.store.lock import SweepLock
from hpcmass.store.schema import SWEEP_FILETYPE

Run = Callable[..., Any]
Fingerprint = Callable[[Path], dict[str, str]]


@pytest.mark.parametrize("shards", [False, True], ids=["one file", "shards"])
def test_other_settings_of_the_same_physics_are_added_and_taken(
    shards: bool, config: Path, reference: Path, python_run: Run, fingerprint: Fingerprint, tmp_path: Path
) -> None:
    path, changed = tmp_path / "sweep.h5", tmp_path / "changed.yml"
    options = ["--shards"] if shards else []
    python_run("-m", "hpcmass", "run", config, "-o", path, *options)
    texts = [config.read_text(), config.read_text().replace("title: small", "title: other")]
    texts.append(texts[1] + "compare: {alpha: 0.05}\n")
    for text in (*texts[1:], texts[2]):
        changed.write_text(text)
        done = python_run("-m", "hpcmass", "run", changed, "-o", path, *options)
        assert "nothing to do, all 12 trials are done" in done.stderr
    assert "differs" not in done.stderr
    with open_hdf5(path, SWEEP_FILETYPE) as file:
        assert [configuration.text for configuration in configurations_of(file)] == texts
        assert experiment_of(file).compare.alpha == 0.05
    assert sum("another configuration of the same physics" in line for line in history(path)) == 2
    assert fingerprint(path) == fingerprint(reference)


@pytest.mark.parametrize(
    ("version", "addition", "why"),
    [("1.2", "", "older files have no place for it"), ("1.3", "# " + 70_000 * "x" + "\n", "it is too long")],
)
def test_a_configuration_that_cannot_be_kept_is_said_and_changes_nothing(
    version: str, addition: str, why: str, config: Path, reference: Path, python_run: Run, tmp_path: Path
) -> None:
    path, changed = tmp_path / "sweep.h5", tmp_path / "changed.yml"
    path.write_bytes(reference.read_bytes())
    if version == "1.2":
        with h5py.File(path, "r+") as file:
            del file["config_chain"]
            file.attrs["format_version"] = version
    before = path.read_bytes()
    changed.write_text(config.read_text().replace("title: small", "title: other") + addition)
    for _ in range(2):
        done = python_run("-m", "hpcmass", "run", changed, "-o", path)
        assert f"{why}, the file keeps its own (see compare --config)" in done.stderr
    assert path.read_bytes() == before


def test_a_link_is_the_file_it_leads_to(config: Path, reference: Path, python_run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link.h5"
    link.symlink_to(tmp_path / "elsewhere" / "real.h5")
    with SweepLock(tmp_path / "elsewhere" / "real.h5"):
        refused = python_run("-m", "hpcmass", "run", config, "-o", link, check=False)
        assert refused.returncode == 2
        assert "another job is writing" in refused.stderr
    python_run("-m", "hpcmass", "run", config, "-o", link, "--shards")
    assert link.is_symlink()
    assert shard_paths(tmp_path / "elsewhere" / "real.h5")
    assert not (tmp_path / "link.h5.parts").exists()
    assert times_of_trials(link).keys() == times_of_trials(reference).keys()
    with open_sweep(link) as dataset:
        assert np.isfinite(dataset["mean_v"].values).all()


def change_key(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("n", "old", "new", "message"),
    [
        (1, "w_E: 0.02", "w_E: 0.03", "network.w_E is 0.02 there and 0.03 here"),
        (3, "root_seed: 5", "root_seed: 6", "root_seed is 5 there and 6 here"),
        (1, "lam: [0.5, 0.9]", "lam: [0.5, 0.8]", "grid.lam has [0.5, 0.9] there and [0.5, 0.8] here"),
        (1, "trials: 2", "trials: 3", "trials is 2 there and 3 here); `--reuse "),
    ],
)
def test_another_sweep_is_refused_once_and_by_all_ranks(
    n: int, old: str, new: str, message: str, config: Path, reference: Path, mpi_run: Run, tmp_path: Path
) -> None:
    other, path = tmp_path / "other.yml", tmp_path / "sweep.h5"
    other.write_text(change_key(config.read_text(), old, new))
    path.write_bytes(reference.read_bytes())
    done = mpi_run(n, "-m", "hpcmass", "run", other, "-o", path, check=False)
    assert done.returncode == 2
    assert done.stderr.count(message) == 1
    assert "Traceback" not in done.stderr
    assert path.read_bytes() == reference.read_bytes()
