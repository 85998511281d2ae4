"""Do two simulators run the same network? A test of their mean rates.

A trial's rate varies from trial to trial with the random graph, the external trains and the noise. Many trials of
hpcmass give the standard deviation s of that distribution. k trials of one simulator, mean x, and n of another, mean m,
come from equal distributions if

    t = (x - m) / (s sqrt(1/k + 1/n))

follows Student's distribution with the degrees of freedom of s. The n trials are those of hpcmass itself, or those of a
third simulator. A small difference common to all connection
probabilities shows in the sum of the normal scores over the points (Stouffer's method), which is tested as well. The
false-alarm rate holds for all tests of a comparison together (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Difference:
    """A peer's rate against a reference: `mean` and `reference` in Hz, normal score `z`, two-sided `pvalue`."""

    mean: float
    reference: float
    z: float
    pvalue: float


def compare(peer: Sequence[float], reference: Sequence[float], spread: Sequence[float]) -> Difference:
    """Test the trials of a peer against those of a reference (Hz).

    `spread` are the trials that give s, two or more: those of hpcmass at the same point, which may be `reference`.
    """
    k, n = len(peer), len(reference)
    mean, m, s = float(np.mean(peer)), float(np.mean(reference)), float(np.std(spread, ddof=1))
    t = (mean - m) / (s * math.sqrt(1 / k + 1 / n))
    tail = float(stats.t.sf(abs(t), len(spread) - 1))
    return Difference(mean, m, math.copysign(float(stats.norm.isf(tail)), t), 2 * tail)


def pooled(differences: Sequence[Difference]) -> float:
    """Two-sided p-value of all points together."""
    z = sum(d.z for d in differences) / math.sqrt(len(differences))
    return float(2 * stats.norm.sf(abs(z)))
