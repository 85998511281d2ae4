"""`hpcmass validate`: what is wrong in a configuration."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from hpcmass.commands.arguments import Commands, add_command
from hpcmass.errors import EXIT_DONE


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "validate", run, "say what is wrong in a configuration, all of it",
                      "hpcmass validate configs/quickstart.yml")  # fmt: skip
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML file")


def run(options: argparse.Namespace) -> int:
    from hpcmass.configfile import load_experiment
    from hpcmass.grid import shape
    from hpcmass.mass import models_named

    experiment = load_experiment(options.config)
    models_named(experiment.mass.models)
    axes = ", ".join(f"{name} ({len(values)})" for name, values in experiment.grid.axes().items())
    total = math.prod(shape(experiment))
    print(f"{options.config} is valid: '{experiment.title}', axes {axes}, {total} trials, hash "
          f"{experiment.physics_sha256()[:12]}")  # fmt: skip
    return EXIT_DONE
