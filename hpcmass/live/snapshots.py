"""The report page of a comparison, or of a sweep that is compared as it grows, at one moment.

The given files are read; a sweep's comparison is written to the viewer's own file.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hpcmass.compare.comparison_file import OutdatedComparison
from hpcmass.compare.pipeline import ComparisonSummary, compare_sweep
from hpcmass.config.file import comparison_settings
from hpcmass.errors import UserError
from hpcmass.jsontext import json_text
from hpcmass.live.background import Page, Request
from hpcmass.live.trials import progress_of, sweep_note
from hpcmass.plots.view import View, open_sweep_of, open_view
from hpcmass.report.encoding import script_json
from hpcmass.report.page import Live, page_html
from hpcmass.report.payload import payload
from hpcmass.store.lock import is_locked
from hpcmass.store.parts import SweepParts
from hpcmass.store.schema import DONE

COMPARING_S: Final = 2.0
"""Processor time for new points between two pages; a point that takes longer is finished."""

CHANGING: Final = ("done", "failed", "initial")
"""What may change in the data behind a page while its maps, lists and curves keep their shapes."""

CHANGING_CURVES: Final = ("trials", "scales", "spectrum_scales", "raster")


Found = tuple[str, Page | None, str, str, bool, tuple[int, int]]
"""The attributes of `background.Answer`, without the last."""


def of_comparison(request: Request) -> Found:
    """The page of a comparison file.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    (path,) = request.paths
    try:
        found = os.stat(path)
    except OSError:
        raise UserError(f"there is no file {path} any more") from None
    stamp = f"{found.st_dev} {found.st_ino} {found.st_mtime_ns} {found.st_size}"
    growing = is_locked(path)
    state = "running" if growing else "file"
    note = f"{path.name} is being compared; the maps fill in." if growing else f"{path.name}, as it is in the file now."
    page = None
    if stamp != request.known:
        with open_view(path) as view, open_sweep_of(view, ()) as sweep:
            page = _page(view, sweep, request.version, state, note)
    return stamp, page, state, note, False, (0, 0)


def of_sweep(request: Request, own: Path) -> Found:
    """Compare what is new in a sweep, for some seconds, and make its page.

    Raises
    ------
    UserError
        If it cannot be read, or a model fails.
    """
    with SweepParts(request.paths) as parts:
        progress = progress_of(parts)
        seen = [parts.uuid, parts.physics_sha256, parts.status.tobytes().hex()]
        n_ready = int((parts.status == DONE).any(axis=-1).sum())
    settings = dict(zip(("mass", "compare"), comparison_settings(request.config, request.assignments), strict=True))
    seen += [each.model_dump_json() for each in settings.values() if each is not None]
    try:
        summary = _compare_some(request, own, settings)
    except OutdatedComparison:  # the sweep was started over, or the given configuration changed
        own.unlink(missing_ok=True)
        summary = _compare_some(request, own, settings)
    state, note = sweep_note(progress, summary.n_points_compared, summary.n_points)
    more = summary.n_points_compared < n_ready
    stamp = hashlib.sha256(" ".join([*seen, str(summary.n_points_compared)]).encode()).hexdigest()
    page = None
    if stamp != request.known:
        with open_view(own) as view, SweepParts(request.paths) as sweep:
            page = _page(view, sweep, request.version, state, note)
    return stamp, page, state, note, more, (summary.n_points_compared, summary.n_points)


def _compare_some(request: Request, own: Path, settings: Mapping[str, Any]) -> ComparisonSummary:
    end = time.process_time() + COMPARING_S
    return compare_sweep(
        request.paths, own, models=request.models, statistics=request.statistics,
        keep_going=lambda: time.process_time() < end, **settings,
    )  # fmt: skip


def _page(view: View, sweep: SweepParts | None, version: str, state: str, note: str) -> Page:
    contents = payload(view, sweep)
    identity = identity_of(contents.data)
    mark = secrets.token_hex(16)
    live = Live(version, identity, state, note)
    text = page_html(view, sweep, data=mark, numbers=mark, traces=mark, spectra=mark, live=live)
    return Page(
        pieces=tuple(text.split(mark)),
        data=script_json(contents.data),
        numbers=contents.numbers,
        traces=contents.traces.split("\n"),
        spectra=contents.spectra.split("\n"),
        identity=identity,
    )


def identity_of(data: Mapping[str, Any]) -> str:
    """A hash of what fixes the shapes behind a page: axes, models, statistics, curves."""
    fixed = {key: value for key, value in data.items() if key not in (*CHANGING, "statistics", "curves")}
    fixed["statistics"] = [[each[key] for key in ("name", "sources", "listed")] for each in data["statistics"]]
    fixed["curves"] = {key: value for key, value in data["curves"].items() if key not in CHANGING_CURVES}
    return hashlib.sha256(json_text(fixed).encode()).hexdigest()[:16]
