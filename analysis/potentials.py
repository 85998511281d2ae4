"""Errors of the models' mean potential and of its variance over the plane.

python analysis/potentials.py results/quickstart-cmp.h5 -o figures
"""

from program import parser_of, run, sheets_of

if __name__ == "__main__":
    raise SystemExit(run(sheets_of("mean_error", "variance_error"), parser_of(__doc__.splitlines()[0])))
