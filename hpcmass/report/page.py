"""The page: maps, tables, data, style and script in one file."""

from __future__ import annotations

from collections.abc import Sequence
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


def write_report(view: View, sweep: SweepParts | None, path: str | Path) -> Path:
    """Write the page; with the sweep failures have their messages, and the provenance is complete."""
    return save_text(report_html(view, sweep), Path(path))


def report_html(view: View, sweep: SweepParts | None = None) -> str:
    """The page as text; see `write_report`."""
    sheets = {name: made for name, (_, make) in SHEETS.items() if (made := make(view))}
    maps = {f"{name}-{k}": panel for name, made in sheets.items() for k, panel in enumerate(made)}
    labels = {key: _label(panel) for key, panel in maps.items()}
    data = payload(view, maps, labels)
    data["first"] = _first_point(view)
    return _PAGES.get_template("page.html").render(
        view=view,
        definitions=Markup(definitions()),
        sheets=[_sheet(view, name, made) for name, made in sheets.items()],
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


def _sheet(view: View, name: str, panels: Sequence[Panel]) -> dict[str, Any]:
    """The maps of one statistic, for the template; the script knows them by the keys `name-0`, `name-1`, …"""
    frame = Frame(view.plane)
    scale = panels[0].scale
    one_scale = all(panel.scale is scale for panel in panels)
    figures = [
        {
            "title": panel.title,
            "map": Markup(map_svg(frame, panel, f"{name}-{k}")),
            "bar": Markup("" if one_scale else bar_html(panel.scale, f"{name}-{k}")),
        }
        for k, panel in enumerate(panels)
    ]
    bar, legend = bar_html(scale, name) if one_scale else "", legend_html(panels)
    title, _ = SHEETS[name]
    return {"name": name, "title": title, "figures": figures, "bar": Markup(bar), "legend": Markup(legend)}


def _first_point(view: View) -> int | None:
    """The point that the page shows first: synchronised at a low frequency, if there is one."""
    columns = view.plane.shape[1]
    _, synchronous, _ = examples = pick_regimes(view)
    for example in (synchronous, *examples):
        if example.point is not None:
            return example.point[0] * columns + example.point[1]
    return None
