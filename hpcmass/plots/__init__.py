"""Pictures of a comparison file: maps over the plane of p and λ, and example traces. Reads files, nothing else."""
