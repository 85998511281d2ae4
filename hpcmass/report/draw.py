"""What `hpcmass plot` writes: all figures of one comparison, and the report page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hpcmass.plots.figures import NAMES, all_figures
from hpcmass.plots.saving import check_formats, make_directory, refuse_existing, save
from hpcmass.plots.style import house_style
from hpcmass.plots.view import open_sweep_of, open_view
from hpcmass.report.page import write_report

REPORT = "report.html"


def draw(
    comparison_path: str | Path,
    output_dir: str | Path,
    *,
    sweep_paths: Sequence[Path] = (),
    formats: Sequence[str] = ("png",),
    axes: tuple[str, str] | None = None,
    fixed: Mapping[str, float] | None = None,
    force: bool = False,
) -> list[Path]:
    """Draw every map of a comparison and example traces, and write the report page.

    Parameters
    ----------
    comparison_path : path
        A comparison file.
    output_dir : path
        Directory for the files; created if its parent exists.
    sweep_paths : sequence of Path, optional
        The file or files of the sweep that was compared: with it the example traces show the recorded input too. By
        default the path stored in the comparison is used.
    formats : sequence of str
        Any of `png`, `svg`, `pdf`.
    axes, fixed : optional
        Swept axes to show to the right and upwards, and values of the others, as in `plane.cut_plane`.
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
    kinds = check_formats(formats)
    wanted = [f"{name}.{kind}" for name in NAMES for kind in kinds]
    refuse_existing((directory / name for name in (*wanted, REPORT)), force)
    with open_view(comparison_path, axes, fixed) as view, open_sweep_of(view, sweep_paths) as sweep, house_style():
        make_directory(directory)  # only now: a wrong input leaves nothing behind
        written = [
            save(figure, directory / f"{name}.{kind}", force=force)
            for name, figure in all_figures(view, sweep)
            for kind in kinds
        ]
        return [*written, write_report(view, sweep, directory / REPORT)]
