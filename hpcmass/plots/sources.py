"""The files that figures are drawn from: a comparison, and the sweep that it compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hpcmass.configfile import parse_experiment
from hpcmass.errors import UserError
from hpcmass.plots.plane import cut_plane
from hpcmass.plots.view import View
from hpcmass.store.labelled import open_comparison
from hpcmass.store.parts import SweepParts


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
    with open_comparison(path) as data:
        experiment = parse_experiment(str(data.attrs["config_yaml"]), f"the configuration in {path}")
        yield View(Path(path), data, cut_plane(data, axes, held), experiment)


@contextmanager
def open_sweep_of(view: View, paths: Sequence[Path]) -> Iterator[SweepParts | None]:
    """The sweep that `view` compares.

    Parameters
    ----------
    view : View
    paths : sequence of Path
        Its file or files; none: it is looked for where it was when it was compared, and None is yielded where it is no
        longer there.

    Raises
    ------
    UserError
        If `paths` are not sweep files, or another sweep than the one compared.
    """
    with ExitStack() as stack:
        if paths:
            sweep = stack.enter_context(SweepParts(paths))
            if sweep.uuid != str(view.data.attrs["sweep_uuid"]):
                raise UserError(f"{sweep.name} is not the sweep that was compared; name that one, or leave it out")
            yield sweep
        else:
            yield _sweep_where_it_was(view, stack)


def _sweep_where_it_was(view: View, stack: ExitStack) -> SweepParts | None:
    """The compared sweep, if its files are still where the comparison says (relative to itself)."""
    noted = str(view.data.attrs.get("sweep_path", ""))
    with suppress(UserError):
        sweep = stack.enter_context(SweepParts([view.path.parent / name for name in noted.splitlines()]))
        if sweep.uuid == str(view.data.attrs["sweep_uuid"]):
            return sweep
    return None
