"""Merging: a copy that can be continued, or a packed one; what is refused, and what is never lost."""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from store_examples import Command, Write, as_format_1, contents, ended

from hpcmass.config.file import parse_experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.store import merge as merge_module
from hpcmass.store.check import check_sweep
from hpcmass.store.merge import merge
from hpcmass.store.schema import DONE
from hpcmass.store.sweep_file import SweepFile
from hpcmass.store.writer import SweepWriter

BESIDES = ("rank",)


def science(path: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(path).items() if name not in BESIDES}


@pytest.fixture
def whole(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> Path:
    """The sweep that the parts make together, written as one."""
    return write_sweep(tmp_path / "whole.h5", all_trials)


@pytest.mark.parametrize("packed", [False, True])
def test_a_merged_file_equals_one_sweep(parts: list[Path], whole: Path, tmp_path: Path, packed: bool) -> None:
    merged = merge(parts, tmp_path / "merged.h5", packed=packed)
    assert (merged.n_files, merged.total, merged.done, merged.failed, merged.overlapping) == (3, 12, 12, 0, 0)
    assert science(tmp_path / "merged.h5") == science(whole)
    with SweepFile(tmp_path / "merged.h5") as file:
        assert file.part is None
        assert file.driver == ("packed" if packed else "serial")
        assert any("from 3 files" in line for line in file.history)
        assert sum("started" in line for line in file.history) >= 1
    with h5py.File(tmp_path / "merged.h5", "r", locking=False) as file:
        assert (file["mean_v"].chunks is not None) == packed
        assert (file["mean_v"].compression == "gzip") == packed


def test_failed_trials_keep_their_reasons(tmp_path: Path, write_sweep: Write, all_trials: list[Trial]) -> None:
    path = write_sweep(tmp_path / "a.h5", all_trials[:-1], (all_trials[-1],))
    for packed in (False, True):
        merged = merge([path], tmp_path / f"{packed}.h5", packed=packed)
        assert (merged.done, merged.failed) == (11, 1)
        with SweepFile(tmp_path / f"{packed}.h5") as file:
            assert file.error(all_trials[-1].index) == f"did not converge at {all_trials[-1].label()}, λ too large"


def test_an_interrupted_merge_is_continued_by_the_same_command(
    parts: list[Path], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge_module, "BLOCK_BYTES", 1)  # a trial at a time
    store, output = SweepWriter.store, tmp_path / "merged.h5"
    for moment in range(13):
        left = moment

        def interrupted(self: SweepWriter, ended: Any) -> None:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            store(self, ended)

        monkeypatch.setattr(SweepWriter, "store", interrupted)
        try:
            merge(parts, output)
        except KeyboardInterrupt:
            with SweepFile(output) as file:
                assert (file.status == DONE).sum() == moment
        monkeypatch.setattr(SweepWriter, "store", store)
        merge(parts, output)
        assert science(output) == science(whole)
        output.unlink()


def test_a_second_merge_refuses_a_file_that_contradicts_the_parts(
    parts: list[Path], whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "merged.h5"
    merge(parts[:2], output, partial=True)
    with SweepFile(output) as file:
        index = tuple(int(i) for i in np.argwhere(file.status == DONE)[-1])
    with h5py.File(output, "r+", locking=False) as data:
        data["rate_E"][index] = 1e6
    before = output.read_bytes()
    with pytest.raises(UserError, match=r"contradict each other in rate_E of p="):
        merge(parts, output)
    assert output.read_bytes() == before


def test_a_second_merge_copies_what_is_missing_and_nothing_else(
    parts: list[Path], whole: Path, tmp_path: Path, all_trials: list[Trial]
) -> None:
    output = tmp_path / "merged.h5"
    assert merge(parts[:2], output, partial=True).done < 12
    with SweepWriter(output) as writer:  # a trial that was run in the merged file itself
        writer.store(ended([all_trials[-1]], rank=9))
    assert merge(parts, output).done == 12
    assert science(output) == science(whole)
    with SweepFile(output) as file:
        assert file.value("rank", all_trials[-1].index) == 9
        assert file.history[-1].endswith("merged from 3 files, continued")
        lines = len(file.history)
    merge(parts, output)
    with SweepFile(output) as file:
        assert len(file.history) == lines  # nothing to do, nothing noted


def test_what_is_missing_is_named(parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"part 3 of 3 is missing \(.* trials are not done\); .* --partial"):
        merge(parts[:2], tmp_path / "merged.h5")
    assert not (tmp_path / "merged.h5").exists()


def test_an_output_with_other_contents_is_refused(
    parts: list[Path], tmp_path: Path, write_sweep: Write, experiment: Any
) -> None:
    packed = tmp_path / "packed.h5"
    merge(parts, packed, packed=True)
    other = write_sweep(tmp_path / "other.h5", other=parse_experiment(experiment.text.replace("root_seed: 11", "")))
    part = tmp_path / "part.h5"
    part.write_bytes(parts[0].read_bytes())
    for path, why in ((packed, "is packed"), (part, "holds part 1/3"), (other, "another sweep")):
        before = path.read_bytes()
        with pytest.raises(UserError, match=why):
            merge(parts, path)
        with pytest.raises(UserError, match="exists"):
            merge(parts, path, packed=True)
        assert path.read_bytes() == before


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("link", ["same", "symbolic", "hard"])
def test_an_output_that_is_an_input_is_refused(
    parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool, link: str
) -> None:
    monkeypatch.chdir(tmp_path)
    output = Path(parts[0].name)
    if link != "same":
        output = tmp_path / "link.h5"
        (os.symlink if link == "symbolic" else os.link)(parts[0], output)
    before = parts[0].read_bytes()
    with pytest.raises(UserError, match="is the same file as the input"):
        merge(parts, output, packed=packed, force=True)
    assert parts[0].read_bytes() == before


@pytest.mark.parametrize("packed", [False, True])
def test_force_backs_up_what_is_there(parts: list[Path], tmp_path: Path, packed: bool) -> None:
    output = tmp_path / "merged.h5"
    output.write_bytes(b"something")
    merge(parts, output, packed=packed, force=True)
    assert (tmp_path / "merged.1.h5").read_bytes() == b"something"
    assert check_sweep(output) is not None


def test_unpacked_again_it_is_the_same(parts: list[Path], whole: Path, tmp_path: Path) -> None:
    merge(parts, tmp_path / "packed.h5", packed=True)
    merge([tmp_path / "packed.h5"], tmp_path / "unpacked.h5")
    assert science(tmp_path / "unpacked.h5") == science(whole)


def test_files_of_format_1_are_merged_into_one_of_today(parts: list[Path], whole: Path, tmp_path: Path) -> None:
    for path in parts:
        as_format_1(path)
    merge(parts, tmp_path / "merged.h5")
    assert science(tmp_path / "merged.h5") == science(whole)
    with SweepFile(tmp_path / "merged.h5") as file:
        assert str(file.attributes["format_version"]).startswith("2.")


@pytest.mark.parametrize("name", ["a%20b.h5", "%b.h5", "%%.h5", "sp ace.h5", "Übung.h5", "quo'te\".h5"])
def test_a_name_is_a_name(parts: list[Path], whole: Path, tmp_path: Path, name: str) -> None:
    moved = parts[0].rename(tmp_path / name)
    output = tmp_path / f"out {name}"
    merge([moved, *parts[1:]], output)
    assert science(output) == science(whole)


def test_limits_on_file_sizes_end_in_a_sentence_and_never_in_a_signal(
    command: Command, made: Path, tmp_path: Path
) -> None:
    """Every writing command, at random limits from 50 kB to the size of what it writes."""
    random = np.random.default_rng(5)
    sizes = {name: (made / name).stat().st_size for name in ("sweep.h5", "packed.h5", "comparison.h5", "trial.h5")}
    tries = {
        f"run {made}/config.yml -o sweep.h5": sizes["sweep.h5"],
        f"run {made}/config.yml -o part.h5 --part 1/2": sizes["sweep.h5"],
        f"trial {made}/config.yml --p 1 --lam 1 -o trial.h5 --spikes": sizes["trial.h5"],
        f"merge -o merged.h5 {made}/part-1.h5 {made}/part-2.h5": sizes["sweep.h5"],
        f"merge --pack -o packed.h5 {made}/part-1.h5 {made}/part-2.h5": sizes["sweep.h5"],
        f"compare {made}/sweep.h5 -o comparison.h5": sizes["comparison.h5"],
    }
    for number, (arguments, size) in enumerate(tries.items()):
        for attempt in range(4):
            here = tmp_path / f"{number}-{attempt}"
            here.mkdir()
            old = here / arguments.split(" -o ")[1].split()[0]
            limit = int(random.integers(50_000, max(size, 60_000)))
            outcome = command(*arguments.split(), cwd=here, limit=limit)
            assert outcome.code in (0, 2, 3, 75), (arguments, limit, outcome)
            if outcome.code == 2:
                assert "Traceback" not in outcome.err
                assert not old.exists() or arguments.startswith(("run", "merge -o", "compare"))
