"""The page put together: maps, tables, data, style and script in one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from hpcmass.plots.maps import Panel
from hpcmass.plots.regimes import pick_regimes
from hpcmass.plots.saving import save_text
from hpcmass.plots.sheets import SHEETS
from hpcmass.plots.view import View
from hpcmass.report.frame import Frame
from hpcmass.report.payload import payload, script_json
from hpcmass.report.svg import bar_html, definitions, legend_html, map_svg
from hpcmass.report.tables import configuration_html, failures_html, medians_html, provenance_html, regions_html
from hpcmass.store.parts import SweepParts

PARTS: Final = files(__package__)
"""Where `page.html`, `page.css` and `page.js` are."""


@dataclass(frozen=True, eq=False)
class _Sheet:
    """Maps of one statistic."""

    name: str
    title: str
    panels: Sequence[Panel]

    def keyed(self) -> Iterator[tuple[str, Panel]]:
        """Every map with the key by which the script knows it."""
        return ((f"{self.name}-{k}", panel) for k, panel in enumerate(self.panels))


def write_report(view: View, sweep: SweepParts | None, path: str | Path) -> Path:
    """Write the page.

    Parameters
    ----------
    view : View
    sweep : SweepParts, optional
        The sweep compared: with it failures have their messages and the provenance is complete.
    path : path
        Replaced if it is there.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    return save_text(report_html(view, sweep), Path(path))


def report_html(view: View, sweep: SweepParts | None = None) -> str:
    """The page as text; see `write_report`."""
    sheets = [_Sheet(name, title, made) for name, (title, make) in SHEETS.items() if (made := make(view))]
    maps = {key: panel for sheet in sheets for key, panel in sheet.keyed()}
    labels = {key: _label(panel) for key, panel in maps.items()}
    data = payload(view, maps, labels)
    data["first"] = _first_point(view)
    return Template(_part("page.html")).substitute(
        title=escape(view.experiment.title),
        caption=escape(view.caption()),
        definitions=definitions(),
        maps="".join(_sheet_html(view, sheet) for sheet in sheets),
        contents="".join(f'<li><a href="#{s.name}">{escape(s.title)}</a></li>' for s in sheets),
        regions=regions_html(view),
        medians=medians_html(view),
        failures=failures_html(view, sweep),
        provenance=provenance_html(view, sweep),
        configuration=configuration_html(view, sweep),
        style=_part("page.css"),
        script=_part("page.js"),
        data=script_json(data),
    )


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _label(panel: Panel) -> str:
    """What a map shows, as the tables say it: quantity and unit, without the scale's own remarks."""
    return panel.scale.label.split(", square-root scale")[0]


def _sheet_html(view: View, sheet: _Sheet) -> str:
    frame = Frame(view.plane)
    one_scale = all(panel.scale is sheet.panels[0].scale for panel in sheet.panels)
    figures = []
    for key, panel in sheet.keyed():
        bar = "" if one_scale else bar_html(panel.scale, key)
        figures.append(
            f"<figure><figcaption>{escape(panel.title)}</figcaption>{map_svg(frame, panel, key)}{bar}</figure>"
        )
    bar = bar_html(sheet.panels[0].scale, sheet.name) if one_scale else ""
    return (
        f'<section class="sheet" id="{sheet.name}"><h3>{escape(sheet.title)}</h3>'
        f'<div class="row">{"".join(figures)}</div>{bar}{legend_html(sheet.panels)}</section>'
    )


def _first_point(view: View) -> int | None:
    """The point that the page shows first: synchronised at a low frequency, if there is one."""
    columns = view.plane.shape[1]
    _, synchronous, _ = examples = pick_regimes(view)
    for example in (synchronous, *examples):
        if example.point is not None:
            return example.point[0] * columns + example.point[1]
    return None
