"""`hpcmass config`: what a configuration may hold."""

from __future__ import annotations

import argparse

from hpcmass.commands.arguments import Commands, add_command
from hpcmass.errors import EXIT_DONE
from hpcmass.jsontext import json_text


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "config", run, "print all configuration keys, or their JSON Schema",
                      "hpcmass config --defaults > my.yml       all keys, with unit, origin and meaning",
                      "hpcmass config --schema > hpcmass.json   JSON Schema, for completion in an editor")  # fmt: skip
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--defaults", action="store_true", help="all keys as commented, valid YAML")
    what.add_argument("--schema", action="store_true", help="JSON Schema")


def run(options: argparse.Namespace) -> int:
    from hpcmass.config.reference import defaults, schema

    print(json_text(schema(), indent=2) if options.schema else defaults(), end="\n" if options.schema else "")
    return EXIT_DONE
