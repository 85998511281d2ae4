"""The input of a mass model, the recorded traces of one trial, and the range of its output."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Trace = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Potential = npt.NDArray[np.float64]

V_BOUND_MV: Final = 1000.0
"""|V| beyond which a model has diverged: a lipid membrane breaks down below 1 V."""

KINDS: Final = ("E", "I", "ext")
"""Kinds of synapse σ, in the order of every array over them."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Recorded traces of one trial, transient included; the field names are the sweep file's variables.

    The arrays are copies that no caller can change: all models of a trial, and the statistics, read the same ones.

    Attributes
    ----------
    mean_v : array, (n_steps,)
        Population mean of the membrane potential (mV) after each step.
    phi_E, phi_I, phi_ext : array, (n_steps,)
        Population mean of the spike input of a neuron (1/ms) in each step.
    mean_i_syn : array, (n_steps,), optional
        Population mean of the synaptic current Σ_σ g_σ (v - V_σ) (mV, in units of the leak) that acts in each step;
        None in sweeps of format 1.0.
    """

    mean_v: Trace
    phi_E: Trace
    phi_I: Trace
    phi_ext: Trace
    mean_i_syn: Trace | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            trace = getattr(self, field.name)
            if trace is not None:
                object.__setattr__(self, field.name, _unchangeable(trace))


def _unchangeable(trace: Trace) -> Trace:
    """`trace` over immutable memory: an array's read-only flag can be reset, `bytes` cannot change.

    Always another array object, for its shape can be set in place; the memory is copied once.
    """
    array: npt.NDArray[Any] = np.asarray(trace)
    dtype = array.dtype if array.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    memory: object = array.base
    if not (isinstance(memory, bytes) and array.dtype == dtype and len(memory) == array.nbytes):
        memory = array.astype(dtype).tobytes()
    return np.frombuffer(memory, dtype=dtype)


def until_divergence(potential: Potential) -> Potential:
    """`potential` itself, NaN from the first step at which |V| exceeds `V_BOUND_MV` or is not finite."""
    beyond = ~(np.abs(potential) <= V_BOUND_MV)  # true for NaN, too
    if beyond.any():
        potential[int(beyond.argmax()) :] = np.nan
    return potential


def mean_after(trace: Trace, n_transient: int) -> float:
    """Temporal mean after the transient, taken in double precision."""
    return float(np.mean(trace[n_transient:], dtype=np.float64))
