"""Where a file's numbers come from: software, versions, machine, and a line of history per start, resume and merge."""

from __future__ import annotations

import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

import hpcmass
from hpcmass.text import one_line, readable

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
        "libraries": ", ".join(
            [*(f"{name} {metadata.version(name)}" for name in LIBRARIES), f"HDF5 {h5py.version.hdf5_version}"]
        ),
        "mpi_library": readable(mpi_library),
        "n_ranks": n_ranks,
        "host": readable(platform.node()),
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
        done = subprocess.run(command, capture_output=True, check=True, timeout=10)
        return done.stdout.decode("utf-8", "replace").strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # else the checkout around us is another project's
        return git("describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def history_line(what: str) -> str:
    """One line of history: time, version, what happened."""
    return one_line(f"{now()} hpcmass {hpcmass.__version__}: {what}")


def history_value(lines: list[str]) -> npt.NDArray[np.bytes_]:
    """The lines as an attribute of fixed size, UTF-8; where they do not fit, the oldest but the first are dropped."""
    return _fixed(lines, h5py.string_dtype("utf-8", HISTORY_BYTES))


def history_of(file: h5py.File) -> list[str]:
    """The lines of an open file's history."""
    value = file.attrs.get("history", b"")
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.split("\n") if text else []


def append_history(file: h5py.File, what: str) -> None:
    """Add one line to the history of a file open for writing, in place."""
    lines = [*history_of(file), history_line(what)]
    dtype = file.attrs.get_id("history").dtype if "history" in file.attrs else None
    if dtype is None or dtype.kind != "S":  # another program has changed it
        file.attrs["history"] = history_value(lines)
    else:  # HDF5 does not convert between encodings, and an older file declares its history as ASCII
        file.attrs.modify("history", _fixed(lines, dtype))


def _fixed(lines: list[str], dtype: np.dtype[np.bytes_]) -> npt.NDArray[np.bytes_]:
    """The lines as a string of the type's length and encoding, which ends in a zero."""
    encoding, most = h5py.check_string_dtype(dtype).encoding, dtype.itemsize - 1
    written = [readable(line).encode(encoding, "backslashreplace") for line in lines]
    while len(b"\n".join(written)) > most and len(written) > 2:
        del written[1]
    text = b"\n".join(written)[:most].decode(encoding, "ignore")  # cut between characters
    return np.array(text.encode(encoding), dtype)


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
