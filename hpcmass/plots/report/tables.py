"""The page's tables: regions, failures, provenance, configuration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

import numpy as np
import yaml

from hpcmass.plots.plane import symbol
from hpcmass.plots.regions import COLUMNS, describe, medians, regions
from hpcmass.plots.style import number
from hpcmass.plots.view import View
from hpcmass.store import schema
from hpcmass.store.reader import SweepFile

MOST_FAILURES: Final = 200
_PROVENANCE: Final = (
    "software", "version", "git_commit", "date", "host", "processor", "python", "libraries", "mpi_library", "n_ranks",
    "driver", "uuid", "config_sha256", "format_version", "history",
)  # fmt: skip
"""Attributes of a result file that say where it comes from, in this order."""


def regions_html(view: View) -> str:
    """Every region in numbers."""
    heads = [{"right": symbol(view.plane.right), "up": symbol(view.plane.up)}.get(name, name) for name in COLUMNS]
    rows = []
    subject = None
    for region in regions(view):
        first = escape(region.subject) if region.subject != subject else ""
        subject = region.subject
        rows.append([first, escape(region.name), *map(escape, describe(view, region))])
    return _table(["", "region", *heads], rows, numeric_from=2)


def medians_html(view: View) -> str:
    """The models' statistics by regime."""
    heads, found = medians(view)
    rows: list[list[str]] = []
    regime = None
    for name, *cells in found:
        rows.append(["" if name == regime else escape(name), *map(escape, cells)])
        regime = name
    return _table(heads, rows, numeric_from=2)


def failures_html(view: View, sweep: SweepFile | None) -> str:
    """Trials that failed and why, trials that wait, models that ran away."""
    status = np.asarray(view.data["status"].values)
    failed, pending = int((status == schema.FAILED).sum()), int((status == schema.PENDING).sum())
    done = int((status == schema.DONE).sum())
    parts = [f"<p>{done} of {status.size} trials done, {failed} failed, {pending} not computed yet.</p>"]
    for model in view.models:
        count = int(np.nansum(np.maximum(view.data["n_diverged"].isel(model=view.models.index(model)).values, 0)))
        if count:
            trials = "1 trial" if count == 1 else f"{count} trials"
            parts.append(f"<p>{escape(model)} ran away in {trials}; its statistics are left out there.</p>")
    if failed and sweep is None:
        parts.append("<p>The sweep file, which holds the messages, was not at hand when this page was written.</p>")
    elif failed and sweep is not None:
        parts.append(_failed_trials(sweep))
    return "".join(parts)


def _failed_trials(sweep: SweepFile) -> str:
    where = np.argwhere(sweep.status == schema.FAILED)
    messages = sweep.variable("error")
    axes = list(sweep.axes.items())
    rows = []
    for index in where[:MOST_FAILURES]:
        *point, trial = (int(i) for i in index)
        values = [number(axis[i]) for i, (_, axis) in zip(point, axes, strict=True)]
        rows.append([*values, str(trial), escape(bytes(messages[(*point, trial)]).decode("utf-8", "replace"))])
    table = _table([*(symbol(name) for name, _ in axes), "trial", "message"], rows, numeric_from=0)
    left = len(where) - len(rows)
    return table + (f"<p>… and {left} more; <code>hpcmass status --json</code> lists all.</p>" if left else "")


def provenance_html(view: View, sweep: SweepFile | None) -> str:
    """Where the numbers come from: the comparison's attributes, and the sweep's beside them."""
    comparison = {str(k): v for k, v in view.data.attrs.items()}
    recorded: dict[str, Any] = {} if sweep is None else sweep.attributes
    rows = []
    for name in _PROVENANCE:
        cells = [_text(attributes.get(name)) for attributes in (recorded, comparison)]
        if any(cells):
            rows.append([escape(name.replace("_", " ")), *map(escape, cells)])
    heads = ["", "sweep" if sweep is not None else "sweep (not at hand)", f"comparison ({view.path.name})"]
    return _table(heads, rows, numeric_from=9)


def configuration_html(view: View, sweep: SweepFile | None) -> str:
    """The whole configuration, as it was written: the sweep's, and what the comparison did otherwise."""
    if sweep is None:
        return f"<pre><code>{escape(_text(view.data.attrs['config_yaml']))}</code></pre>"
    found = f"<pre><code>{escape(sweep.experiment.text)}</code></pre>"
    used = view.experiment.model_dump(mode="json", include={"mass", "compare"})
    written = sweep.experiment.model_dump(mode="json", include={"mass", "compare"})
    other = {
        section: changed
        for section, values in used.items()
        if (changed := {key: value for key, value in values.items() if value != written[section][key]})
    }
    if other:
        text = escape(yaml.safe_dump(other, sort_keys=False))
        found = f"<p>The comparison used, in place of the sweep's:</p><pre><code>{text}</code></pre>{found}"
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], numeric_from: int) -> str:
    """Rows of HTML under heads; columns from `numeric_from` on are numbers."""

    def row(cells: Sequence[str]) -> str:
        return "".join(
            f'<td class="n">{cell}</td>' if k >= numeric_from else f"<td>{cell}</td>" for k, cell in enumerate(cells)
        )

    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(f"<tr>{row(cells)}</tr>" for cells in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
