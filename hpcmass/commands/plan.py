"""`hpcmass plan`: what a sweep takes, before it is run."""

from __future__ import annotations

import argparse
import math
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcmass.commands.advice import bytes_text, cores, require_memory, warn_of_rounding
from hpcmass.commands.arguments import Commands, add_command, add_set, positive, time_span, whole
from hpcmass.errors import EXIT_DONE, UserError
from hpcmass.jsontext import json_text
from hpcmass.messages import logger
from hpcmass.text import counted

if TYPE_CHECKING:
    from hpcmass.config import Experiment
    from hpcmass.forecast import Calibration, Forecast

SIDE_BY_SIDE = 8
"""Largest number of calibration processes: a login node is shared."""

MARGIN = 1.3
"""Requested time limit over the expected time."""

MOST_NODES = 1024
"""Largest number of nodes in the table."""

MOST_RANKS = 1025
"""Largest number of ranks in the table that is shown where none is given."""


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "plan", run, "predict time, memory and file size from a few seconds' calibration",
                      "hpcmass plan configs/paper.yml                  time for several numbers of ranks",
                      "hpcmass plan configs/paper.yml -n 129           for 128 workers and rank 0",
                      "hpcmass plan configs/paper.yml --time 24h       ranks that finish within a day",
                      "hpcmass plan configs/paper.yml --cores-per-node 128    whole nodes, and their bill")  # fmt: skip
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML file")
    add_set(parser)
    parser.add_argument(
        "-n", "--ranks", type=whole(1), metavar="N", help="MPI ranks (of several, rank 0 runs no trials)"
    )
    parser.add_argument("--cores-per-node", type=whole(2), metavar="N",
                        help="plan for whole nodes of N cores, with a rank on each")  # fmt: skip
    parser.add_argument("--time", type=time_span, metavar="TIME",
                        help="longest job allowed, e.g. 90m, 24h, 2d or 08:00:00")  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", default=Path("sweep.h5"),
                        help="path of the sweep file, to check the free space there (default: here)")  # fmt: skip
    parser.add_argument("-j", "--jobs", type=whole(1), metavar="N",
                        help=f"calibration processes (default: one per core, at most {SIDE_BY_SIDE})")  # fmt: skip
    parser.add_argument("--seconds", type=positive, default=5.0, metavar="S",
                        help="calibration time without start-up (default 5)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    from hpcmass.config.file import load_experiment
    from hpcmass.forecast import calibrate, forecast

    experiment = load_experiment(options.config, options.assignments)
    require_memory(experiment, compare=not experiment.traces.allow_comparison)
    warn_of_rounding(experiment.network, experiment.grid.axes())
    directory = options.output.parent
    if not directory.is_dir():
        raise UserError(f"the directory {directory} does not exist; create it, or give another path with -o")
    n_cores = cores()
    processes = options.jobs or max(1, min(n_cores, SIDE_BY_SIDE, (options.ranks or n_cores + 1) - 1))
    logger.info(f"calibrating for {options.seconds:g} s in {counted(processes, 'process', 'processes')}")
    calibration = calibrate(experiment, processes=processes, budget_s=options.seconds)
    expected = forecast(experiment, calibration)
    n_ranks = options.ranks
    if n_ranks is None and options.time is not None:
        n_ranks = expected.ranks_for(options.time / MARGIN)
        if n_ranks is None:
            raise UserError(f"no number of ranks finishes in that time: one trial takes up to "
                            f"{expected.longest_s:.3g} s; give a longer --time")  # fmt: skip
    per_node = options.cores_per_node
    if per_node and n_ranks is not None:
        n_ranks = per_node * -(-n_ranks // per_node)
    if n_ranks is not None:
        ranks = [n_ranks]
    else:
        ranks = _nodes_table(expected, per_node) if per_node else _table(expected.n_trials, n_cores)
    free = shutil.disk_usage(directory).free
    if options.json:
        print(json_text(_as_dict(experiment, calibration, expected, ranks, free, per_node), indent=2))
        return EXIT_DONE
    _print(options, experiment, calibration, expected, ranks, free)
    return EXIT_DONE


def _print(
    options: argparse.Namespace,
    experiment: Experiment,
    calibration: Calibration,
    expected: Forecast,
    ranks: list[int],
    free: int,
) -> None:
    from hpcmass.progress import duration

    axes = ", ".join(f"{name} ({len(values)})" for name, values in experiment.grid.axes().items())
    n_points = len(calibration.trial_s)
    lines = {
        "sweep": f"'{experiment.title}', axes {axes}, {expected.n_trials} trials of "
        f"{experiment.network.duration_ms / 1e3:.4g} s",
        "calibrated": f"{n_points} of {len(expected.point_s)} points in {duration(calibration.took_s)}, "
        f"{counted(calibration.processes, 'process', 'processes')}"
        + (f"; a point's time is good to {expected.uncertainty:.0%}" if expected.uncertainty >= 0 else ""),
        "a trial": f"{_seconds(expected.core_s / expected.n_trials)} on average, "
        f"{_extreme(experiment, expected, 'least')} to {_extreme(experiment, expected, 'most')}",
        "a start": _start_text(calibration),
        "core-hours": f"{expected.core_s / 3600:.3g}",
    }
    per_node = options.cores_per_node
    for n in ranks:
        wall, share = duration(expected.wall_s(n)), f"{expected.efficiency(n):.0%}"
        if per_node:
            billed = f"{expected.billed_h(n // per_node, per_node):.3g} core-hours billed"
            lines[counted(n // per_node, "node")] = f"{wall}, efficiency {share}, {billed}, {n} ranks"
        else:
            lines[counted(n, "rank")] = f"{wall}, efficiency {share}"
    if per_node:
        lines["more nodes"] = _more_nodes(expected, per_node)
    directory = options.output.parent.resolve()
    lines["memory"] = _memory(expected, ranks)
    kept = "" if experiment.traces == type(experiment.traces)() else f" ({experiment.traces.text()})"
    lines["sweep file"] = f"{bytes_text(expected.file_bytes)}{kept}; {bytes_text(free)} free in {directory}"
    if expected.comparison_bytes is not None:
        lines["comparison"] = bytes_text(expected.comparison_bytes)
    if len(ranks) == 1:
        lines["Slurm job"] = job_line(
            options.config, expected, ranks[0], limit_s=options.time, assignments=options.assignments,
            cores_per_node=per_node, compare=not experiment.traces.allow_comparison,
        )  # fmt: skip
    for name, text in lines.items():
        print(f"{name:<12}{text}")
    if calibration.n_failed:
        logger.warning(f"{calibration.n_failed} of the calibrating trials failed: expect failed trials in the sweep")
    if expected.file_bytes + (expected.comparison_bytes or 0) > free:
        logger.warning(
            "the files do not fit on that disk; give another path with -o, make the grid smaller, or keep fewer traces "
            "(`hpcmass run --compare` with traces.keep = none)"
        )


def job_line(
    config: Path,
    expected: Forecast,
    n_ranks: int,
    *,
    limit_s: float | None = None,
    assignments: Sequence[str] = (),
    cores_per_node: int | None = None,
    compare: bool = False,
) -> str:
    """A command that submits the sweep to Slurm; one that requeues itself if `limit_s` is too short for one job.

    With `cores_per_node` it asks for whole nodes, which `n_ranks` fill. With `compare` the job compares during the run.
    """
    if any(re.search(r"\s", text) for text in assignments):
        return "none, because a template cannot pass on a --set with spaces; leave out the spaces"
    wanted = 600.0 * math.ceil((MARGIN * expected.wall_s(n_ranks) + 300) / 600)
    template = "mpi"
    if limit_s is not None and wanted > limit_s:
        wanted = limit_s
        if expected.wall_s(n_ranks) > limit_s - 300:
            template = "requeue"
    worker, root = expected.worker_bytes(n_ranks), expected.root_bytes(n_ranks)
    # the ranks of a whole node share its memory; otherwise rank 0 may be alone on its node
    each = max(worker, worker + (root - worker) / (cores_per_node or 1))
    memory = 64 * math.ceil(1.25 * each / 2**20 / 64)
    tasks = f"--ntasks={n_ranks}"
    if cores_per_node:
        nodes = n_ranks // cores_per_node
        tasks = f"--nodes={nodes} --ntasks={n_ranks} --ntasks-per-node={cores_per_node} --exclusive"
    run_args = [*(f"--set {text}" for text in assignments), *(["--compare"] if compare else [])]
    what = [
        f"CONFIG={shlex.quote(str(config))}",
        *([f"RUN_ARGS={shlex.quote(' '.join(run_args))}"] if run_args else []),
        *([f"TIME_LIMIT={_clock(max(wanted - 300, wanted / 2))}"] if template == "mpi" else []),
        f"sbatch {tasks} --mem-per-cpu={memory}M --time={_clock(wanted)} jobs/slurm/{template}.sbatch",
    ]
    return " ".join(what)


def _as_dict(
    experiment: Experiment,
    calibration: Calibration,
    expected: Forecast,
    ranks: list[int],
    free: int,
    per_node: int | None,
) -> dict[str, Any]:
    return {
        "title": experiment.title,
        "trials": expected.n_trials,
        "points_calibrated": len(calibration.trial_s),
        "processes": calibration.processes,
        "point_uncertainty": expected.uncertainty,
        "trial_s": {
            "mean": expected.core_s / expected.n_trials,
            "least": expected.shortest_s,
            "most": expected.longest_s,
        },
        "start_s": calibration.start_s,
        "compile_s": calibration.compile_s,
        "core_hours": expected.core_s / 3600,
        "ranks": [
            {"ranks": n, "wall_s": expected.wall_s(n), "efficiency": expected.efficiency(n)}
            | ({"nodes": n // per_node, "billed_core_hours": expected.billed_h(n // per_node, per_node)} if per_node
               else {})
            for n in ranks
        ],
        **({"useful_nodes": expected.useful_nodes(per_node)} if per_node else {}),
        "rank_bytes": max(expected.worker_bytes(n) for n in ranks),
        "root_bytes": max(expected.root_bytes(n) for n in ranks),
        "file_bytes": expected.file_bytes,
        "comparison_bytes": expected.comparison_bytes,
        "free_bytes": free,
    }  # fmt: skip


def _start_text(calibration: Calibration) -> str:
    """How long a process takes before its first trial, and why."""
    total = f"{_seconds(calibration.start_s)} before the first trial"
    if calibration.compile_s == 0:
        return f"{total}, with compiled kernels"
    when = "now" if calibration.compiled_now else "earlier"
    return f"{total}, {_seconds(calibration.compile_s)} of it to compile kernels on a new node (measured {when})"


def _memory(expected: Forecast, ranks: Sequence[int]) -> str:
    """Memory of the largest rank of each kind, for the numbers of ranks that are shown."""
    worker, root = max(map(expected.worker_bytes, ranks)), max(map(expected.root_bytes, ranks))
    of_root = f", {bytes_text(root)} rank 0" if root > 1.1 * worker else ""
    total = f", {bytes_text(expected.job_bytes(ranks[0]))} for {ranks[0]}" if len(ranks) == 1 else ""
    return f"{bytes_text(worker)} a rank{of_root}{total}"


def _table(n_trials: int, cores: int) -> list[int]:
    """This machine's cores and rank 0; then powers of two and rank 0, up to one rank per trial."""
    wanted = {cores + 1, *(2**k + 1 for k in range(4, 11))}
    return sorted(n for n in wanted if n <= max(cores + 1, min(MOST_RANKS, n_trials + 1)))


def _nodes_table(expected: Forecast, per_node: int) -> list[int]:
    """Ranks of 1, 2, 4, … nodes: those that pay, and one number more."""
    useful = expected.useful_nodes(per_node)
    nodes = [2**k for k in range(11) if 2**k <= MOST_NODES]
    wanted = [n for n in nodes if n <= useful]
    return [n * per_node for n in [*wanted, *nodes[len(wanted) : len(wanted) + 1]]]


def _more_nodes(expected: Forecast, per_node: int) -> str:
    """From which number of nodes on more do not pay, and why."""
    from hpcmass.forecast import USEFUL

    useful = expected.useful_nodes(per_node)
    each = expected.n_trials / (max(1, useful) * per_node - 1)
    longest, start = _seconds(expected.longest_s), _seconds(expected.start_s)
    why = f"a worker then has {each:.2g} trials, the longest trial takes {longest}, a start {start}"
    what = f"do not pay beyond {useful}" if useful else "do not pay, and one is not used well"
    return f"{what} (efficiency below {USEFUL:.0%}): {why}"


def _extreme(experiment: Experiment, expected: Forecast, which: str) -> str:
    import numpy as np

    from hpcmass.grid import point_values

    number = int((np.nanargmin if which == "least" else np.nanargmax)(expected.point_s))
    where = " ".join(f"{name}={value:g}" for name, value in point_values(experiment, number).items())
    return f"{_seconds(float(expected.point_s[number]))} ({where})"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:00"
