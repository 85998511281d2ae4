"""`hpcmass trial`: one trial, its numbers and its picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from hpcmass.commands.advice import require_memory, warn_of_rounding
from hpcmass.commands.arguments import Assignments, Commands, add_command, add_set, whole
from hpcmass.errors import EXIT_DONE, EXIT_FAILED_TRIALS, TrialFailure, UserError
from hpcmass.messages import logger


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "trial", run, "run one trial and print its numbers",
                      "hpcmass trial configs/paper.yml --p 0.2 --lam 0.8",
                      "hpcmass trial configs/paper.yml --p 0.2 --lam 0.8 --plot",
                      "hpcmass trial configs/paper.yml --p 0.2 --lam 0.8 --trial 3 -o trial.h5 --spikes")  # fmt: skip
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML file")
    add_set(parser)
    parser.add_argument("--p", type=float, required=True, metavar="P", help="connection probability, in [0, 1]")
    parser.add_argument("--lam", type=float, required=True, metavar="LAM", help="excitatory fraction, in [0, 1]")
    parser.add_argument("--at", action=Assignments,
                        help="value of a further axis of the grid")  # fmt: skip
    parser.add_argument("--trial", type=whole(0), default=0, metavar="K", help="trial number (default 0)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="store it in a sweep file of one trial")
    parser.add_argument("--spikes", action="store_true", help="store every spike in it, too")
    parser.add_argument("--plot", action="store_true",
                        help="draw it into a picture named after -o (trial.h5: trial.png), or trial.png")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="start over; an existing file is backed up")


def run(options: argparse.Namespace) -> int:
    from hpcmass.config.file import load_experiment
    from hpcmass.store.files import require_output
    from hpcmass.store.schema import SWEEP_VARIABLES
    from hpcmass.trial import simulate

    if options.output is not None:
        require_output(options.output, [options.config])
    elif options.spikes:
        raise UserError("--spikes stores the spikes in a file; give it with -o")
    picture = (options.output or Path("trial.h5")).with_suffix(".png") if options.plot else None
    experiment = load_experiment(options.config, options.assignments)
    require_memory(experiment)
    warn_of_rounding(experiment.network, {name: [value] for name, value in options.at.items()})
    if picture is not None:
        from hpcmass.mass import models_of
        from hpcmass.plots.saving import refuse_existing

        models_of(experiment.mass)
        refuse_existing([picture], options.force)
    try:
        result = simulate(
            experiment,
            options.p,
            options.lam,
            options.trial,
            at=options.at,
            keep_spikes=options.plot,
            output=options.output,
            store_spikes=options.spikes,
            force=options.force,
        )
    except TrialFailure as failure:
        logger.error(f"the trial failed: {failure}")
        return EXIT_FAILED_TRIALS
    for name, value in result.recording.variables().items():
        variable = SWEEP_VARIABLES[name]
        if variable.role == "trace":
            continue
        unit = "" if variable.unit in ("1", "flag") else f" {variable.unit}"
        print(f"{name:<20}{value:>12.6g}{unit:<4}  {variable.long_name}")
    if options.output is not None:
        print(options.output)
    if picture is not None:
        print(result.draw(picture, force=options.force))
    return EXIT_DONE
