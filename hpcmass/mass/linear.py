"""LIN: the linear transfer model that fits the network best, a baseline for every other mass model.

    V(t) = c + Σ_σ Σ_j c_σj L_j[ḡ_σ](t),      j = 0 … ORDER - 1,  σ ∈ {E, I, ext}

with the Laguerre filters L_j of the mean conductances, that is, one causal kernel per type of synapse. The coefficients
minimise the squared error against the network's own mean potential, with a ridge penalty, and are cross-validated: a
trial is predicted with coefficients that the point's *other* trials gave. A single trial is cut in two halves, each
predicted from the other. The strength of the penalty is chosen within the training trials, by an
inner cross-validation.

The fit needs only the sums of squares and products of the regressors, so it reads each trial once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np

from hpcmass.config import MassParameters, NetworkParameters
from hpcmass.mass.laguerre import combined, filtered, products
from hpcmass.mass.meanfield import inputs
from hpcmass.mass.registry import MassModel, mass_model
from hpcmass.mass.traces import Potential, Traces, until_divergence

ORDER: Final = 12
"""Laguerre filters per type of synapse."""

FIT_MS: Final = 1.0
"""The fit takes one sample in this time; V and the filters hardly move within it."""

BLOCKS: Final = 4
"""Parts of a trial with separate sums, two in each half."""

FOLDS: Final = 8
"""Most folds in which the strength of the penalty is chosen."""

PENALTIES: Final = 10.0 ** np.arange(-8, 2)
"""Strengths of the ridge penalty, in units of the regressors' variance."""

LEAST_SPREAD: Final = 1e-4
"""Standard deviation of a filtered conductance, in units of the leak, that moves V by some thousandths of a mV at most.
A regressor that varies less is scaled as if it varied by this, so that the penalty keeps its weight small. Otherwise
the last of a spike's conductance would get a weight without bounds where a kind of neuron hardly fires."""

MEMBRANE_SHARE: Final = 0.5
"""Time constant of the filters in units of tau_m: ORDER of them then span 2 ORDER · tau_m/2 = 240 ms."""

Moments = Potential
"""(P + 2, P + 2): sums over samples of the products of (1, P regressors, V - V_L), 1 · 1 being their number."""


def pole(network: NetworkParameters) -> float:
    """Common pole of the filters."""
    return max(0.0, 1 - network.dt_ms / (MEMBRANE_SHARE * network.tau_m_ms))


class LinearTransfer:
    """The model in two steps, see `FittedModel`."""

    def summarise(self, traces: Traces, network: NetworkParameters, mass: MassParameters) -> list[Moments]:
        """Moments of the BLOCKS parts of a trial after the transient, in their order."""
        stride = max(1, round(FIT_MS / network.dt_ms))
        first = network.n_transient
        rows = filtered(*inputs(traces, network), pole(network), ORDER, first, stride)
        target = np.asarray(traces.mean_v[first::stride], dtype=np.float64) - network.v_leak_mv
        sample = np.column_stack((np.ones(len(rows)), rows, target))
        step = first + stride * np.arange(len(rows))
        edges = np.searchsorted(step, _edges(network, BLOCKS))
        return [products(part) for part in np.split(sample, edges[:-1])]

    def fit(self, summaries: Mapping[int, list[Moments]], held_out: int, network: NetworkParameters) -> MassModel:
        """The model of one trial, from the others or, if it is alone, of its halves from each other."""
        others = [blocks for trial, blocks in sorted(summaries.items()) if trial != held_out]
        if others:
            return partial(_predict, coefficients=[coefficients([block for blocks in others for block in blocks])])
        blocks = summaries[held_out]
        half = BLOCKS // 2
        return partial(_predict, coefficients=[coefficients(blocks[half:]), coefficients(blocks[:half])])


mass_model("LIN")(LinearTransfer())


def _edges(network: NetworkParameters, n_parts: int) -> list[int]:
    """The step behind the last of each of the equal parts into which the time after the transient is cut."""
    analysed = network.n_steps - network.n_transient
    return [network.n_transient + analysed * (part + 1) // n_parts for part in range(n_parts)]


def _predict(
    traces: Traces, network: NetworkParameters, mass: MassParameters, *, coefficients: Sequence[Potential]
) -> Potential:
    """V (mV), with one set of coefficients for each of the equal parts of the trial."""
    edges = np.array(_edges(network, len(coefficients)))
    deviation = combined(*inputs(traces, network), pole(network), np.array(coefficients), edges)
    return until_divergence(network.v_leak_mv + deviation)


def coefficients(blocks: Sequence[Moments]) -> Potential:
    """Constant and weights that fit the blocks best, (1 + P,), with the penalty that predicts unseen blocks best."""
    total = np.sum(blocks, axis=0)
    n_folds = min(FOLDS, len(blocks))
    if n_folds < 2:
        return _ridge(total)[len(PENALTIES) // 2]
    errors = np.zeros(len(PENALTIES))
    for fold in range(n_folds):
        unseen = np.sum(blocks[fold::n_folds], axis=0)
        for i, candidate in enumerate(_ridge(total - unseen)):
            residual = np.append(candidate, -1.0)
            errors[i] += residual @ unseen @ residual
    return _ridge(total)[int(np.argmin(errors))]


def _ridge(moments: Moments) -> Potential:
    """Coefficients for each of PENALTIES, (n_penalties, 1 + P).

    Regressors are scaled to unit variance, or less: see LEAST_SPREAD. One that does not vary has weight 0 (λ = 1: there
    is no inhibition).
    """
    n = moments[0, 0]
    mean = moments[0, 1:] / n
    covariance = moments[1:, 1:] / n - np.outer(mean, mean)
    spread = np.sqrt(np.maximum(np.diag(covariance)[:-1], 0.0))
    varies = spread > 1e-7 * np.sqrt(np.diag(moments)[1:-1] / n)  # below that is what the subtraction leaves
    scale = np.where(varies, 1 / np.maximum(spread, LEAST_SPREAD), 0.0)
    values, vectors = np.linalg.eigh(covariance[:-1, :-1] * np.outer(scale, scale))
    along = vectors.T @ (covariance[:-1, -1] * scale)
    weights = (vectors @ (along[:, None] / (np.maximum(values, 0.0)[:, None] + PENALTIES))).T * scale
    return np.column_stack((mean[-1] - weights @ mean[:-1], weights))
