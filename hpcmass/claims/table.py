"""The claims of one or more comparisons: a table of readings and claims, for people and for programs."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hpcmass.claims.criteria import CANNOT_TELL, CLAIMS, FAILS, HOLDS
from hpcmass.claims.readings import RESAMPLES, SEED, Reading, Verdict, at_text, planes_of, reading_of
from hpcmass.errors import UserError
from hpcmass.plots.view import View, open_view
from hpcmass.text import counted, one_line

if TYPE_CHECKING:
    import pandas as pd

WIDTH: Final = 100
"""Letters in a line."""

SYMBOLS: Final = {HOLDS: "+", FAILS: "x", CANNOT_TELL: "?"}

LEAST_LABEL: Final = 16
"""Letters of the column of readings below which these get lines of their own."""

HEADING: Final = "The paper's six claims"

LEGEND: Final = {
    "": "+ holds, x fails, ? cannot tell; then the certainty of that; the numbers below are",
    "1": "rows that pass to synchrony / rows that spike",
    "2": "% of points inside the contour of rho, de-synchronised | onset | fast synchrony, of CFM and MFM the one "
    "further from the claim; 2a: de-synchronised points that spike, 2b: all of them",
    "3": "% of points at which CFM and MFM are on the same side of the contour of rho, chi-squared",
    "4": "% of points inside the contour of chi-squared of CFM, MFM; multiples of the total count C for which the "
    "claim holds",
    "5": "% of points inside the contour of rho of CFM, MFM: synchronised ones | small p",
    "6": "rows whose lag changes at the jump of the rate / rows that start silent and have a lag on both sides of the "
    "jump",
}
"""What the cells of the table mean."""


@dataclass(frozen=True)
class ComparedFile:
    """The readings of one comparison.

    Attributes
    ----------
    path : Path
    label : str
        Its title, or its name where others have the same title, or what the user calls it.
    readings : list of Reading
    """

    path: Path
    label: str
    readings: list[Reading]

    def label_of(self, reading: Reading) -> str:
        """A reading's own label: the values of the further axes that vary; empty if there is one reading."""
        varying = [name for name in reading.at if len({each.at[name] for each in self.readings}) > 1]
        return at_text({name: reading.at[name] for name in varying})


@dataclass(frozen=True)
class ClaimsTable:
    """The claims of one or more comparisons; `print` shows it as `hpcmass claims` does.

    Attributes
    ----------
    files : list of ComparedFile
    """

    files: list[ComparedFile]

    @property
    def readings(self) -> list[tuple[str, Reading]]:
        """Every reading with its whole label."""
        return [
            (": ".join(filter(None, (file.label, file.label_of(reading)))), reading)
            for file in self.files
            for reading in file.readings
        ]

    def text(self, *, width: int = WIDTH, details: bool | None = None) -> str:
        """For people.

        Parameters
        ----------
        width : int
            Letters in a line.
        details : bool, optional
            Every claim of every reading in words; without it only if there is one reading.
        """
        readings = self.readings
        details = len(readings) == 1 if details is None else details
        lines = [] if len(readings) == 1 else [HEADING, "", *table_lines(self.files, width)]
        if details:
            for label, reading in readings:
                title = label if len(readings) > 1 else one_reading_label(label, reading)
                lines += ["", *textwrap.wrap(title, width), *detail_lines(reading, width)]
        return "\n".join(lines).strip("\n")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "readings": [
                {"reading": label, "file": str(file.path), **asdict(reading)}
                for (label, reading), file in zip(self.readings, self._file_of_each(), strict=True)
            ]
        }

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each reading and claim."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """A row for each reading and claim: label, file, further axes, claim, verdict, certainty, numbers."""
        axes = list(dict.fromkeys(name for _, reading in self.readings for name in reading.at))
        return [
            {
                "reading": label,
                "file": str(file.path),
                **{axis: reading.at.get(axis) for axis in axes},
                "claim": claim.claim,
                "verdict": claim.verdict,
                "certainty": claim.certainty,
                "short": claim.short,
                "numbers": claim.numbers,
            }
            for (label, reading), file in zip(self.readings, self._file_of_each(), strict=True)
            for claim in reading.claims
        ]

    def _file_of_each(self) -> list[ComparedFile]:
        return [file for file in self.files for _ in file.readings]

    def __str__(self) -> str:
        return self.text()


def one_reading_label(label: str, reading: Reading) -> str:
    """The label of the only reading, with the values of axes that do not vary."""
    return f"{label}, at {at_text(reading.at)}" if reading.at else label


def detail_lines(reading: Reading, width: int = WIDTH) -> list[str]:
    """Every claim of a reading with its verdict, certainty and numbers in words."""
    points = counted(reading.points, "point")
    lines = hanging("", f"{reading.compared} of {points} compared; {reading.certainty_note}", width)
    for claim in reading.claims:
        start = f"{claim.claim:<2} {claim.verdict:<11} {claim.certainty_text:>5}  "
        lines += hanging(start, claim.text, width)
        lines += hanging(" " * len(start), claim.numbers, width)
    return lines


def table_lines(files: Sequence[ComparedFile], width: int = WIDTH) -> list[str]:
    """The table of readings and claims, with its legend."""
    columns = [claim.label for claim in CLAIMS]
    rows: list[tuple[str, list[tuple[str, str]]]] = []
    for file in files:
        several = len(file.readings) > 1
        if several and len(files) > 1:
            rows.append((file.label, []))
        for reading in file.readings:
            label = file.label_of(reading) if several else file.label
            indent = "  " if several and len(files) > 1 else ""
            rows.append((indent + label, [_cell(claim) for claim in reading.claims]))
    widths = [
        max(len(name), *(len(text) for _, cells in rows if cells for text in cells[k]))
        for k, name in enumerate(columns)
    ]
    room = width - sum(widths) - 2 * len(widths)
    own_lines = room < LEAST_LABEL
    longest = max(len(label) for label, cells in rows if cells)
    left = 2 if own_lines else min(room, longest)

    def line(label: str, texts: Iterable[str]) -> str:
        cells = "  ".join(f"{text:<{size}}" for text, size in zip(texts, widths, strict=True))
        return f"{label:<{left}}  {cells}".rstrip()

    lines = [line("", columns)]
    for label, cells in rows:
        if not cells or own_lines:
            lines += hanging("", label, width, "  ")
        if cells:
            labels = [] if own_lines else hanging("", label, left, "  ")
            both = [[cell[k] for cell in cells] for k in (0, 1)]
            blank = [""] * len(columns)
            for k in range(max(2, len(labels))):
                lines.append(line(labels[k] if k < len(labels) else "", both[k] if k < 2 else blank))
    notes = dict.fromkeys(reading.certainty_note for file in files for reading in file.readings)
    legend = [line for name, text in LEGEND.items() for line in hanging(f"{name:<2} ".lstrip(), text, width)]
    return [*lines, "", *legend, *(line for note in notes for line in hanging("", note, width))]


def _cell(claim: Verdict) -> tuple[str, str]:
    """Symbol and certainty; the numbers."""
    return f"{SYMBOLS[claim.verdict]} {claim.certainty_text.replace(' %', '%')}".rstrip(), claim.short


def hanging(start: str, text: str, width: int = WIDTH, indent: str | None = None) -> list[str]:
    """Text that begins with `start`, its further lines indented as far as that, or by `indent`."""
    return textwrap.wrap(
        text, width, initial_indent=start, subsequent_indent=" " * len(start) if indent is None else indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def check_claims(
    comparisons: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    labels: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> ClaimsTable:
    """Check the paper's six claims against one or more comparisons.

    Parameters
    ----------
    comparisons : path or sequence of paths
        Comparison files. Each combination of the values of further axes is a reading of its own.
    labels : sequence of str, optional
        What to call each file; without it its title.
    resamples : int
        Resamples of the trials, for the certainty of each verdict; 0: none.
    seed : int
        Of the resamples.

    Returns
    -------
    ClaimsTable

    Raises
    ------
    UserError
        If a file cannot be read, or is another file, or the labels are not as many as the files.
    """
    listed = [comparisons] if isinstance(comparisons, str | os.PathLike) else comparisons
    paths = [Path(path) for path in listed]
    if not paths:
        raise UserError("there is no comparison to check; give at least one file")
    if labels is not None and len(labels) != len(paths):
        given = f"{counted(len(labels), 'label')} for {counted(len(paths), 'comparison')}"
        raise UserError(f"there are {given}; give a label for each, or none")
    if resamples < 0:
        raise UserError(f"resamples = {resamples}: give 0 or more")
    found = []
    for path in paths:
        with open_view(path, ("p", "lam")) as view:
            found.append((path, view.experiment.title, readings_of(view, resamples=resamples, seed=seed)))
    titles = [title for _, title, _ in found]
    names = labels or [one_line(path.name) if titles.count(title) > 1 else title for path, title, _ in found]
    return ClaimsTable([ComparedFile(path, name, r) for (path, _, r), name in zip(found, names, strict=True)])


def readings_of(view: View, *, resamples: int = RESAMPLES, seed: int = SEED) -> list[Reading]:
    """The claims on each plane of an open comparison."""
    return [reading_of(plane, resamples=resamples, seed=seed) for plane in planes_of(view)]
