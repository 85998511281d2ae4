"""The page: maps, tables, data, style and script in one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hpcmass.plots.maps import Panel
from hpcmass.plots.regimes import pick_regimes
from hpcmass.plots.regions import as_text, medians_table, regions_table
from hpcmass.plots.saving import save_text
from hpcmass.plots.sheets import SHEETS
from hpcmass.plots.view import View
from hpcmass.report import tables
from hpcmass.report.frame import Frame
from hpcmass.report.payload import payload, script_json
from hpcmass.report.svg import bar_html, definitions, legend_html, map_svg
from hpcmass.store.parts import SweepParts

PARTS: Final = files(__package__)
"""Where `page.html`, `page.css` and `page.js` are."""

_PAGES: Final = Environment(
    loader=PackageLoader("hpcmass", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


@dataclass(frozen=True, eq=False)
class _Sheet:
    """Maps of one statistic."""

    name: str
    title: str
    panels: Sequence[Panel]

    def keyed(self) -> Iterator[tuple[str, Panel]]:
        """Every map with its key in the script."""
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
    return _PAGES.get_template("page.html").render(
        view=view,
        definitions=Markup(definitions()),
        sheets=[_shown(view, sheet) for sheet in sheets],
        regions=as_text(regions_table(view)),
        medians=as_text(medians_table(view)),
        counts=tables.counts(view),
        diverged=tables.diverged(view),
        failures=None if sweep is None else tables.failures(sweep),
        provenance=tables.provenance(view, sweep),
        configuration=view.experiment.text if sweep is None else sweep.experiment.text,
        other_settings="" if sweep is None else tables.other_settings(view, sweep),
        style=Markup(_part("page.css")),
        script=Markup(_part("page.js")),
        data=Markup(script_json(data)),
    )


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _label(panel: Panel) -> str:
    """What a map shows, for the tables: quantity and unit, without remarks on the scale."""
    return panel.scale.label.split(", square-root scale")[0]


def _shown(view: View, sheet: _Sheet) -> dict[str, Any]:
    """A sheet's maps for the template."""
    frame = Frame(view.plane)
    one_scale = all(panel.scale is sheet.panels[0].scale for panel in sheet.panels)
    figures = [
        {
            "title": panel.title,
            "map": Markup(map_svg(frame, panel, key)),
            "bar": Markup("" if one_scale else bar_html(panel.scale, key)),
        }
        for key, panel in sheet.keyed()
    ]
    bar = bar_html(sheet.panels[0].scale, sheet.name) if one_scale else ""
    legend = legend_html(sheet.panels)
    return {"name": sheet.name, "title": sheet.title, "figures": figures, "bar": Markup(bar), "legend": Markup(legend)}


def _first_point(view: View) -> int | None:
    """The point that the page shows first: synchronised at a low frequency, if there is one."""
    columns = view.plane.shape[1]
    _, synchronous, _ = examples = pick_regimes(view)
    for example in (synchronous, *examples):
        if example.point is not None:
            return example.point[0] * columns + example.point[1]
    return None
