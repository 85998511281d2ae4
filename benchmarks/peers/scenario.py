"""The network that every simulator runs, in numbers that no simulator owns.

N = M = 10 000, λ = 0.8, weights scaled as 1/p so that the rates stay near 14.7 Hz (excitatory) and 5 Hz
(inhibitory) at any connection probability p. The external synapses share time constant and reversal potential
with the excitatory ones, so that a simulator with two conductances per neuron runs it too.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Scenario:
    """Parameters of the network at connection probability `p`; weights are jumps in units of the leak.

    `delay_ms` is the time after which a spike acts on other neurons, one step at the least. With a `delta_t_mv` the
    neurons are exponential ones that spike at `v_cutoff_mv`. `jump_exc` and `jump_inh` replace the weights
    that scale with p.
    """

    p: float
    n_neurons: int = 10_000
    n_external: int = 10_000
    n_exc: int = 8_000
    dt_ms: float = 0.1
    external_rate_hz: float = 5.0
    p_ext: float = 0.1
    tau_m_ms: float = 20.0
    v_leak_mv: float = -74.0
    v_reset_mv: float = -60.0
    v_threshold_mv: float = -54.0
    t_ref_ms: float = 5.0
    v_exc_mv: float = 0.0
    v_inh_mv: float = -80.0
    tau_exc_ms: float = 3.0
    tau_inh_ms: float = 7.0
    noise_sd_mv: float = 1.0
    w_ext: float = 0.02
    jump_exc: float | None = None
    jump_inh: float | None = None
    delay_ms: float = 0.1
    p_ext_inh: float = 0.0
    delta_t_mv: float | None = None
    v_cutoff_mv: float = 0.0

    @property
    def w_exc(self) -> float:
        """Jump of the excitatory conductance per spike."""
        return 0.005 * 0.1 / self.p if self.jump_exc is None else self.jump_exc

    @property
    def w_inh(self) -> float:
        """Jump of the inhibitory conductance per spike."""
        return 0.05 * 0.1 / self.p if self.jump_inh is None else self.jump_inh

    @property
    def n_synapses(self) -> float:
        """Expected number of connections, external ones included."""
        return self.p * self.n_neurons * (self.n_neurons - 1) + self.p_ext * self.n_external * self.n_exc

    def external_trains(self, seed: int, duration_ms: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Spikes of the external units for simulators that read them: (unit, step), ordered by step.

        All units together are one Poisson process whose events fall on units at random. A unit's second spike
        within a step is dropped (one in 4000), for no simulator takes two.
        """
        rng = np.random.default_rng(seed)
        per_step = self.n_external * self.external_rate_hz * self.dt_ms / 1e3
        counts = rng.poisson(per_step, round(duration_ms / self.dt_ms))
        step = np.repeat(np.arange(counts.size), counts)
        unit = rng.integers(self.n_external, size=step.size)
        step, unit = np.divmod(np.unique(step * self.n_external + unit), self.n_external)
        return unit, step


PAPER = {"noise_sd_mv": 12.5**0.5, "w_ext": 0.0065165, "jump_exc": 0.0016555, "jump_inh": 0.0094805}
"""Noise and weights of configs/paper.yml."""

NETWORKS: dict[str, dict[str, float]] = {
    "plain": {},
    "delay": {"delay_ms": 1.1},
    "input-to-I": {"delay_ms": 1.1, "p_ext_inh": 0.05},
    "EIF": {"delay_ms": 1.1, "delta_t_mv": 2.0},
    "paper-0.58": PAPER | {"n_exc": 5800},
    "paper-0.72": PAPER | {"n_exc": 7200},
    "paper-0.88": PAPER | {"n_exc": 8800},
}
"""Variants of the network. With a delay of 1.1 ms NEST can simulate them as they are. The others are the network of
configs/paper.yml at three λ, whose external units are connected with probability p."""


def scenario_of(network: str, p: float) -> Scenario:
    """This network at connection probability p."""
    tied = {"p_ext": p} if network.startswith("paper-") else {}
    return Scenario(p, **NETWORKS[network] | tied)  # type: ignore[arg-type]  # n_exc is an integer


@dataclass(frozen=True)
class Task:
    """One run, as the comparison asks for it on a runner's command line."""

    scenario: Scenario
    seed: int
    warmup_ms: float
    duration_ms: float
    variant: str
    trials: int
    output: Path

    @classmethod
    def from_command_line(cls, variants: tuple[str, ...], description: str | None) -> Task:
        """Read the arguments that all runners take."""
        parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--p", type=float, required=True, help="connection probability")
        parser.add_argument("--seed", type=int, required=True)
        parser.add_argument("--warmup-ms", type=float, default=500.0, help="simulated before anything is measured")
        parser.add_argument("--duration-ms", type=float, default=2000.0, help="simulated and measured")
        parser.add_argument("--variant", choices=variants, default=variants[0])
        parser.add_argument("--trials", type=int, default=1, help="networks, one after the other")
        parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
        parser.add_argument("--network", choices=NETWORKS, default="plain")
        a = parser.parse_args()
        return cls(scenario_of(a.network, a.p), a.seed, a.warmup_ms, a.duration_ms, a.variant, a.trials, a.output)
