"""Readings: planes of p and λ on which the claims are checked, with how sure each verdict is.

A comparison has one reading for each combination of the values of its further axes, a scanned parameter among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hpcmass.claims.criteria import CANNOT_TELL, CLAIMS, VERDICTS, Claim, Measures
from hpcmass.claims.findings import Findings
from hpcmass.claims.trials import Trials, findings
from hpcmass.plots.plane import symbol
from hpcmass.plots.style import number
from hpcmass.plots.view import View

RESAMPLES: Final = 1000
SEED: Final = 1

_BLOCK: Final = 4_000_000
"""Numbers in memory at a time while trials are drawn."""


@dataclass(frozen=True)
class Verdict:
    """One claim's outcome in one reading.

    Attributes
    ----------
    claim : str
        `1` … `6`; claim 2 is read in two ways, `2a` and `2b`.
    text : str
    verdict : str
        `holds`, `fails` or `cannot tell`.
    certainty : float
        Share of the resamples with the same verdict; NaN without resamples.
    criterion : str
    short, numbers : str
        What the verdict rests on, for a cell of a table and in words.
    measured : dict of str to float
        The same for a program.
    """

    claim: str
    text: str
    verdict: str
    certainty: float
    criterion: str
    short: str
    numbers: str
    measured: dict[str, float]

    @property
    def certainty_text(self) -> str:
        """`97 %`, empty without resamples or without a verdict to be sure of."""
        return "" if np.isnan(self.certainty) or self.verdict == CANNOT_TELL else f"{_rounded(self.certainty)} %"


def _rounded(certainty: float) -> int:
    """Per cent; 100 only for all resamples, 0 only for none."""
    if 0 < certainty < 1:
        return min(max(round(100 * certainty), 1), 99)
    return round(100 * certainty)


@dataclass(frozen=True)
class Reading:
    """The claims on one plane.

    Attributes
    ----------
    at : dict of str to float
        Further axes → value.
    points, compared : int
    trials : tuple of int
        Fewest and most trials at the points compared.
    resamples : int
        0 if there are none, for the reason in `lacks`.
    lacks : str
    claims : list of Verdict
    """

    at: dict[str, float]
    points: int
    compared: int
    trials: tuple[int, int]
    resamples: int
    lacks: str
    claims: list[Verdict]

    @property
    def certainty_note(self) -> str:
        """What the certainty is, or why there is none."""
        if not self.resamples:
            return f"certainty unknown: {self.lacks}"
        fewest, most = self.trials
        trials = f"{most} trials" if fewest == most else f"{fewest} to {most} trials"
        text = f"certainty: share of {self.resamples} resamples of the {trials} at each point with the same verdict"
        return text + ("; points with one trial stay as they are" if fewest == 1 else "")


def planes_of(view: View) -> list[View]:
    """The planes of p and λ that make up the grid."""
    return view.planes("p", "lam")


def at_text(at: dict[str, float]) -> str:
    """`tau_m_ms = 10, p_ext = 0.1`."""
    return ", ".join(f"{symbol(name)} = {number(value)}" for name, value in at.items())


def reading_of(plane: View, *, resamples: int = RESAMPLES, seed: int = SEED) -> Reading:
    """Check the claims on a plane of p and λ.

    Parameters
    ----------
    plane : View
    resamples : int
        Of the trials within each point; 0: no certainty.
    seed : int
        Of the resamples. Every plane begins anew, so its certainty does not depend on the others.
    """
    found = findings(plane)
    judged = {claim.label: _judged(claim, found) for claim in CLAIMS}
    trials = Trials(plane, found)
    lacks = trials.lacks or ("" if resamples else "no resamples were asked for")
    certain = dict.fromkeys(judged, float("nan"))
    if not lacks:
        certain = _certainty(trials, found, {label: code for label, (code, _) in judged.items()}, resamples, seed)
    return Reading(
        at=plane.plane.fixed_values,
        points=found.compared.size,
        compared=int(found.compared.sum()),
        trials=(trials.fewest, trials.most),
        resamples=0 if lacks else resamples,
        lacks=lacks,
        claims=[_verdict(claim, found, *judged[claim.label], certain[claim.label]) for claim in CLAIMS],
    )


def _undecidable(claim: Claim, found: Findings) -> str:
    """Why a claim cannot even be measured; empty if it can."""
    if not found.compared.any():
        return "nothing is compared yet"
    missing = [model for model in claim.needs if model not in found.agrees]
    return f"the file has no {' and no '.join(missing)}" if missing else ""


def _judged(claim: Claim, found: Findings) -> tuple[int, Measures]:
    """Position of the verdict in `VERDICTS`, and what it rests on."""
    if _undecidable(claim, found):
        return VERDICTS.index(CANNOT_TELL), {}
    measured = claim.measure(found)
    return int(claim.decide(measured)), measured


def _verdict(claim: Claim, found: Findings, code: int, measured: Measures, certainty: float) -> Verdict:
    why = _undecidable(claim, found)
    return Verdict(
        claim=claim.label,
        text=claim.text,
        verdict=VERDICTS[code],
        certainty=certainty,
        criterion=claim.criterion,
        short=claim.short(measured) if measured else "",
        numbers=why or claim.numbers(found, measured),
        measured={name: float(value) for name, value in measured.items()},
    )


def _certainty(trials: Trials, found: Findings, codes: dict[str, int], resamples: int, seed: int) -> dict[str, float]:
    """Share of the resamples with the same verdict, for each claim that can be measured."""
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // (found.compared.size * trials.most))
    judged = [claim for claim in CLAIMS if not _undecidable(claim, found)]
    same = dict.fromkeys(codes, float("nan")) | {claim.label: 0.0 for claim in judged}
    for first in range(0, resamples, block):
        resampled = trials.resampled(trials.draw(rng, min(block, resamples - first)))
        for claim in judged:
            decided: Any = claim.decide(claim.measure(resampled))
            same[claim.label] += int((decided == codes[claim.label]).sum())
    return {label: n / resamples for label, n in same.items()}
