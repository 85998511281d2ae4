"""The viewer's second process, of low priority: what it is asked, and what it answers.

It imports the libraries that compare and draw, so that the viewer itself answers at once and stays small.
"""

from __future__ import annotations

import importlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NICENESS: Final = 10
"""Beside a sweep on every core the process still gets a tenth of one."""


@dataclass(frozen=True)
class Request:
    """What the second process is asked for.

    Attributes
    ----------
    paths : tuple of Path
        A comparison file, or the files of a sweep.
    own : Path or None
        Where a sweep's comparison is written; None for a comparison file.
    version : str
        For the page.
    known : str
        Stamp of the page that the viewer has.
    models, statistics : tuple of str or None
        In place of a sweep's own.
    config : Path or None
        A configuration whose settings of mass models and statistics replace a sweep's own; read each time.
    assignments : tuple of str
        Values in place of this file's, such as `compare.alpha=0.05`.
    """

    paths: tuple[Path, ...]
    own: Path | None
    version: str
    known: str
    models: tuple[str, ...] | None = None
    statistics: tuple[str, ...] | None = None
    config: Path | None = None
    assignments: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Page:
    """A page in pieces, between which its data are put.

    Attributes
    ----------
    pieces : tuple of str
        Text before, between and after data, numbers, traces and spectra.
    data, numbers : str
    traces, spectra : list of str
        A line for each point.
    identity : str
        Pages of one identity differ in their numbers only.
    """

    pieces: tuple[str, ...]
    data: str
    numbers: str
    traces: list[str]
    spectra: list[str]
    identity: str


@dataclass(frozen=True, eq=False)
class Answer:
    """What the second process found.

    Attributes
    ----------
    stamp : str
        Changes when the page does.
    page : Page or None
        None where the viewer has it.
    state, note : str
        State of the file in a word (`running`, `stopped`, `finished`, `file`) and in a sentence.
    more : bool
        There are points left to compare.
    points : tuple of int
        Of a sweep: points compared, and all.
    cpu_s : float
        Processor time that this took.
    """

    stamp: str
    page: Page | None
    state: str
    note: str
    more: bool
    points: tuple[int, int]
    cpu_s: float


def begin(number: int) -> None:
    """Prepare the second process: it imports what it needs, then leaves the cores to the sweep."""
    importlib.import_module("hpcmass.live.snapshots")
    os.nice(NICENESS)


def answer(request: Request) -> Answer:
    """The page now, if it differs from the one that the viewer has.

    Raises
    ------
    UserError
        If the files cannot be read, or a model fails.
    """
    from hpcmass.live.snapshots import of_comparison, of_sweep

    start = time.process_time()
    found = of_comparison(request) if request.own is None else of_sweep(request, request.own)
    return Answer(*found, time.process_time() - start)
