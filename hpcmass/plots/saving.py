"""Writing figures: atomically, and never over an existing one unless asked."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from hpcmass.errors import UserError
from hpcmass.plots.style import TEXT_STAYS_TEXT, house_style
from hpcmass.text import readable

FORMATS: Final = ("png", "svg", "pdf")
_REPRODUCIBLE: Final[dict[str, dict[str, Any]]] = {
    "png": {},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}
"""Metadata without dates: the same data give the same file."""
NOTEBOOK_DPI: Final = 80
"""A whole page then fits into a notebook's column."""


class Picture(Figure):
    """A figure that a notebook shows as the last line of a cell, whether or not `%matplotlib inline` was run."""

    def savefig(self, *arguments: Any, **details: Any) -> None:
        """As matplotlib's; text in SVG and PDF stays text, whatever the settings say."""
        with mpl.rc_context(TEXT_STAYS_TEXT):  # type: ignore[arg-type]
            super().savefig(*arguments, **details)

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        with house_style():
            self.savefig(drawn, format="png", dpi=NOTEBOOK_DPI)
        return drawn.getvalue()


def save(figure: Figure, path: Path, *, force: bool = False, dpi: float | None = None) -> Path:
    """Write a figure under a temporary name and rename it, so that no half-written one is left.

    The suffix of the path picks one of `FORMATS`; `force` replaces a file that is there; `dpi` without a value is the
    style's.
    """
    kind = checked_kind(path)
    refuse_existing([path], force)
    with _replacing(path) as growing:
        options = _REPRODUCIBLE[kind] | ({} if dpi is None else {"dpi": dpi})
        figure.savefig(growing, format=kind, **options)
    return path


def checked_kind(path: Path) -> str:
    """The format that the ending of a figure's name says."""
    kind = path.suffix.removeprefix(".")
    if kind not in FORMATS:
        raise UserError(f"{path}: figures end in .{', .'.join(FORMATS)}; give one of these endings")
    return kind


def save_text(text: str, path: Path) -> Path:
    """Write a text file in the same way; a lone surrogate, as in a file name, is escaped."""
    with _replacing(path) as growing:
        growing.write_text(readable(text), encoding="utf-8")
    return path


def make_directory(directory: Path) -> None:
    """Make the directory for figures, if its parent exists."""
    if directory.exists() and not directory.is_dir():
        raise UserError(f"cannot write figures into {directory}: it is a file; give a directory")
    if not directory.parent.is_dir():
        raise UserError(f"cannot make {directory}: the directory {directory.parent} does not exist; create it first")
    try:
        directory.mkdir(exist_ok=True)
    except OSError as error:
        raise _cannot("make", directory, error) from None


def refuse_existing(paths: Iterable[Path], force: bool) -> None:
    """Refuse to replace figures, before anything is drawn."""
    existing = next((path for path in paths if path.exists()), None)
    if existing is not None and not force:
        raise UserError(f"{existing} exists; give another path, or --force (in Python force=True) to replace it")


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """`formats` without repetitions."""
    for kind in formats:
        if kind not in FORMATS:
            raise UserError(f"unknown figure format '{kind}'; choose from {', '.join(FORMATS)}")
    return tuple(dict.fromkeys(formats))


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A path beside it, which takes its place when the block ends without an error."""
    growing = path.with_name(f".{path.name}.{os.getpid()}.growing")
    try:
        yield growing
        os.replace(growing, path)
    except OSError as error:
        raise _cannot("write", path, error) from None
    finally:
        growing.unlink(missing_ok=True)


def _cannot(what: str, path: Path, error: OSError) -> UserError:
    return UserError(f"cannot {what} {path}: {(error.strerror or str(error)).lower()}")
