"""The chain of configurations: what goes in comes out, and a torn entry never passes for one."""

from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from hpcmass.store.chain import (
    Configuration,
    append_configuration,
    chain_value,
    configurations_in,
    configurations_of,
    fits,
    united,
)
from hpcmass.store.inplace import changing
from hpcmass.store.reader import SweepFile, open_hdf5
from hypothesis import given
from hypothesis import strategies as st

from hpcmass.config import Experiment
from hpcmass.grid import Trial
from hpcmass.store.schema import CHAIN_BYTES, CONFIG_CHAIN, SWEEP_FILETYPE

Write = Callable[..., Path]

texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=300)
chains = st.lists(st.builds(Configuration, st.sampled_from(["2026-01-02T03:04:05+00:00", "x"]), texts), max_size=5)


@given(chains)
def test_what_goes_in_comes_out(chain: list[Configuration]) -> None:
    assert configurations_in(chain_value(chain)) == chain
    assert configurations_in(chain_value(chain).ljust(CHAIN_BYTES, b"\0")) == chain


@given(chains, texts, st.data())
def test_a_kill_while_adding_leaves_the_old_ones_or_all(
    chain: list[Configuration], text: str, data: st.DataObject
) -> None:
    longer = [*chain, Configuration("now", text)]
    before, after = (chain_value(c).ljust(CHAIN_BYTES, b"\0") for c in (chain, longer))
    cut = data.draw(st.integers(0, len(chain_value(longer))))
    assert configurations_in(after[:cut] + before[cut:]) in (chain, longer)


def test_a_changed_letter_is_noticed() -> None:
    value = chain_value([Configuration("a", "dt_ms: 0.1"), Configuration("b", "dt_ms: 0.2")])
    assert configurations_in(value.replace(b"0.2", b"0.3")) == [Configuration("a", "dt_ms: 0.1")]


@pytest.mark.parametrize(
    ("parts_of_four", "kept"),
    [
        ([1, 1, 1, 1, 1, 1], "045"),
        ([2.5, 2.5], "1"),
        ([3.5, 0.1], "01"),
        ([0.1, 3.5, 3.5], "02"),
        ([3.9, 3.9, 0.2], "2"),
    ],
)
def test_the_latest_stays_and_the_first_if_it_can(parts_of_four: list[float], kept: str) -> None:
    chain = [Configuration(f"{i}", f"{i}" * int(CHAIN_BYTES * share / 4)) for i, share in enumerate(parts_of_four)]
    assert "".join(c.since for c in configurations_in(chain_value(chain))) == kept


def test_what_is_too_long_is_known_before() -> None:
    assert fits("x" * (CHAIN_BYTES - 200))
    assert not fits("x" * CHAIN_BYTES)
    assert chain_value([Configuration("0", "0" * CHAIN_BYTES)]) == b""


def with_title(experiment: Experiment, title: str) -> str:
    assert experiment.title in experiment.text
    return experiment.text.replace(experiment.title, title)


def test_a_file_goes_by_the_latest_of_the_same_physics(
    tmp_path: Path, experiment: Experiment, write_sweep: Write
) -> None:
    path = write_sweep(tmp_path / "sweep.h5", [])
    other_physics = experiment.text.replace("n_external: 5", "n_external: 6")
    for text, title in ((with_title(experiment, "new"), "new"), ("colour: red", "new"), (other_physics, "new")):
        with changing(path) as file:
            append_configuration(file, text)
        with SweepFile(path) as sweep:
            assert sweep.experiment.title == title
    with open_hdf5(path, SWEEP_FILETYPE) as file:
        assert [c.text for c in configurations_of(file)] == [
            experiment.text, with_title(experiment, "new"), "colour: red", other_physics,
        ]  # fmt: skip


def test_killed_or_out_of_space_while_adding_the_file_is_whole(
    tmp_path: Path, experiment: Experiment, all_trials: list[Trial], write_sweep: Write
) -> None:
    """Whatever part of the change has arrived: nothing else in the file has moved or changed."""
    path = write_sweep(tmp_path / "sweep.h5", all_trials[:3])
    before = path.read_bytes()
    with changing(path) as file:
        append_configuration(file, with_title(experiment, "new"))
        place = file[CONFIG_CHAIN.name].id.get_offset()
    after = path.read_bytes()
    assert len(after) == len(before)
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert place <= changed[0]
    assert changed[-1] < place + CHAIN_BYTES
    for cut in (*range(changed[0], changed[-1], 37), changed[-1] + 1):
        path.write_bytes(after[:cut] + before[cut:])
        with SweepFile(path) as sweep:
            assert sweep.experiment.title == ("new" if cut > changed[-1] else experiment.title)
            assert (sweep.status == 1).sum() == 3


def test_a_file_from_before_the_chain(tmp_path: Path, experiment: Experiment, write_sweep: Write) -> None:
    path = write_sweep(tmp_path / "sweep.h5", [])
    with h5py.File(path, "r+") as file:
        del file[CONFIG_CHAIN.name]
        file.attrs["format_version"] = "1.2"
    with changing(path) as file:
        append_configuration(file, "lost: true")
        assert [c.text for c in configurations_of(file)] == [experiment.text]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_several_files_each_text_once_by_its_last_time(
    order: tuple[int, int], tmp_path: Path, write_sweep: Write
) -> None:
    entries = [
        [Configuration("1", "a"), Configuration("3", "b"), Configuration("5", "a")],
        [Configuration("2", "c"), Configuration("4", "b")],
    ]
    paths = [write_sweep(tmp_path / f"{i}.h5", []) for i in range(2)]
    for path, chain in zip(paths, entries, strict=True):
        with changing(path) as file:
            file[CONFIG_CHAIN.name][()] = chain_value(chain)
    with open_hdf5(paths[order[0]], SWEEP_FILETYPE) as one, open_hdf5(paths[order[1]], SWEEP_FILETYPE) as two:
        assert united([one, two]) == [Configuration("2", "c"), Configuration("4", "b"), Configuration("5", "a")]
