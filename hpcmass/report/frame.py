"""A map's coordinates on the page: from rows and columns of the plane to pixels of an SVG."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Final

from hpcmass.plots.outlines import Segments
from hpcmass.plots.plane import Plane
from hpcmass.plots.style import number

LEFT, RIGHT, TOP, BOTTOM = 46, 6, 4, 52
"""Margins (px) around a map's cells, for its labels."""
WIDTH: Final = 252
LARGEST_CELL: Final = 24
MOST_LABELS: Final = 20
LINE: Final = 11
"""Distance (px) of a label's lines."""
LETTER: Final = 5.6
"""Width (px) of a digit."""


@dataclass(frozen=True, eq=False)
class Frame:
    """The pixels of a plane; row 0 is at the foot."""

    plane: Plane

    @cached_property
    def cell(self) -> float:
        """Side of a cell (px)."""
        return min(WIDTH / max(self.plane.shape), LARGEST_CELL)

    @cached_property
    def left(self) -> float:
        """Margin (px) to the left of the cells: with room for all lines of the label and the longest value."""
        longest = max(len(number(self.plane.up_values[k])) for k in _some(self.plane.shape[0]))
        return max(LEFT, 20 + LINE * self.plane.up_label.count("\n") + LETTER * longest)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height (px), margins included."""
        rows, columns = self.plane.shape
        below = BOTTOM + LINE * self.plane.right_label.count("\n")
        return self.left + columns * self.cell + RIGHT, TOP + rows * self.cell + below

    def x(self, column: float) -> float:
        """Pixel of a column's middle, or of any place between."""
        return round(self.left + (column + 0.5) * self.cell, 2)

    def y(self, row: float) -> float:
        """Pixel of a row's middle, or of any place between."""
        return round(TOP + (self.plane.shape[0] - row - 0.5) * self.cell, 2)

    def box(self, row: float, column: float) -> str:
        """Attributes of a rectangle that covers a cell."""
        side = round(self.cell, 2)
        return f'x="{self.x(column - 0.5)}" y="{self.y(row + 0.5)}" width="{side}" height="{side}"'

    def path(self, segments: Segments) -> str:
        """`d` of a path along straight lines."""
        return "".join(f"M{self.x(a[0])} {self.y(a[1])}L{self.x(b[0])} {self.y(b[1])}" for a, b in segments)

    def labels(self) -> list[str]:
        """Grid values along both sides, and what they are."""
        rows, columns = self.plane.shape
        foot, middle = self.y(-0.5), (self.x(-0.5) + self.x(columns - 0.5)) / 2
        across = [
            f'<text transform="translate({self.x(k) + 3:.1f} {foot + 6:.1f}) rotate(-90)" text-anchor="end">'
            f"{number(self.plane.right_values[k])}</text>"
            for k in _some(columns)
        ]
        up = [
            f'<text x="{self.left - 5:.1f}" y="{self.y(k) + 3:.1f}" text-anchor="end">'
            f"{number(self.plane.up_values[k])}</text>"
            for k in _some(rows)
        ]
        return [
            *across,
            *up,
            f'<text transform="translate({middle:.1f} {foot + BOTTOM - 6:.1f})" text-anchor="middle" class="side">'
            f"{_lines(self.plane.right_label)}</text>",
            f'<text transform="translate(10 {(self.y(-0.5) + self.y(rows - 0.5)) / 2:.1f}) rotate(-90)" '
            f'text-anchor="middle" class="side">{_lines(self.plane.up_label)}</text>',
        ]


def _lines(label: str) -> str:
    """A label's lines below each other."""
    return "".join(f'<tspan x="0" y="{LINE * k}">{escape(line)}</tspan>' for k, line in enumerate(label.split("\n")))


def _some(count: int) -> range:
    return range(0, count, -(-count // MOST_LABELS))
