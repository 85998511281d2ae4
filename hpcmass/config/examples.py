"""The example configurations: in the checkout's `configs/`, with a wheel in `share/hpcmass/configs/`."""

from __future__ import annotations

import sys
from pathlib import Path

from hpcmass.errors import UserError
from hpcmass.nearest import did_you_mean

CHECKOUT = Path(__file__).resolve().parents[2] / "configs"
INSTALLED = Path(sys.prefix) / "share" / "hpcmass" / "configs"


def examples() -> dict[str, Path]:
    """Name → file, in alphabetical order."""
    found = (sorted(directory.glob("*.yml")) for directory in (CHECKOUT, INSTALLED))
    return {path.stem: path for path in next(filter(None, found), [])}


def example(name: str) -> str:
    """The text of an example.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    known = examples()
    if name not in known:
        hint = did_you_mean(name, list(known)) or f"choose from {', '.join(known)}"
        raise UserError(f"there is no example '{name}'; {hint}" if known else "the example configurations are missing")
    return known[name].read_text(encoding="utf-8")
