"""From a calibration to what a sweep takes: core-hours, wall time, efficiency, memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpcmass.compare.comparison_file import comparison_bytes
from hpcmass.compare.memory import point_bytes, recording_bytes
from hpcmass.config import Experiment
from hpcmass.config.limits import BYTES_PER_STEP
from hpcmass.costs import point_costs
from hpcmass.errors import UserError
from hpcmass.forecast.calibration import Calibration
from hpcmass.forecast.sample import Real, coordinates, interpolate, leave_one_out
from hpcmass.grid import n_trials, requested, shape
from hpcmass.order import TASKS_PER_WORKER, finish, point_order, spreads
from hpcmass.store.layout import sweep_bytes

USEFUL = 0.7
"""Least efficiency of a number of nodes that is called useful."""

LISTED_BYTES = 600
"""Of rank 0's memory, for each trial that is to be done: the trial, its seed and its cost. Measured."""


@dataclass(frozen=True)
class Comparing:
    """Memory for the comparison during a run.

    Attributes
    ----------
    point_bytes, recording_bytes, assembling_bytes : float
        See `compare.memory`; of a trial, the traces while they are assembled.
    """

    point_bytes: float
    recording_bytes: float
    assembling_bytes: float


@dataclass(frozen=True)
class Forecast:
    """Predicted time, memory and file size of a sweep on machines like this one.

    Attributes
    ----------
    n_trials : int
    point_s : array of float, (n_points,)
        Time (s) of one trial at each point, in the grid's order; NaN where none is requested.
    costs : array of float, a dimension an axis
        Expected costs of the points, by which the sweep orders them.
    trials_per_point : int
    uncertainty : float
        Relative error (1 standard deviation) of one point's time, from leaving out each measured point.
    start_s : float
        Time (s) to start, before the first trial.
    trial_bytes : float
        Memory of a process at the peak of its largest trial.
    file_bytes : int
        Size of the sweep file.
    comparison_bytes : int or None
        Size of the comparison file; None where its settings do not fit the recordings.
    comparing : Comparing or None
        None where no point is compared during the run.
    """

    n_trials: int
    point_s: Real
    costs: Real
    trials_per_point: int
    uncertainty: float
    start_s: float
    trial_bytes: float
    file_bytes: int
    comparison_bytes: int | None = None
    comparing: Comparing | None = None
    _walls: dict[int, float] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def core_s(self) -> float:
        """Processor time of all trials together (s)."""
        return float(np.nansum(self.point_s)) * self.trials_per_point

    @property
    def shortest_s(self) -> float:
        """Time (s) of the shortest trial."""
        return float(np.nanmin(self.point_s))

    @property
    def longest_s(self) -> float:
        """Time (s) of the longest trial."""
        return float(np.nanmax(self.point_s))

    def wall_s(self, n_ranks: int) -> float:
        """Time (s) on `n_ranks` ranks with a core each: the sweep's own order, each trial on the first free rank."""
        workers = min(max(1, n_ranks - 1), self.n_trials)
        if workers == self.n_trials:
            return self.start_s + self.longest_s
        if workers not in self._walls:
            n_trials = np.where(np.isnan(self.point_s), 0, self.trials_per_point).reshape(self.costs.shape)
            order = point_order(self.costs, n_trials, workers)
            self._walls[workers] = finish(np.repeat(self.point_s[order], self.trials_per_point), workers)
        return self.start_s + self._walls[workers]

    def worker_bytes(self, n_ranks: int) -> float:
        """Memory of a rank that simulates, at most."""
        if self.comparing is None:
            return self.trial_bytes
        beside = self.trial_bytes - self.comparing.assembling_bytes
        # recordings that come from other ranks are here twice: as they have arrived, and as the models get them
        arrived = self.trials_per_point * self.comparing.recording_bytes if self._spreads(n_ranks) else 0.0
        return max(self.trial_bytes, beside + self.comparing.point_bytes + arrived)

    def root_bytes(self, n_ranks: int) -> float:
        """Memory of rank 0, which has the list of all trials."""
        listed = LISTED_BYTES * self.n_trials
        if n_ranks == 1:
            return self.worker_bytes(1) + listed
        if self.comparing is None or not self._spreads(n_ranks):
            return self.trial_bytes + listed
        # the points that are not complete: those of the trials that the workers have, and one on either side
        held = min(self.n_trials, TASKS_PER_WORKER * (n_ranks - 1) + 2 * self.trials_per_point)
        return self.trial_bytes - self.comparing.assembling_bytes + held * self.comparing.recording_bytes + listed

    def job_bytes(self, n_ranks: int) -> float:
        """Memory of all ranks."""
        return self.root_bytes(n_ranks) + (n_ranks - 1) * self.worker_bytes(n_ranks)

    def _spreads(self, n_ranks: int) -> bool:
        return spreads(self.n_trials // self.trials_per_point, n_ranks - 1)

    def efficiency(self, n_ranks: int) -> float:
        """Fraction of the ranks' time spent in trials."""
        return self.core_s / (n_ranks * self.wall_s(n_ranks))

    def billed_h(self, n_nodes: int, cores_per_node: int) -> float:
        """Core-hours of whole nodes with a rank on each core."""
        n_cores = n_nodes * cores_per_node
        return n_cores * self.wall_s(n_cores) / 3600

    def useful_nodes(self, cores_per_node: int) -> int:
        """Most nodes whose efficiency is at least `USEFUL`; 0 if one node is less efficient."""
        low, high = 0, -(-(self.n_trials + 1) // cores_per_node) + 1
        while high - low > 1:
            middle = (low + high) // 2
            useful = self.efficiency(middle * cores_per_node) >= USEFUL
            low, high = (middle, high) if useful else (low, middle)
        return low

    def ranks_for(self, wall_s: float) -> int | None:
        """Fewest ranks that end within `wall_s`; None if no number of ranks does."""
        most = self.n_trials + 1
        if self.wall_s(most) > wall_s:
            return None
        # the total work gives the lower bound, Graham's bound for such schedules the upper one
        work_s, longest_s = wall_s - self.start_s, self.longest_s
        low = max(0, int(self.core_s / work_s) - 1)
        high = min(most, int(self.core_s / (work_s - longest_s)) + 2) if work_s > longest_s else most
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.wall_s(middle) <= wall_s else (middle, high)
        return high


def forecast(experiment: Experiment, calibration: Calibration) -> Forecast:
    """What a sweep takes, from a calibration."""
    *lengths, trials = shape(experiment)
    points = coordinates(tuple(lengths))
    point_s = interpolate(calibration.points, calibration.trial_s, points)
    left_out = leave_one_out(calibration.points, calibration.trial_s)
    return Forecast(
        n_trials=n_trials(experiment),
        point_s=np.where(requested(experiment).ravel(), point_s, np.nan),
        costs=point_costs(experiment),
        trials_per_point=trials,
        uncertainty=float(np.sqrt(np.mean((left_out - 1) ** 2))),
        start_s=calibration.start_s,
        trial_bytes=float(calibration.peak_bytes.max()),
        file_bytes=sweep_bytes(experiment),
        **_comparison(experiment),
    )


def _comparison(experiment: Experiment) -> dict[str, Any]:
    """What the comparison takes; nothing where its settings do not fit the recordings, which `run` warns of."""
    try:
        size = comparison_bytes(experiment)
        if experiment.traces.allow_comparison:
            return {"comparison_bytes": size}
        network = experiment.network
        memory = Comparing(point_bytes(experiment), recording_bytes(network), BYTES_PER_STEP * network.n_steps)
        return {"comparison_bytes": size, "comparing": memory}
    except UserError:
        return {}
