"""Expected cost of a trial, and the parts of equal cost into which a job array divides a sweep.

Costs are relative to each other and decide about the order of the work, never about its result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment, NetworkParameters
from hpcmass.config.derived import derived
from hpcmass.grid import requested, shape

Real = npt.NDArray[np.float64]

POINTS_AT_ONCE = 2**16
"""Points per block of the cost calculation: bounds the memory, never changes the result."""

HALVINGS = 40
"""Steps of the bisection for the mean-field rate."""


def mean_field_rate_hz(network: NetworkParameters, p: float, lam: float) -> float:
    """Firing rate (Hz) of the noiseless mean-field neuron, for cost estimates only.

    The rate r solves r = 1 / (t_ref + tau_eff ln((V_inf - V_reset) / (V_inf - V_th))), where tau_eff and V_inf
    follow from the mean conductances that r itself causes.
    """
    return float(_rates_hz(_parameters(network, {"p": np.array([p]), "lam": np.array([lam])}))[0])


def expected_cost(network: NetworkParameters, p: float, lam: float) -> float:
    """Relative cost of one trial, in updates of a neuron: its graph, its steps, the rows that its spikes add up.

    Measured at N = 10 000: 0.57 ns an update, 60 ns a row of the packed graph (N/8 bytes) beyond the first eight of
    a step, 12 ms to draw both graphs. Spikes need no rows in a complete graph. Only the order of the trials and the
    time left that is shown during a sweep depend on it; `hpcmass plan` measures instead.
    """
    return float(_costs(network, {"p": np.array([p]), "lam": np.array([lam])})[0])


def point_costs(experiment: Experiment) -> Real:
    """`expected_cost` of one trial at every point of the experiment's grid; a dimension an axis."""
    values = {name: np.asarray(axis, np.float64) for name, axis in experiment.axes().items()}
    lengths = shape(experiment)[:-1]
    costs = np.empty(math.prod(lengths))
    for begin in range(0, costs.size, POINTS_AT_ONCE):
        numbers = np.arange(begin, min(begin + POINTS_AT_ONCE, costs.size))
        places = np.unravel_index(numbers, lengths)
        at = {name: axis[place] for (name, axis), place in zip(values.items(), places, strict=True)}
        costs[numbers] = _costs(experiment.network, at)
    return costs.reshape(lengths)


def _parameters(network: NetworkParameters, at: Mapping[str, Real]) -> dict[str, Real]:
    """Every number at some points, (n_points,), or a single one where it is the same at all of them."""
    values = derived({**network.model_dump(), **at}, at)
    return {name: np.asarray(value, np.float64) for name, value in values.items() if not isinstance(value, str)}


def _costs(network: NetworkParameters, at: Mapping[str, Real]) -> Real:
    """Costs at some points (`at`: axis name → value at each of them, (n_points,))."""
    q = _parameters(network, at)
    n, per_step_s = q["n_neurons"], q["dt_ms"] / 1e3
    factors = [q[name] for name in ("p_EE", "p_EI", "p_IE", "p_II")]
    complete = np.all(np.broadcast_arrays(*(q["p"] * factor == 1 for factor in factors)), axis=0)
    rows = np.where(complete, 0.0, n * _rates_hz(q) * per_step_s)
    exc = (q["lam"] > 0) & (q["p_ext"] > 0) & (q["p_ext"] < 1)
    driven = exc | ((q["lam"] < 1) & (q["p_ext_I"] > 0))
    rows = rows + np.where(driven, q["n_external"] * q["external_rate_hz"] * per_step_s, 0.0)
    graphs = 1 + sum(np.where(factor == 1, 0.0, 1.0) for factor in factors)
    drawing = 0.1 * n * (n * graphs + q["n_external"] * (1 + (q["p_ext_I"] > 0)))
    costs: Real = drawing + network.n_steps * n * (1.0 + 0.01 * np.maximum(rows - 8.0, 0.0))
    # to single precision: the tasks of a job array divide the trials among them by these numbers, each on its own, and
    # the last digits of a logarithm differ from processor to processor
    return costs.astype(np.float32).astype(np.float64)


def _rates_hz(q: Mapping[str, Real]) -> Real:
    """The mean-field rate (Hz) at some points."""
    g = {"E": q["w_E"] * q["tau_E_ms"], "I": q["w_I"] * q["tau_I_ms"], "ext": q["w_ext"] * q["tau_ext_ms"]}
    v = {"E": q["v_exc_mv"], "I": q["v_inh_mv"], "ext": q["v_ext_mv"]}
    degree, lam = q["n_neurons"] * q["p"], q["lam"]
    # each is a conductance: in all, 1 + fixed + slope r, which drives by leak + pull_fixed + pull r
    fixed = g["ext"] * lam * q["n_external"] * q["p_ext"] * q["external_rate_hz"] / 1e3
    fixed = fixed + g["ext"] * (1 - lam) * q["n_external"] * q["p_ext_I"] * q["external_rate_hz"] / 1e3
    # of the inputs of excitatory and of inhibitory neurons, the mean
    slope_e = g["E"] * degree * lam * (lam * q["p_EE"] + (1 - lam) * q["p_EI"])
    slope_i = g["I"] * degree * (1 - lam) * (lam * q["p_IE"] + (1 - lam) * q["p_II"])
    pull_fixed, pull = q["v_leak_mv"] + fixed * v["ext"], slope_e * v["E"] + slope_i * v["I"]

    def response(rate_per_ms: Real) -> Real:
        total = 1 + fixed + (slope_e + slope_i) * rate_per_ms
        v_inf = (pull_fixed + pull * rate_per_ms) / total
        rise = np.log((v_inf - q["v_reset_mv"]) / (v_inf - q["v_threshold_mv"]))
        return np.where(v_inf > q["v_threshold_mv"], 1 / (q["t_ref_ms"] + q["tau_m_ms"] / total * rise), 0.0)

    low = np.zeros(np.broadcast(degree, lam, fixed, pull).shape)
    high = low + 1 / np.maximum(q["t_ref_ms"], q["dt_ms"])
    with np.errstate(all="ignore"):  # below threshold there is no logarithm
        for _ in range(HALVINGS):  # towards the largest self-consistent rate below saturation
            middle = (low + high) / 2
            above = response(middle) > middle
            low, high = np.where(above, middle, low), np.where(above, high, middle)
    return 1e3 * low


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


def assign(experiment: Experiment, part: Part, *, whole_points: bool = False) -> PartAssignment:
    """The range of trials that a part has: all parts have nearly the same expected cost.

    A trial belongs to the part in which the middle of its cost falls, when the costs of all trials are laid end to
    end. So the ranges depend on the experiment alone, and parts beyond the number of trials are empty. Trials that are
    not requested cost nothing.

    With `whole_points` all trials of a point belong to one part, and a point takes the place of a trial.
    """
    trials = shape(experiment)[-1]
    unit = trials if whole_points else 1
    costs = np.repeat(np.where(requested(experiment), point_costs(experiment), 0.0).ravel(), trials // unit)
    ends = np.cumsum(costs)
    parts = np.floor(part.count * (ends - costs / 2) / ends[-1]).astype(int) + 1
    start, stop = np.searchsorted(parts, [part.number, part.number + 1])
    return PartAssignment(part, unit * int(start), unit * int(stop))
