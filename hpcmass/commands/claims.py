"""`hpcmass claims`: the paper's six claims, checked against one or more comparisons."""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from pathlib import Path

from hpcmass.commands.arguments import Commands, add_command, whole
from hpcmass.errors import EXIT_DONE

NARROWEST, WIDEST = 60, 120
"""Letters in a line of the text, whatever the terminal's width."""


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "claims", run, "check the paper's six claims, and say how sure each verdict is",
                      "hpcmass claims comparison.h5                    each claim in words",
                      "hpcmass claims fixed-cmp.h5 tied-cmp.h5         a table, a row for each reading",
                      "hpcmass claims *-cmp.h5 --csv > claims.csv      the same for a program")  # fmt: skip
    parser.add_argument("comparisons", type=Path, nargs="+", metavar="CMP",
                        help="comparison file; each combination of its further axes' values is a reading")  # fmt: skip
    parser.add_argument("--label", action="append", dest="labels", metavar="TEXT",
                        help="what to call a file (default: its title); once for each file, in order")  # fmt: skip
    parser.add_argument("--bootstrap", type=whole(0), default=1000, metavar="N",
                        help="resamples of the trials for the certainty (default 1000; 0: none)")  # fmt: skip
    parser.add_argument("--seed", type=whole(0), default=1, metavar="N", help="of the resamples (default 1)")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--verbose", action="store_true", help="each claim of each reading in words, too")
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--csv", action="store_true", help="print CSV, a line for each reading and claim")


def run(options: argparse.Namespace) -> int:
    from hpcmass.claims.table import check_claims
    from hpcmass.jsontext import json_text

    table = check_claims(options.comparisons, labels=options.labels, resamples=options.bootstrap, seed=options.seed)
    if options.json:
        print(json_text(table.to_dict(), indent=2, ensure_ascii=False))
    elif options.csv:
        rows = table.rows()
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        width = min(max(shutil.get_terminal_size((100, 24)).columns, NARROWEST), WIDEST)
        print(table.text(width=width, details=True if options.verbose else None))
    return EXIT_DONE
