"""`hpcmass validate`: what is wrong in a configuration."""

from __future__ import annotations

import argparse
import math
from contextlib import suppress
from pathlib import Path

import yaml

from hpcmass.commands.arguments import Commands, add_command
from hpcmass.errors import EXIT_DONE, ConfigError, UserError


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "validate", run, "say what is wrong in a configuration, all of it",
                      "hpcmass validate configs/quickstart.yml")  # fmt: skip
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML file")


def run(options: argparse.Namespace) -> int:
    from hpcmass.configfile import load_experiment
    from hpcmass.grid import shape
    from hpcmass.mass import models_named

    try:
        experiment = load_experiment(options.config)
    except ConfigError as error:
        raise ConfigError("\n  ".join([str(error), *_models(options.config)])) from None
    models_named(experiment.mass.models)
    axes = ", ".join(f"{name} ({len(values)})" for name, values in experiment.grid.axes().items())
    total = math.prod(shape(experiment))
    print(f"{options.config} is valid: '{experiment.title}', axes {axes}, {total} trials, hash "
          f"{experiment.physics_sha256()[:12]}")  # fmt: skip
    return EXIT_DONE


def _models(config: Path) -> list[str]:
    """What is wrong with the mass models of a configuration that has other faults, too."""
    from hpcmass.mass import models_named

    with suppress(
        yaml.YAMLError, OSError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, RecursionError
    ):
        names = yaml.safe_load(config.read_text(encoding="utf-8"))["mass"]["models"]
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            try:
                models_named(names)
            except UserError as error:
                return [str(error)]
    return []
