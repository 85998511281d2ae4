"""Synchrony over the plane: Spike-contrast and its bin width, irregularity of firing, firing rates.

python analysis/synchrony.py results/quickstart-cmp.h5 -o figures
"""

from program import parser_of, run, sheets_of

if __name__ == "__main__":
    raise SystemExit(run(sheets_of("synchrony", "rates"), parser_of(__doc__.splitlines()[0])))
