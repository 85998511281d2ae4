"""`hpcmass plan`: its output, and that it goes to the right stream."""

import json
import re
from pathlib import Path

import pytest

from hpcmass.cli import main
from hpcmass.commands.arguments import time_span
from hpcmass.commands.plan import _more_nodes, _nodes_table, job_line
from hpcmass.forecast.resources import Forecast

CONFIG = """
title: small
trials: 3
network: {n_neurons: 100, n_external: 100, duration_ms: 400.0, transient_ms: 50.0, w_ext: 0.5}
grid: {p: [0.1, 1.0], lam: [0.5, 0.8]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yml"
    path.write_text(CONFIG)
    return path


def plan(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, str]:
    """The printed table: first words of a line → the rest."""
    assert main(["plan", *map(str, arguments), "--seconds", "0.1", "-j", "1"]) == 0
    out = capsys.readouterr().out
    return {line[:12].strip(): line[12:] for line in out.splitlines()}


@pytest.mark.process
def test_a_number_of_ranks(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = plan(capsys, config, "-n", 5, "-o", config.parent / "sweep.h5")
    assert printed["sweep"] == "'small', axes p (2), lam (2), 12 trials of 0.4 s"
    assert re.match(r"4 of 4 points in \d+ s, 1 process; a point's time is good to \d+%", printed["calibrated"])
    assert re.search(r"\(p=[\d.]+ lam=[\d.]+\) to .* s \(p=[\d.]+ lam=[\d.]+\)", printed["a trial"])
    assert float(printed["core-hours"]) < 0.01
    assert re.match(r"\d+ s, efficiency \d+%", printed["5 ranks"])
    assert re.match(r"\d+ MB a rank, .*B for 5", printed["memory"])
    assert printed["sweep file"].endswith(f"free in {config.parent}")
    assert f"CONFIG={config} " in printed["Slurm job"]
    assert "sbatch --ntasks=5 --mem-per-cpu=" in printed["Slurm job"]
    assert (Path(__file__).parents[2] / printed["Slurm job"].split()[-1]).is_file()


@pytest.mark.process
def test_without_ranks_there_is_a_table(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ranks = [name for name in plan(capsys, config) if name.endswith(("rank", "ranks"))]
    assert ranks
    assert "Slurm job" not in ranks


@pytest.mark.process
def test_ranks_that_make_it_in_time(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "1 rank" in plan(capsys, config, "--time", "24h")
    assert main(["plan", str(config), "--time", "0.001s", "--seconds", "0.1", "-j", "1"]) == 2
    assert "no number of ranks finishes in that time" in capsys.readouterr().err


@pytest.mark.process
def test_for_programs(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(config), "-n", "3", "--json", "--seconds", "0.1", "-j", "1"]) == 0
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert facts["trials"] == 12
    assert facts["trial_s"]["least"] <= facts["trial_s"]["mean"] <= facts["trial_s"]["most"]
    assert facts["core_hours"] == pytest.approx(12 * facts["trial_s"]["mean"] / 3600)
    assert [row["ranks"] for row in facts["ranks"]] == [3]
    assert printed.err.startswith("hpcmass: calibrating")


def test_bad_input(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(config), "-o", str(config.parent / "none" / "sweep.h5")]) == 2
    assert "does not exist" in capsys.readouterr().err
    for wrong in (("--time", "soon"), ("--time", "0h"), ("-n", "0"), ("--seconds", "-1")):
        with pytest.raises(SystemExit) as end:
            main(["plan", str(config), *wrong])
        assert end.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90m", 5400), ("24h", 86400), ("2d", 172800), ("1.5 h", 5400), ("30s", 30), ("08:00:00", 28800),
     ("1-00:00:10", 86410), ("100:30:00", 361800)],
)  # fmt: skip
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert time_span(text) == seconds


def expected(trial_s: float) -> Forecast:
    import numpy as np

    return Forecast(1000, np.full(100, trial_s), np.full(100, trial_s), 10, 0.1, 5.0, 400 * 2**20, 10**9)


def test_job_lines() -> None:
    config = Path("configs/my.yml")
    line = job_line(config, expected(3.6), 101)  # 36 s of work and 5 to start
    assert line == (
        "CONFIG=configs/my.yml TIME_LIMIT=00:05:00 "
        "sbatch --ntasks=101 --mem-per-cpu=512M --time=00:10:00 jobs/slurm/mpi.sbatch"
    )
    within = job_line(config, expected(3600), 101, limit_s=86400)  # 10 h, with a margin 13 h 10 min
    assert "TIME_LIMIT=13:05:00 sbatch" in within
    assert "--time=13:10:00 jobs/slurm/mpi.sbatch" in within
    tight = job_line(config, expected(3600), 101, limit_s=11 * 3600)
    assert "--time=11:00:00 jobs/slurm/mpi.sbatch" in tight
    several = job_line(config, expected(3600), 101, limit_s=4 * 3600)
    assert several.endswith("--time=04:00:00 jobs/slurm/requeue.sbatch")
    assert "TIME_LIMIT" not in several


def test_a_job_has_memory_for_rank_0() -> None:
    """Which has more of it where it keeps recordings: on a whole node the others leave it some."""
    import dataclasses

    from hpcmass.forecast.resources import LISTED_BYTES, Comparing

    keeping = dataclasses.replace(expected(3.6), comparing=Comparing(200 * 2**20, 2**20, 0))
    assert keeping.worker_bytes(101) == (400 + 200 + 10) * 2**20
    assert keeping.root_bytes(101) == (400 + 2 * 100 + 2 * 10) * 2**20 + 1000 * LISTED_BYTES
    line = job_line(Path("my.yml"), keeping, 101)
    assert "--mem-per-cpu=832M" in line  # a quarter more than 620 MB, in steps of 64
    whole = dataclasses.replace(keeping, comparing=Comparing(0, 2**20, 0))
    assert "--mem-per-cpu=832M" in job_line(Path("my.yml"), whole, 101)
    assert "--mem-per-cpu=576M" in job_line(Path("my.yml"), whole, 128, cores_per_node=128)  # (410 + 264 / 128) MB


def test_a_job_line_passes_on_what_was_set() -> None:
    line = job_line(Path("my.yml"), expected(3.6), 101, assignments=["trials=3", "grid.p=[0.1,0.5]"])
    assert line.startswith("CONFIG=my.yml RUN_ARGS='--set trials=3 --set grid.p=[0.1,0.5]' TIME_LIMIT=")
    assert "leave out the spaces" in job_line(Path("my.yml"), expected(3.6), 101, assignments=["grid.p=[0.1, 0.5]"])
    both = job_line(Path("my.yml"), expected(3.6), 101, assignments=["trials=3"], compare=True)
    assert "RUN_ARGS='--set trials=3 --compare' TIME_LIMIT" in both


@pytest.mark.process
def test_the_job_compares_during_the_run_if_nothing_can_afterwards(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["plan", str(config), "-n", "9", "-j", "1", "--seconds", "0.1", "--set", "traces.keep=none"])
    lines = {line[:12].strip(): line[12:] for line in capsys.readouterr().out.splitlines()}
    line = lines["Slurm job"]
    assert re.match(r"\d+ MB a rank, \d.* GB for 9", lines["memory"])
    assert "RUN_ARGS='--set traces.keep=none --compare' " in line


@pytest.mark.process
def test_whole_nodes(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """12 trials of milliseconds: one node is already too much."""
    printed = plan(capsys, config, "--cores-per-node", 4)
    assert re.match(r"\d+ s, efficiency \d+%, [\d.e-]+ core-hours billed, 4 ranks", printed["1 node"])
    assert "2 nodes" not in printed
    assert re.match(
        r"do not pay, and one .*: a worker then has 4 trials, the longest .* a start", printed["more nodes"]
    )
    printed = plan(capsys, config, "--cores-per-node", 4, "-n", 5)  # the fifth needs a second node
    assert printed["2 nodes"].endswith("8 ranks")
    assert "sbatch --nodes=2 --ntasks=8 --ntasks-per-node=4 --exclusive --mem-per-cpu=" in printed["Slurm job"]
    assert main(["plan", str(config), "--cores-per-node", "4", "--json", "--seconds", "0.1", "-j", "1"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["useful_nodes"] == 0
    (row,) = facts["ranks"]
    assert (row["nodes"], row["ranks"]) == (1, 4)
    assert row["billed_core_hours"] == pytest.approx(4 * row["wall_s"] / 3600)


def test_nodes_that_pay() -> None:
    """1000 trials of an hour: 7 nodes of 16 ranks have 9 to 10 trials a worker, a hundred too few."""
    long = expected(3600.0)
    useful = long.useful_nodes(16)
    assert long.efficiency(16 * useful) >= 0.7 > long.efficiency(16 * (useful + 1))
    ranks = _nodes_table(long, 16)
    assert ranks == [16 * 2**k for k in range(len(ranks))]
    assert ranks[-2] <= 16 * useful < ranks[-1]
    assert long.billed_h(2, 16) == pytest.approx(32 * long.wall_s(32) / 3600)
    text = _more_nodes(long, 16)
    assert text.startswith(f"do not pay beyond {useful} (efficiency below 70%): a worker then has ")
    assert "the longest trial takes 3600 s, a start 5 s" in text
