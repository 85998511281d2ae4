"""The command line: `hpcmass validate | run | status | compare | plot | trial`.

Results go to standard output, everything else to standard error. Heavy libraries are imported by the command that
needs them, so that `hpcmass status` answers at once and never initialises MPI.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hpcmass import __version__
from hpcmass.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_FAILED_TRIALS, TrialFailure, UserError

EXIT_INTERRUPTED = 130
"""As a shell says it for Ctrl-C."""

SHOWN_FAILURES = 10
"""Failed trials that `status` lists before it counts the rest."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message}; see `{self.prog} --help`\n")


if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[_Parser]


def process_validate(options: argparse.Namespace) -> int:
    from hpcmass.configfile import load_experiment
    from hpcmass.grid import shape

    experiment = load_experiment(options.config)
    axes = ", ".join(f"{name} ({len(values)})" for name, values in experiment.grid.axes().items())
    total = math.prod(shape(experiment))
    print(f"{options.config} is valid: '{experiment.title}', axes {axes}, {total} trials, hash "
          f"{experiment.physics_sha256()[:12]}")  # fmt: skip
    return EXIT_DONE


def process_run(options: argparse.Namespace) -> int:
    from hpcmass.sweep.run import run_sweep

    summary = run_sweep(options.config, options.output, force=options.force, shards=options.shards)
    if summary is None:  # not rank 0
        return EXIT_DONE
    done = summary.done_before + summary.done
    print(f"{summary.output}: {done} of {summary.total} trials done")
    if summary.stopped:
        _log("stopped as asked; the same command goes on from here")
    if summary.failed:
        count = "1 trial failed" if summary.failed == 1 else f"{summary.failed} trials failed"
        _log(f"{count}; `hpcmass status {summary.output}` says why, the same command tries again")
    return summary.exit_code


def process_status(options: argparse.Namespace) -> int:
    from hpcmass.progress import duration, rate
    from hpcmass.store.status import sweep_status

    status = sweep_status(options.sweep)
    if options.json:
        print(json.dumps(status.as_dict(), indent=2))
        return EXIT_DONE
    print(f"{status.path}: {status.title} ({status.driver}, {'running' if status.running else 'not running'})")
    print(f"{status.done} of {status.total} trials done, {status.failed} failed, {status.pending} pending")
    if status.done:
        workers = "1 rank" if status.workers == 1 else f"{status.workers} ranks"
        line = f"{status.mean_wall_s:.3g} s a trial, {rate(status.rate_per_hour / 3600)} on {workers}"
        left = status.total - status.done
        print(f"{line}, {duration(status.eta_s)} left" if left else line)
    for failure in status.failures[:SHOWN_FAILURES]:
        where = " ".join(f"{name}={value:g}" for name, value in failure.values.items())
        print(f"failed: {where} trial {failure.trial}: {failure.message}")
    if len(status.failures) > SHOWN_FAILURES:
        print(f"… and {len(status.failures) - SHOWN_FAILURES} more; --json lists all")
    return EXIT_DONE


def process_compare(options: argparse.Namespace) -> int:
    from hpcmass.compare import compare_sweep
    from hpcmass.progress import Progress

    bars: list[Progress] = []

    def advance(done: int, total: int) -> None:
        if not bars:
            bars.append(Progress(total, "point"))
        bars[0].advance(units=done - bars[0].done, weight=done - bars[0].done)

    try:
        summary = compare_sweep(options.sweep, options.output, jobs=options.jobs, force=options.force, progress=advance)
    finally:
        for bar in bars:
            bar.close()
    print(
        f"{summary.path}: {summary.n_points_compared} of {summary.n_points} points, {summary.n_trials} trials compared"
    )
    if summary.n_pending or summary.n_failed:
        _log(f"left out: {summary.n_pending} trials that are not done, {summary.n_failed} that failed")
    for model, count in summary.n_diverged.items():
        if count:
            _log(f"{model} ran away in {count} of {summary.n_trials} trials; they are flagged")
    return EXIT_DONE


def process_plot(options: argparse.Namespace) -> int:
    from hpcmass.plots import draw

    for path in draw(options.comparison, options.output, sweep_path=options.sweep, force=options.force):
        print(path)
    return EXIT_DONE


def process_trial(options: argparse.Namespace) -> int:
    from hpcmass.configfile import load_experiment
    from hpcmass.store.schema import SWEEP_VARIABLES
    from hpcmass.sweep.single import run_single

    if options.spikes and options.output is None:
        raise UserError("--spikes stores the spikes in a file; name it with -o")
    experiment = load_experiment(options.config)
    values = {"p": options.p, "lam": options.lam, **dict(options.at)}
    try:
        recording = run_single(
            experiment,
            values,
            options.trial,
            output=options.output,
            keep_spikes=options.spikes,
            force=options.force,
        )
    except TrialFailure as failure:
        _log(f"the trial failed: {failure}")
        return EXIT_FAILED_TRIALS
    for name, value in recording.variables().items():
        variable = SWEEP_VARIABLES[name]
        if variable.role == "trace":
            continue
        unit = "" if variable.unit in ("1", "flag") else f" {variable.unit}"
        print(f"{name:<20}{value:>12.6g}{unit:<4}  {variable.long_name}")
    if options.output is not None:
        print(options.output)
    return EXIT_DONE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code = int(options.process(options))
        sys.stdout.flush()
    except UserError as error:
        _log(str(error))
        return EXIT_BAD_INPUT
    except BrokenPipeError:  # the reader of our output, e.g. `head`, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except KeyboardInterrupt:
        _log("interrupted; what is done is kept, the same command goes on")
        return EXIT_INTERRUPTED
    return code


def _log(message: str) -> None:
    print(f"hpcmass: {message}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="hpcmass",
        description="Brute-force maps of where neural mass models stand for the spiking network they summarise.",
        epilog="exit codes: 0 done, 2 bad input, 3 finished with failed trials, 75 stopped early (run it again)",
    )
    parser.add_argument("--version", action="version", version=f"hpcmass {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_validate(commands)
    _add_run(commands)
    _add_status(commands)
    _add_compare(commands)
    _add_plot(commands)
    _add_trial(commands)
    return parser


def _command(commands: _Commands, name: str, what: str, *examples: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog="\n  ".join(["examples:", *examples]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_validate(commands: _Commands) -> None:
    parser = _command(commands, "validate", "say what is wrong in a configuration, all of it",
                      "hpcmass validate configs/quickstart.yml")  # fmt: skip
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML file")
    parser.set_defaults(process=process_validate)


def _add_run(commands: _Commands) -> None:
    parser = _command(commands, "run", "run a sweep, or what is missing of it",
                      "hpcmass run configs/quickstart.yml -o sweep.h5                  one process",
                      "mpiexec -n 5 hpcmass run configs/quickstart.yml -o sweep.h5     4 workers and a master",
                      "the same command again                                          resumes")  # fmt: skip
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="sweep file (HDF5)")
    parser.add_argument("--force", action="store_true", help="start anew; a file that is there is kept aside")
    parser.add_argument("--shards", action="store_true",
                        help="a file per rank, joined in the end, also where parallel HDF5 is there")  # fmt: skip
    parser.set_defaults(process=process_run)


def _add_status(commands: _Commands) -> None:
    parser = _command(commands, "status", "say how far a sweep is, also while it runs",
                      "hpcmass status sweep.h5",
                      "hpcmass status sweep.h5 --json | jq .eta_s")  # fmt: skip
    parser.add_argument("sweep", type=Path, metavar="FILE", help="sweep file")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(process=process_status)


def _add_compare(commands: _Commands) -> None:
    parser = _command(commands, "compare", "run the mass models on a sweep and compare them with the network",
                      "hpcmass compare sweep.h5 -o comparison.h5 -j 4")  # fmt: skip
    parser.add_argument("sweep", type=Path, metavar="FILE", help="sweep file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CMP", help="comparison file (HDF5)")
    parser.add_argument("-j", "--jobs", type=_whole(1), default=1, metavar="N", help="processes (default 1)")
    parser.add_argument("--force", action="store_true", help="start anew; a file that is there is kept aside")
    parser.set_defaults(process=process_compare)


def _add_plot(commands: _Commands) -> None:
    parser = _command(commands, "plot", "draw the maps and example traces of a comparison",
                      "hpcmass plot comparison.h5 -o maps")  # fmt: skip
    parser.add_argument("comparison", type=Path, metavar="CMP", help="comparison file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="directory of the PNG files")
    parser.add_argument("--sweep", type=Path, metavar="FILE", help="the sweep compared, for its recorded input")
    parser.add_argument("--force", action="store_true", help="replace figures that are there")
    parser.set_defaults(process=process_plot)


def _add_trial(commands: _Commands) -> None:
    parser = _command(commands, "trial", "run one trial and print its numbers",
                      "hpcmass trial configs/paper.yml --p 0.2 --lam 0.8",
                      "hpcmass trial configs/paper.yml --p 0.2 --lam 0.8 --trial 3 -o trial.h5 --spikes")  # fmt: skip
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML file")
    parser.add_argument("--p", type=float, required=True, metavar="P", help="connection probability, in [0, 1]")
    parser.add_argument("--lam", type=float, required=True, metavar="LAM", help="excitatory fraction, in [0, 1]")
    parser.add_argument("--at", type=_assignment, action="append", default=[], metavar="NAME=VALUE",
                        help="value of a further axis of the grid")  # fmt: skip
    parser.add_argument("--trial", type=_whole(0), default=0, metavar="K", help="trial number (default 0)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="keep it in a sweep file of one trial")
    parser.add_argument("--spikes", action="store_true", help="keep every spike in it, too")
    parser.add_argument("--force", action="store_true", help="start anew; a file that is there is kept aside")
    parser.set_defaults(process=process_trial)


def _whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"give a whole number from {least}, not '{text}'")
        return int(text)

    return parse


def _assignment(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"give NAME=VALUE with a number, not '{text}'") from None
