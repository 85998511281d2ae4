"""What a trial is expected to cost, and the parts of equal cost into which a job array divides a sweep."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment, NetworkParameters
from hpcmass.grid import shape


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
    a step, 12 ms to draw both graphs. Spikes need no rows in a complete graph. Only the order of the trials, their
    division into parts and the time left that is shown during a sweep depend on it; `hpcmass plan` measures instead.
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


@dataclass(frozen=True)
class Part:
    """One of `count` parts of a sweep, from 1: the work of one task of a job array.

    Attributes
    ----------
    number, count : int
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse_part(text: str) -> Part:
    """Read `i/n`.

    Raises
    ------
    ValueError
        If it is anything else, or i is not in 1 … n.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    part = Part(int(found[1]), int(found[2])) if found else None
    if part is None or not 1 <= part.number <= part.count:
        raise ValueError(f"give i/n with i from 1 to n, such as 3/8, not '{text}'")
    return part


@dataclass(frozen=True)
class PartAssignment:
    """The trials of one part: a contiguous range in the file's order.

    Attributes
    ----------
    part : Part
    start, stop : int
        First trial, and the one after the last; equal where the part is empty.
    """

    part: Part
    start: int
    stop: int

    def mask(self, lengths: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        """True for this part's trials, in the shape of the sweep (axes…, trial)."""
        mask = np.zeros(math.prod(lengths), bool)
        mask[self.start : self.stop] = True
        return mask.reshape(lengths)


def assign(experiment: Experiment, part: Part) -> PartAssignment:
    """The range of trials that a part has: all parts have nearly the same expected cost.

    A trial belongs to the part in which the middle of its cost falls, when the costs of all trials are laid end to
    end. So the ranges depend on the experiment alone, and parts beyond the number of trials are empty.
    """
    costs = np.broadcast_to(point_costs(experiment)[..., None], shape(experiment)).ravel()
    ends = np.cumsum(costs)
    parts = np.floor(part.count * (ends - costs / 2) / ends[-1]).astype(int) + 1
    start, stop = np.searchsorted(parts, [part.number, part.number + 1])
    return PartAssignment(part, int(start), int(stop))
