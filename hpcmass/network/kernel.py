"""The decorator of every compiled function of the network."""

from __future__ import annotations

from typing import Any

from hpcmass.compiled import compiled

kernel: Any = compiled(_nrt=False)
"""Compile a function that allocates nothing.

Without numba's runtime no array that is passed on is counted up and down; in a loop that calls a dozen functions a
step, the counting took a fifteenth of the time.
"""
