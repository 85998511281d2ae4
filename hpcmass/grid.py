"""The grid: axes → points → trials, each with a random seed derived from its values, and its expected cost.

A trial's seed comes from the root seed and the *values* (p, lam, further swept parameters, trial number),
never from ranks, order or position in the grid. So it survives any number of ranks, any split into jobs, any
resume, and a refinement of the grid.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hpcmass.axes import canonical
from hpcmass.config import Experiment, NetworkParameters

SEED_WORDS = 4
"""Length of a trial's seed in 32-bit words."""

Seed = tuple[int, int, int, int]


@dataclass(frozen=True)
class Trial:
    """One network simulation of the sweep.

    Attributes
    ----------
    index : tuple of int
        Position in the file: one index per axis, then the trial number.
    values : dict of str to float
        Axis name → value at this point.
    seed : tuple of 4 int
        32-bit words that seed every random stream of the trial.
    """

    index: tuple[int, ...]
    values: dict[str, float] = field(hash=False)
    seed: Seed

    @property
    def number(self) -> int:
        """The trial's number at its point, from 0."""
        return self.index[-1]

    def label(self) -> str:
        """For messages: `p=0.2 lam=0.8 trial 3`."""
        return trial_label(self.values, self.number)


def trial_label(values: Mapping[str, float], number: int) -> str:
    """A trial for messages: `p=0.2 lam=0.8 trial 3`."""
    return " ".join(f"{name}={value:g}" for name, value in values.items()) + f" trial {number}"


def trial_seed(root_seed: int, values: dict[str, float], number: int) -> Seed:
    """The seed words of one trial.

    Parameters
    ----------
    root_seed : int
    values : dict of str to float
        Must hold `p` and `lam`; other swept parameters enter with their name, so that their streams differ too.
    number : int
        Trial number at the point.
    """
    key = [number, *_float_words(values["p"]), *_float_words(values["lam"])]
    for name in sorted(set(values) - {"p", "lam"}):
        key += [*name.encode(), *_float_words(values[name])]
    words = np.random.SeedSequence(root_seed, spawn_key=tuple(key)).generate_state(SEED_WORDS)
    a, b, c, d = (int(w) for w in words)
    return a, b, c, d


def _float_words(value: float) -> tuple[int, int]:
    """The canonical value's IEEE double as two 32-bit words."""
    low, high = struct.unpack("<2I", struct.pack("<d", canonical(value)))
    return high, low


def trials(experiment: Experiment) -> list[Trial]:
    """All trials of the sweep in the file's order (axes slowest to fastest, trial number last)."""
    axes = experiment.grid.axes()
    listed = []
    for position in itertools.product(*(range(len(v)) for v in axes.values())):
        values = {name: axes[name][i] for name, i in zip(axes, position, strict=True)}
        for number in range(experiment.trials):
            listed.append(Trial((*position, number), values, trial_seed(experiment.root_seed, values, number)))
    return listed


def shape(experiment: Experiment) -> tuple[int, ...]:
    """Lengths of the axes, then the number of trials."""
    return (*(len(v) for v in experiment.grid.axes().values()), experiment.trials)


def point_values(experiment: Experiment, number: int) -> dict[str, float]:
    """Axis name → value at one point, by its number in the file's order (axes slowest to fastest)."""
    axes = experiment.grid.axes()
    position = np.unravel_index(number, shape(experiment)[:-1])
    return {name: axis[i] for (name, axis), i in zip(axes.items(), position, strict=True)}


def mean_field_rate_hz(network: NetworkParameters, p: float, lam: float) -> float:
    """Firing rate (Hz) of the noiseless mean-field neuron, for cost estimates only.

    The rate r solves r = 1 / (t_ref + tau_eff ln((V_inf - V_reset) / (V_inf - V_th))), where tau_eff and V_inf
    follow from the mean conductances that r itself causes.
    """
    g, v = network.g_tilde_ms(), network.reversal_mv()
    degree = network.n_neurons * p

    def response(rate_per_ms: float) -> float:
        phi = {"E": degree * lam * rate_per_ms, "I": degree * (1 - lam) * rate_per_ms}
        phi["ext"] = lam * network.n_external * network.p_ext * network.external_rate_hz / 1e3
        total = 1 + sum(g[s] * phi[s] for s in phi)
        v_inf = (network.v_leak_mv + sum(g[s] * phi[s] * v[s] for s in phi)) / total
        if v_inf <= network.v_threshold_mv:
            return 0.0
        rise = math.log((v_inf - network.v_reset_mv) / (v_inf - network.v_threshold_mv))
        return 1 / (network.t_ref_ms + network.tau_m_ms / total * rise)

    low, high = 0.0, 1 / max(network.t_ref_ms, network.dt_ms)
    for _ in range(40):  # bisection towards the largest self-consistent rate below saturation
        middle = (low + high) / 2
        low, high = (middle, high) if response(middle) > middle else (low, middle)
    return 1e3 * low


def expected_cost(network: NetworkParameters, p: float, lam: float) -> float:
    """Relative cost of one trial, in updates of a neuron: its graph, its steps, the rows that its spikes add up.

    Measured at N = 10 000: 0.57 ns an update, 60 ns a row of the packed graph (N/8 bytes) beyond the first eight of
    a step, 12 ms to draw both graphs. Spikes need no rows in a complete graph. Only the order of the trials and the
    time left that is shown during a sweep depend on it; `hpcmass plan` measures instead.
    """
    n, per_step = network.n_neurons, network.dt_ms / 1e3
    rows = 0.0 if p == 1 else n * mean_field_rate_hz(network, p, lam) * per_step
    if lam > 0 and 0 < network.p_ext < 1:
        rows += network.n_external * network.external_rate_hz * per_step
    drawing = 0.1 * n * (n + network.n_external)
    return drawing + network.n_steps * n * (1.0 + 0.01 * max(rows - 8.0, 0.0))


def point_costs(experiment: Experiment, axes: Mapping[str, Sequence[float]] | None = None) -> npt.NDArray[np.float64]:
    """`expected_cost` of one trial at every point of the experiment's grid, or of other `axes`; a dimension an axis."""
    axes = experiment.grid.axes() if axes is None else axes
    costs = np.empty(tuple(len(values) for values in axes.values()))
    for point in np.ndindex(costs.shape):
        values = {name: axes[name][i] for name, i in zip(axes, point, strict=True)}
        costs[point] = expected_cost(experiment.network_at(values), values["p"], values["lam"])
    return costs
