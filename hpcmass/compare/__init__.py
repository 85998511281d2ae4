"""Comparison: the mass models and all statistics over the trials of a sweep, into a comparison file."""
