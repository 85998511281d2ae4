"""`hpcmass validate`: what is wrong in a configuration, and how large the sweep would be."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hpcmass.commands.arguments import Commands, add_command, add_set
from hpcmass.errors import EXIT_BAD_INPUT, EXIT_DONE, ConfigError, UserError
from hpcmass.messages import logger

if TYPE_CHECKING:
    from hpcmass.config import Experiment


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "validate", run, "check a configuration and report every problem",
                      "hpcmass validate configs/quickstart.yml",
                      "hpcmass validate configs/*.yml        each of several; exit code 2 if one is wrong")  # fmt: skip
    parser.add_argument("configs", type=Path, nargs="+", metavar="CONFIG", help="YAML files")
    add_set(parser)


def run(options: argparse.Namespace) -> int:
    outcome = EXIT_DONE
    for config in options.configs:
        try:
            print(_judged(config, options.assignments), flush=True)
        except UserError as error:
            logger.error(str(error))
            outcome = EXIT_BAD_INPUT
    return outcome


def _judged(config: Path, assignments: Sequence[str]) -> str:
    """What a valid configuration is: its size, and which set of parameters its network has."""
    from hpcmass.commands.advice import memory_problem, size_text, warn_of_degenerate, warn_of_rounding
    from hpcmass.config.reference_set import network_text

    experiment = checked(config, assignments)
    if (problem := memory_problem(experiment, compare=not experiment.traces.allow_comparison)) is not None:
        logger.warning(f"{config}: {problem}")
    warn_of_rounding(experiment.network, experiment.grid.axes(), f"{config}: ")
    warn_of_degenerate(experiment, f"{config}: ")
    physics = experiment.physics_sha256()[:12]
    return (
        f"{config} is valid: '{experiment.title}', {size_text(experiment)}, physics {physics}\n"
        f"  network: {network_text(experiment)}"
    )


def checked(config: Path, assignments: Sequence[str]) -> Experiment:
    """A configuration in which nothing is wrong, neither for the sweep nor for the comparison.

    Raises
    ------
    UserError
        With every problem.
    """
    from hpcmass.compare.settings import setting_problems
    from hpcmass.config.file import load_experiment

    try:
        experiment = load_experiment(config, assignments)
    except ConfigError as error:
        if not error.problems:
            raise
        raise ConfigError.of(error.name, [*error.problems, *_models(config, assignments)]) from None
    problems = [*own_problems(experiment), *setting_problems(experiment.network, experiment.compare)]
    if len(problems) == 1:
        raise UserError(f"{config}: {problems[0]}")
    if problems:
        raise ConfigError.of(str(config), problems)
    return experiment


def _models(config: Path, assignments: Sequence[str]) -> list[str]:
    """What is wrong with the mass models of a configuration that has other faults, too."""
    import yaml

    from hpcmass.config.assignments import assigned
    from hpcmass.config.yaml_text import Document, Refused
    from hpcmass.mass import models_named

    with suppress(yaml.YAMLError, Refused, OSError, UnicodeDecodeError, KeyError, TypeError):
        keys = Document(config.read_text(encoding="utf-8")).value
        names = assigned(keys, assignments)["mass"]["models"]
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return _problem(lambda: models_named(names))
    return []


def own_problems(experiment: Experiment) -> list[str]:
    """What is wrong with the mass models and own statistics that a configuration lists."""
    from hpcmass.mass.registry import declared_models

    problems = _problem(lambda: declared_models(experiment.mass, n_trials=experiment.trials))
    if experiment.compare.statistics:  # else SciPy's statistics would be loaded for nothing
        from hpcmass.compare.own import statistics_of

        problems += _problem(lambda: statistics_of(experiment.compare))
    return problems


def _problem(find: Callable[[], object]) -> list[str]:
    try:
        find()
    except UserError as error:
        return [str(error)]
    return []
