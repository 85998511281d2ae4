"""The regions of the plane, and the models by regime of the network, in numbers: two Markdown tables.

python analysis/regions.py results/quickstart-cmp.h5
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from hpcmass.errors import EXIT_BAD_INPUT, EXIT_DONE, UserError
from hpcmass.plots.regions import as_text, medians_table, regions_table
from hpcmass.plots.view import open_view


def markdown(table: pd.DataFrame) -> str:
    """A table of texts as Markdown."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("comparison", type=Path, metavar="CMP", help="comparison file")
    options = parser.parse_args()
    try:
        with open_view(options.comparison) as view:
            print(markdown(as_text(regions_table(view))), markdown(as_text(medians_table(view))), sep="\n\n")
    except UserError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return EXIT_DONE


if __name__ == "__main__":
    raise SystemExit(main())
