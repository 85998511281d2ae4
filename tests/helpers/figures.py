"""Fewer and smaller figures, for tests of what happens around them."""

from __future__ import annotations

import pytest

from hpcmass.plots import style
from hpcmass.plots.sheets import SHEETS


def draw_fewer(monkeypatch: pytest.MonkeyPatch, *sheets: str) -> None:
    """Of all sheets draw these alone, besides the overview and the traces, and with few pixels, until the test ends."""
    monkeypatch.setitem(style._RC, "savefig.dpi", 40)
    for name in [name for name in SHEETS if name not in sheets]:
        monkeypatch.delitem(SHEETS, name)
