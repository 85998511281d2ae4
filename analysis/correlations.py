"""Correlations, lags and coherence of network and models over the plane, with α contours.

python analysis/correlations.py results/quickstart-cmp.h5 -o figures
"""

from program import parser_of, run, sheets_of

if __name__ == "__main__":
    raise SystemExit(run(sheets_of("correlation", "lag", "coherence"), parser_of(__doc__.splitlines()[0])))
