"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

CUTOFF: Final = 0.5
"""Similarity, of 1, from which a key, a command or a model is suggested."""

FILE_CUTOFF: Final = 0.75
"""Likewise for a file: names in a directory are often similar."""

MOST_FILES: Final = 10_000
"""Most names of a directory that are compared."""

ENDINGS: Final = (".yml", ".yaml", ".h5")
"""Of configurations and result files."""


def nearest(name: str, known: Iterable[str], *, cutoff: float = CUTOFF) -> str | None:
    """The known name most like `name`, one that differs in case alone first; None if none is like it."""
    known = list(known)
    same = [k for k in known if k.casefold() == name.casefold()]
    return next(iter(same or difflib.get_close_matches(name, known, n=1, cutoff=cutoff)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """`did you mean 'trials'?`, or None."""
    near = nearest(name, known)
    return f"did you mean '{near}'?" if near else None


def nearest_file(path: Path) -> Path | None:
    """The existing file most like `path`, in its directory; None if there is none.

    It has the same ending, or the same name with another ending of ours.
    """
    try:
        with os.scandir(path.parent) as entries:
            there = [path.with_name(e.name) for e in islice(entries, MOST_FILES) if e.is_file()]
    except OSError:
        return None
    same_kind = {p.stem: p for p in there if p.suffix.casefold() == path.suffix.casefold() and p.name != path.name}
    near = nearest(path.stem, same_kind, cutoff=FILE_CUTOFF)
    if near is not None:
        return same_kind[near]
    return next((p for p in sorted(there) if p.suffix in ENDINGS and p.stem in (path.stem, path.name)), None)


def missing_file(path: Path) -> str:
    """What to do where there is no file `path`: take the one of a similar name, if any."""
    near = nearest_file(path)
    return f"did you mean {near}?" if near is not None else "check the name"
