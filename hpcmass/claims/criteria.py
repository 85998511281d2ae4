"""The paper's six claims as criteria: what is computed from a plane of p and λ, and from where a claim holds.

The criteria were fixed before they were applied; no threshold was chosen by its outcome. The table in `docs/methods.md`
gives the reasons. A claim *holds* or *fails* for the network of the file, whose parameters are not all the paper's.

Every claim takes planes with any leading dimensions, as `findings` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from hpcmass.claims.findings import Findings, Mask, count, median, onset, share
from hpcmass.plots.regimes import FAST_HZ, SLOW_HZ, SPIKING_HZ
from hpcmass.plots.style import number
from hpcmass.text import counted

Codes = npt.NDArray[np.int8]
Measures = Mapping[str, npt.NDArray[Any]]
"""What a claim rests on: name → a number for each plane."""

HOLDS, FAILS, CANNOT_TELL = "holds", "fails", "cannot tell"
VERDICTS: Final = (FAILS, HOLDS, CANNOT_TELL)
"""The codes of `Claim.decide` are positions in this tuple."""

PAPERS: Final = ("CFM", "MFM")
FEWEST: Final = 3
"""Points of a region below which its share says nothing."""
LARGELY: Final = 0.8
SMALL: Final = 0.25
NEAR_ZERO_P: Final = 0.05
LARGE_P: Final = 0.5
CLEAR: Final = 3.0
"""Standard errors of a clear change."""


def percent(value: Any) -> str:
    """Per cent without the sign; `–` for NaN."""
    return "–" if np.isnan(value) else f"{100 * float(value):.0f}"


def _codes(holds: Mask, decided: Mask) -> Codes:
    holds, decided = np.broadcast_arrays(holds, decided)
    return np.where(decided, holds.astype(np.int8), np.int8(2)).astype(np.int8)


class Claim:
    """One claim, or one way to read it.

    Attributes
    ----------
    label : str
        `1` … `6`, `2a` and `2b`.
    text, criterion : str
    needs : tuple of str
        Models without which nothing can be said.
    """

    label: ClassVar[str]
    text: ClassVar[str]
    criterion: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = PAPERS

    def measure(self, found: Findings) -> Measures:
        """The numbers that the verdict rests on."""
        raise NotImplementedError

    def decide(self, measured: Measures) -> Codes:
        """The verdict on each plane, a position in `VERDICTS`."""
        raise NotImplementedError

    def short(self, measured: Measures) -> str:
        """The numbers of one plane for a cell of the table."""
        raise NotImplementedError

    def numbers(self, found: Findings, measured: Measures) -> str:
        """The numbers of one plane in words."""
        raise NotImplementedError


class Transition(Claim):
    """Claim 1."""

    label = "1"
    text = "Within p in [0, 1] the network passes from de-synchronised to synchronised."
    criterion = (
        f"Of the rows (one λ each) that are compared from p ≤ {NEAR_ZERO_P:g} to p ≥ {LARGE_P:g} and spike somewhere: "
        "at more than half, the smallest p is not synchronised and a larger one is."
    )
    needs = ()

    def measure(self, found: Findings) -> Measures:
        rows = [
            (row, columns[0])
            for row in range(found.compared.shape[0])
            if (columns := np.flatnonzero(found.compared[row])).size
            and found.p[columns[0]] <= NEAR_ZERO_P
            and found.p[columns[-1]] >= LARGE_P
        ]
        total = passing = np.zeros(found.rate.shape[:-2], dtype=np.int64)
        for row, first in rows:
            spikes, synchronised = found.spiking[..., row, :].any(axis=-1), found.synchronised[..., row, :]
            total = total + spikes
            passing = passing + (spikes & ~synchronised[..., first] & synchronised.any(axis=-1))
        return {"rows": total, "passing": passing, "rows_compared": np.full(total.shape, len(rows))}

    def decide(self, measured: Measures) -> Codes:
        return _codes(measured["passing"] > measured["rows"] / 2, measured["rows"] > 0)

    def short(self, measured: Measures) -> str:
        return f"{measured['passing']}/{measured['rows']}"

    def numbers(self, found: Findings, measured: Measures) -> str:
        if not measured["rows_compared"]:
            p = found.p[found.compared.any(axis=0)]
            return f"no row is compared from p ≤ {NEAR_ZERO_P:g} to p ≥ {LARGE_P:g}; p goes from {p[0]:g} to {p[-1]:g}"
        if not measured["rows"]:
            return "no network spikes"
        first = [float(found.p[row.argmax()]) for row in found.synchronised if row.any()]
        text = f"{measured['passing']} of {counted(int(measured['rows']), 'row')}"
        return text + (f", first synchronised at p = {min(first):g} ... {max(first):g}" if first else "")


class WhereModelsFit(Claim):
    """Claim 2; `silent`: de-synchronised points include those without spikes."""

    regimes: ClassVar[tuple[str, ...]] = ("before", "onset", "fast")
    silent: ClassVar[bool]

    def measure(self, found: Findings) -> Measures:
        among = found.compared if self.silent else found.spiking
        masks = (
            among & ~found.synchronised,
            onset(found),
            found.synchronised & (found.frequency > FAST_HZ),
        )
        measured: dict[str, npt.NDArray[Any]] = {}
        for regime, mask in zip(self.regimes, masks, strict=True):
            measured[f"{regime}_points"] = count(mask)
            measured |= {f"{regime}_{model}": share(found.agrees[model], mask) for model in PAPERS}
        return measured

    def decide(self, measured: Measures) -> Codes:
        enough = np.logical_and.reduce([measured[f"{regime}_points"] >= FEWEST for regime in self.regimes])
        fits = np.logical_and.reduce([measured[f"onset_{model}"] > 0.5 for model in PAPERS])
        misses = np.logical_and.reduce([measured[f"{r}_{model}"] < 0.5 for model in PAPERS for r in ("before", "fast")])
        return _codes(fits & misses, enough)

    def short(self, measured: Measures) -> str:
        worst = {"before": np.maximum, "onset": np.minimum, "fast": np.maximum}
        a, b = PAPERS
        return "|".join(percent(worst[r](measured[f"{r}_{a}"], measured[f"{r}_{b}"])) for r in self.regimes)

    def numbers(self, found: Findings, measured: Measures) -> str:
        names = ("de-synchronised", "onset", "fast synchrony")
        texts = []
        for name, regime in zip(names, self.regimes, strict=True):
            n = int(measured[f"{regime}_points"])
            shares = ", ".join(f"{model} {percent(measured[f'{regime}_{model}'])} %" for model in PAPERS)
            texts.append(f"{name} ({_points(n)})" + (f": {shares}" if n else ""))
        return "; ".join(texts)


class WhereModelsFitSpiking(WhereModelsFit):
    """Claim 2 for points that spike."""

    label = "2a"
    text = (
        "The mass models fail when the network is de-synchronised and when it is in high-frequency synchrony; they fit "
        "around the onset of low-frequency synchrony. De-synchronised: the network spikes."
    )
    criterion = (
        "Share of points inside the contour of rho, for both models: above one half at the onset (synchronised, up to "
        f"{SLOW_HZ:g} Hz, next to a point that is not synchronised), below one half where de-synchronised and in "
        f"synchrony above {FAST_HZ:g} Hz; {FEWEST} points or more of each."
    )
    silent = False


class WhereModelsFitAll(WhereModelsFit):
    """Claim 2 with silent points."""

    label = "2b"
    text = "The same; de-synchronised: every point that is not synchronised, silent ones included."
    criterion = "As 2a, with the silent points among the de-synchronised ones."
    silent = True


class ModelsAgree(Claim):
    """Claim 3."""

    label = "3"
    text = "CFM and MFM largely agree."
    criterion = (
        f"Both models are on the same side of the contour at {100 * LARGELY:g} % or more of the points, for rho and "
        f"for chi-squared; {FEWEST} points or more."
    )

    def measure(self, found: Findings) -> Measures:
        measured: dict[str, npt.NDArray[Any]] = {"points": count(found.compared)}
        for name, contour in (("rho", found.agrees), ("chi2", _inside(found))):
            a, b = (contour[model] for model in PAPERS)
            measured[f"{name}_same"] = share(a == b, found.compared)
            measured[f"{name}_either"] = count((a | b) & found.compared)
            measured[f"{name}_both"] = count(a & b & found.compared)
        return measured

    def decide(self, measured: Measures) -> Codes:
        least = np.minimum(measured["rho_same"], measured["chi2_same"])
        return _codes(least >= LARGELY, measured["points"] >= FEWEST)

    def short(self, measured: Measures) -> str:
        return f"{percent(measured['rho_same'])},{percent(measured['chi2_same'])}"

    def numbers(self, found: Findings, measured: Measures) -> str:
        return "; ".join(
            f"{text}: same side at {percent(measured[f'{name}_same'])} % of {_points(measured['points'])} "
            f"({measured[f'{name}_both']} of {measured[f'{name}_either']} inside either are inside both)"
            for name, text in (("rho", "rho"), ("chi2", "chi-squared"))
        )


def _points(n: Any) -> str:
    return counted(int(n), "point")


def _inside(found: Findings) -> dict[str, Mask]:
    """Model → not significantly different by χ², at the file's total count."""
    return {model: critical > 1 for model, critical in found.critical_count.items()}


class ChiSquaredRegion(Claim):
    """Claim 4."""

    label = "4"
    text = "Chi-squared: only a small region of the plane is not significantly different."
    criterion = (
        "The paper's contour of chi-squared (p-value above alpha) encloses some points, but fewer than a quarter, for "
        "both models, at the file's total count C. The paper leaves C open, and chi-squared is proportional to it, so "
        f"the range of C for which the claim holds is given, too; {FEWEST} points or more."
    )

    def measure(self, found: Findings) -> Measures:
        """The claim holds for `least` ≤ C < `most`, in units of the file's C; for none if these are not in order."""
        critical = {
            model: np.where(found.compared & ~np.isnan(values), values, 0.0)
            for model, values in found.critical_count.items()
        }
        n = int(count(found.compared))
        allowed = max(math.ceil(SMALL * n) - 1, 0)
        ends = {}
        for model, values in critical.items():
            ordered = -np.sort(-values.reshape(*values.shape[:-2], -1), axis=-1)
            ends[model] = ordered[..., min(allowed, ordered.shape[-1] - 1)], ordered[..., 0]
        return {
            "points": count(found.compared),
            **{f"inside_{model}": share(critical[model] > 1, found.compared) for model in PAPERS},
            "least": np.maximum(*(ends[model][0] for model in PAPERS)),
            "most": np.minimum(*(ends[model][1] for model in PAPERS)),
        }

    def decide(self, measured: Measures) -> Codes:
        shares = [measured[f"inside_{model}"] for model in PAPERS]
        holds = np.logical_and.reduce([(s > 0) & (s < SMALL) for s in shares])
        return _codes(holds, measured["points"] >= FEWEST)

    def short(self, measured: Measures) -> str:
        shares = ",".join(percent(measured[f"inside_{model}"]) for model in PAPERS)
        least, most = float(measured["least"]), float(measured["most"])
        return f"{shares} C {f'{_two(least)}-{_two(most)}' if least < most else 'none'}"

    def numbers(self, found: Findings, measured: Measures) -> str:
        inside = ", ".join(f"{model} {percent(measured[f'inside_{model}'])} %" for model in PAPERS)
        counts = found.count[found.compared]
        default = float(np.nanmax(counts)) if np.isfinite(counts).any() else math.nan
        at = "" if math.isnan(default) else f" = {number(default)}"
        least, most = float(measured["least"]), float(measured["most"])
        text = f"inside: {inside} of {_points(measured['points'])}, at a total count of C{at}; "
        if least < most:
            text += f"the claim holds for {_two(least)} to {_two(most)} times that C"
            if not math.isnan(default):
                text += f" ({_two(least * default)} to {_two(most * default)})"
        else:
            text += "the claim holds for no C"
        calibrated = ", ".join(f"{m} {percent(share(found.same_shape[m], found.compared))} %" for m in PAPERS)
        return f"{text}; inside the contour of the calibrated test: {calibrated}"


def _two(value: float) -> str:
    """Two significant digits."""
    return "∞" if math.isinf(value) else number(float(f"{value:.2g}"))


class RhoRegion(Claim):
    """Claim 5."""

    label = "5"
    text = "Rho: agreement inside part of the synchronised region, and a small area as p -> 0."
    criterion = (
        "For both models the contour of rho encloses some, not all, synchronised points; and some, fewer than half, of "
        f"the points with p up to {NEAR_ZERO_P:g}, without p = 0; {FEWEST} points or more of each."
    )

    def measure(self, found: Findings) -> Measures:
        edge, inside = found.compared & self._near(found)[None, :], found.synchronised
        return {
            "synchronised": count(inside),
            "near_zero": np.broadcast_to(count(edge), found.rate.shape[:-2]),
            **{f"synchronised_{model}": share(found.agrees[model], inside) for model in PAPERS},
            **{f"near_zero_{model}": share(found.agrees[model], edge) for model in PAPERS},
        }

    @staticmethod
    def _near(found: Findings) -> Mask:
        return np.asarray((found.p > 0) & (found.p <= NEAR_ZERO_P))

    def decide(self, measured: Measures) -> Codes:
        part = [measured[f"synchronised_{model}"] for model in PAPERS]
        area = [measured[f"near_zero_{model}"] for model in PAPERS]
        holds = np.logical_and.reduce([(a > 0) & (a < 1) for a in part] + [(a > 0) & (a < 0.5) for a in area])
        return _codes(holds, (measured["synchronised"] >= FEWEST) & (measured["near_zero"] >= FEWEST))

    def short(self, measured: Measures) -> str:
        return "|".join(
            ",".join(percent(measured[f"{region}_{model}"]) for model in PAPERS)
            for region in ("synchronised", "near_zero")
        )

    def numbers(self, found: Findings, measured: Measures) -> str:
        inside, edge = measured["synchronised"], measured["near_zero"]
        if not (inside and edge):
            return f"{_points(edge)} with p up to {NEAR_ZERO_P:g} (without p = 0), {inside} synchronised"
        text = "; ".join(
            f"{model}: {percent(measured[f'synchronised_{model}'])} % of {counted(int(inside), 'synchronised point')}, "
            f"{percent(measured[f'near_zero_{model}'])} % of {edge} with p up to {NEAR_ZERO_P:g}"
            for model in PAPERS
        )
        zero = found.p == 0
        unconnected = found.compared & zero[None, :]
        if unconnected.any():
            counts = ", ".join(f"{model} {count(found.agrees[model] & unconnected)}" for model in PAPERS)
            text += f"; at p = 0 itself ({_points(count(unconnected))}): {counts}"
        return text


class LagAtTheJump(Claim):
    """Claim 6."""

    label = "6"
    text = "tau_max of the MFM changes where p becomes large enough for the network to spike."
    criterion = (
        f"Of the rows that are silent (below {SPIKING_HZ:g} Hz) at their smallest p and spike at a larger one, with a "
        "lag on both sides of the step at which the rate grows by the largest factor: at more than half, the lag of "
        f"the MFM differs between these two sides by more than {CLEAR:g} of its standard errors, and by more than at "
        "half of the row's other steps."
    )
    needs = ("MFM",)

    def measure(self, found: Findings) -> Measures:
        return {name: values for name, values in self._steps(found).items() if name in ("rows", "passing", "clear")}

    def _steps(self, found: Findings) -> dict[str, npt.NDArray[Any]]:
        """Counts of rows; of each row the column before its jump, -1 if it does not count, and the change there."""
        planes = found.rate.shape[:-2]
        total = passing = clear = np.zeros(planes, dtype=np.int64)
        places, changes = [], []
        for row in range(found.compared.shape[0]):
            columns = np.flatnonzero(found.compared[row])
            if columns.size < 2:
                continue
            rate, lag = found.rate[..., row, columns], found.lag[..., row, columns]
            error = np.hypot(found.lag_se[row, columns[:-1]], found.lag_se[row, columns[1:]])
            starts = (rate[..., 0] < SPIKING_HZ) & (rate >= SPIKING_HZ).any(axis=-1)
            level = np.maximum(rate, SPIKING_HZ)
            jump = np.argmax(level[..., 1:] / level[..., :-1], axis=-1)[..., None]
            step = np.diff(lag, axis=-1)
            change = np.take_along_axis(step, jump, -1)[..., 0]
            known = (np.diff(columns) == 1)[jump[..., 0]] & np.isfinite(change) & np.isfinite(error[jump[..., 0]])
            others = np.abs(step)
            np.put_along_axis(others, jump, np.nan, -1)
            usual = np.nan_to_num(median(others))
            counts = starts & known
            beyond = (np.abs(change) > CLEAR * error[jump[..., 0]]) & (np.abs(change) > usual)
            total, passing, clear = total + starts, passing + counts, clear + (counts & beyond)
            places.append(np.where(counts, columns[jump[..., 0]], -1))
            changes.append(change)
        return {
            "rows": total, "passing": passing, "clear": clear, "places": np.array(places), "changes": np.array(changes)
        }  # fmt: skip

    def decide(self, measured: Measures) -> Codes:
        return _codes(measured["clear"] > measured["passing"] / 2, measured["passing"] > 0)

    def short(self, measured: Measures) -> str:
        return f"{measured['clear']}/{measured['passing']}"

    def numbers(self, found: Findings, measured: Measures) -> str:
        p = found.p[found.compared.any(axis=0)]
        if not measured["rows"]:
            rates = found.rate[found.compared & (found.p == p[0])[None, :]]
            if not np.isfinite(rates).any():
                return "the rates were not recorded"
            return (
                f"no row passes from silence to spikes; at p = {p[0]:g} the mean rate of all neurons is "
                f"{np.nanmin(rates):.2g} ... {np.nanmax(rates):.2g} Hz"
            )
        if not measured["passing"]:
            return (
                f"{counted(int(measured['rows']), 'row passes', 'rows pass')} from silence to spikes, none with a lag "
                "and its standard error on both sides of the jump"
            )
        steps = self._steps(found)
        rows = steps["places"] >= 0
        places, changes = steps["places"][rows], steps["changes"][rows]
        where = f"p = {found.p[places.min()]:g} ... {found.p[places.max() + 1]:g}"
        counting = counted(
            int(measured["passing"]), "row that starts silent and has", "rows that start silent and have"
        )
        return (
            f"the lag changes at the jump of the rate in {measured['clear']} of {counting} "
            f"a lag on both sides; jump between {where}, change of the lag there "
            f"{changes.min():+.2g} ... {changes.max():+.2g} ms, median {np.median(changes):+.2g} ms"
        )


CLAIMS: Final[tuple[Claim, ...]] = (
    Transition(),
    WhereModelsFitSpiking(),
    WhereModelsFitAll(),
    ModelsAgree(),
    ChiSquaredRegion(),
    RhoRegion(),
    LagAtTheJump(),
)
"""All claims, in the paper's order."""
