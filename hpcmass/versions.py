"""Output of `hpcmass --version`: the program and the libraries that its results depend on, without initialising MPI."""

from __future__ import annotations

import argparse
import platform

import hpcmass
from hpcmass.errors import EXIT_DONE


class Version(argparse.Action):
    """`--version`; imports the libraries only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(describe())
        parser.exit(EXIT_DONE)


def describe() -> str:
    """One line a library."""
    from importlib import metadata

    import h5py

    from hpcmass.parallel.communicator import library_version

    parallel = "parallel (MPI)" if h5py.get_config().mpi else "serial: rank 0 writes what all ranks send it"
    lines = {
        "hpcmass": hpcmass.__version__,
        "Python": platform.python_version(),
        "MPI": f"{_short(library_version())}; mpi4py {metadata.version('mpi4py')}",
        "HDF5": f"{h5py.version.hdf5_version}, {parallel}; h5py {h5py.__version__}",
        "numba": f"{metadata.version('numba')}; llvmlite {metadata.version('llvmlite')}",
        "NumPy": f"{metadata.version('numpy')}; SciPy {metadata.version('scipy')}",
    }
    return "\n".join(f"{name} {version}" for name, version in lines.items())


def _short(library: str) -> str:
    """`Open MPI v4.1.4` from a longer line with build details."""
    return " ".join(library.split(",")[0].split())
