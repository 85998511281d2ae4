"""Files with random damage for every command that reads: it may go unnoticed, or be one sentence and exit code 2."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
from harness import Installation

PATIENCE_S = 60
"""For one command on one file."""

PROGRAM = f"""\
import ctypes, gc, json, os, signal, sys
import h5py, h5netcdf, matplotlib.figure, numba, scipy.signal, scipy.stats, xarray
import hpcmass.commands, hpcmass.compare, hpcmass.report, hpcmass.store.check, hpcmass.store.merge, hpcmass.sweep.run
from hpcmass.cli import main
gc.freeze()
for line in sys.stdin:
    label, words, printed = json.loads(line)
    pid = os.fork()
    if pid == 0:
        out = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(out, 2)
        sys.argv = ["hpcmass", *words]
        signal.alarm({PATIENCE_S})
        try:
            code = main()
        except SystemExit as end:
            code = end.code
        except BaseException:
            sys.excepthook(*sys.exc_info())
            code = 1
        sys.stderr.flush()
        ctypes.CDLL(None).exit(code)  # HDF5 closes its files; taking Python apart would take longer than the command
    _, status = os.waitpid(pid, 0)
    print(json.dumps([label, os.waitstatus_to_exitcode(status)]), flush=True)
"""
"""Every command in a separate process, forked after the imports, which take longer than the command."""

SLOW_EVERY = 8
"""Of so many files one is drawn, too."""

HARMLESS = (0, 2, 3, 75)
"""Exit codes of a command that has not noticed the damage, reports it, or lacks trials."""


@dataclass
class Damaged:
    """What commands made of damaged files."""

    files: int = 0
    tries: int = 0
    noticed: int = 0
    """tries that ended with exit code 2"""
    crashed: Counter[str] = field(default_factory=Counter)
    """tries that ended with a signal, by the signal: HDF5 is not safe from damage; SIGALRM where it took too long"""
    problems: list[str] = field(default_factory=list)
    """what ended neither harmlessly nor with a signal"""

    @property
    def clean(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        crashed = ", ".join(f"{n} ended by {name}" for name, n in self.crashed.items()) or "0 ended by a signal"
        happened = f"{self.files} files, {self.tries} tries, {self.noticed} refused with one sentence: {crashed}"
        return "; ".join([f"{happened}, {len(self.problems)} otherwise", *self.problems])


def metadata_of(path: Path) -> list[int]:
    """Offsets of all bytes of an HDF5 file that are not the values of a dataset."""
    values = bytearray(path.stat().st_size)
    with h5py.File(path, "r", locking=False) as file:
        for dataset in file.values():
            if dataset.chunks is None:
                places = [(dataset.id.get_offset(), dataset.id.get_storage_size())]
            else:
                chunks = (dataset.id.get_chunk_info(i) for i in range(dataset.id.get_num_chunks()))
                places = [(chunk.byte_offset, chunk.size) for chunk in chunks]
            for begin, size in places:
                if begin is not None:
                    values[begin : begin + size] = b"\1" * size
    return [i for i, value in enumerate(values) if not value]


def spoil(data: bytearray, metadata: list[int], chance: random.Random) -> str:
    """Damage a file's bytes; returns how."""
    kind = chance.choice(["a bit of metadata", "bytes of metadata", "a run of metadata", "bytes", "a block", "cut"])
    if kind == "a bit of metadata":
        data[chance.choice(metadata)] ^= 1 << chance.randrange(8)
    elif kind == "bytes of metadata":
        for _ in range(chance.randint(1, 20)):
            data[chance.choice(metadata)] = chance.randrange(256)
    elif kind == "a run of metadata":
        begin, length = chance.choice(metadata), chance.randint(2, 600)
        end = min(begin + length, len(data))
        data[begin:end] = chance.choice([bytes(end - begin), b"\xff" * (end - begin), chance.randbytes(end - begin)])
    elif kind == "bytes":
        for _ in range(chance.randint(1, 1000)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == "a block":
        begin = 4096 * chance.randrange(len(data) // 4096)
        data[begin : begin + 4096] = bytes(min(4096, len(data) - begin))
    else:
        del data[chance.randrange(len(data)) :]
    return kind


def commands_for_sweep(bad: Path, good: Path, config: Path, comparison: Path, out: Path) -> dict[str, list[str]]:
    """Name → words of every command that reads a sweep."""
    listed: dict[str, list[object]] = {
        "status": ["status", bad],
        "status --json": ["status", "--json", bad],
        "check": ["check", bad],
        "check --resimulate": ["check", "--resimulate", 1, bad],
        "compare": ["compare", bad, "-o", out / "cmp.h5"],
        "merge": ["merge", "-o", out / "merged.h5", bad],
        "merge --partial of two": ["merge", "--partial", "-o", out / "merged-2.h5", good, bad],
        "merge --pack": ["merge", "--pack", "-o", out / "packed.h5", bad],
        "run --reuse": ["run", config, "-o", out / "run.h5", "--reuse", bad],
        "plot --sweep": ["plot", comparison, "-o", out / "maps", "--sweep", bad],
        "run": ["run", config, "-o", bad],  # the last: it continues the damaged file
    }
    return {name: list(map(str, words)) for name, words in listed.items()}


def commands_for_comparison(bad: Path, good: Path, out: Path) -> dict[str, list[str]]:
    """Name → words of every command that reads a comparison."""
    listed: dict[str, list[object]] = {
        "plot": ["plot", bad, "-o", out / "maps"],
        "compare": ["compare", good, "-o", bad],
    }
    return {name: list(map(str, words)) for name, words in listed.items()}


def random_damage(
    here: Installation,
    spoiled: Path,
    commands: Callable[[Path, Path], dict[str, list[str]]],
    directory: Path,
    *,
    files: int,
    chance: random.Random,
) -> Damaged:
    """Damage a good file so many times and give it to every command.

    Parameters
    ----------
    spoiled : Path
        The good file, of which copies are damaged.
    commands : callable
        From the damaged file and a directory for outputs, the commands by name.
    """
    found = Damaged()
    metadata, whole = metadata_of(spoiled), spoiled.read_bytes()
    printed = directory / "printed.txt"
    with subprocess.Popen(
        [here.python, "-c", PROGRAM], env=here.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for number in range(files):
            place = directory / f"damaged-{number}"
            bad, out = place / "bad.h5", place / "out"
            out.mkdir(parents=True)
            data = bytearray(whole)
            kind = spoil(data, metadata, chance)
            found.files += 1
            kept = False
            listed = commands(bad, out)
            if number % SLOW_EVERY:
                listed = {name: words for name, words in listed.items() if not name.startswith("plot")}
            for name, words in listed.items():
                bad.write_bytes(data)
                server.stdin.write(json.dumps([f"{number} {name}", words, str(printed)]) + "\n")
                server.stdin.flush()
                _, code = json.loads(server.stdout.readline())
                text = printed.read_text(errors="replace").strip()
                found.tries += 1
                found.noticed += code == 2
                writes = "-o" in words and words[words.index("-o") + 1] == str(bad)
                if not writes and bad.read_bytes() != data:
                    found.problems.append(f"{kind} ({number}), {name}: the file was changed")
                told = code != 2 or text.rpartition("\n")[2].startswith("hpcmass")
                if code < 0:
                    found.crashed[signal.Signals(-code).name] += 1
                elif code not in HARMLESS or "Traceback" in text or not told:
                    found.problems.append(f"{kind} ({number}), {name}: {code} {text[-900:]}")
                if code < 0 or code not in HARMLESS or "Traceback" in text or not told:
                    print(f"{kind} ({number}), {name}: {code} {text[-1500:]}", flush=True)
                    kept = True
            if kept:
                bad.write_bytes(data)
                shutil.rmtree(out)
            else:
                shutil.rmtree(place)
    return found
