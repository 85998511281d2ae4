"""The page: the answer in words, the explorer, tables, style and script in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hpcmass import summary
from hpcmass.claims.table import LEGEND
from hpcmass.config.reference import values_in_use
from hpcmass.plots.regions import as_text, medians_table, regions_table
from hpcmass.plots.saving import save_text
from hpcmass.plots.view import View
from hpcmass.report import tables
from hpcmass.report.curves import Solver
from hpcmass.report.encoding import script_json
from hpcmass.report.payload import payload
from hpcmass.store.parts import SweepParts

PARTS: Final = files(__package__)
"""Where `page.html`, `page.css` and the folder `js` are."""

SCRIPTS: Final = (
    "data", "format", "state", "outlines", "map", "pointing", "chart", "slices", "point", "pointhead", "controls",
    "export", "main",
)  # fmt: skip
"""The page's script: these files in this order, in one scope."""

LIVE_SCRIPTS: Final = (*SCRIPTS, "live")
"""That of a page which asks a local server for newer data."""

_PAGES: Final = Environment(
    loader=PackageLoader("hpcmass", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def write_report(view: View, sweep: SweepParts | None, path: str | Path, solver: Solver | None = None) -> Path:
    """Write the page; with the sweep it has the inputs, more trials, and the messages of failures.

    With a `solver` it has the models' potentials of further trials, too.
    """
    return save_text(report_html(view, sweep, solver), Path(path))


@dataclass(frozen=True)
class Live:
    """What the page of a local server knows of it.

    Attributes
    ----------
    version, identity : str
        Of the data in the page: newer data of the same identity can take their place.
    state, note : str
        State of the sweep, in a word and in a sentence.
    """

    version: str
    identity: str
    state: str
    note: str


def report_html(view: View, sweep: SweepParts | None = None, solver: Solver | None = None) -> str:
    """The page as text; see `write_report`."""
    contents = payload(view, sweep, solver)
    return page_html(
        view,
        sweep,
        data=script_json(contents.data),
        numbers=contents.numbers,
        traces=contents.traces,
        spectra=contents.spectra,
    )


def page_html(
    view: View,
    sweep: SweepParts | None,
    *,
    data: str,
    numbers: str,
    traces: str,
    spectra: str,
    live: Live | None = None,
) -> str:
    """The page with this payload; see `payload.Payload`."""
    return _PAGES.get_template("page.html").render(
        view=view,
        summary=summary.summary_of(view),
        model_lines=summary.model_lines,
        claims_legend=LEGEND,
        regions=as_text(regions_table(view)),
        medians=as_text(medians_table(view)),
        counts=tables.counts(view),
        diverged=tables.diverged(view),
        failures=None if sweep is None else tables.failures(sweep),
        provenance=tables.provenance(view, sweep),
        configuration=view.experiment.text if sweep is None else sweep.experiment.text,
        other_settings="" if sweep is None else tables.other_settings(view, sweep),
        values_in_use=values_in_use(view.experiment),
        style=Markup(_part("page.css")),
        script=Markup(_script(SCRIPTS if live is None else LIVE_SCRIPTS)),
        data=Markup(data),
        numbers=numbers,
        traces=traces,
        spectra=spectra,
        live=live,
    )


def _script(names: Sequence[str]) -> str:
    return "\n".join(_part(f"js/{name}.js") for name in names)


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")
