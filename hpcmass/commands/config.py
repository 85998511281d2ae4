"""`hpcmass config`: what a configuration may hold, and examples."""

from __future__ import annotations

import argparse

from hpcmass.commands.arguments import Commands, add_command
from hpcmass.errors import EXIT_DONE
from hpcmass.jsontext import json_text


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "config", run, "print all configuration keys, an example, or the JSON Schema",
                      "hpcmass config --defaults > my.yml       all keys, with unit, origin and meaning",
                      "hpcmass config --example quickstart > q.yml  an example; without a name, the list",
                      "hpcmass config --schema > hpcmass.json   JSON Schema, for completion in an editor")  # fmt: skip
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--defaults", action="store_true", help="all keys as commented, valid YAML")
    what.add_argument("--example", nargs="?", const="", metavar="NAME", help="an example; without NAME, their list")
    what.add_argument("--schema", action="store_true", help="JSON Schema")


def run(options: argparse.Namespace) -> int:
    from hpcmass.config.examples import example, examples
    from hpcmass.config.file import load_experiment
    from hpcmass.config.reference import defaults, schema

    if options.example == "":
        for name, path in examples().items():
            print(f"{name:<13} {load_experiment(path).title}")
        return EXIT_DONE
    if options.example is not None:
        print(example(options.example), end="")
        return EXIT_DONE
    print(json_text(schema(), indent=2) if options.schema else defaults(), end="\n" if options.schema else "")
    return EXIT_DONE
