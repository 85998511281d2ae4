"""The decorator of every compiled function of the network."""

from __future__ import annotations

from typing import Any

from hpcmass.compiled import compiled

kernel: Any = compiled(_nrt=False)
"""Compile a function that allocates nothing.

Numba's runtime is off: it would count references to every array passed on, which took a fifteenth of the time in a
loop that calls a dozen functions a step.
"""
