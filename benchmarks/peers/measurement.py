"""What one run of one simulator yields; the runners write it, the comparison reads it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Measurement:
    """One run: costs and rates.

    Attributes
    ----------
    version : str
        Simulator and what it was built with.
    setup_cpu_s : float
        Processor seconds before the first step: code generation, compilation, graph.
    cpu_s_per_s : float
        Processor seconds of the simulation alone per biological second.
    peak_mb : float
        Peak resident memory of the simulating process.
    rate_exc, rate_inh : list of float
        `tapered_rate` of either population, one entry per trial.
    mean_v_mv, sd_v_mv : list of float
        Temporal mean and standard deviation of the population mean of v, one entry per trial; empty if not recorded.
    """

    version: str
    setup_cpu_s: float
    cpu_s_per_s: float
    peak_mb: float
    rate_exc: list[float]
    rate_inh: list[float]
    mean_v_mv: list[float] = field(default_factory=list)
    sd_v_mv: list[float] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Measurement:
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text()))


def peak_mb(status: Path = Path("/proc/self/status")) -> float:
    """Peak resident memory from a process's status file (rusage would count its parent, too)."""
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) / 1024


def tapered_rate(step: npt.NDArray[np.integer], n_steps: int, n_neurons: int, dt_ms: float) -> float:
    """Mean rate (Hz) per neuron from the steps (0 … n_steps - 1) of all spikes, each weighted by a Hann window.

    The network fires in bursts of about one spike per neuron. In a plain count over 2 s it depends on chance alone
    whether the window holds 29 of them or 30, a difference larger than anything to be found by the comparison.
    """
    weights = 1.0 - np.cos(2 * np.pi * (np.asarray(step) + 0.5) / n_steps)
    return float(weights.sum()) / (n_neurons * n_steps * dt_ms / 1e3)
