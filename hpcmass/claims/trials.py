"""From a comparison to what the claims need: at its own trials, and at resamples of them.

A resample draws, at each point, R - 1 of its R trials with replacement. Then the variance of a mean over the draws is
on average that of the mean over R trials from one experiment to the next; with R draws it would be too small by a
factor of (R - 1)/R, which matters for the two or three trials of a short sweep (McCarthy & Snowden 1985).

Means over trials (Spike-contrast, rates, Fisher's z) and the median of the lags are computed from the drawn trials. χ²
and the median frequency are not means of trials: their logarithms change by the mean over the draws of the trials'
influences, which for χ² are those of the jackknife. Spectra averaged over repeated trials would be noisier, and their
χ² larger, than those of the experiment.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.stats

from hpcmass.claims.criteria import PAPERS
from hpcmass.claims.findings import Findings, Reals
from hpcmass.plots.regimes import mean_rate, rate_of_all
from hpcmass.plots.view import View
from hpcmass.store.schema import DONE

NEEDED: Final = ("rho_trial", "rho_pvalue", "lag_trial", "chi2_without_trial", "median_frequency_lif_trial")
"""What resamples need beyond what the claims need."""

Counts = npt.NDArray[np.float64]
"""How often each trial of each point was drawn, (resamples, rows, columns, trials)."""


def findings(view: View) -> Findings:
    """What the claims need, from a comparison that is cut to the plane of p and λ."""
    compared = view.point("n_compared") > 0
    settings = view.experiment.compare
    models = [model for model in PAPERS if model in view.models]
    nan = np.full(compared.shape, np.nan)
    mfm = "MFM" in models
    return Findings(
        p=np.array(view.plane.right_values),
        compared=compared,
        rate=np.where(compared, mean_rate(view), np.nan),
        frequency=view.point("median_frequency_lif"),
        high_contrast=view.synchronised,
        agrees={model: view.model("rho_agrees", model) == 1 for model in models},
        critical_count={model: _critical_count(view, model) for model in models},
        count=view.point("histogram_count") if view.has("histogram_count") else nan,
        same_shape={model: view.model("log_ratio_pvalue", model) > settings.alpha for model in models},
        lag=view.model("lag", "MFM") if mfm else nan,
        lag_se=view.model("lag_se", "MFM") if mfm and view.has("lag_se") else nan,
    )


def _critical_count(view: View, model: str) -> Reals:
    """χ² is proportional to the total count, so it reaches its critical value at this multiple of the file's count."""
    chi2, dof = view.model("chi2", model), view.model("chi2_dof", model)
    critical = scipy.stats.chi2.isf(view.experiment.compare.alpha, np.where(dof > 0, dof, np.nan))
    with np.errstate(divide="ignore"):
        return np.asarray(critical / chi2)


class Trials:
    """The trials of a comparison in the plane of p and λ, for resamples.

    Attributes
    ----------
    fewest, most : int
        Trials at the points that are compared.
    lacks : str
        Why there can be no resample; empty if there can.
    """

    def __init__(self, view: View, found: Findings) -> None:
        self._found = found
        self._done = done = (view.point("status") == DONE) & found.compared[..., None]
        self._n = done.sum(axis=-1)
        counts = self._n[found.compared]
        self.fewest, self.most = (int(counts.min()), int(counts.max())) if counts.size else (0, 0)
        self.lacks = self._problem(view)
        if self.lacks:
            return
        # Trials that are not done come first, for NumPy gives the last one what rounding leaves.
        self._order = np.argsort(done, axis=-1, kind="stable")
        share = view.plane.coordinate("lam")[..., None]
        self._rate = self._of_trials(rate_of_all(view.point("rate_E"), view.point("rate_I"), share))
        self._contrast = self._of_trials(view.point("spike_contrast"))
        self._contrast_min = view.experiment.compare.spike_contrast_min
        frequency = self._of_trials(view.point("median_frequency_lif_trial"))
        self._frequency_influence = _deviations(_log(frequency))
        alpha, rho_min = view.experiment.compare.alpha, view.experiment.compare.rho_min
        self._z_min = np.arctanh(rho_min)
        self._z, self._significant, self._critical_influence = {}, {}, {}
        for model in found.agrees:
            self._z[model] = np.arctanh(np.clip(self._of_trials(view.model("rho_trial", model)), -_LARGEST, _LARGEST))
            whole = view.model("n_diverged", model) <= 0
            self._significant[model] = whole & (view.model("rho_pvalue", model) < alpha)
            without = self._of_trials(view.model("chi2_without_trial", model))
            # leaving out a trial of large χ² lowers χ², and raises the critical count
            self._critical_influence[model] = (self._n - 1)[..., None] * _deviations(_log(without))
        self._lag = self._of_trials(view.model("lag_trial", "MFM")) if "MFM" in found.agrees else None

    def _problem(self, view: View) -> str:
        if self.most < 2:
            return "one trial at each point" if self.most else "no trial"
        made_again = "an earlier hpcmass made the file; compare the sweep again"
        if not view.has(*NEEDED):
            return made_again
        several = self._n > 1
        for model in self._found.agrees:
            for statistic, by_trial in (("rho", "rho_trial"), ("chi2", "chi2_without_trial")):
                known = np.isfinite(view.model(statistic, model)) & several
                if (known & ~np.isfinite(view.model(by_trial, model)).any(axis=-1)).any():
                    return made_again
        return ""

    def _of_trials(self, values: Reals) -> Reals:
        """Values of the trials that are done, in the order of `_order`."""
        return np.take_along_axis(np.where(self._done, values, np.nan), self._order, -1)

    def draw(self, rng: np.random.Generator, n: int) -> Counts:
        """`n` resamples; a point with a single trial keeps it."""
        draws = np.where(self._n > 1, self._n - 1, self._n)
        done = np.take_along_axis(self._done, self._order, -1)
        shares = done / np.maximum(self._n, 1)[..., None]
        return rng.multinomial(draws, shares, size=(n, *draws.shape)).astype(np.float64)

    def resampled(self, counts: Counts) -> Findings:
        """What the claims would have needed of these trials.

        A model that diverged in a trial of a point fails there in every resample; the standard errors of the lags and
        the significance of ρ are those of all trials.
        """
        found = self._found
        agrees, critical = {}, {}
        for model in found.agrees:
            z = _mean(counts, self._z[model])
            agrees[model] = self._significant[model] & (z > self._z_min)
            change = np.nan_to_num(_mean(counts, self._critical_influence[model]))
            critical[model] = found.critical_count[model] * np.exp(change)
        return replace(
            found,
            rate=_mean(counts, self._rate),
            frequency=found.frequency * np.exp(np.nan_to_num(_mean(counts, self._frequency_influence))),
            high_contrast=_mean(counts, self._contrast) >= self._contrast_min,
            agrees=agrees,
            critical_count=critical,
            lag=np.where(np.isnan(found.lag), np.nan, _median(counts, self._lag))
            if self._lag is not None
            else found.lag,
        )


_LARGEST: Final = 1 - 1e-15
"""Correlations are clipped to this, as in the comparison."""


def _log(values: Reals) -> Reals:
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(values)
    return np.where(np.isfinite(logarithm), logarithm, np.nan)


def _deviations(values: Reals) -> Reals:
    """Differences from the mean over the trials."""
    known = np.isfinite(values)
    n = known.sum(axis=-1, keepdims=True)
    total = np.where(known, values, 0.0).sum(axis=-1, keepdims=True)
    return np.asarray(values - total / np.maximum(n, 1))


def _mean(counts: Counts, values: Reals) -> Reals:
    """Mean over the drawn trials that have a value; NaN if none has."""
    known = np.isfinite(values)
    total = np.einsum("...t,...t->...", counts, np.where(known, values, 0.0))
    n = np.einsum("...t,...t->...", counts, known.astype(np.float64))
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _median(counts: Counts, values: Reals) -> Reals:
    """Median over the drawn trials that have a value; NaN if none has."""
    order = np.argsort(values, axis=-1)  # NaN last
    ordered = np.take_along_axis(values, order, -1)
    drawn = np.take_along_axis(counts, np.broadcast_to(order, counts.shape), -1) * np.isfinite(ordered)
    below = np.cumsum(drawn, axis=-1)
    n = below[..., -1]

    def at(rank: npt.NDArray[Any]) -> Reals:
        place = np.argmax(below > rank[..., None], axis=-1)
        return np.take_along_axis(np.broadcast_to(ordered, counts.shape), place[..., None], -1)[..., 0]

    middle = (at(np.floor((n - 1) / 2)) + at(np.floor(n / 2))) / 2
    return np.where(n > 0, middle, np.nan)
