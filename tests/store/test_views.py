"""Views of parts: what they promise while the parts change, and what becomes of a sweep that makes way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hpcmass.store.aside import set_sweep_aside
from hpcmass.store.join import join
from hpcmass.store.pack import pack
from hpcmass.store.reader import SweepFile, shard_directory
from hpcmass.store.sources import require_current, shard_paths

from hpcmass.config import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.store.check import check_sweep
from hpcmass.store.lock import SweepLock
from hpcmass.store.merge import merge
from hpcmass.store.provenance import history_of
from hpcmass.store.schema import DONE
from hpcmass.store.status import sweep_status
from hpcmass.store.writer import SlabWriter

Write = Callable[..., Path]
Invent = Callable[[Trial], dict[str, Any]]


@pytest.mark.parametrize("what", ["one file", "packed", "joint", "nothing"])
@pytest.mark.parametrize("beside", ["no directory", "an empty directory", "shards"])
def test_whatever_is_set_aside_is_all_there(
    what: str, beside: str, tmp_path: Path, write_sweep: Write, all_trials: list[Trial]
) -> None:
    sweep, directory = tmp_path / "a.h5", tmp_path / "a.h5.parts"
    if beside != "no directory":
        directory.mkdir()
    if beside == "shards":
        write_sweep(directory / "shard-00001.h5", all_trials[6:9])
    if what == "one file":
        write_sweep(sweep, all_trials[:6])
    elif what == "packed":
        pack([write_sweep(tmp_path / "part.h5", all_trials[:6])], sweep)
    elif what == "joint":
        join([write_sweep(tmp_path / "part.h5", all_trials[:6]), *shard_paths(sweep)], sweep)
    elif beside != "shards":
        return
    set_sweep_aside(sweep)
    assert not sweep.exists()
    assert not shard_paths(sweep)
    done = np.zeros(12, bool)
    for kept in tmp_path.glob("a.[0-9].h5"):
        with SweepFile(kept) as file:
            done |= file.status.ravel() == DONE
    expected = np.zeros(12, bool)
    expected[:6] = what != "nothing"
    expected[6:9] = beside == "shards"
    np.testing.assert_array_equal(done, expected)


@pytest.fixture
def view(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> Path:
    """A view `m.h5` of two parts with 6 trials each."""
    parts = [write_sweep(tmp_path / f"p{i}.h5", all_trials[6 * i : 6 * i + 6]) for i in range(2)]
    merge(parts, tmp_path / "m.h5")
    return tmp_path / "m.h5"


@pytest.mark.parametrize("physics", ["n_external: 5", "n_external: 6"], ids=["the same", "other physics"])
def test_a_part_that_was_begun_anew_is_noticed(
    physics: str, view: Path, experiment: Experiment, write_sweep: Write, all_trials: list[Trial]
) -> None:
    part = view.with_name("p0.h5")
    part.unlink()
    write_sweep(part, all_trials[:2], other=parse_experiment(experiment.text.replace("n_external: 5", physics)))
    with h5py.File(part, "r+") as file:
        file.attrs["uuid"] = "another one"
    for look in (SweepFile, sweep_status, check_sweep):
        with pytest.raises(UserError, match=r"m\.h5 refers to .*p0\.h5, which was begun anew since; merge again"):
            look(view)
    with SweepFile(view, checked=True) as sweep, pytest.raises(OSError, match="does not hold the trial any more"):
        sweep.traces((0, 1), 1)
    if physics == "n_external: 5":
        with pytest.raises(UserError, match="exists"):
            merge([part, view.with_name("p1.h5")], view, partial=True)
        merge([part, view.with_name("p1.h5")], view, partial=True, force=True)
        assert sweep_status(view).done == 8


def test_a_view_is_brought_up_to_date(
    all_trials: list[Trial], write_sweep: Write, invent: Invent, tmp_path: Path
) -> None:
    parts = [write_sweep(tmp_path / f"q{i}.h5", all_trials[6 * i : 6 * i + 3]) for i in range(2)]
    merge(parts, tmp_path / "n.h5", partial=True)
    require_current(tmp_path / "n.h5")
    write_missing(parts[0], all_trials[3:6], invent)
    assert sweep_status(tmp_path / "n.h5").done == 9
    with pytest.raises(UserError, match=r"n\.h5 is behind .*, it lacks 3 trials that are done; merge them again"):
        require_current(tmp_path / "n.h5")
    assert "it is behind the files that it was joined from" in "".join(check_sweep(tmp_path / "n.h5"))
    with SweepLock(parts[1]):  # a look while the parts grow
        require_current(tmp_path / "n.h5")
        assert not any("behind" in problem for problem in check_sweep(tmp_path / "n.h5"))
    merge(parts, tmp_path / "n.h5", partial=True)  # of just these parts, so it is brought up to date
    require_current(tmp_path / "n.h5")
    with SweepFile(tmp_path / "n.h5") as sweep:
        assert (sweep.status == DONE).sum() == 9
    with pytest.raises(UserError, match="exists"):
        merge([parts[0]], tmp_path / "n.h5", partial=True)


def test_merging_again_keeps_what_the_view_has_done_itself(
    all_trials: list[Trial], write_sweep: Write, tmp_path: Path
) -> None:
    parts = [write_sweep(tmp_path / f"q{i}.h5", all_trials[6 * i : 6 * i + 5]) for i in range(2)]
    view = tmp_path / "n.h5"
    merge(parts, view, partial=True)
    shard_directory(view).mkdir()
    write_sweep(shard_directory(view) / "shard-00000.h5", [all_trials[5]])
    assert merge(parts, view, partial=True).done == 11
    assert sweep_status(view).done == 11
    require_current(view)


def test_shards_that_a_part_got_after_the_merge_belong_to_it(
    all_trials: list[Trial], write_sweep: Write, tmp_path: Path
) -> None:
    part, view = tmp_path / "p.h5", tmp_path / "n.h5"
    shard_directory(part).mkdir()
    write_sweep(shard_directory(part) / "shard-00001.h5", all_trials[:3])
    join(shard_paths(part), part)
    merge([part], view, partial=True)
    write_sweep(shard_directory(part) / "shard-00000.h5", all_trials[3:5])
    assert sweep_status(view).done == 5
    with pytest.raises(UserError, match="it lacks 2 trials"):
        require_current(view)
    assert merge([part], view, partial=True).done == 5
    require_current(view)


@pytest.mark.parametrize("fate", ["gone", "begun anew", "sound"])
def test_a_view_set_aside_keeps_its_numbers_and_its_name(
    fate: str, all_trials: list[Trial], write_sweep: Write, tmp_path: Path
) -> None:
    parts = [write_sweep(tmp_path / f"q{i}.h5", all_trials[6 * i : 6 * i + 3]) for i in range(2)]
    view, kept = tmp_path / "n.h5", tmp_path / "n.1.h5"
    merge(parts, view, partial=True)
    shard_directory(view).mkdir()
    write_sweep(shard_directory(view) / "shard-00000.h5", [all_trials[5]])
    merge(parts, view, partial=True)
    with h5py.File(view, "r", locking=False) as file:
        identity, lines = file.attrs["uuid"], history_of(file)
    if fate != "sound":
        parts[0].unlink()
    if fate == "begun anew":
        write_sweep(parts[0], [])
        with h5py.File(parts[0], "r+") as file:
            file.attrs["uuid"] = "another"
    assert set_sweep_aside(view) == [kept]
    assert not view.exists()
    assert not shard_directory(view).exists()
    with h5py.File(kept, "r", locking=False) as file:
        assert (file["status"][()] == DONE).sum() == 7
        assert np.isfinite(file["rate_E"][()]).sum() == 7
        assert file.attrs["uuid"] == identity
        assert set(history_of(file)) >= set(lines)
    if fate == "sound":
        assert not any("another part" in problem or "behind" in problem for problem in check_sweep(kept))
        assert sweep_status(kept).done == 7


def test_a_damaged_shard_does_not_keep_a_sweep_from_making_way(
    shards: Path, all_trials: list[Trial], write_sweep: Write
) -> None:
    join(shard_paths(shards), shards)
    damaged = shard_paths(shards)[1]
    damaged.write_bytes(damaged.read_bytes()[:5000])
    assert set_sweep_aside(shards) == [shards.with_name("sweep.1.h5")]
    assert not shards.exists()
    assert len(shard_paths(shards.with_name("sweep.1.h5"))) == 2


def test_through_a_link_the_file_is_merged_that_it_leads_to(
    all_trials: list[Trial], write_sweep: Write, tmp_path: Path
) -> None:
    parts = [write_sweep(tmp_path / f"q{i}.h5", all_trials[6 * i : 6 * i + 6]) for i in range(2)]
    (tmp_path / "sub").mkdir()
    link, view = tmp_path / "sub" / "link.h5", tmp_path / "n.h5"
    link.symlink_to(view)
    for _ in range(2):
        merge(parts, link)
        assert link.is_symlink()
        assert sweep_status(view).done == sweep_status(link).done == 12
    merge(parts, link, packed=True, force=True)
    assert link.is_symlink()
    assert (tmp_path / "n.1.h5").exists()


def test_traces_are_found_from_another_directory(view: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(view.parent)
    (tmp_path / "elsewhere").mkdir()
    with SweepFile(view.name) as sweep:
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert np.isfinite(sweep.traces((0, 0), 0)["mean_v"]).all()


def test_new_shards_leave_the_joint_behind(shards: Path, all_trials: list[Trial], write_sweep: Write) -> None:
    join(shard_paths(shards), shards)
    require_current(shards)
    write_sweep(shard_directory(shards) / "shard-00003.h5", all_trials[9:])
    with pytest.raises(UserError, match="start the same `hpcmass run` again"):
        require_current(shards)


def test_check_holds_a_view_against_its_parts(view: Path) -> None:
    def contradictions() -> list[str]:
        return [problem for problem in check_sweep(view) if "its part has another" in problem]

    assert contradictions() == []
    with h5py.File(view, "r+") as file:
        file["rate_E"][0, 0, 1] += 1
    (problem,) = contradictions()
    assert problem.startswith("m.h5: p=0 lam=0.5 trial 1: its part has another rate_E")


def write_missing(path: Path, trials: list[Trial], invent: Invent) -> None:
    with SlabWriter(path) as writer:
        for trial in trials:
            writer.write(trial, invent(trial), rank=1)
