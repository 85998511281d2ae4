"""Pages of a sweep that grows, and of a comparison file that is replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpcmass.compare.pipeline import compare_sweep
from hpcmass.errors import UserError
from hpcmass.live import snapshots
from hpcmass.live.background import Answer, Page, Request, answer
from hpcmass.store.labelled import comparison_dataset
from hpcmass.store.lock import SweepLock

Write = Callable[..., Path]


def ask(paths: Path | list[Path], own: Path | None, known: str = "") -> Answer:
    listed = (paths,) if isinstance(paths, Path) else tuple(paths)
    return answer(Request(listed, own, "1", known))


def page_of(found: Answer) -> Page:
    assert found.page is not None
    return found.page


def listing(directory: Path) -> dict[str, tuple[int, int]]:
    """The files of a directory, with sizes and times."""
    return {p.name: (p.stat().st_size, p.stat().st_mtime_ns) for p in directory.iterdir()}


def test_a_sweep_fills_the_map(
    write_sweep: Write, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "COMPARING_S", 1000.0)
    own = tmp_path_factory.mktemp("own") / "cmp.h5"
    path = write_sweep(done=lambda t: False)
    before = listing(path.parent)
    first = ask(path, own)
    assert (first.state, first.more) == ("stopped", False)
    assert "0 of 12 trials done, 0 failed, 12 pending; 0 of 6 points compared" in first.note
    assert json.loads(page_of(first).data)["done"] == [0] * 6
    assert ask(path, own, first.stamp).page is None
    assert listing(path.parent) == before, "nothing is written beside the sweep"

    write_sweep(done=lambda t: t.values["p"] == 0.1, more=True)
    with SweepLock(path) as lock:
        lock.announce(3)
        second = ask(path, own, first.stamp)
    assert second.state == "running"
    assert re.search(r"4 of 12 trials done, .*; 2 of 6 points compared; .* on 3 workers", second.note)
    assert json.loads(page_of(second).data)["done"] == [2, 2, 0, 0, 0, 0]
    assert page_of(second).identity == page_of(first).identity
    changed = [a != b for a, b in zip(page_of(first).traces, page_of(second).traces, strict=True)]
    assert changed == [True, True, False, False, False, False]
    with comparison_dataset(own) as data:
        assert np.isfinite(data["rho_qvalue"].sel(p=0.1)).all(), "p-values are adjusted over what is there"
        assert not np.isfinite(data["rho"].sel(p=0.2)).any()

    write_sweep(more=True)
    last = ask(path, own, second.stamp)
    assert last.state == "finished"
    whole = compare_sweep(path, own.with_name("whole.h5"))
    with comparison_dataset(whole.path) as expected, comparison_dataset(own) as data:
        for name in ("rho", "rho_qvalue", "chi2", "lag", "status"):
            np.testing.assert_array_equal(data[name], expected[name])


def test_models_and_statistics_in_place_of_the_sweep_s(write_sweep: Write, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("""\
from hpcmass import statistic

@statistic("mean", unit="mV")
def mean(v, dt_ms):
    return v.mean()
""")
    given = {"models": ("LIN", "CFM"), "statistics": (f"{own}:mean",)}
    found = answer(Request((write_sweep(),), tmp_path / "cmp.h5", "1", "", **given))
    data = json.loads(page_of(found).data)
    assert data["models"] == ["LIN", "CFM"]
    assert "mean" in [each["name"] for each in data["statistics"]]


def test_settings_of_another_configuration(write_sweep: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of the file is shown; while it cannot be read, one sentence says why."""
    monkeypatch.setattr(snapshots, "COMPARING_S", 1000.0)
    sweep, config, own = write_sweep(), tmp_path / "other.yml", tmp_path / "cmp.h5"

    def found(alpha: float, known: str = "") -> Answer:
        config.write_text(f"grid: {{p: 0.1, lam: 0.8}}\ncompare: {{alpha: {alpha}}}\n")
        return answer(Request((sweep,), own, "1", known, config=config))

    first = found(0.02)
    assert json.loads(page_of(first).data)["settings"]["alpha"] == 0.02
    assert found(0.02, first.stamp).page is None
    second = found(0.05, first.stamp)
    assert json.loads(page_of(second).data)["settings"]["alpha"] == 0.05
    set_to = answer(Request((sweep,), own, "1", second.stamp, config=config, assignments=("compare.alpha=0.1",)))
    assert json.loads(page_of(set_to).data)["settings"]["alpha"] == 0.1
    config.write_text("compare: {alpha: much}\n")
    with pytest.raises(UserError, match=r"alpha"):
        answer(Request((sweep,), own, "1", second.stamp, config=config))


def test_points_are_compared_bit_by_bit(
    write_sweep: Write, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "COMPARING_S", 0.0)
    own, path = tmp_path_factory.mktemp("own") / "cmp.h5", write_sweep()
    known, notes = "", []
    for _ in range(6):
        found = ask(path, own, known)
        page_of(found)
        known = found.stamp
        notes.append(found.note)
    assert [re.search(r"(\d) of 6 points", note)[1] for note in notes] == list("123456")  # type: ignore[index]
    assert not found.more


def test_parts_are_compared_as_one_sweep(write_sweep: Write, tmp_path_factory: pytest.TempPathFactory) -> None:
    paths = [
        write_sweep(f"{k}.h5", uuid=f"0{k}", done=lambda t, k=k: (t.values["lam"] > 0.6) == bool(k)) for k in (0, 1)
    ]
    found = ask(paths, tmp_path_factory.mktemp("own") / "cmp.h5")
    assert found.state == "finished"
    assert json.loads(page_of(found).data)["done"] == [2] * 6


def test_a_sweep_that_is_started_over(write_sweep: Write, tmp_path_factory: pytest.TempPathFactory) -> None:
    own, path = tmp_path_factory.mktemp("own") / "cmp.h5", write_sweep()
    first = ask(path, own)
    path.unlink()
    with pytest.raises(UserError, match="there is no file"):
        ask(path, own, first.stamp)
    write_sweep(p=[0.5, 0.6], uuid="1a", done=lambda t: t.number == 0)
    again = ask(path, own, first.stamp)
    assert page_of(again).identity != page_of(first).identity
    assert "4 of 8 trials done, 0 failed, 4 pending; 4 of 4 points compared" in again.note


def test_a_comparison_that_is_replaced(write_sweep: Write, tmp_path: Path) -> None:
    path = write_sweep(done=lambda t: t.number == 0)
    comparison = compare_sweep(path, tmp_path / "cmp.h5").path
    first = ask(comparison, None)
    assert first.state == "file"
    assert ask(comparison, None, first.stamp).page is None
    write_sweep(more=True)
    compare_sweep(path, tmp_path / "new.h5", models=["MFM", "LIN"])
    (tmp_path / "new.h5").rename(comparison)
    second = ask(comparison, None, first.stamp)
    assert json.loads(page_of(second).data)["models"] == ["MFM", "LIN"]
    assert page_of(second).identity != page_of(first).identity
    with SweepLock(comparison):
        assert ask(comparison, None, second.stamp).state == "running"
    comparison.unlink()
    with pytest.raises(UserError, match="there is no file"):
        ask(comparison, None, second.stamp)


def test_failed_trials_are_said(write_sweep: Write, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write_sweep(failed=lambda t: t.values["p"] == 0.4)
    found = ask(path, tmp_path_factory.mktemp("own") / "cmp.h5")
    assert "8 of 12 trials done, 4 failed" in found.note
    assert "it did not converge" in "".join(page_of(found).pieces)
