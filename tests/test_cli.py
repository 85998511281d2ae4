"""The command line: exit codes, one sentence for a mistake and never a traceback, results on standard output."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from command_line import refused
from figures import draw_fewer
from hpcmass.cli import main
from hpcmass.config.file import parse_experiment
from hpcmass.grid import trials
from hpcmass.store.schema import NUMBERS, TRACES
from hpcmass.store.sweep_file import SweepFile

Run = Callable[..., Any]
Shared = Callable[[str, Callable[[Path], object]], Path]

NETWORK = """{n_neurons: 100, n_external: 100, duration_ms: 150.0, transient_ms: 50.0,
  external_rate_hz: 60.0, w_ext: 0.5, w_E: 0.02, w_I: 0.1}"""
CONFIG = f"""\
title: for the command line
trials: 2
root_seed: 3
network: {NETWORK}
grid:
  p: [0.1, 1.0]
  lam: [0.5, 0.8]
compare: {{max_lag_ms: 10.0, bin_hz: 20.0}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def sweep(shared: Shared) -> Path:
    """A finished sweep."""

    def make(directory: Path) -> None:
        (directory / "config.yml").write_text(CONFIG)
        assert main(["run", str(directory / "config.yml"), "-o", str(directory / "sweep.h5")]) == 0

    return shared("command-line", make) / "sweep.h5"


@pytest.fixture(scope="module")
def comparison(sweep: Path, shared: Shared) -> Path:
    """Its comparison."""

    def make(directory: Path) -> None:
        assert main(["compare", str(sweep), "-o", str(directory / "cmp.h5")]) == 0

    return shared("command-line-comparison", make) / "cmp.h5"


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for option, text in (("--version", "hpcmass 0."), ("--help", "exit codes")):
        with pytest.raises(SystemExit) as end:
            main([option])
        assert end.value.code == 0
        assert text in capsys.readouterr().out
    for command in ("validate", "run", "status", "compare", "plot", "trial"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert f"hpcmass {command}" in capsys.readouterr().out.split("examples:")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "arguments are required: COMMAND"),
        (("fly",), "invalid choice: 'fly'"),
        (("run", "c.yml"), "arguments are required: -o/--output"),
        (("trial", "c.yml", "--p", "much", "--lam", "1"), "invalid float value: 'much'"),
        (("trial", "c.yml", "--p", "1", "--lam", "1", "--trial", "-1"), "expected one argument|whole number"),
        (("trial", "c.yml", "--p", "1", "--lam", "1", "--at", "w_E"), "NAME=VALUE"),
        (("compare", "s.h5", "-o", "c.h5", "-j", "0"), "whole number from 1"),
        (("trial", "c.yml", "--p", "1", "--lam", "1", "--at", "=1"), "NAME=VALUE"),
        (("trial", "c.yml", "--p", "1", "--p", "0.5", "--lam", "1"), "--p: is given twice; give it once"),
        (("run", "c.yml", "-o", "a.h5", "--output", "b.h5"), "-o/--output: is given twice"),
        (("run", "c.yml", "-o", "a.h5", "--part", "1/2", "--part=2/2"), "--part: is given twice"),
        (("plan", "c.yml", "-n", "3", "--rank", "4"), "-n/--ranks: is given twice"),
        (("status", "s.h5", "--watch", "--watch", "5"), "--watch: is given twice"),
        (("plan", "c.yml", "-q", "--log-level", "debug"), "not allowed with argument -q"),
        (
            ("trial", "c.yml", "--p", "1", "--lam", "1", "--at", "w_E=1", "--at", "w_E=2"),
            "w_E is given twice, as 1 and 2",
        ),
        (("plot", "c.h5", "-o", "maps", "--at", "p=1", "--at", "p=1"), "p is given twice, as 1 and 1; give it once"),
        (("config", "--defaults", "--schema"), "not allowed with"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    import re

    printed = refused(capsys, *arguments)
    assert re.search(message, printed)
    assert printed.count("\n") == 1


def test_validate(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(config)]) == 0
    printed = capsys.readouterr().out
    assert "is valid" in printed
    assert "p (2), lam (2), 4 points, 8 trials" in printed


def test_validate_judges_each_of_several(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong, other, none = (config.with_name(name) for name in ("wrong.yml", "other.yml", "none.yml"))
    wrong.write_text(CONFIG.replace("titel", "title").replace("trials: 2", "trials: 0"))
    other.write_text(CONFIG + "mass: {models: [XXX]}\n")
    assert main(["validate", *map(str, (wrong, config, none, other, config))]) == 2
    printed = capsys.readouterr()
    assert [line.split(" is valid")[0] for line in printed.out.splitlines()[::2]] == [str(config)] * 2
    assert f"hpcmass: {wrong} has 1 problem:\n  trials: " in printed.err
    assert f"hpcmass: cannot read the configuration {none}" in printed.err
    assert f"hpcmass: {other}: mass.models: there is no mass model 'XXX'" in printed.err
    assert main(["validate", str(config), str(config)]) == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("w_E: 0.02", "w_e: 0.02", "network.w_e: unknown key; did you mean 'w_E'?"),
        ("title:", "titel:", "titel: unknown key; did you mean 'title'?"),
        ("n_neurons: 100", "n_neurons: many", "network.n_neurons:"),
        ("n_neurons: 100", "n_neurons: 1.5", "network.n_neurons:"),
        ("p: [0.1, 1.0]", "p: [0.1, 1.1]", "grid.p: 1.1 is outside the allowed range, [0, 1]"),
        ("lam: [0.5, 0.8]", "lam: [-0.5, 0.8]", "grid.lam: -0.5 is outside the allowed range, [0, 1]"),
        ("transient_ms: 50.0", "transient_ms: 150.0", "network.transient_ms: must be shorter than duration_ms = 150"),
        ("trials: 2", "trials: 0", "trials:"),
        ("grid:", "- grid:", "is not YAML"),
    ],
)
@pytest.mark.parametrize("command", ["validate", "trial"])
def test_a_wrong_configuration(
    command: str, old: str, new: str, message: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in CONFIG
    config.write_text(CONFIG.replace(old, new, 1))
    more = {"validate": (), "trial": ("--p", 0.1, "--lam", 0.8)}[command]
    printed = refused(capsys, command, config, *more)
    assert message in printed
    assert "config.yml" in printed


def test_a_configuration_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot read the configuration" in refused(capsys, "validate", tmp_path / "none.yml")
    assert "cannot read the configuration" in refused(capsys, "validate", tmp_path)


@pytest.mark.parametrize("n", [0, 3])
def test_run_reports_a_wrong_key_once(n: int, config: Path, python_run: Run, mpi_run: Run, tmp_path: Path) -> None:
    config.write_text(CONFIG.replace("w_E", "w_EE"))
    start = python_run if n == 0 else lambda *a, **k: mpi_run(n, *a, **k)
    done = start("-m", "hpcmass", "run", config, "-o", tmp_path / "sweep.h5", check=False)
    assert done.returncode == 2
    assert done.stderr.count("network.w_EE: unknown key; did you mean 'w_E'?") == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert [p.name for p in tmp_path.iterdir()] == ["config.yml"]


@pytest.mark.parametrize(
    ("output", "message"),
    [("no/sweep.h5", "does not exist; create it first"), ("", "is a directory"), ("foreign.h5", "not an HDF5 file")],
)
def test_run_refuses_an_output_that_cannot_be(
    output: str, message: str, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "foreign.h5").write_text("a diary")
    printed = refused(capsys, "run", config, "-o", tmp_path / output)
    assert message in printed
    assert printed.count("\n") == 1
    assert (tmp_path / "foreign.h5").read_text() == "a diary"


@pytest.mark.parametrize("command", ["status", "compare", "plot"])
@pytest.mark.parametrize("kind", ["absent", "text", "foreign", "cut"])
def test_commands_that_read_refuse_what_is_not_theirs(
    command: str, kind: str, sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.h5"
    if kind == "text":
        path.write_text("x")
    elif kind == "cut":
        path.write_bytes(sweep.read_bytes()[:-100])
    elif kind == "foreign":
        with h5py.File(path, "w") as file:
            file["x"] = 1
    more = () if command == "status" else ("-o", tmp_path / "out")
    printed = refused(capsys, command, path, *more)
    assert str(path) in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_the_two_kinds_of_file_are_not_confused(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = refused(capsys, "plot", sweep, "-o", tmp_path / "maps")
    comparison = sweep.with_name("sweep-cmp.h5")
    assert f"{sweep} is a sweep" in printed
    assert f"run `hpcmass compare {sweep} -o {comparison}` first, then give {comparison}" in printed
    assert not (tmp_path / "maps").exists()
    assert main(["compare", str(sweep), "-o", str(comparison)]) == 0
    capsys.readouterr()
    assert "'hpcmass-comparison', not 'hpcmass-sweep'" in refused(capsys, "status", comparison)
    comparison.unlink()


def test_status(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(sweep)]) == 0
    printed = capsys.readouterr().out
    assert "for the command line (serial, not running)" in printed
    assert "8 of 8 trials done, 0 failed, 0 pending" in printed
    assert main(["status", str(sweep), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 8


def test_status_of_several_files(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / f"part-{i}.h5" for i in (1, 2, 3)]
    for i, options in enumerate(([], ["--time-limit", "0.001s"], [])):
        part = ["--part", f"{i + 1}/3"]
        main(["run", str(config), "-o", str(paths[i]), *part, *options])
    capsys.readouterr()
    assert main(["status", *map(str, paths)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{paths[0]}: part 1/3, 3 of 3 trials done, 0 failed, 0 pending"
    assert printed[1] == f"{paths[1]}: part 2/3, 0 of 2 trials done, 0 failed, 2 pending"
    assert printed[3] == "6 of 8 trials done, 0 failed, 2 pending"
    assert "core-hours used" in printed[4]
    assert not any("each time" in line for line in printed)
    whole, other = tmp_path / "whole.h5", tmp_path / "other.h5"
    main(["merge", "--partial", "-o", str(whole), *map(str, paths)])
    main(["run", str(config), "-o", str(other), "--set", "root_seed=2", "--time-limit", "0.001s"])
    capsys.readouterr()
    main(["status", str(paths[0]), str(whole)])
    assert "a trial that is in several of the files is counted each time" in capsys.readouterr().out
    main(["status", str(paths[0]), str(other)])
    assert capsys.readouterr().out.splitlines()[2:] == ["the files are of different sweeps, so there is no sum"]
    assert main(["status", "--json", *map(str, paths)]) == 0
    assert [status["done"] for status in json.loads(capsys.readouterr().out)] == [3, 0, 3]


def test_a_part_without_trials_says_so(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for k in range(1, 11):
        assert main(["run", str(config), "-o", str(tmp_path / f"part-{k}.h5"), "--part", f"{k}/10"]) == 0
    printed = capsys.readouterr().err.splitlines()
    empty = [line for line in printed if "has no trial: the sweep has fewer trials than parts" in line]
    assert len(empty) == 2  # of 10, for 8 trials
    assert "nothing to do, part " in empty[0]


def test_misspelt_models_are_named_with_the_other_faults_and_before_the_sweep(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(config.read_text() + "mass: {models: [CFM, MFN]}\n")
    assert "MFN" in refused(capsys, "validate", wrong)
    assert main(["run", str(wrong), "-o", str(tmp_path / "sweep.h5")]) == 0
    printed = capsys.readouterr().err
    assert "MFN" in printed
    assert "the sweep runs" in printed
    wrong.write_text(wrong.read_text() + "colour: red\n")
    printed = refused(capsys, "validate", wrong)
    assert "has 2 problems" in printed
    assert "colour: unknown key" in printed
    assert "MFN" in printed


@pytest.mark.long
def test_compare_and_plot(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_fewer(monkeypatch, "lag")
    comparison, maps = tmp_path / "cmp.h5", tmp_path / "maps"
    assert main(["compare", str(sweep), "-o", str(comparison)]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{comparison}: 4 of 4 points, 8 trials compared\n"
    assert "4/4 points" in printed.err
    assert main(["compare", str(sweep), "-o", str(comparison)]) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert main(["compare", str(sweep), "-o", str(comparison), "--force"]) == 0
    assert (tmp_path / "cmp.1.h5").exists()
    capsys.readouterr()
    assert main(["plot", str(comparison), "-o", str(maps)]) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.stem for path in written] == ["overview", "lag", "traces", "report"]
    starts = {".png": b"\x89PNG", ".html": b"<!DOCTYPE html>"}
    assert {path.suffix for path in written} == set(starts)
    assert all(path.read_bytes().lower().startswith(starts[path.suffix].lower()) for path in written)
    assert "exists" in refused(capsys, "plot", comparison, "-o", maps)


def test_a_trial_is_the_sweeps_trial(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, path = sweep.with_name("config.yml"), tmp_path / "trial.h5"
    arguments = ["trial", str(config), "--p", "1", "--lam", "0.8", "--trial", "1", "-o", str(path)]
    assert main([*arguments, "--spikes"]) == 0
    printed = capsys.readouterr().out
    with SweepFile(sweep) as whole, SweepFile(path) as one:
        for name in TRACES:
            np.testing.assert_array_equal(one.traces((0, 0), 0)[name], whole.traces((1, 1), 1)[name])
        for name in NUMBERS:
            np.testing.assert_array_equal(one.numbers()[name].ravel(), whole.numbers()[name][1, 1, 1])
        assert f"{whole.numbers()['rate_E'][1, 1, 1]:.6g} Hz" in printed
        assert one.experiment.grid.axes() == {"p": (1.0,), "lam": (0.8,)}
        n_spikes = whole.numbers()["n_spikes"][1, 1, 1]
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        assert dataset["trial"].values.tolist() == [1]
        assert (dataset["spike_time"] >= 50.0).sum() == n_spikes > 0
        assert dataset["spike_neuron"].max() < 100
    assert "exists" in refused(capsys, *arguments)
    assert main([*arguments, "--force"]) == 0
    assert (tmp_path / "trial.1.h5").exists()


def test_a_trial_off_the_grid_has_its_own_seed(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "trial.h5"
    assert main(["trial", str(config), "--p", "0.3", "--lam", "0.7", "-o", str(path)]) == 0
    experiment = parse_experiment(CONFIG.replace("[0.1, 1.0]", "[0.3]").replace("[0.5, 0.8]", "[0.7]"))
    with SweepFile(path) as one:
        assert tuple(one.variable("seed").ravel()) == trials(experiment)[0].seed


def test_a_trial_of_a_grid_with_more_axes(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CONFIG.replace("grid:", "grid:\n  tau_m_ms: [10.0, 20.0]"))
    point = ("trial", config, "--p", 0.1, "--lam", 0.5)
    assert "also sweeps tau_m_ms; give --at tau_m_ms=VALUE" in refused(capsys, *point)
    assert "the grid does not sweep it" in refused(capsys, *point, "--at", "tau_m_ms=10", "--at", "w_E=1")
    assert "outside the allowed range" in refused(capsys, *point, "--at", "tau_m_ms=-1")
    assert main([str(a) for a in (*point, "--at", "tau_m_ms=10")]) == 0


@pytest.mark.parametrize("name", ["p", "lam"])
def test_a_trial_has_one_p_and_one_lam(name: str, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = refused(capsys, "trial", config, "--p", 0.5, "--lam", 0.5, "--at", f"{name}=1.0")
    assert f"{name} is given twice, as 0.5 and with --at (in Python at=) as 1; leave out the latter" in printed


def test_different_options_and_names_may_be_combined() -> None:
    from hpcmass.cli import make_parser

    options = make_parser().parse_args(
        ["trial", "c.yml", "--p", "1", "--lam", "1", "--at", "w_E=1", "--at", "w_I=2", "--trial", "3", "-q", "-q"]
    )
    assert options.at == {"w_E": 1.0, "w_I": 2.0}
    assert make_parser().parse_args(["trial", "c.yml", "--p", "1", "--lam", "1"]).at == {}
    reuse = make_parser().parse_args(["run", "c.yml", "-o", "s.h5", "--reuse", "a.h5", "--reuse", "b.h5"]).reuse
    assert [path.name for path in reuse] == ["a.h5", "b.h5"]


def test_a_file_is_counted_once(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link.h5").symlink_to(sweep)
    assert "is given twice" in refused(capsys, "status", sweep, tmp_path / "link.h5")


def test_a_comparison_never_replaces_its_sweep(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = tmp_path / "sweep.h5"
    whole.write_bytes(sweep.read_bytes())
    (tmp_path / "link.h5").symlink_to(whole)
    for output in (whole, tmp_path / "link.h5"):
        assert "is the same file as the input" in refused(capsys, "compare", whole, "-o", output, "--force")
    assert whole.read_bytes() == sweep.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.h5", "sweep.h5"]


def test_models_of_a_comparison_are_named_once(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = refused(capsys, "compare", sweep, "-o", tmp_path / "cmp.h5", "--models", "CFM,MFM,CFM")
    assert "'CFM' is given twice" in printed


def test_a_trial_of_another_number_is_no_sweep_to_continue(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = CONFIG.replace("[0.1, 1.0]", "[0.1]").replace("[0.5, 0.8]", "[0.8]").replace("trials: 2", "trials: 1")
    config.write_text(text)
    path = tmp_path / "trial.h5"
    assert main(["trial", str(config), "--p", "0.1", "--lam", "0.8", "--trial", "4", "-o", str(path)]) == 0
    capsys.readouterr()
    assert "its trials have other seeds" in refused(capsys, "run", config, "-o", path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--p", "1.5", "--lam", "0.5"), "grid.p: 1.5 is outside the allowed range, [0, 1]"),
        (("--p", "0.5", "--lam", "nan"), "grid.lam:"),
        (("--p", "0.5", "--lam", "0.5", "--spikes"), "give it with -o"),
        (("--p", "0.5", "--lam", "0.5", "-o", "/no/where.h5"), "does not exist"),
    ],
)
def test_a_trial_that_cannot_be(
    options: tuple[str, ...], message: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, "trial", config, *options)


def test_a_trial_that_fails(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CONFIG.replace("w_ext: 0.5", "w_ext: 1.0e+38"))
    assert main(["trial", str(config), "--p", "0.1", "--lam", "0.8", "-o", str(tmp_path / "t.h5")]) == 3
    assert "the trial failed: the membrane potential" in capsys.readouterr().err
    assert not (tmp_path / "t.h5").exists()


NO_SHEETS = "from hpcmass.plots.sheets import SHEETS; SHEETS.clear()"


@pytest.mark.parametrize(
    ("command", "before"),
    [("status {sweep}", ""), ("compare {sweep} -o {out}.h5", ""), ("plot {comparison} -o {out}", NO_SHEETS)],
    ids=["status", "compare", "plot"],
)
def test_commands_that_read_never_initialise_mpi(
    command: str, before: str, sweep: Path, comparison: Path, tmp_path: Path, python_run: Run
) -> None:
    arguments = command.format(sweep=sweep, comparison=comparison, out=tmp_path / "out").split()
    code = (
        f"{before}\nimport sys; from hpcmass.cli import main; assert main(sys.argv[1:]) == 0; "
        "from mpi4py import MPI; print(MPI.Is_initialized())"
    )
    assert python_run("-c", code, *arguments).stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("command", "loaded"), [("status {sweep}", []), ("run {config} -o {out}", ["numba"])], ids=["status", "run"]
)
def test_no_library_is_loaded_that_is_not_needed(
    command: str, loaded: list[str], sweep: Path, config: Path, tmp_path: Path, python_run: Run
) -> None:
    """Each takes up to a second, in every process."""
    code = (
        "import sys; from hpcmass.cli import main; assert main(sys.argv[1:]) == 0; "
        "print(sorted({'numba', 'scipy.signal', 'scipy.stats', 'matplotlib', 'xarray'} & set(sys.modules)))"
    )
    arguments = command.format(sweep=sweep, config=config, out=tmp_path / "out.h5").split()
    assert python_run("-c", code, *arguments).stdout.splitlines()[-1] == str(loaded)


@pytest.mark.process
def test_a_reader_that_leaves_is_no_error(sweep: Path) -> None:
    command = [sys.executable, "-m", "hpcmass", "status", str(sweep)]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == 0
    assert done.stderr == ""


def test_ctrl_c_is_answered_in_one_sentence(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import hpcmass.network

    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hpcmass.trial.simulate", interrupted)
    assert hpcmass.network.simulate is not None
    assert main(["trial", str(config), "--p", "0.1", "--lam", "0.8"]) == 130
    assert "interrupted" in capsys.readouterr().err
