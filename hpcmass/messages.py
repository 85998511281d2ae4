"""What is said beside results: one line a message on standard error, behind the program's name."""

from __future__ import annotations

import sys


def say(message: str) -> None:
    """Write a message; standard output is for results alone."""
    print(f"hpcmass: {message}", file=sys.stderr, flush=True)
