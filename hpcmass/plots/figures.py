"""All figures of one comparison, as PNG files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

from hpcmass.plots.output import make_directory, refuse_existing, save
from hpcmass.plots.sheets import SHEETS, overview, sheet
from hpcmass.plots.sources import open_sweep_of, open_view
from hpcmass.plots.style import house_style
from hpcmass.plots.traces import traces
from hpcmass.plots.view import View
from hpcmass.store.reader import SweepFile

OVERVIEW = "overview"
TRACES = "traces"


def draw(
    comparison_path: str | Path,
    output_dir: str | Path,
    *,
    sweep_path: str | Path | None = None,
    force: bool = False,
) -> list[Path]:
    """Draw every map of a comparison, and example traces.

    Parameters
    ----------
    comparison_path : path
        A comparison file.
    output_dir : path
        Directory for the PNG files; created if its parent exists.
    sweep_path : path, optional
        The sweep that was compared: with it the example traces show the recorded input too. Without it, it is
        looked for where it was when it was compared.
    force : bool
        Replace figures that exist.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UserError
        If a file cannot be read or is another one than it should be, if the sweep is not the one compared, or if a
        figure exists and `force` is not given.
    """
    directory = Path(output_dir)
    wanted = [OVERVIEW, *SHEETS, TRACES]
    make_directory(directory)
    refuse_existing((directory / f"{name}.png" for name in wanted), force)
    with open_view(comparison_path) as view, open_sweep_of(view, sweep_path) as sweep, house_style():
        written = []
        for name, figure in _figures(view, sweep):
            path = directory / f"{name}.png"
            written.append(save(figure, path, force=force))
        return written


def _figures(view: View, sweep: SweepFile | None) -> Iterator[tuple[str, Figure]]:
    """Name and figure, one at a time so that only one is in memory."""
    yield OVERVIEW, overview(view)
    for name in SHEETS:
        yield name, sheet(view, name)
    examples = traces(view, sweep)
    if examples is not None:
        yield TRACES, examples
