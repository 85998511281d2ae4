"""What a mass model is given: the recorded traces of one trial."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Trace = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Potential = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Traces:
    """Recorded traces of one trial, transient included; the field names are the sweep file's variables.

    Attributes
    ----------
    mean_v : array, (n_steps,)
        Population mean of the membrane potential (mV) after each step.
    phi_E, phi_I, phi_ext : array, (n_steps,)
        Population mean of the spike input of a neuron (1/ms) in each step.
    """

    mean_v: Trace
    phi_E: Trace
    phi_I: Trace
    phi_ext: Trace
