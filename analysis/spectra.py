"""χ² between the spectra on a logarithmic scale, and the calibrated test beside it, with α contours.

python analysis/spectra.py results/quickstart-cmp.h5 -o figures
"""

from program import parser_of, run, sheets_of

if __name__ == "__main__":
    raise SystemExit(run(sheets_of("chi_squared", "spectral_shape"), parser_of(__doc__.splitlines()[0])))
