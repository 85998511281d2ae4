"""Pictures of a comparison file: maps over the plane of p and λ, and example traces. Reads files, nothing else."""

import os
import sys
from contextlib import suppress

if "matplotlib" not in sys.modules:
    # A backend of this name may be unknown here, which would end the import; it only matters to windows.
    _backend = os.environ.pop("MPLBACKEND", None)
    import matplotlib

    if _backend:
        os.environ["MPLBACKEND"] = _backend
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = _backend
