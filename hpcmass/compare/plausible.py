"""Whether recordings have the units that they should have, judged by their size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from hpcmass.compare.series import Real
from hpcmass.config import NetworkParameters
from hpcmass.errors import UserError

FAR_MV: Final = 20.0
NEAR_MV: Final = 10.0
"""Distance at which a mean potential is far from what the input makes of it, or near."""


class Seen:
    """What all trials of some recordings have in common."""

    def __init__(self) -> None:
        self.largest_v = 0.0
        self.lowest_v, self.highest_v = np.inf, -np.inf
        self.smallest_leak = np.inf
        self.per_ms: list[float] = []
        self.per_s: list[float] = []

    def add(self, traces: Mapping[str, Real], network: NetworkParameters) -> None:
        """Note one trial."""
        mean_v = traces["mean_v"]
        self.lowest_v, self.highest_v = min(self.lowest_v, mean_v.min()), max(self.highest_v, mean_v.max())
        self.largest_v = max(abs(self.lowest_v), abs(self.highest_v))
        self.smallest_leak = min(self.smallest_leak, abs(network.v_leak_mv))
        self.per_ms.append(float(mean_v.mean()) - settled_mv(network, traces, 1.0))
        self.per_s.append(float(mean_v.mean()) - settled_mv(network, traces, 1e-3))

    def require(self) -> None:
        """Refuse potentials in V."""
        if self.largest_v < 1 and self.smallest_leak > 5:
            raise UserError(
                f"mean_v is from {self.lowest_v:g} to {self.highest_v:g} mV, and v_leak_mv is at least "
                f"{self.smallest_leak:g} mV from 0: mean_v seems to be in V; multiply it by 1000"
            )


def settled_mv(network: NetworkParameters, traces: Mapping[str, Real], factor: float) -> float:
    """The potential (mV) of a neuron without threshold at the mean input times `factor`."""
    g, reversal = network.g_tilde_ms(), network.reversal_mv()
    conductance = {kind: factor * g[kind] * float(traces[f"phi_{kind}"].mean()) for kind in g}
    pull = network.v_leak_mv + sum(conductance[kind] * reversal[kind] for kind in g)
    return pull / (1 + sum(conductance.values()))


def doubts(seen: Seen, network: NetworkParameters) -> Iterator[str]:
    """A sentence for each unit that is probably wrong."""
    if np.all(np.abs(seen.per_ms) > FAR_MV) and np.all(np.abs(seen.per_s) < NEAR_MV):
        yield (
            "the input seems to be in spikes per s: the mean potential fits it then, and is "
            f"{np.mean(np.abs(seen.per_ms)):.0f} mV away if it is per ms; give phi_E, phi_I and phi_ext in 1/ms"
        )
    if network.duration_ms < network.tau_m_ms:
        yield (
            f"a trial is {network.duration_ms:g} ms long, less than tau_m_ms = {network.tau_m_ms:g}; dt_ms = "
            f"{network.dt_ms:g} is probably not in ms"
        )
