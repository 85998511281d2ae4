"""The paper's six claims, checked against a comparison: holds, fails or cannot tell, with the numbers.

`hpcmass summary` prints them.

The criteria were fixed before they were applied and stand in the functions that check them; no threshold was chosen by
its outcome. A claim *holds* or *fails* for the network of the file, whose parameters are not all the paper's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hpcmass.plots.regimes import FAST_HZ, SLOW_HZ, mean_rate
from hpcmass.plots.view import View

Mask = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.float64]

HOLDS, FAILS, CANNOT_TELL = "holds", "fails", "cannot tell"

PAPERS: Final = ("CFM", "MFM")
FEWEST: Final = 3
"""Points of a regime below which its share says nothing."""
LARGELY: Final = 0.8
SMALL: Final = 0.25
NEAR_ZERO_P: Final = 0.05
SPIKING_HZ: Final = 0.1

CLAIMS: Final = {
    1: "Within p in [0, 1] the network passes from de-synchronised to synchronised.",
    2: "The mass models fail when the network is de-synchronised and when it is in high-frequency synchrony; they fit "
    "around the onset of low-frequency synchrony.",
    3: "CFM and MFM largely agree.",
    4: "Chi-squared: only a small region of the plane is not significantly different.",
    5: "Rho: agreement inside part of the synchronised region, and a small area as p -> 0.",
    6: "tau_max of the MFM changes where p becomes large enough for the network to spike.",
}
"""The claims; the docstring of each check is its criterion."""


@dataclass(frozen=True)
class Verdict:
    """One claim's outcome; `numbers` is what it rests on."""

    claim: int
    text: str
    verdict: str
    criterion: str
    numbers: str


@dataclass(frozen=True, eq=False)
class Findings:
    """What the claims need of a comparison, on the plane (λ upwards, p to the right), NaN where nothing was compared.

    Attributes
    ----------
    p : array, (columns,)
    compared, spiking, synchronised : array of bool, (rows, columns)
    rate, frequency : array, (rows, columns)
        Mean rate of all neurons and median frequency of the network (Hz).
    agrees, same_spectrum, same_shape : dict of str to array of bool
        Model → inside the contour of the correlation; of the paper's χ²; of the calibrated spectral test.
    lag, lag_se : array, (rows, columns)
        Of the MFM (ms).
    """

    p: Reals
    compared: Mask
    spiking: Mask
    synchronised: Mask
    rate: Reals
    frequency: Reals
    agrees: dict[str, Mask]
    same_spectrum: dict[str, Mask]
    same_shape: dict[str, Mask]
    lag: Reals
    lag_se: Reals

    @property
    def has_models(self) -> bool:
        return all(model in self.agrees for model in PAPERS)


Outcome = tuple[str, str]
"""Verdict and numbers."""


def share(inside: Mask, among: Mask) -> float:
    """Share of the points `among` that are inside; NaN if there are none."""
    return float(inside[among].mean()) if among.any() else float("nan")


def onset(found: Findings) -> Mask:
    """Synchronised points of low frequency with a de-synchronised one beside, below or above them."""
    slow = found.synchronised & (found.frequency <= SLOW_HZ[1])
    before = np.pad(found.spiking & ~found.synchronised & found.compared, 1)
    beside: Mask = before[1:-1, :-2] | before[1:-1, 2:] | before[:-2, 1:-1] | before[2:, 1:-1]
    return slow & beside


def check_transition(found: Findings) -> Outcome:
    """Of the rows (one λ each) whose network spikes: at more than half, the smallest p is de-synchronised and a larger
    one synchronised.
    """
    if not (found.p.min() <= NEAR_ZERO_P and found.p.max() >= 0.5):
        return CANNOT_TELL, f"the file's p goes from {found.p.min():g} to {found.p.max():g}"
    rows = [row for row in range(found.spiking.shape[0]) if found.spiking[row].any()]
    if not rows:
        return CANNOT_TELL, "no network spikes"
    passing = [row for row in rows if not found.synchronised[row, 0] and found.synchronised[row].any()]
    first = [float(found.p[int(found.synchronised[row].argmax())]) for row in passing]
    numbers = f"{len(passing)} of {len(rows)} rows"
    if first:
        numbers += f", first synchronised at p = {min(first):g} ... {max(first):g}"
    return (HOLDS if len(passing) > len(rows) / 2 else FAILS), numbers


def check_where_models_fit(found: Findings) -> Outcome:
    """Share of points inside the contour of rho, for both models: above one half at the onset (synchronised, up to
    30 Hz, next to a de-synchronised point), below one half where de-synchronised and in synchrony above 80 Hz.
    """
    desynchronised = found.spiking & ~found.synchronised & found.compared
    fast = found.synchronised & (found.frequency > FAST_HZ)
    regimes = {"de-synchronised": desynchronised, "onset": onset(found), "fast synchrony": fast}
    numbers = "; ".join(
        f"{name} ({mask.sum()} points): "
        + ", ".join(f"{model} {100 * share(found.agrees[model], mask):.0f} %" for model in PAPERS)
        for name, mask in regimes.items()
    )
    if min(int(mask.sum()) for mask in regimes.values()) < FEWEST:
        return CANNOT_TELL, numbers
    fits = all(share(found.agrees[model], regimes["onset"]) > 0.5 for model in PAPERS)
    misses = all(
        share(found.agrees[m], regimes[r]) < 0.5 for m in PAPERS for r in ("de-synchronised", "fast synchrony")
    )
    return (HOLDS if fits and misses else FAILS), numbers


def check_models_agree(found: Findings) -> Outcome:
    """Both models are on the same side of the contour at 80 % or more of the points, for rho and for chi-squared."""
    both, parts = found.compared, []
    shares = []
    for name, contour in (("rho", found.agrees), ("chi-squared", found.same_spectrum)):
        a, b = (contour[model] for model in PAPERS)
        shares.append(share(a == b, both))
        union = int((a | b)[both].sum())
        common = f"{(a & b)[both].sum()} of {union} inside either are inside both"
        parts.append(f"{name}: same side at {100 * shares[-1]:.0f} % of {both.sum()} points ({common})")
    return (HOLDS if min(shares) >= LARGELY else FAILS), "; ".join(parts)


def check_chi_squared_region(found: Findings) -> Outcome:
    """The paper's contour of chi-squared (p-value above alpha) encloses some points, but fewer than a quarter, for
    both models.
    """
    shares = [share(found.same_spectrum[model], found.compared) for model in PAPERS]
    numbers = ", ".join(f"{model} {100 * s:.0f} %" for model, s in zip(PAPERS, shares, strict=True))
    verdict = HOLDS if all(0 < s < SMALL for s in shares) else FAILS
    calibrated = ", ".join(f"{model} {100 * share(found.same_shape[model], found.compared):.0f} %" for model in PAPERS)
    return verdict, (
        f"inside: {numbers} of {found.compared.sum()} points, at our choice of the histograms' total count, which the "
        f"paper leaves open; inside that of the calibrated test: {calibrated}"
    )


def check_rho_region(found: Findings) -> Outcome:
    """For both models the contour of rho encloses some, not all, synchronised points; and some, fewer than half, of
    the points with p up to 0.05 (p = 0 apart, if there are others).
    """
    near = (found.p <= NEAR_ZERO_P) & ((found.p > 0) if ((found.p > 0) & (found.p <= NEAR_ZERO_P)).any() else True)
    edge = found.compared & near[None, :]
    inside = found.synchronised & found.compared
    if not edge.any() or not inside.any():
        return CANNOT_TELL, f"{edge.sum()} points with p up to {NEAR_ZERO_P:g}, {inside.sum()} synchronised ones"
    part = {model: share(found.agrees[model], inside) for model in PAPERS}
    area = {model: share(found.agrees[model], edge) for model in PAPERS}
    numbers = "; ".join(
        f"{model}: {100 * part[model]:.0f} % of {inside.sum()} synchronised points, "
        f"{100 * area[model]:.0f} % of {edge.sum()} with p up to {NEAR_ZERO_P:g}"
        for model in PAPERS
    )
    unconnected = found.compared & (found.p == 0)[None, :]
    if unconnected.any() and not near[found.p == 0].any():
        counts = ", ".join(f"{model} {found.agrees[model][unconnected].sum()}" for model in PAPERS)
        numbers += f"; at p = 0 itself ({unconnected.sum()} points): {counts}"
    holds = all(0 < part[model] < 1 and 0 < area[model] < 0.5 for model in PAPERS)
    return (HOLDS if holds else FAILS), numbers


def check_lag_at_first_spikes(found: Findings) -> Outcome:
    """In more than half of the rows in which a small p is without spikes (below 0.1 Hz) and a larger one is not, the
    lag of the MFM differs between the two neighbours by more than three of its standard errors.
    """
    changes = []
    for row in range(found.rate.shape[0]):
        quiet = found.compared[row] & (found.rate[row] < SPIKING_HZ)
        for column in np.flatnonzero(quiet[:-1] & found.compared[row, 1:] & ~quiet[1:])[:1]:
            here, there = found.lag[row, column], found.lag[row, column + 1]
            if np.isfinite(here) and np.isfinite(there):
                error = float(np.hypot(found.lag_se[row, column], found.lag_se[row, column + 1]))
                changes.append((there - here, error))
    if not changes:
        rates = found.rate[found.compared & (found.p == found.p.min())[None, :]]
        return CANNOT_TELL, (
            f"no row passes from silence to spikes with a lag on both sides; at p = {found.p.min():g} the mean rate "
            f"of all neurons is {np.nanmin(rates):.2g} ... {np.nanmax(rates):.2g} Hz" if rates.size else "no such point"
        )  # fmt: skip
    if not all(np.isfinite(error) for _, error in changes):
        return CANNOT_TELL, f"{len(changes)} rows pass, but the lags have no standard error"
    clear = sum(abs(change) > 3 * error and change != 0 for change, error in changes)
    sizes = ", ".join(f"{change:+.2g}" for change, _ in changes)
    return (HOLDS if clear > len(changes) / 2 else FAILS), f"{clear} of {len(changes)} rows; changes (ms): {sizes}"


CHECKS: Final[dict[int, Callable[[Findings], Outcome]]] = {
    1: check_transition,
    2: check_where_models_fit,
    3: check_models_agree,
    4: check_chi_squared_region,
    5: check_rho_region,
    6: check_lag_at_first_spikes,
}


def verdicts(found: Findings) -> list[Verdict]:
    """All claims, in the paper's order."""
    listed = []
    for claim, check in CHECKS.items():
        criterion = " ".join((check.__doc__ or "").split())
        if not found.compared.any():
            outcome: Outcome = (CANNOT_TELL, "nothing is compared yet")
        elif claim > 1 and not found.has_models:
            outcome = (CANNOT_TELL, f"the file has not both of {' and '.join(PAPERS)}")
        else:
            outcome = check(found)
        listed.append(Verdict(claim, CLAIMS[claim], outcome[0], criterion, outcome[1]))
    return listed


def findings(view: View) -> Findings:
    """What the claims need, from a comparison that is cut to the plane of p and λ."""
    compared = view.point("n_compared") > 0
    alpha = view.experiment.compare.alpha
    models = [model for model in PAPERS if model in view.models]
    empty = np.full(compared.shape, np.nan)
    return Findings(
        p=np.array(view.plane.right_values),
        compared=compared,
        spiking=view.spiking,
        synchronised=view.synchronised & view.spiking,
        rate=np.where(compared, mean_rate(view), np.nan),
        frequency=view.point("median_frequency_lif"),
        agrees={model: view.model("rho_agrees", model) == 1 for model in models},
        same_spectrum={model: view.model("chi2_pvalue", model) > alpha for model in models},
        same_shape={model: view.model("log_ratio_pvalue", model) > alpha for model in models},
        lag=view.model("lag", "MFM") if "MFM" in models else empty,
        lag_se=view.model("lag_se", "MFM") if "MFM" in models and view.has("lag_se") else empty,
    )
