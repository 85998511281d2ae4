"""Median and peak frequencies of network and models over the plane, and the models' errors.

python analysis/frequencies.py results/quickstart-cmp.h5 -o figures
"""

from program import parser_of, run, sheets_of

if __name__ == "__main__":
    raise SystemExit(
        run(
            sheets_of("median_frequency", "median_frequency_difference", "peak_frequency"),
            parser_of(__doc__.splitlines()[0]),
        )
    )
