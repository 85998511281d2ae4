"""The files that figures are drawn from: a comparison, and the sweep that it compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from hpcmass.configfile import parse_experiment
from hpcmass.errors import UserError
from hpcmass.plots.plane import cut_plane
from hpcmass.plots.view import View
from hpcmass.store import reader
from hpcmass.text import name_of


@contextmanager
def open_view(
    path: str | Path, axes: tuple[str, str] | None = None, held: Mapping[str, float] | None = None
) -> Iterator[View]:
    """A comparison file, cut to a plane.

    Parameters
    ----------
    path : path
    axes, held : optional
        Axes shown and values of the others, as in `plane.cut_plane`.

    Raises
    ------
    UserError
        If it is no comparison file that this version reads, or has no such plane.
    """
    with reader.open_comparison(path) as data:
        experiment = parse_experiment(str(data.attrs["config_yaml"]), f"the configuration in {path}")
        yield View(Path(path), data, cut_plane(data, axes, held), experiment)


@contextmanager
def open_sweep_of(view: View, path: str | Path | None) -> Iterator[reader.SweepFile | None]:
    """The sweep that `view` compares.

    Parameters
    ----------
    view : View
    path : path or None
        None: it is looked for where it was when it was compared; if it is not there, None is yielded.

    Raises
    ------
    UserError
        If `path` is no sweep file, or another sweep than the one compared.
    """
    if path is None:
        path = _sweep_beside(view)
    if path is None:
        yield None
        return
    with reader.SweepFile(path) as sweep:
        if sweep.uuid != str(view.data.attrs["sweep_uuid"]):
            raise UserError(f"{path} is not the sweep that was compared; name that one, or leave it out")
        yield sweep


def _sweep_beside(view: View) -> Path | None:
    """The compared sweep, if it still lies where the comparison says (relative to itself)."""
    noted = view.data.attrs.get("sweep_path")
    if noted is None:
        return None
    for name in dict.fromkeys((str(noted), name_of(str(noted)))):
        path = view.path.parent / name
        with suppress(UserError), reader.SweepFile(path) as sweep:
            if sweep.uuid == str(view.data.attrs["sweep_uuid"]):
                return path
    return None
