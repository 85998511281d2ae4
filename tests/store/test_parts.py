"""The parts of a sweep: which trials they have, and several of them read as one sweep."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_examples import CONFIG, Write, ended

from hpcmass.config import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.costs import Part, assign, parse_part, point_costs
from hpcmass.errors import UserError
from hpcmass.grid import Trial, shape
from hpcmass.store import parts as parts_module
from hpcmass.store.merge import merge
from hpcmass.store.parts import SweepParts
from hpcmass.store.schema import DONE, NUMBERS, PENDING
from hpcmass.store.sweep_file import SweepFile
from hpcmass.store.writer import SweepWriter


@given(st.integers(1, 40))
def test_every_trial_belongs_to_one_part_and_parts_are_contiguous(count: int) -> None:
    experiment = parse_experiment(CONFIG)
    ranges = [assign(experiment, Part(number, count)) for number in range(1, count + 1)]
    assert [r.start for r in ranges] == [0, *(r.stop for r in ranges[:-1])]
    assert ranges[-1].stop == np.prod(shape(experiment))
    assert sum(r.mask(shape(experiment)) for r in ranges).tolist() == np.ones(shape(experiment), int).tolist()


@given(st.integers(2, 60))
def test_parts_cost_the_same_but_for_a_trial(count: int) -> None:
    experiment = parse_experiment(
        "trials: 7\nnetwork: {n_neurons: 1000, n_external: 100, duration_ms: 100, transient_ms: 1}\n"
        "grid: {p: {linspace: [0, 1, 9]}, lam: [0.5, 0.8, 1.0]}"
    )
    costs = np.broadcast_to(point_costs(experiment)[..., None], shape(experiment))
    of_parts = [float(costs[assign(experiment, Part(n, count)).mask(costs.shape)].sum()) for n in range(1, count + 1)]
    assert max(of_parts) - min(of_parts) <= 2 * costs.max()


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "-1/3", "1/3/5", "a/b", ""])
def test_a_part_is_i_of_n(text: str) -> None:
    with pytest.raises(ValueError, match="give i/n with i from 1 to n"):
        parse_part(text)
    assert str(parse_part("3/16")) == "3/16"


def test_all_parts_read_as_one_equal_the_merged_file(
    parts: list[Path], tmp_path: Path, all_trials: list[Trial]
) -> None:
    merge(parts, tmp_path / "merged.h5")
    with SweepParts(parts) as several, SweepParts([tmp_path / "merged.h5"]) as one:
        assert (several.status == DONE).all()
        assert several.uuid == one.uuid
        chosen = np.argwhere(one.status == DONE)[::-2]
        for name in ("rate_E", "rank", "seed"):
            values = one.gathered([name])[name][tuple(chosen.T)]
            assert several.values(name, chosen).tobytes() == one.values(name, chosen).tobytes() == values.tobytes()
        names = (*NUMBERS, "wall_s", "rank", "seed", "error", "status")
        a, b = several.gathered(names), one.gathered(names)
        for name in names:
            assert np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f"), name
        for trial in all_trials:
            for name, trace in several.traces(trial.index[:-1], trial.number).items():
                assert np.array_equal(trace, one.traces(trial.index[:-1], trial.number)[name])
        assert several.experiment == one.experiment
        assert several.overlapping == 0


def test_one_file_is_kept_open_at_a_time(
    parts: list[Path], all_trials: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_module, "OPEN_AT_ONCE", 1)
    with SweepParts([*parts, *parts]) as several:  # a file that is named twice counts once
        assert several.paths == parts
        read = [several.traces(t.index[:-1], t.number)["mean_v"][0] for t in [*all_trials, *reversed(all_trials)]]
        assert read[:12] == read[:11:-1]


def test_missing_and_unfinished_parts_are_named(
    parts: list[Path], tmp_path: Path, experiment: Experiment, all_trials: list[Trial], write_sweep: Write
) -> None:
    with SweepParts([parts[0], parts[2]]) as several, pytest.raises(UserError, match="part 2 of 3 is missing"):
        several.require_complete()
    own = assign(experiment, Part(2, 3))
    unfinished = write_sweep(tmp_path / "u.h5", all_trials[own.start : own.start + 1], part=own.part)
    with (
        SweepParts([parts[0], unfinished, parts[2]]) as several,
        pytest.raises(UserError, match="part 2 of 3 is not finished"),
    ):
        several.require_complete()
    with SweepParts(parts) as several:
        several.require_complete()


def test_trials_in_two_files_are_counted_and_compared(
    tmp_path: Path, all_trials: list[Trial], write_sweep: Write
) -> None:
    a, b = write_sweep(tmp_path / "a.h5", all_trials[:6]), write_sweep(tmp_path / "b.h5", all_trials[4:])
    with SweepParts([a, b]) as several:
        assert several.overlapping == 2
        several.require_consistent()
    with SweepWriter(b) as writer:
        (changed,) = ended([all_trials[5]])
        writer.store([type(changed)(changed.trial, {**changed.values, "rate_E": 99.0})])
    with (
        SweepParts([a, b]) as several,
        pytest.raises(UserError, match=r"a\.h5 and .*b\.h5 contradict each other in rate_E of p=0\.25 lam=0\.5"),
    ):
        several.require_consistent()


def test_a_done_trial_counts_before_a_failed_one(tmp_path: Path, all_trials: list[Trial], write_sweep: Write) -> None:
    failed = write_sweep(tmp_path / "failed.h5", [], (all_trials[0], all_trials[1]))
    done = write_sweep(tmp_path / "done.h5", [all_trials[0]])
    with SweepParts([failed, done]) as several:
        assert several.status.ravel()[:3].tolist() == [DONE, 2, PENDING]
        assert several.owner.ravel()[:3].tolist() == [1, 0, -1]
        assert several.error(all_trials[1].index).startswith("did not converge")


def test_another_sweep_is_refused(tmp_path: Path, all_trials: list[Trial], write_sweep: Write) -> None:
    first = write_sweep(tmp_path / "a.h5", all_trials)
    for old, new, what in (("n_external: 5", "n_external: 6", "n_external"), ("trials: 2", "trials: 3", "trials is 3")):
        other = write_sweep(tmp_path / f"{what[:6]}.h5", other=parse_experiment(CONFIG.replace(old, new)))
        with pytest.raises(UserError, match=what), SweepParts([first, other]):
            pass


def test_a_part_names_its_number(parts: list[Path]) -> None:
    with SweepFile(parts[1]) as file:
        assert file.part == Part(2, 3)
        assert file.assigned.sum() == (file.status == DONE).sum()
        with pytest.raises(UserError, match="holds part 2/3, but part 1/3 is asked for"):
            file.require_same_part(Part(1, 3), "stop")
        with pytest.raises(UserError, match="holds part 2/3, but no --part is given"):
            file.require_same_part(None, "stop")
