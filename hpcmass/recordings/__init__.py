"""Recordings of other programs: their spikes as input Φ, and their files as sweep files."""
