"""Comparison: the mass models and all statistics over the trials of a sweep, into a comparison file."""

from hpcmass.compare.pipeline import ComparisonSummary, compare_sweep

__all__ = ["ComparisonSummary", "compare_sweep"]
