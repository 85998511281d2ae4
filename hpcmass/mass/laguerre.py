"""Laguerre filters: an orthonormal basis of causal kernels that decay.

The first is a low-pass, each further one the one before behind an all-pass with the same pole α (Wahlberg 1991, IEEE
Trans. Autom. Control 36:551),

    L_0(z) = sqrt(1 - α²)/(1 - α/z),        L_j(z) = L_{j-1}(z) (1/z - α)/(1 - α/z)

A dozen of them span what a kernel of a few hundred milliseconds needs, where a free value per step would take
thousands. Here they act on the network's mean conductances ḡ_σ, themselves Φ_σ behind the synapses' filter.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hpcmass.compiled import compiled
from hpcmass.mass.traces import Potential, Trace


@compiled(inline="always")
def _advance(x: Potential, s: int, g: float, pole: float, gain: float) -> None:
    """One step of the filters of input s, from conductance g."""
    before = x[s, 0]
    x[s, 0] = now = pole * before + gain * g
    for j in range(1, x.shape[1]):
        old = x[s, j]
        x[s, j] = now = pole * old + before - pole * now
        before = old


@compiled()
def filtered(
    phi_E: Trace,
    phi_I: Trace,
    phi_ext: Trace,
    jump: Potential,
    decay: Potential,
    pole: float,
    order: int,
    start: int,
    stride: int,
) -> Potential:
    """The filters' outputs at every `stride`-th step.

    Parameters
    ----------
    phi_E, phi_I, phi_ext : array, (n_steps,)
        Inputs (1/ms); all filters are empty before the first.
    jump, decay : array, (3,)
        From `meanfield.synapses`.
    pole : float
        α.
    order : int
        Filters per input.
    start, stride : int
        First step of the result, steps between two of its rows.

    Returns
    -------
    array of float64, (n_rows, 3 * order)
        Row i holds the outputs that follow from the spikes before step start + i * stride; E first, then I, ext.
    """
    n_rows = max(0, (phi_E.size - start + stride - 1) // stride)
    rows = np.empty((n_rows, 3 * order))
    x = np.zeros((3, order))
    gain = math.sqrt(1 - pole**2)
    g_E = g_I = g_ext = 0.0
    row = 0
    for k in range(phi_E.size):
        if k >= start and (k - start) % stride == 0:
            for s in range(3):
                for j in range(order):
                    rows[row, s * order + j] = x[s, j]
            row += 1
        g_E = g_E * decay[0] + jump[0] * phi_E[k]
        g_I = g_I * decay[1] + jump[1] * phi_I[k]
        g_ext = g_ext * decay[2] + jump[2] * phi_ext[k]
        _advance(x, 0, g_E, pole, gain)
        _advance(x, 1, g_I, pole, gain)
        _advance(x, 2, g_ext, pole, gain)
    return rows


@compiled()
def products(rows: Potential) -> Potential:
    """Sum over rows of the products of all pairs of columns, (P, P).

    A plain loop, because the rounding of a BLAS depends on its number of threads.
    """
    n_columns = rows.shape[1]
    sums = np.zeros((n_columns, n_columns))
    for row in range(rows.shape[0]):
        for i in range(n_columns):
            value = rows[row, i]
            for j in range(n_columns):
                sums[i, j] += value * rows[row, j]
    return sums


@compiled()
def combined(
    phi_E: Trace,
    phi_I: Trace,
    phi_ext: Trace,
    jump: Potential,
    decay: Potential,
    pole: float,
    coefficients: Potential,
    stops: npt.NDArray[np.int64],
) -> Potential:
    """Weighted sum of the filters' outputs at every step.

    Parameters
    ----------
    phi_E, phi_I, phi_ext, jump, decay, pole
        As for `filtered`.
    coefficients : array, (n_parts, 1 + 3 * order)
        Constant and weights for each part of the trial.
    stops : array of int, (n_parts,)
        Step behind the last of each part.
    """
    order = (coefficients.shape[1] - 1) // 3
    sums = np.empty(phi_E.size)
    x = np.zeros((3, order))
    weight = np.empty((3, order))
    gain = math.sqrt(1 - pole**2)
    g_E = g_I = g_ext = 0.0
    k = 0
    for part in range(stops.size):
        for s in range(3):
            for j in range(order):
                weight[s, j] = coefficients[part, 1 + s * order + j]
        while k < stops[part]:
            total = coefficients[part, 0]
            for s in range(3):
                for j in range(order):
                    total += weight[s, j] * x[s, j]
            sums[k] = total
            g_E = g_E * decay[0] + jump[0] * phi_E[k]
            g_I = g_I * decay[1] + jump[1] * phi_I[k]
            g_ext = g_ext * decay[2] + jump[2] * phi_ext[k]
            _advance(x, 0, g_E, pole, gain)
            _advance(x, 1, g_I, pole, gain)
            _advance(x, 2, g_ext, pole, gain)
            k += 1
    return sums
