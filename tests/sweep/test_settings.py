"""A sweep that is continued with another configuration, or through a link: what is noted, what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_state import attribute, history, make_pending, require_true, science, trials_done

from hpcmass.config.file import load_experiment, parse_experiment
from hpcmass.store.labelled import open_sweep
from hpcmass.store.lock import SweepLock
from hpcmass.sweep.prepare import SHOWN_CHARACTERS, changed_settings

Run = Callable[..., Any]


def change(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def test_a_changed_setting_beside_the_physics_is_noted_once_and_the_file_keeps_its_own(
    config: Path, reference: Path, command: Run, tmp_path: Path
) -> None:
    path, changed = tmp_path / "sweep.h5", tmp_path / "changed.yml"
    shutil.copy(reference, path)
    text = config.read_text()
    first = change(text, "title: small", "title: other")
    second = change(first, "max_lag_ms: 10.0", "max_lag_ms: 10.0, alpha: 0.05")
    title, alpha = "title (small, now other)", "compare.alpha (0.01, now 0.05)"
    # Back and forth; the last of them is a part of the one before.
    for i, (what, expected) in enumerate(
        [(second, f"{alpha}, {title}"), (first, title), (second, f"{alpha}, {title}")]
    ):
        changed.write_text(what)
        for _ in range(2):
            done = command("run", changed, "-o", path)
            assert f"the configuration differs from the file's in {expected}; the file keeps its own" in done.stderr
            assert "nothing to do, all 12 trials are done" in done.stderr
        lines = [line.split("; other settings: ")[1] for line in history(path) if "; other settings: " in line]
        assert lines == [f"{alpha}, {title}", title][: i + 1]
    assert attribute(path, "config_yaml") == text
    assert science(path) == science(reference)
    content = path.read_bytes()
    quiet = command("run", config, "-o", path)
    assert "differs" not in quiet.stderr
    assert path.read_bytes() == content


def test_a_start_that_has_something_to_do_notes_both_on_one_line(
    config: Path, reference: Path, command: Run, tmp_path: Path
) -> None:
    path, changed = tmp_path / "sweep.h5", tmp_path / "changed.yml"
    shutil.copy(reference, path)
    make_pending(path, [(0, 0, 0)])
    changed.write_text(change(config.read_text(), "title: small", "title: other"))
    n_lines = len(history(path))
    command("run", changed, "-o", path)
    assert len(history(path)) == n_lines + 1
    assert "resumed, 1 rank, serial" in history(path)[-1]
    assert history(path)[-1].endswith("; other settings: title (small, now other)")
    command("run", changed, "-o", path)
    assert len(history(path)) == n_lines + 1, "noted already"


def test_a_setting_of_several_lines_is_one_line_of_history(
    config: Path, reference: Path, command: Run, tmp_path: Path
) -> None:
    path, changed = tmp_path / "sweep.h5", tmp_path / "changed.yml"
    shutil.copy(reference, path)
    changed.write_text(change(config.read_text(), "title: small", 'title: "two\\nlines"'))
    n_lines = len(history(path))
    for _ in range(2):
        command("run", changed, "-o", path)
    assert len(history(path)) == n_lines + 1
    assert history(path)[-1].endswith("title (small, now two lines)")


def test_changed_settings_name_what_differs_and_cut_what_is_long(config: Path) -> None:
    before = load_experiment(config)
    assert changed_settings(before, before) == ""
    text = config.read_text() + "mass: {models: [MFM, LIN]}\n"
    now = parse_experiment(change(text, "title: small", f"title: {'x' * 100}"))
    assert changed_settings(before, now) == (
        f"mass.models (CFM, MFM, now MFM, LIN), title (small, now {'x' * (SHOWN_CHARACTERS - 1)}…)"
    )


def test_a_link_is_the_file_that_it_leads_to(config: Path, reference: Path, command: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link, real = tmp_path / "link.h5", tmp_path / "elsewhere" / "real.h5"
    link.symlink_to(real)
    with SweepLock(real):
        refused = command("run", config, "-o", link, check=False)
    assert refused.returncode == 2
    assert "another job is writing" in refused.stderr
    command("run", config, "-o", link, "--part", "1/2")
    assert link.is_symlink()
    assert real.is_file()
    assert trials_done(link) == trials_done(real) != set()
    with open_sweep(link) as dataset:
        assert np.isfinite(dataset["mean_v"].values[dataset["status"].values == 1]).all()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".h5"] == ["link.h5"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("w_E: 0.02", "w_E: 0.03", "network.w_E is 0.02 there and 0.03 here); give another name, or --force"),
        ("lam: [0.5, 0.9]", "lam: [0.5, 0.8]", "grid.lam has [0.5, 0.9] there and [0.5, 0.8] here); `--reuse "),
        ("trials: 2", "trials: 3", "trials is 2 there and 3 here); `--reuse "),
    ],
)
def test_another_sweep_is_refused(
    old: str, new: str, message: str, config: Path, reference: Path, command: Run, tmp_path: Path
) -> None:
    other, path = tmp_path / "other.yml", tmp_path / "sweep.h5"
    other.write_text(change(config.read_text(), old, new))
    shutil.copy(reference, path)
    done = command("run", other, "-o", path, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert path.read_bytes() == reference.read_bytes()


@pytest.mark.slow
@pytest.mark.mpi
def test_several_ranks_refuse_it_with_one_sentence(config: Path, reference: Path, mpi_run: Run, tmp_path: Path) -> None:
    other, path = tmp_path / "other.yml", tmp_path / "sweep.h5"
    other.write_text(change(config.read_text(), "root_seed: 5", "root_seed: 6"))
    shutil.copy(reference, path)
    done = mpi_run(3, "-m", "hpcmass", "run", other, "-o", path, check=False)
    assert done.returncode == 2
    assert done.stderr.count("root_seed is 5 there and 6 here") == 1
    assert "Traceback" not in done.stderr
    assert path.read_bytes() == reference.read_bytes()


@pytest.mark.parametrize("where", ["nowhere/sweep.h5", ".", "config.yml"])
def test_an_impossible_output_is_refused_before_anything_is_done(
    where: str, config: Path, command: Run, tmp_path: Path
) -> None:
    mine = tmp_path / "config.yml"
    shutil.copy(config, mine)
    refused = command("run", mine, "-o", tmp_path / where, check=False)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["config.yml"]
    assert mine.read_text() == config.read_text()


def test_a_sweep_that_cannot_fit_is_refused_before_its_first_trial(
    config: Path, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part needs the space of its own trials only."""
    import shutil as system

    usage = type("Usage", (), {"free": 10**6})()
    monkeypatch.setattr(system, "disk_usage", lambda directory: usage)
    large, path = tmp_path / "large.yml", tmp_path / "sweep.h5"
    large.write_text(change(config.read_text(), "duration_ms: 200.0", "duration_ms: 2000.0"))
    refused = command("run", large, "-o", path, check=False)
    assert refused.returncode == 2
    assert "will take 0.00" in refused.stderr
    assert "but only 0.001 GB are free there; free some space" in refused.stderr
    assert not path.exists()
    command("run", large, "-o", path, "--part", "1/12")


def test_what_is_set_is_in_the_file_and_the_same_command_continues(
    config: Path, reference: Path, command: Run, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.h5"
    run = ("run", config, "-o", path, "--set", "trials=1", "--set", "compare.max_lag_ms=20")
    assert "6 of 6 trials done" in command(*run).stdout
    assert history(path)[0].endswith(": started, 1 rank, serial, set trials=1, compare.max_lag_ms=20")
    stored = parse_experiment(attribute(path, "config_yaml"))
    assert (stored.trials, stored.compare.max_lag_ms, stored.root_seed) == (1, 20.0, 5)
    make_pending(path, [(1, 0, 0)])
    assert "1 of 6 trials to do" in command(*run).stderr
    assert ", set trials=1, compare.max_lag_ms=20" in history(path)[-1]
    assert "nothing to do" in command(*run).stderr
    refused = command("run", config, "-o", path, check=False)
    assert refused.returncode == 2
    assert "holds another sweep (trials is 1 there" in refused.stderr
    assert require_true(path, reference) == {(i, j, 0) for i in range(3) for j in range(2)}


def test_a_trial_s_file_says_what_was_set(config: Path, command: Run, tmp_path: Path) -> None:
    path = tmp_path / "trial.h5"
    command("trial", config, "--p", "0.1", "--lam", "0.5", "-o", path, "--set", "tau_E_ms=5")
    assert history(path)[0].endswith(": trial 0 alone, set tau_E_ms=5")
    assert parse_experiment(attribute(path, "config_yaml")).network.tau_E_ms == 5.0
