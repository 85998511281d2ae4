"""Fewer and smaller figures, for tests of what happens around them."""

from __future__ import annotations

import pytest

from hpcmass.plots import figures, sheets, style


def draw_fewer(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Of all sheets draw these alone, besides the overview and the traces, and with few pixels, until the test ends."""
    monkeypatch.setitem(style._RC, "savefig.dpi", 40)
    few = {name: sheets.SHEETS[name] for name in names}
    for module in (sheets, figures):  # a dict that entries are taken from and put back to has another order
        monkeypatch.setattr(module, "SHEETS", few)
