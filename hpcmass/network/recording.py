"""What one trial returns: the traces, the numbers and, on request, the spikes."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Trace = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Recording:
    """Result of one network simulation; the field names are the variables of the sweep file.

    Attributes
    ----------
    mean_v : array of float32, (n_steps,)
        Population mean of the membrane potential (mV) after each step, transient included.
    phi_E, phi_I, phi_ext : array of float32, (n_steps,)
        Population mean of the spikes that arrive at each neuron (1/ms) and act from the next step on: those of the same
        step, or, with a delay of D steps, the internal ones of D - 1 steps earlier.
    mean_i_syn : array of float32, (n_steps,)
        Population mean of the synaptic current Σ_σ g_σ (v - V_σ) in units of the leak conductance (mV), as it acts on
        v in each step, refractory neurons included.
    spike_contrast : float
        Spike-contrast of all trains after the transient; NaN if `silent`.
    spike_contrast_bin : float
        Bin width (ms) at which it peaks; NaN if `silent`.
    rate_E, rate_I : float
        Mean firing rates (Hz) after the transient; NaN where there is no neuron of the kind.
    cv_isi : float
        Mean over neurons of the coefficient of variation of their interspike intervals; NaN if undefined.
    n_spikes : int
        Spikes of all neurons after the transient.
    n_edges, n_edges_ext : int
        Connections drawn within the network and from external units.
    silent : int
        1 where there are too few spikes to define spike statistics.
    wall_s, kernel_s : float
        Wall time of the trial, processor time of its time loop (s).
    spike_neuron : array of int32, (n,), optional
        Neuron of every spike, transient included; neurons 0 … N_E - 1 are the excitatory ones.
    spike_time : array of float64, (n,), optional
        Time of every spike (ms).
    """

    mean_v: Trace
    phi_E: Trace
    phi_I: Trace
    phi_ext: Trace
    mean_i_syn: Trace
    spike_contrast: float
    spike_contrast_bin: float
    rate_E: float
    rate_I: float
    cv_isi: float
    n_spikes: int
    n_edges: int
    n_edges_ext: int
    silent: int
    wall_s: float
    kernel_s: float
    spike_neuron: npt.NDArray[np.int32] | None = None
    spike_time: npt.NDArray[np.float64] | None = None

    def variables(self) -> dict[str, npt.NDArray[np.generic] | float | int]:
        """Name → value of everything but the spikes, for the store."""
        return {f.name: getattr(self, f.name) for f in fields(self) if not f.name.startswith("spike_n")
                and f.name != "spike_time"}  # fmt: skip
