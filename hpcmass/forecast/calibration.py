"""A few seconds' calibration: short trials at points that cover the grid, timed on this machine's cores.

A trial takes a fixed time (drawing the graph) and a time per step, which depends on how the network fires. Both are
measured at each point that is tried, and interpolated between. Processor time is measured, not wall time: other
programs do not count, but a core shared by two processes does.
"""

from __future__ import annotations

import itertools
import resource
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass

import numpy as np

from hpcmass.compile_lock import compile_seconds
from hpcmass.compiled import kernels_asked_for, open_cache, require_compiler
from hpcmass.config import Experiment, NetworkParameters
from hpcmass.config.limits import BYTES_PER_STEP
from hpcmass.errors import TrialFailure, UserError
from hpcmass.forecast.sample import Real, coordinates, spread_out
from hpcmass.grid import point_values, shape, trial_seed
from hpcmass.parallel.processes import worker_processes

SHORT_MS = 1000.0
"""Length of a calibrating trial (ms), if the experiment's own are not shorter."""

FEWEST_POINTS = 4
"""Fewest points, even if they take longer than the budget."""

MOST_POINTS = 256
"""Most points, even if there is time for more: they cover a grid well, and the interpolation takes n³ steps."""

BYTES_PER_SPIKE = 2.2
"""Of memory, at the peak of a trial. Measured."""

MPI_BYTES = 24 * 2**20
"""Of memory, for what a rank loads beside: the MPI library and its buffers. Measured with Open MPI 4.1."""


Measured = tuple[float, float]
"""Processor time (s) and peak memory (bytes) of a short trial, extrapolated to the experiment's duration."""


@dataclass(frozen=True)
class Calibration:
    """Result of a calibration on this machine.

    Attributes
    ----------
    points : array of float, (n, n_axes)
        Where: per axis from 0 to 1, by index.
    trial_s, peak_bytes : array of float, (n,)
        Processor time of a whole trial (s), memory of the process at its peak.
    n_failed : int
        Number of further points, where the trial failed.
    start_s : float
        Time (s) for a process to start and compile the kernels, on a node that never did.
    compile_s : float
        Time (s) of that for compiling; 0 if unknown, or if `HPCMASS_KERNELS` has the kernels.
    compiled_now : bool
        Whether this calibration has compiled them.
    processes : int
        How many calibrated side by side.
    took_s : float
    """

    points: Real
    trial_s: Real
    peak_bytes: Real
    n_failed: int
    start_s: float
    compile_s: float
    compiled_now: bool
    processes: int
    took_s: float


def calibrate(experiment: Experiment, *, processes: int, budget_s: float = 5.0) -> Calibration:
    """Try short trials at points that cover the grid.

    Parameters
    ----------
    experiment : Experiment
    processes : int
        How many at a time: as many as will share this machine during the sweep.
    budget_s : float
        No further trial is started after this time (s).

    Returns
    -------
    Calibration
        At least `FEWEST_POINTS` points, or all of a smaller grid, if they do not fail; at most `MOST_POINTS`.

    Raises
    ------
    UserError
        If every trial fails, or a process is killed.
    """
    require_compiler()
    cache = open_cache("network")  # before its processes do: only this process warns about its problems
    compiled_before_s = compile_seconds(cache.directory)
    lengths = shape(experiment)[:-1]
    order = itertools.islice(spread_out(coordinates(lengths)), MOST_POINTS)
    tried: list[tuple[int, Measured | str]] = []
    started = time.perf_counter()
    with worker_processes(processes) as pool:
        started_each = [pool.submit(_start, experiment) for _ in range(processes)]
        kernels = set[str]().union(*(one.result() for one in started_each))
        begun = time.perf_counter()
        running: dict[Future[Measured | str], int] = {}
        while True:
            good = sum(not isinstance(outcome, str) for _, outcome in tried)
            over = good >= FEWEST_POINTS and time.perf_counter() - begun > budget_s
            while not over and len(running) < processes and (number := next(order, None)) is not None:
                running[pool.submit(_measure, experiment, number)] = number
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                tried.append((running.pop(future), future.result()))
    compiled_now = compile_seconds(cache.directory) > compiled_before_s
    compiled_s = compile_seconds(cache.directory, kernels)
    measured = [(number, outcome) for number, outcome in sorted(tried) if not isinstance(outcome, str)]
    if not measured:
        raise UserError(f"all {len(tried)} trials of the calibration failed; the last: {tried[-1][1]}")
    return Calibration(
        points=coordinates(lengths)[[number for number, _ in measured]],
        trial_s=np.array([seconds for _, (seconds, _) in measured]),
        peak_bytes=np.array([peak for _, (_, peak) in measured]),
        n_failed=len(tried) - len(measured),
        processes=processes,
        start_s=begun - started + (0.0 if compiled_now else compiled_s),
        compile_s=compiled_s,
        compiled_now=compiled_now,
        took_s=time.perf_counter() - started,
    )


def shortened(network: NetworkParameters) -> NetworkParameters:
    """The same network for a time that is long enough to calibrate with."""
    if network.duration_ms <= SHORT_MS:
        return network
    duration_ms = max(SHORT_MS, 200 * network.dt_ms)
    transient_ms = min(network.transient_ms, duration_ms / 10)
    return NetworkParameters(**{**network.model_dump(), "duration_ms": duration_ms, "transient_ms": transient_ms})


def _start(experiment: Experiment) -> set[str]:
    """Load the kernels; on a machine that never ran them, this compiles them. Returns their names."""
    from hpcmass.network import warm_up

    warm_up(*experiment.networks_at_ends())
    return kernels_asked_for()


def _measure(experiment: Experiment, number: int) -> Measured | str:
    """Run a short trial at a point (its number in the grid's order); returns the reason if it failed."""
    from hpcmass.network import simulate
    from hpcmass.network.simulation import Network

    values = point_values(experiment, number)
    network = experiment.network_at(values)
    short = shortened(network)
    # a seed that no trial of the sweep has: this is not a result
    seed = trial_seed(experiment.root_seed, values, experiment.trials)
    begun = time.process_time()
    Network(short, values["p"], values["lam"], seed)
    drawn = time.process_time()
    try:
        recording = simulate(short, values["p"], values["lam"], seed)
    except TrialFailure as failure:
        return str(failure)
    fixed_s, short_s = drawn - begun, time.process_time() - drawn
    longer = network.n_steps / short.n_steps
    further = longer - short.n_transient / short.n_steps
    memory = MPI_BYTES + peak_bytes() + BYTES_PER_STEP * (network.n_steps - short.n_steps)
    return (
        fixed_s + max(short_s - fixed_s, 0.0) * longer,
        memory + BYTES_PER_SPIKE * recording.n_spikes * further,
    )


def peak_bytes() -> float:
    """Peak memory of this process."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1.0 if sys.platform == "darwin" else 1024.0)
