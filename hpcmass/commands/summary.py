"""`hpcmass summary`: the answer of a comparison in words."""

from __future__ import annotations

import argparse
from pathlib import Path

from hpcmass.commands.arguments import Commands, add_command
from hpcmass.errors import EXIT_DONE


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "summary", run, "say where each model follows the network, and which claims hold",
                      "hpcmass summary comparison.h5",
                      "hpcmass summary comparison.h5 --json            the same numbers for a program")  # fmt: skip
    parser.add_argument("comparison", type=Path, metavar="CMP", help="comparison file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    from hpcmass.jsontext import json_text
    from hpcmass.summary import summarise

    summary = summarise(options.comparison)
    print(json_text(summary.to_dict(), indent=2, ensure_ascii=False) if options.json else summary.text())
    return EXIT_DONE
