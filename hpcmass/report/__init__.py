"""The report: one HTML page with everything in it, for a reader without the program, a server or a network."""

from hpcmass.report.draw import draw
from hpcmass.report.page import write_report

__all__ = ["draw", "write_report"]
