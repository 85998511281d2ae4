"""The HDF5 files: what stands in them, how they are written, how they are read.

An h5py built against parallel HDF5 imports `mpi4py.MPI`, which initialises MPI on import unless told not to.
Login nodes often forbid that, and a reader of a file needs no MPI; the sweep initialises MPI itself.
"""

import os
import sys

if "mpi4py" not in sys.modules:  # an earlier import has decided
    os.environ.setdefault("MPI4PY_RC_INITIALIZE", "0")
