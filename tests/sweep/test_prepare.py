"""Before the first trial: what a task of a job array makes of the whole sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcmass import grid
from hpcmass.config.file import parse_experiment
from hpcmass.costs import Part
from hpcmass.grid import Trial, shape, trials
from hpcmass.store.sweep_file import SweepFile
from hpcmass.sweep.prepare import RunOptions, prepare

CONFIG = """
trials: 3
grid: {p: {linspace: [0.1, 1.0, 10]}, lam: [0.5, 0.8]}
network: {n_neurons: 100, duration_ms: 300, transient_ms: 100}
"""


@pytest.mark.parametrize("compare", [False, True])
def test_a_task_makes_its_own_trials_only(compare: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first time and when it continues; the file has the seeds of all trials, as every reader expects."""
    experiment = parse_experiment(CONFIG)
    every, made = trials(experiment), []

    def counted(*values: object) -> Trial:
        made.append(values)
        return Trial(*values)  # type: ignore[arg-type]

    monkeypatch.setattr(grid, "Trial", counted)
    path, options = tmp_path / "part.h5", RunOptions(part=Part(3, 7), compare=compare)
    _, first = prepare(experiment, path, options, n_ranks=1, mpi_library="none")
    _, again = prepare(experiment, path, options, n_ranks=1, mpi_library="none")
    assert 0 < len(first) < len(every) / 4
    assert len(made) == len(first) + len(again) == 2 * len(first)
    with SweepFile(path) as file:
        assert first == again == [trial for trial in every if file.assigned[trial.index]]
        seeds = np.array([trial.seed for trial in every]).reshape(*shape(experiment), -1)
        np.testing.assert_array_equal(file.variable("seed"), seeds)
