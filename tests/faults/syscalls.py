"""System calls of a worker and of rank 0 for a trial of the paper's size, seen by `strace`."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from harness import Installation, Writer

CONFIG = """\
title: system calls
trials: {trials}
root_seed: 3
network: {{n_neurons: 10000, duration_ms: 30000.0, transient_ms: 500.0}}
grid: {{p: [0.05], lam: [0.5]}}
"""

CALLS = ("write", "pwrite64", "writev", "pwritev", "fsync", "fdatasync")

LARGE = 2**16
"""A write of so many bytes is one of a trace, not of numbers or metadata."""


@dataclass(frozen=True)
class Calls:
    """Calls of one rank on the sweep file."""

    rank: int
    large: int
    small: int
    syncs: int
    bytes: int


def calls_of(here: Installation, directory: Path, *, trials: int, writer: Writer) -> list[Calls]:
    """Run trials of the paper's size under strace and count each rank's calls on the sweep file after its creation.

    Raises
    ------
    FileNotFoundError
        Without strace.
    """
    if shutil.which("strace") is None:
        raise FileNotFoundError("there is no strace")
    config, path = directory / "calls.yml", directory / f"calls-{writer.slug}.h5"
    config.write_text(CONFIG.format(trials=trials))
    created = here.run(writer.ranks, "run", config, "-o", path, *writer.options, "--time-limit", "0.01s")
    assert created.returncode == 75, created.stderr  # the file is there, no trial is done
    log = path.with_suffix("")
    wrapper = f'exec strace -f -y -e trace={",".join(CALLS)} -o "$0.${{OMPI_COMM_WORLD_RANK:-${{PMI_RANK:-0}}}}" "$@"'
    command = here.command(writer.ranks, "run", config, "-o", path, *writer.options)
    at = command.index(here.python)
    done = here.execute([*command[:at], "bash", "-c", wrapper, str(log), *command[at:]])
    assert done.returncode == 0, done.stderr
    return [_counted(rank, log.with_name(f"{log.name}.{rank}"), path) for rank in range(max(1, writer.ranks))]


def _counted(rank: int, log: Path, path: Path) -> Calls:
    count: Counter[str] = Counter()
    begun: dict[str, str] = {}
    for line in log.read_text().splitlines():
        process, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[process] = text
            continue
        if text.startswith("<..."):
            text = begun.pop(process, "") + text
        found = re.match(r"(\w+)\(\d+<([^>]*)>", text)
        if not found or found[2] != str(path):
            continue
        if found[1] in ("fsync", "fdatasync"):
            count["syncs"] += 1
        else:
            n_bytes = int(text.rpartition("=")[2].split()[0])
            count["large" if n_bytes >= LARGE else "small"] += 1
            count["bytes"] += n_bytes
    return Calls(rank, count["large"], count["small"], count["syncs"], count["bytes"])
