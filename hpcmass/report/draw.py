"""What `hpcmass plot` writes: all figures of one comparison, and the report page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hpcmass.errors import UserError
from hpcmass.messages import logger
from hpcmass.nearest import did_you_mean
from hpcmass.plots.figures import NAMES, all_figures, names_of
from hpcmass.plots.saving import check_formats, make_directory, refuse_existing, save
from hpcmass.plots.style import house_style
from hpcmass.plots.view import open_sweep_of, open_view
from hpcmass.report.curves import Solver
from hpcmass.report.page import write_report

REPORT = "report.html"
MAPS = (*NAMES, "report")
"""What can be drawn, by name."""


def draw(
    comparison_path: str | Path,
    output_dir: str | Path,
    *,
    sweep_paths: Sequence[Path] = (),
    formats: Sequence[str] = ("png",),
    axes: tuple[str, str] | None = None,
    fixed: Mapping[str, float] | None = None,
    maps: Sequence[str] = (),
    models: Sequence[str] = (),
    force: bool = False,
    solver: Solver | None = None,
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
    maps : sequence of str, optional
        Any of `MAPS`: only these are drawn. Without it all; of one point the traces and the page.
    models : sequence of str, optional
        Mass models that the figures show, in this order; the overview shows the first. The report page has all models.
    force : bool
        Replace figures that exist.
    solver : callable, optional
        Solves the models again for the report page; it then has their potentials in further trials.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UserError
        If a file cannot be read or is another one than it should be, if the sweep is not the one compared, if there is
        no such map or model, or if a figure exists and `force` is not given.
    """
    directory = Path(output_dir)
    kinds = check_formats(formats)
    names = _checked(maps)
    report = [REPORT] if "report" in names else []
    wanted = [f"{name}.{kind}" for name in names if name in NAMES for kind in kinds]
    refuse_existing((directory / name for name in (*wanted, *report)), force)
    with open_view(comparison_path, axes, fixed) as view, open_sweep_of(view, sweep_paths) as sweep, house_style():
        shown = view.of_models(models) if models else view
        names = names if maps else names_of(view)
        make_directory(directory)  # only now: a wrong input leaves nothing behind
        written = [
            save(figure, directory / f"{name}.{kind}", force=force)
            for name, figure in all_figures(shown, sweep, names)
            for kind in kinds
        ]
        for name in maps:
            if name in NAMES and directory / f"{name}.{kinds[0]}" not in written:
                logger.warning(f"there is no {name} in {comparison_path}: nothing is drawn for it")
        return [*written, *(write_report(view, sweep, directory / name, solver) for name in report)]


def _checked(maps: Sequence[str]) -> tuple[str, ...]:
    """The names in the order of `MAPS`; all where none is given."""
    for name in maps:
        if name not in MAPS:
            hint = did_you_mean(name, MAPS) or f"choose from {', '.join(MAPS)}"
            raise UserError(f"there is no map '{name}'; {hint}")
    return tuple(name for name in MAPS if name in maps or not maps)
