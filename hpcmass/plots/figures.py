"""All figures of one comparison, by name."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from matplotlib.figure import Figure

from hpcmass.plots.examples import traces
from hpcmass.plots.sheets import SHEETS, overview, sheet
from hpcmass.plots.view import View
from hpcmass.store.parts import SweepParts

OVERVIEW = "overview"
TRACES = "traces"
NAMES = (OVERVIEW, *SHEETS, TRACES)


def names_of(view: View) -> tuple[str, ...]:
    """The figures that are drawn unless others are asked for: a map of one point would say nothing."""
    return (TRACES,) if view.plane.shape == (1, 1) else NAMES


def all_figures(
    view: View, sweep: SweepParts | None = None, names: Collection[str] = NAMES
) -> Iterator[tuple[str, Figure]]:
    """Name and figure of all statistics in the file, one at a time so that only one is in memory.

    `names`: only these.
    """
    if OVERVIEW in names:
        yield OVERVIEW, overview(view)
    for name in SHEETS:
        figure = sheet(view, name) if name in names else None
        if figure is not None:
            yield name, figure
    examples = traces(view, sweep) if TRACES in names else None
    if examples is not None:
        yield TRACES, examples
