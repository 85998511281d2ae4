"""hpcmass: where in the {p, λ} plane does a neural mass model stand for its network?"""

__version__ = "0.1.0"
