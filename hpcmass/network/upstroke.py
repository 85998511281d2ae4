"""How a neuron above its threshold makes its own spike: the current psi(v) of the neuron models beside LIF.

    tau_m dv = [-(v - V_L) + psi(v) - Σ_σ g_σ (v - V_σ)] dt + dw

    EIF    psi = Δ_T exp((v - V_T)/Δ_T)              Fourcaud-Trocmé et al. (2003), J. Neurosci. 23:11628
    QIF    psi = (v - V_L)²/(V_T - V_L)              the sum with the leak is (v - V_L)(v - V_T)/(V_T - V_L)

LIF has none. Which model it is, is known at compile time: a constant that is None is of a model that is not simulated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hpcmass.config import NetworkParameters
from hpcmass.network.kernel import kernel
from hpcmass.network.simd import as_bits, as_floats, fma, minimum, select, splat_f32

Floats = npt.NDArray[np.float32]

SMALLEST, LARGEST = -86.0, 88.0
"""Arguments of the exponential function: beyond them its value leaves the normal numbers."""

TO_INTEGER = 1.5 * 2.0**23
"""A float32 of this size has no digits behind the point: adding it rounds to a whole number, in the lowest bits."""


def constants(network: NetworkParameters) -> tuple[Floats | None, Floats | None]:
    """Constants of EIF and of QIF for potentials u = v - V_L, None for another model."""
    a, threshold = network.dt_ms / network.tau_m_ms, network.v_threshold_mv - network.v_leak_mv
    slope = network.delta_t_mv
    with np.errstate(over="ignore"):  # a slope of 1e-40 mV: the upstroke is over in one step
        exponential = np.array([threshold, 1 / slope, a * slope]).astype(np.float32)
    quadratic = np.array([a / threshold if threshold else 0.0], np.float32)
    model = network.neuron_model
    return exponential if model == "EIF" else None, quadratic if model == "QIF" else None


@kernel
def exponential_of(x: Any) -> Any:
    """e^x of 16 numbers, relative error 2e-7 from SMALLEST to LARGEST; beyond them, the value at the nearer one.

    x = n ln 2 + r with |r| ≤ ln 2/2, and e^r is a polynomial (Cephes' expf).
    """
    x = minimum(select(x >= splat_f32(np.float32(SMALLEST)), x, splat_f32(np.float32(SMALLEST))),
                splat_f32(np.float32(LARGEST)))  # fmt: skip
    shifted = fma(x, splat_f32(np.float32(1.4426950408889634)), splat_f32(np.float32(TO_INTEGER)))
    n = shifted - splat_f32(np.float32(TO_INTEGER))
    r = fma(n, splat_f32(np.float32(-0.693359375)), x)  # ln 2 in two parts, of which the first is short
    r = fma(n, splat_f32(np.float32(2.12194440e-4)), r)
    q = fma(r, splat_f32(np.float32(1.9875691500e-4)), splat_f32(np.float32(1.3981999507e-3)))
    q = fma(r, q, splat_f32(np.float32(8.3334519073e-3)))
    q = fma(r, q, splat_f32(np.float32(4.1665795894e-2)))
    q = fma(r, q, splat_f32(np.float32(1.6666665459e-1)))
    q = fma(r, q, splat_f32(np.float32(5.0000001201e-1)))
    q = fma(r * r, q, r + splat_f32(np.float32(1.0)))
    return as_floats(as_bits(q) + (as_bits(shifted) << 23))


@kernel
def rise(u: Any, exponential: Floats | None, quadratic: Floats | None) -> Any:
    """What psi adds to 16 potentials in a step, a psi(u); None for LIF."""
    if exponential is not None:
        x = (u - splat_f32(exponential[0])) * splat_f32(exponential[1])
        return exponential_of(x) * splat_f32(exponential[2])
    if quadratic is not None:
        return u * u * splat_f32(quadratic[0])
    return None
