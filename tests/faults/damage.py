"""Damaged and foreign files: every command answers with one sentence and exit code 2, and changes nothing."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from harness import Installation

Spoil = Callable[[Path], None]


def _edit(change: Callable[[h5py.File], object]) -> Spoil:
    def spoil(path: Path) -> None:
        with h5py.File(path, "r+", locking=False) as file:
            change(file)

    return spoil


def _cut(share: float) -> Spoil:
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def _overwrite(begin: int, content: bytes) -> Spoil:
    def spoil(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[begin : begin + len(content)] = content
        path.write_bytes(bytes(data))

    return spoil


def _foreign(path: Path) -> None:
    path.unlink()
    with h5py.File(path, "w") as file:
        file["measurement"] = np.arange(10)


def _replace_dataset(name: str, data: np.ndarray) -> Spoil:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = data

    return _edit(change)


def _delete(name: str) -> Spoil:
    def change(file: h5py.File) -> None:
        del file[name]

    return _edit(change)


def _attribute(name: str, value: object) -> Spoil:
    def change(file: h5py.File) -> None:
        if value is None:
            del file.attrs[name]
        else:
            file.attrs[name] = value

    return _edit(change)


def _part(text: str, trials: object) -> Spoil:
    def change(file: h5py.File) -> None:
        file.attrs["part"], file.attrs["part_trials"] = text, trials

    return _edit(change)


def _group_for_trace(file: h5py.File) -> None:
    del file["phi_E"]
    file.create_group("phi_E")


def _as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Spoil] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("p, lam\n0.1, 0.5\n"),
    "an image": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500)),
    "random bytes": lambda path: path.write_bytes(random.Random(1).randbytes(50_000)),
    "zeros": lambda path: path.write_bytes(bytes(50_000)),
    "cut to 100 bytes": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "cut to 10 %": _cut(0.1),
    "cut to half": _cut(0.5),
    "cut by its last percent": _cut(0.99),
    "superblock overwritten": _overwrite(8, bytes(40)),
    "superblock's tail overwritten": _overwrite(48, b"\xff" * 48),
    "metadata overwritten": _overwrite(96, random.Random(2).randbytes(2000)),
    "metadata zeroed": _overwrite(512, bytes(4000)),
    "foreign HDF5": _foreign,
    "a directory": _as_directory,
    "no filetype": _attribute("filetype", None),
    "another filetype": _attribute("filetype", "hpcmass-parameters"),
    "a newer major version": _attribute("format_version", "9.0"),
    "no version": _attribute("format_version", "soon"),
    "no configuration": _attribute("config_yaml", None),
    "a broken configuration": _attribute("config_yaml", "grid: {p: [0.5"),
    "a configuration of another program": _attribute("config_yaml", "colour: red\n"),
    "no status": _delete("status"),
    "no axis": _delete("p"),
    "no trace": _delete("mean_v"),
    "status of another shape": _replace_dataset("status", np.zeros(3, "i1")),
    "no identity": _attribute("uuid", None),
    "no driver": _attribute("driver", None),
    "a part that cannot be": _attribute("part", "9/3"),
    "a part without its trials": _attribute("part", "1/3"),
    "a part with too many trials": _part("1/3", np.array([0, 10**6])),
    "a part with trials backwards": _part("1/3", np.array([20, 10])),
    "a part with a text for trials": _part("1/3", "all"),
    "errors of another type": _replace_dataset("error", np.zeros((5, 2, 4), "S240")),
    "numbers of another type": _replace_dataset("rate_E", np.zeros((5, 2, 4), "f4")),
    "an axis of text": _replace_dataset("lam", np.array([b"a", b"b"])),
    "time of another length": _replace_dataset("time", np.arange(7.0)),
    "a group in place of a trace": _edit(_group_for_trace),
    "a virtual file of format 1": _edit(lambda file: file.attrs.__setitem__("parts", ["a.h5", "b.h5"])),
}
"""Name → what is done to a good sweep file."""

AT_ONCE = 6
"""Files that one process tries."""

COMMANDS = """\
import contextlib, io, json, sys
from hpcmass.cli import main
good, config, comparison, *places = sys.argv[1:]
for here in places:
    bad = here + "/bad.h5"
    commands = {
        "status": ["status", bad],
        "check": ["check", bad],
        "compare": ["compare", bad, "-o", here + "/out-cmp.h5"],
        "status of two": ["status", good, bad],
        "check of two": ["check", good, bad],
        "compare two": ["compare", good, bad, "-o", here + "/out-cmp2.h5"],
        "merge": ["merge", "-o", here + "/out-merged.h5", good, bad],
        "merge into": ["merge", "-o", bad, good],
        "merge --pack": ["merge", "--pack", "-o", here + "/out-packed.h5", bad],
        "run": ["run", config, "-o", bad],
        "run --reuse": ["run", config, "-o", here + "/out-run.h5", "--reuse", bad],
        "plot": ["plot", bad, "-o", here + "/out-maps"],
        "plot --sweep": ["plot", comparison, "-o", here + "/out-maps", "--sweep", bad],
        "compare into": ["compare", good, "-o", bad],
        "validate": ["validate", bad],
        "plan": ["plan", bad],
        "trial": ["trial", config, "--p", "0.5", "--lam", "0.5", "-o", bad],
    }
    for name, words in commands.items():
        out, err = io.StringIO(), io.StringIO()
        print(json.dumps([here, name, None, ""]), flush=True)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(words)
        except SystemExit as stop:
            code = stop.code
        except BaseException as error:
            code = f"{type(error).__name__}: {error}"
        print(json.dumps([here, name, code, err.getvalue()]), flush=True)
"""


def damaged_files(
    here: Installation, good: Path, config: Path, comparison: Path, directory: Path, names: list[str] | None = None
) -> tuple[int, int, list[str]]:
    """Give damaged files to every command.

    Returns
    -------
    files, tries : int
    problems : list of str
        Commands that did not end with exit code 2 and one sentence.
    """
    problems = []
    places = {}
    contents = {}
    for name in names or list(DAMAGE):
        place = directory / f"damaged-{len(places)}"
        place.mkdir()
        shutil.copyfile(good, place / "bad.h5")
        DAMAGE[name](place / "bad.h5")
        places[str(place)] = name
        contents[str(place)] = (place / "bad.h5").read_bytes() if (place / "bad.h5").is_file() else b""
    outcomes: dict[tuple[str, str], tuple[object, str]] = {}
    waiting = list(places)
    while waiting:
        done = subprocess.run(
            [sys.executable, "-c", COMMANDS, *map(str, (good, config, comparison)), *waiting[:AT_ONCE]],
            env=here.env, capture_output=True, text=True, timeout=1200, check=False,
        )  # fmt: skip
        seen = set()
        for line in done.stdout.splitlines():
            place, command, code, printed = json.loads(line)
            outcomes[place, command] = (code, printed)
            seen.add(place)
        if not seen:
            raise AssertionError(done.stderr)
        waiting = [place for place in waiting if place not in seen]  # what a crash has kept from being tried
    for (place, command), (code, printed) in outcomes.items():
        lines = printed.strip().splitlines()
        if code != 2 or len(lines) != 1 or "Traceback" in printed:
            what = f"crashed: {done.stderr[-200:]}" if code is None else code
            problems.append(f"{places[place]}, {command}: {what} {printed.strip()[:300]}")
    for place, name in places.items():
        bad = Path(place) / "bad.h5"
        if bad.is_file() and bad.read_bytes() != contents[place]:
            problems.append(f"{name}: the file was changed")
        if left := [p.name for p in Path(place).iterdir() if p.name not in ("bad.h5", "out-maps")]:
            problems.append(f"{name}: left behind {left}")
    return len(places), len(outcomes), problems


def broken_checksum(here: Installation, good: Path, directory: Path) -> str:
    """Every reader notices one changed byte of a trace in a packed file.

    Returns
    -------
    str
        Deviations; empty if there are none.
    """
    packed = directory / "flipped.h5"
    here.run(0, "merge", "--pack", "-o", packed, good)
    with h5py.File(packed, "r") as file:
        chunk = file["mean_v"].id.get_chunk_info(3)
    data = bytearray(packed.read_bytes())
    data[chunk.byte_offset + chunk.size // 2] ^= 1
    packed.write_bytes(bytes(data))
    checked = here.run(0, "check", packed)
    compared = here.run(0, "compare", packed, "-o", directory / "flipped-cmp.h5")
    return (
        ""
        if (checked.returncode, compared.returncode) == (2, 2) and "Traceback" not in compared.stderr
        else (f"{checked.returncode} {checked.stderr[-200:]}; {compared.returncode} {compared.stderr[-300:]}")
    )
