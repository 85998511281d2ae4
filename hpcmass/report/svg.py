"""Maps as SVG for the report page: the figures' cells, colours, outlines and gaps, each cell addressable."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex

from hpcmass.plots import style
from hpcmass.plots.maps import Panel, Scale
from hpcmass.plots.outlines import (
    LINE_STYLES,
    Dots,
    Outline,
    dots_of,
    edge,
    inward_ticks,
    legend_dots,
    legend_texts,
    split_label,
    tag_place,
)
from hpcmass.plots.plane import Gap
from hpcmass.report.frame import Frame

DASHES: Final = ("", "5 3", "1 2.4")
"""Of the outlines, by rank."""
_LINE: Final = 'stroke="#707070" stroke-width="0.8"'
_HATCHES: Final = {
    "": ("none", ""),
    "....": ("dots", '<circle cx="3" cy="3" r="0.8" fill="#707070"/>'),
    "++++": ("plus", f'<path d="M3 0V6M0 3H6" {_LINE}/>'),
    "////": ("rise", f'<path d="M0 6L6 0" {_LINE}/>'),
    "xxxx": ("cross", f'<path d="M0 6L6 0M0 0L6 6" {_LINE}/>'),
}
"""Hatch of a gap → name and drawing of the page's pattern."""
_DIM: Final = "url(#hatch-dim)"


def definitions() -> str:
    """The patterns of gaps and dimmed cells, once a page."""
    ground = f'<rect width="6" height="6" fill="{to_hex(style.GAP_FACE)}"/>'
    shapes = {name: ground + drawing for name, drawing in _HATCHES.values()}
    shapes["dim"] = f'<rect width="6" height="6" fill="#fff" fill-opacity="0.7"/><path d="M0 0L6 6" {_LINE}/>'
    patterns = "".join(
        f'<pattern id="hatch-{name}" width="6" height="6" patternUnits="userSpaceOnUse">{shape}</pattern>'
        for name, shape in shapes.items()
    )
    return f'<svg class="definitions" width="0" height="0" aria-hidden="true"><defs>{patterns}</defs></svg>'


def map_svg(frame: Frame, panel: Panel, key: str) -> str:
    """One map.

    Cell i, row by row from the lowest, is the element with `data-i="i"`; `key` names the map to the script.
    """
    fills = _fills(panel)
    cells = "".join(f'<rect data-i="{i}" {frame.box(*divmod(i, frame.plane.shape[1]))} fill="{fill}"/>'
                    for i, fill in enumerate(fills))  # fmt: skip
    title = escape(panel.title)
    dimmed = np.False_ if panel.dimmed is None else panel.dimmed & np.isfinite(panel.values)
    parts = [
        f'<g class="cells" role="application" tabindex="0" data-map="{key}" aria-label="map, {title}: '
        f'arrow keys move, Enter shows the point">{cells}</g>',
        '<g class="marks">',
        *(f'<rect {frame.box(row, column)} fill="{_DIM}"/>' for row, column in np.argwhere(dimmed)),
        *_signs(frame, panel),
        *_outlines(frame, panel.outlines),
        f'<rect class="cursor" width="{frame.cell:.2f}" height="{frame.cell:.2f}" visibility="hidden"/>',
        "</g>",
        *frame.labels(),
    ]
    width, height = frame.size
    return f'<svg class="map" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">{"".join(parts)}</svg>'


def _fills(panel: Panel) -> list[str]:
    fills = [[to_hex(colour) for colour in row] for row in panel.colours]
    for gap, cells in panel.gaps:
        for row, column in np.argwhere(cells):
            fills[row][column] = _hatch(gap)
    return [fill for row in fills for fill in row]


def _hatch(gap: Gap) -> str:
    return f"url(#hatch-{_HATCHES[gap.hatch][0]})"


def _signs(frame: Frame, panel: Panel) -> list[str]:
    """A minus in negative cells, a cross in those where the model diverged in part."""
    half = min(3.0, frame.cell / 4)
    signs = []
    for row, column in np.argwhere(panel.negative):
        ink = "#fff" if panel.dark[row, column] else "#000"
        start = f"M{frame.x(column) - half:.2f} {frame.y(row)}"
        signs.append(f'<path d="{start}h{2 * half:.2f}" stroke="{ink}" stroke-width="1.2"/>')
    for row, column in [] if panel.crossed is None else np.argwhere(panel.crossed):
        signs.append(f'<path class="crossed" d="{_cross(frame.x(column), frame.y(row), half)}"/>')
    return signs


def _cross(x: float, y: float, half: float) -> str:
    side = 2 * half
    return f"M{x - half:.2f} {y - half:.2f}l{side:.2f} {side:.2f}m0 {-side:.2f}l{-side:.2f} {side:.2f}"


def _outlines(frame: Frame, outlines: Sequence[Outline]) -> list[str]:
    halos, lines, dots, tags = [], [], [], []
    taken: list[tuple[float, float]] = []
    for outline in outlines:
        segments = edge(outline)
        if not len(segments):
            continue
        d, line = frame.path(segments), LINE_STYLES[outline.rank]
        colour = to_hex(line.colour)
        halos.append(f'<path class="outline" d="{d}" stroke="#fff" stroke-width="{line.width + 1.8:.1f}"/>')
        lines.append(f'<path class="outline" d="{d}" stroke="{colour}" stroke-width="{line.width}" '
                     f'stroke-dasharray="{DASHES[outline.rank]}"/>')  # fmt: skip
        ticks = frame.path(inward_ticks(outline))
        if ticks:
            halos.append(f'<path class="outline" d="{ticks}" stroke="#fff" stroke-width="{line.width + 1.8:.1f}"/>')
            lines.append(f'<path class="outline" d="{ticks}" stroke="{colour}" stroke-width="{line.width}"/>')
        for kind in dots_of(outline):
            right, up = line.dots or (0.0, 0.0)
            radius = min(1.7, frame.cell / 10)
            dots += [
                _dot(kind, frame.x(column + right), frame.y(row + up), radius)
                for row, column in np.argwhere(kind.cells)
            ]
        place = tag_place(outline, segments, taken)
        if place is not None:
            taken.append(place)
            tags.append(f'<text class="tag" x="{frame.x(place[0])}" y="{frame.y(place[1]) + 3:.2f}" '
                        f'fill="{colour}">{escape(outline.tag)}</text>')  # fmt: skip
    return [*halos, *lines, *dots, *tags]


def _dot(dots: Dots, x: float, y: float, radius: float) -> str:
    colour = to_hex(LINE_STYLES[dots.rank].colour)
    fill, stroke, width = (colour, "#fff", 0.5) if dots.full else ("#fff", colour, 1.0)
    return f'<circle cx="{x}" cy="{y}" r="{radius:.2f}" fill="{fill}" stroke="{stroke}" stroke-width="{width}"/>'


def bar_html(scale: Scale, key: str) -> str:
    """A colour bar, lying, with its label; `key` tells it from the page's other bars."""
    width, height, margin = 240, 12, 24
    stops = "".join(
        f'<stop offset="{k / 32:.3f}" stop-color="{to_hex(mpl.colormaps[scale.colours](k / 32))}"/>' for k in range(33)
    )
    ticks = []
    for value in scale.ticks():
        x = margin + width * float(scale.norm(value))
        ticks.append(f'<path class="axis" d="M{x:.1f} {height}v4"/><text x="{x:.1f}" y="{height + 14}" '
                     f'text-anchor="middle">{style.number(value)}</text>')  # fmt: skip
    beyond = {"neither": "", "min": "; lower values share the left end", "max": "; higher values share the right end",
              "both": "; values beyond share the ends"}[scale.extend]  # fmt: skip
    return (
        f'<div class="bar"><svg viewBox="0 0 {width + 2 * margin} {height + 18}" width="{width + 2 * margin}" '
        f'aria-hidden="true"><defs><linearGradient id="bar-{key}">{stops}</linearGradient></defs>'
        f'<rect x="{margin}" width="{width}" height="{height}" fill="url(#bar-{key})"/>{"".join(ticks)}</svg>'
        f"{escape(scale.label + beyond)}</div>"
    )


def legend_html(panels: Sequence[Panel]) -> str:
    """What the lines, marks and hatches of some maps mean."""
    entries = {}
    ground = '<rect width="34" height="14" fill="#fff"/>'
    outlines = [o for p in panels for o in p.outlines]
    for outline, tag, text in legend_texts(outlines):
        drawn = LINE_STYLES[outline.rank]
        line = f'{ground}<path d="M2 7H32" stroke="{to_hex(drawn.colour)}" ' \
               f'stroke-width="{drawn.width}" stroke-dasharray="{DASHES[outline.rank]}"/>'  # fmt: skip
        name, rest = split_label(tag, text)
        entries[tag] = f"{_swatch(line)}<b>{escape(name)}</b>{escape(rest)}"
    for dots in legend_dots(outlines):
        entries[dots.text] = f"{_swatch(f'{ground}{_dot(dots, 17, 7, 2.2)}')}{escape(dots.text)}"
    for panel in panels:
        if panel.negative.any():
            minus = f'{ground}<path d="M14 7h6" stroke="#000" stroke-width="1.2"/>'
            entries["negative"] = f"{_swatch(minus)}negative"
        if panel.dimmed is not None and panel.dimmed.any():
            entries["dimmed"] = _filled(_DIM) + escape(panel.dimmed_text)
        if panel.crossed is not None and panel.crossed.any():
            cross = f'<path class="crossed" d="{_cross(17, 7, 4)}"/>'
            entries["crossed"] = f"{_swatch(cross)}model diverged in some of the trials"
        for gap, _ in panel.gaps:
            entries[gap.text] = _filled(_hatch(gap)) + escape(gap.text)
    return f'<ul class="legend">{"".join(f"<li>{entry}</li>" for entry in entries.values())}</ul>'


def _swatch(content: str) -> str:
    return f'<svg width="34" height="14" aria-hidden="true">{content}</svg> '


def _filled(fill: str) -> str:
    return _swatch(f'<rect width="34" height="14" fill="{fill}"/>')
