"""The decorator of every compiled function of the network."""

from __future__ import annotations

from typing import Any

from numba import njit

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "_nrt": False}

kernel: Any = njit(**_OPTIONS)
"""Compile a function that allocates nothing.

Without numba's runtime no array that is passed on is counted up and down; in a loop that calls a dozen functions a
step, the counting took a fifteenth of the time.
"""
