"""Where a file's numbers come from: software, versions, machine, and a line of history per start, resume and merge."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import h5py
import numpy as np

import hpcmass

LIBRARIES = ("numpy", "scipy", "numba", "llvmlite", "h5py", "mpi4py", "xarray")

HISTORY_BYTES = 8192
"""Space kept for the history: later lines are written in place, so a kill in that moment cannot tear the file."""

REPRODUCIBILITY = (
    "Results are bit-identical for any number of ranks, any split into jobs and any resume on one kind of "
    "processor; another kind may differ in the last bits."
)


def provenance(*, n_ranks: int, mpi_library: str) -> dict[str, str | int]:
    """Root attributes that say who made the file, when, on what and with which libraries."""
    return {
        "software": "hpcmass",
        "version": hpcmass.__version__,
        "git_commit": git_commit(),
        "date": now(),
        "python": platform.python_version(),
        "libraries": ", ".join([*_versions(), f"HDF5 {h5py.version.hdf5_version}"]),
        "mpi_library": mpi_library,
        "n_ranks": n_ranks,
        "host": platform.node(),
        "processor": _processor(),
        "comment": REPRODUCIBILITY,
        "references": "Deschle et al. (2021), Front. Comput. Neurosci. 14:581040, doi 10.3389/fncom.2020.581040",
    }


def now() -> str:
    """This moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_commit() -> str:
    """The commit of the package's own sources (`-dirty` if they differ from it), `unknown` outside a checkout."""
    here = Path(hpcmass.__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # else the checkout around us is another project's
        return git("describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def history_line(what: str) -> str:
    """One line of history: time, version, what happened."""
    return f"{now()} hpcmass {hpcmass.__version__}: {what}"


def history_value(lines: list[str]) -> np.bytes_:
    """The lines as an attribute of fixed size; where they no longer fit, the oldest after the first go."""
    encoded = [line.encode(errors="backslashreplace") for line in lines]  # a file's name may be no text
    while len(b"\n".join(encoded)) > HISTORY_BYTES - 1 and len(encoded) > 2:
        del encoded[1]
    text = b"\n".join(encoded)[: HISTORY_BYTES - 1]
    return np.bytes_(text.ljust(HISTORY_BYTES, b"\0"))


def history_of(file: h5py.File) -> list[str]:
    """The lines of an open file's history."""
    value = file.attrs.get("history", b"")
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.splitlines()


def append_history(file: h5py.File, what: str) -> None:
    """Add one line to the history of a file open for writing, in place."""
    value = history_value([*history_of(file), history_line(what)])
    file.attrs.modify("history", np.array(value, f"S{HISTORY_BYTES}"))


def _versions() -> list[str]:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
