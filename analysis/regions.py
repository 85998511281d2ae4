"""The regions of the plane, and the models by regime of the network, in numbers: two Markdown tables.

python analysis/regions.py results/quickstart-cmp.h5
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hpcmass.errors import EXIT_BAD_INPUT, EXIT_DONE, UserError
from hpcmass.plots.plane import symbol
from hpcmass.plots.regions import COLUMNS, describe, medians, regions
from hpcmass.plots.view import open_view


def main() -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("comparison", type=Path, metavar="CMP", help="comparison file")
    options = parser.parse_args()
    try:
        with open_view(options.comparison) as view:
            heads = {"right": symbol(view.plane.right), "up": symbol(view.plane.up)}
            print(f"| | region | {' | '.join(heads.get(name, name) for name in COLUMNS)} |")
            print("|---|---|" + "---|" * len(COLUMNS))
            for region in regions(view):
                print(f"| {region.subject} | {region.name} | {' | '.join(describe(view, region))} |")
            model_heads, rows = medians(view)
            print(f"\n| {' | '.join(model_heads)} |")
            print("|" + "---|" * len(model_heads))
            for row in rows:
                print(f"| {' | '.join(row)} |")
    except UserError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return EXIT_DONE


if __name__ == "__main__":
    raise SystemExit(main())
