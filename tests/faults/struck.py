"""`hpcmass` with a fault at a chosen moment, for moments that a signal from outside cannot hit reliably.

    python struck.py WHERE NUMBER run …

WHERE, each counted up to NUMBER:

    report    killed when trials are to be stored, before any of their numbers is written
    status    killed just before a trial's status is written: its numbers are on the disk
    history   killed while the history of a sweep that is continued is written, the file being open; NUMBER even: after
              HDF5 has written it
    write     killed in the middle of a write: half of its bytes are in the file
    fill      the disk of the output fills up just before a write
    reserve   the disk of the output fills up just before a packed file is to grow

Only the process that stores trials or comparisons gets there: rank 0 of a sweep.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def die() -> None:
    """Act like SIGKILL from outside, now."""
    os.kill(os.getpid(), signal.SIGKILL)


def fill_disk() -> None:
    """Leave no byte of the disk of the output."""
    from ballast import fill

    fill(Path(sys.argv[sys.argv.index("-o") + 1]).parent, 0)


def before(owner: Any, name: str, number: int, action: Callable[[], None]) -> None:
    """Let a function act before its call of that number."""
    function, calls = getattr(owner, name), itertools.count(1)

    def replacement(*args: Any, **options: Any) -> Any:
        if next(calls) == number:
            action()
        return function(*args, **options)

    setattr(owner, name, replacement)


def torn(number: int) -> None:
    """Die in the middle of the write of that number."""
    pwrite, calls = os.pwrite, itertools.count(1)

    def replacement(descriptor: int, data: Any, offset: int) -> int:
        if next(calls) == number:
            pwrite(descriptor, memoryview(data)[: len(memoryview(data)) // 2], offset)
            die()
        return pwrite(descriptor, data, offset)

    os.pwrite = replacement


def strike(where: str, number: int) -> None:
    """Prepare the fault."""
    import h5py

    import hpcmass.store.merge
    import hpcmass.sweep.prepare
    from hpcmass.store.files import RawFile
    from hpcmass.store.writer import SweepWriter

    if where == "report":
        before(SweepWriter, "store", number, die)
    elif where == "status":
        put = RawFile.put
        calls = itertools.count(1)

        def replacement(self: RawFile, name: str, index: tuple[int, ...], value: Any) -> None:
            if name == "status" and next(calls) == number:
                die()
            put(self, name, index, value)

        RawFile.put = replacement  # type: ignore[method-assign]
    elif where == "history":
        append = hpcmass.sweep.prepare.append_history

        def appended(file: h5py.File, what: str) -> None:
            append(file, what)
            if number % 2 == 0:
                file.flush()
            die()

        hpcmass.sweep.prepare.append_history = appended
    elif where == "write":
        torn(number)
    elif where == "fill":
        before(os, "pwrite", number, fill_disk)
    elif where == "reserve":
        before(hpcmass.store.merge, "reserve", number, fill_disk)
    else:
        raise SystemExit(f"{where}: no such moment")


if __name__ == "__main__":
    where, number = sys.argv[1], int(sys.argv[2])
    del sys.argv[1:3]
    strike(where, number)
    from hpcmass.cli import main

    sys.exit(main())
