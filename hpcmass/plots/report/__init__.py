"""The report: one HTML page with everything in it, for a reader without the program, a server or a network."""

from hpcmass.plots.report.page import write_report

__all__ = ["write_report"]
