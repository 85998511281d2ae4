"""Whether the compiler used vector registers, read from the machine code of the hot loops.

The code can be read only in the process that compiled it, so the result is stored beside the compiled kernels, for the
processes that load them.
"""

from __future__ import annotations

import json
import logging
import re
from functools import cache
from pathlib import Path
from typing import Any

from hpcmass.kernel_cache import cache_of
from hpcmass.network.lanes import draw_normals
from hpcmass.network.neurons import advance

logger = logging.getLogger(__name__)

HOT_LOOPS: dict[str, Any] = {"noise": draw_normals, "neurons": advance}
NOTE = "vector-registers.json"

_ARITHMETIC = r"\bv?(add|mul|fn?m(add|sub)\d+)ps\b.*%"
_PACKED = {
    512: _ARITHMETIC + "zmm",
    256: _ARITHMETIC + "ymm",
    128: _ARITHMETIC + r"xmm|\bfm(la|ul)\b.*\.4s",
}
_FMA_CALL = r"\b(call|bl)\w*\b.*\bfmaf?\b|\$fmaf\b"


def register_bits(code: str) -> int:
    """Width of the widest vector registers that the assembly computes floats in; 0 for scalar code.

    A fused multiply-add that is a function call instead of an instruction counts as scalar code: it is as slow.
    """
    if re.search(_FMA_CALL, code):
        return 0
    return max((bits for bits, pattern in _PACKED.items() if re.search(pattern, code)), default=0)


def hot_loop_registers() -> dict[str, int | None]:
    """Width in bits for each hot loop that this process has run; None where nothing is known."""
    directory = cache_of(Path(__file__).parent).directory
    note = None if directory is None else directory / NOTE
    found: dict[str, int | None] = {**dict.fromkeys(HOT_LOOPS), **_read(note)}
    fresh = {
        name: register_bits("\n".join(loop.inspect_asm().values()))
        for name, loop in HOT_LOOPS.items()
        if loop.overloads and not loop.stats.cache_hits  # else it was compiled by another process
    }
    if fresh:
        found.update(fresh)
        try:
            if note is not None:
                note.write_text(json.dumps(found))
        except OSError:
            logger.debug("cannot store the vector widths in %s", note)
    return found


@cache
def warn_if_scalar() -> None:
    """Log a warning for each hot loop that the compiler left scalar: results are right, trials several times slower.

    Once per process.
    """
    for name, bits in hot_loop_registers().items():
        if bits == 0:
            logger.warning(
                "the %s loop runs without vector instructions on this processor: expect trials to be several times "
                "slower (NUMBA_CPU_NAME and NUMBA_CPU_FEATURES, if set, may be the reason)",
                name,
            )


def _read(note: Path | None) -> dict[str, int | None]:
    """The stored widths; empty if the file is missing or damaged."""
    try:
        found = json.loads(note.read_text()) if note is not None else {}
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {k: v for k, v in found.items() if k in HOT_LOOPS and (v is None or isinstance(v, int))}
