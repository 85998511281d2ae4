"""A comparison file that is small enough to keep with a paper: every statistic, curves of chosen points only.

    python analysis/reduce.py results/paper-cmp.h5 -o paper-cmp.h5 --curves 0.2,0.5

What has a value for each frequency or time (spectra, coherence, example potentials) becomes NaN at the other points.
The numbers of the maps, of the claims and of single trials stay as they are. The file is compressed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import xarray as xr
from points import pair

from hpcmass.errors import EXIT_BAD_INPUT, EXIT_DONE, UserError
from hpcmass.plots.plane import grid_index
from hpcmass.plots.view import open_view
from hpcmass.text import counted

CURVES = {"frequency", "window"}
"""Dimensions of curves."""


def reduced(comparison: Path, points: Sequence[tuple[float, float]]) -> xr.Dataset:
    """The comparison with the curves of these points of its first two swept axes alone."""
    with open_view(comparison) as view:
        plane = view.plane
    with xr.open_dataset(comparison, engine="h5netcdf", decode_cf=False) as stored:  # as stored: integers stay integers
        data = stored.load()
    kept = xr.zeros_like(data["n_compared"], dtype=bool)
    for right, up in points:
        column, row = grid_index(plane.right, right, plane.right_values), grid_index(plane.up, up, plane.up_values)
        kept[{plane.right: column, plane.up: row}] = True
    for name, variable in data.data_vars.items():
        if CURVES & set(variable.dims) and set(kept.dims) <= set(variable.dims):
            data[name] = variable.where(kept).transpose(*variable.dims).astype(variable.dtype)
    return data


def save(data: xr.Dataset, output: Path) -> None:
    """Write the file, compressed."""
    if output.exists():
        raise UserError(f"{output} exists; move it or name another output")
    numbers = [name for name, variable in data.variables.items() if variable.ndim and variable.dtype.kind in "fiu"]
    packed = {"zlib": True, "complevel": 9, "shuffle": True}
    data.to_netcdf(output, engine="h5netcdf", encoding=dict.fromkeys(numbers, packed))


def main(arguments: Sequence[str] | None = None) -> int:
    """Reduce one file; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("comparison", type=Path, metavar="CMP", help="comparison file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="SMALL", help="the small file")
    parser.add_argument("--curves", type=pair, action="append", default=[], metavar="P,LAM",
                        help="a point whose curves are kept; again for more")  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        save(reduced(options.comparison, options.curves), options.output)
    except UserError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    size = options.output.stat().st_size / 1e6
    print(f"{options.output}: {size:.1f} MB, curves of {counted(len(options.curves), 'point')}")
    return EXIT_DONE


if __name__ == "__main__":
    raise SystemExit(main())
