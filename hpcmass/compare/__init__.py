"""Comparison: the mass models and all statistics over the trials of a sweep, into a comparison file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpcmass.compare.pipeline import ComparisonSummary, compare_sweep

__all__ = ["ComparisonSummary", "compare_sweep"]


def __getattr__(name: str) -> Any:
    """Import what is asked for, and only then: a sweep has its settings checked without the whole comparison."""
    if name not in __all__:
        raise AttributeError(f"module 'hpcmass.compare' has no attribute '{name}'")
    from hpcmass.compare import pipeline

    return getattr(pipeline, name)
