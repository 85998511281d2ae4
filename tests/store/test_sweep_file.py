"""One sweep file shows only trials that are done, knows its assigned trials, and whether it fits an experiment."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from store_examples import Write, ended, invented

from hpcmass.config import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.costs import Part, assign
from hpcmass.errors import UserError
from hpcmass.grid import Trial, trials
from hpcmass.store.schema import DONE, FAILED, NUMBERS, PENDING, SWEEP_VARIABLES, TRACES
from hpcmass.store.sweep_file import SweepFile
from hpcmass.store.writer import SweepWriter, create_sweep_file


@pytest.fixture
def half_done(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> Path:
    """Trials 0, 2, 4 … are done, 1 failed, and the others have data but no status: killed in between."""
    path = write_sweep(tmp_path / "sweep.h5", all_trials[::2], (all_trials[1],))
    with h5py.File(path, "r+", locking=False) as file:
        for trial in all_trials[3::2]:
            for name in (*TRACES, *NUMBERS):
                file[name][trial.index] = 99
    return path


def test_only_trials_that_are_done_are_seen(half_done: Path, all_trials: list[Trial]) -> None:
    with SweepFile(half_done) as sweep:
        numbers = sweep.numbers()
        assert sweep.status.ravel()[:4].tolist() == [DONE, FAILED, DONE, PENDING]
        for i, trial in enumerate(all_trials):
            point, number = trial.index[:-1], trial.number
            assert sweep.seed(trial.index) == trial.seed
            assert sweep.label(trial.index) == trial.label()
            assert (number in sweep.done_trials(point)) == (i % 2 == 0)
            if i % 2 == 0:
                expected, traces = invented(trial), sweep.traces(point, number)
                assert tuple(traces) == TRACES
                for name in TRACES:
                    np.testing.assert_array_equal(traces[name], expected[name])
                    some = sweep.window(name, point, number, slice(1, 4))
                    np.testing.assert_array_equal(some, expected[name][1:4])
                for name in NUMBERS:
                    assert numbers[name][trial.index] == expected[name]
                    assert sweep.value(name, trial.index) == expected[name]
            else:
                for name in NUMBERS:
                    np.testing.assert_equal(numbers[name][trial.index], SWEEP_VARIABLES[name].fill)
                with pytest.raises(ValueError, match=f"{trial.label()} is not done"):
                    sweep.traces(point, number)
                with pytest.raises(ValueError, match=f"{trial.label()} is not done"):
                    sweep.window("mean_v", point, number, slice(1, 4))
        failed = all_trials[1]
        assert sweep.error(failed.index) == f"did not converge at {failed.label()}, λ too large"
        assert sweep.error(all_trials[0].index) == ""
        assert sweep.variable("error")[failed.index].decode() == sweep.error(failed.index)


def test_axes_and_identity(half_done: Path, experiment: Experiment) -> None:
    with SweepFile(half_done) as sweep:
        assert list(sweep.axes.items()) == list(experiment.grid.axes().items())
        assert sweep.shape == (3, 2, 2)
        assert sweep.physics_sha256 == experiment.physics_sha256()
        assert (sweep.uuid, sweep.title, sweep.driver) == ("0f", "three by two", "serial")
        assert sweep.experiment == experiment
        assert sweep.trial_numbers.tolist() == [0, 1]
        assert sweep.values_at((2, 1, 0)) == {"p": 1.0, "lam": 0.8}
        assert sweep.attributes["software"] == "hpcmass"
        assert len(sweep.history) == 1
        assert (sweep.is_packed, sweep.part) == (False, None)
        assert sweep.assigned.all()
        assert "mean_v" in sweep
        assert "spike_time" not in sweep
        np.testing.assert_allclose(sweep.time_ms, np.arange(40) * 0.1)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_part_has_its_range_of_trials(
    number: int, tmp_path: Path, write_sweep: Write, experiment: Experiment
) -> None:
    part = Part(number, 3)
    own = assign(experiment, part)
    with SweepFile(write_sweep(tmp_path / "part.h5", part=part)) as sweep:
        assert sweep.part == part
        assert np.flatnonzero(sweep.assigned).tolist() == list(range(own.start, own.stop))
        sweep.require_same_part(part, "go")
        with pytest.raises(UserError, match=rf"holds part {number}/3, but part 1/4 is asked for; go away"):
            sweep.require_same_part(Part(1, 4), "go away")
        with pytest.raises(UserError, match=rf"holds part {number}/3, but no --part is given; go away"):
            sweep.require_same_part(None, "go away")


def test_a_whole_sweep_is_no_part(half_done: Path) -> None:
    with SweepFile(half_done) as sweep:
        sweep.require_same_part(None, "go")
        with pytest.raises(UserError, match=r"sweep\.h5 is not a part, but part 1/4 is asked for; go away"):
            sweep.require_same_part(Part(1, 4), "go away")


@pytest.mark.parametrize(
    ("old", "new", "message", "same_physics"),
    [
        ("n_external: 5", "n_external: 6", r"network\.n_external is 5 there and 6 here\); do", False),
        ("root_seed: 11", "root_seed: 12", r"root_seed is 11 there and 12 here\); do", False),
        (
            "p: [0.0, 0.25, 1.0]",
            "p: [0.0, 0.5, 1.0]",
            r"grid\.p has \[0, 0\.25, 1\] there and \[0, 0\.5, 1\] here",
            True,
        ),
        (
            "p: [0.0, 0.25, 1.0]",
            "p: {linspace: [0, 1, 9]}",
            r"\[0, 0\.25, 1\] there and 9 values from 0 to 1 here",
            True,
        ),
        ("trials: 2", "trials: 3", r"trials is 2 there and 3 here\); or do", True),
        ("transient_ms: 1.0", "transient_ms: 2.0", r"network\.transient_ms is 1\.0 there and 2\.0 here", False),
    ],
)
def test_another_sweep_is_refused_by_what_differs(
    half_done: Path, experiment: Experiment, old: str, new: str, message: str, same_physics: bool
) -> None:
    assert old in experiment.text
    other = parse_experiment(experiment.text.replace(old, new))
    with SweepFile(half_done) as sweep:
        sweep.require_same_sweep(experiment, "do")
        with pytest.raises(UserError, match=rf"sweep\.h5 holds another sweep \(.*{message}"):
            sweep.require_same_sweep(other, "do", "or ")
        if same_physics:  # trials of the same physics may be reused
            sweep.require_same_physics(other, "do")
        else:
            with pytest.raises(UserError, match=r"sweep\.h5 has other physics \(.*; do"):
                sweep.require_same_physics(other, "do")


def test_settings_beside_the_physics_are_no_other_sweep(half_done: Path, experiment: Experiment) -> None:
    other = parse_experiment(experiment.text.replace("three by two", "another title") + "compare: {alpha: 0.05}\n")
    with SweepFile(half_done) as sweep:
        sweep.require_same_sweep(other, "do")
        sweep.require_same_physics(other, "do")


def test_other_seeds_are_no_same_sweep(half_done: Path, experiment: Experiment) -> None:
    with h5py.File(half_done, "r+", locking=False) as file:
        file["seed"][2, 1, 0, 3] += 1
    with SweepFile(half_done) as sweep, pytest.raises(UserError, match="its trials have other seeds"):
        sweep.require_same_seeds(experiment, "do")


def test_a_trial_number_of_its_own_and_its_spikes(tmp_path: Path, experiment: Experiment) -> None:
    one = parse_experiment(experiment.text.replace("trials: 2", "trials: 1"))
    (trial, *_) = trials(one)
    path = tmp_path / "t.h5"
    create_sweep_file(path, one, driver="serial", provenance={"uuid": "1"}, trial_numbers=[7], n_spikes=3)
    with SweepWriter(path) as writer:
        writer.store_spikes({"spike_neuron": np.array([4, 0, 4]), "spike_time": np.array([0.5, 0.5, 1.0])})
        writer.store(ended([trial]))
    with SweepFile(path) as sweep:
        assert sweep.trial_numbers.tolist() == [7]
        assert sweep.label(trial.index) == "p=0 lam=0.5 trial 7"
        assert sweep.variable("spike_time").tolist() == [0.5, 0.5, 1.0]
        assert sweep.variable("spike_neuron").tolist() == [4, 0, 4]


def test_a_file_is_closed_at_the_end_of_its_block(half_done: Path) -> None:
    with SweepFile(half_done) as sweep:
        assert sweep.hdf5
    assert not sweep.hdf5
