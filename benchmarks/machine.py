"""On what machine a benchmark ran."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split("\t: ", 1) if "\t: " in line else (line, "") for line in lines)
    name = fields.get("model name", platform.machine())
    flags = fields.get("flags\t", fields.get("flags", "")).split()
    vectors = [f for f in ("avx512f", "avx2", "asimd") if f in flags]
    return f"{name}{' with ' + vectors[0] if vectors else ''}"


def describe() -> str:
    """One line: processor, cores, load, versions."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba"))
    load = os.getloadavg()[0]
    return f"{processor()}, {os.cpu_count()} cores, load {load:.1f}; Python {platform.python_version()}, {packages}"
