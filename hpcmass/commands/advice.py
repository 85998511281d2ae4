"""Messages about an experiment before it runs: its size, whether this machine has the memory, what is rounded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hpcmass.errors import UserError
from hpcmass.messages import logger
from hpcmass.text import counted

if TYPE_CHECKING:
    from hpcmass.config import Experiment, NetworkParameters


def size_text(experiment: Experiment) -> str:
    """Axes, points, trials and the size of the file, on one line."""
    from hpcmass.store.layout import sweep_bytes

    return f"{experiment.outline()}, sweep file {bytes_text(sweep_bytes(experiment))}"


def memory_problem(experiment: Experiment, *, compare: bool) -> str | None:
    """Why no trial, or with `compare` no point, fits into this machine's memory; None if one does, or if not known."""
    from hpcmass.config.limits import trial_bytes

    largest = {name: values[-1] for name, values in experiment.grid.axes().items()}
    needed, there = trial_bytes({**dict(experiment.network.at(largest)), **largest}), machine_bytes()
    what, remedy = "one trial takes", "make the network smaller or the trial shorter"
    if compare and (of_point := _point_bytes(experiment)) > needed:
        needed, what = of_point, f"to compare {counted(experiment.trials, 'trial')} of a point during the run takes"
        remedy = "make the trials fewer or shorter"
    if there is None or needed <= there:
        return None
    return (
        f"{what} at least {bytes_text(needed)} of memory, and this machine has {bytes_text(there)}; {remedy}, or use a "
        "larger machine"
    )


def _point_bytes(experiment: Experiment) -> int:
    from hpcmass.compare.memory import point_bytes

    try:
        return point_bytes(experiment)
    except UserError:  # of the comparison's settings: not a question of memory
        return 0


def require_memory(experiment: Experiment, *, compare: bool = False) -> None:
    """Refuse an experiment of which one trial, or with `compare` one point, does not fit into this machine's memory."""
    problem = memory_problem(experiment, compare=compare)
    if problem is not None:
        raise UserError(problem)


def warn_of_rounding(network: NetworkParameters, axes: Mapping[str, Sequence[float]], where: str = "") -> None:
    """Log which times are not multiples of the step (`axes`: the values that replace the network's own)."""
    from hpcmass.config.rounding import rounded_times

    for sentence in rounded_times(network, axes):
        logger.warning(f"{where}{sentence}")


def warn_of_degenerate(experiment: Experiment, where: str = "") -> None:
    """Log in which way the networks of a configuration are degenerate, if they are."""
    from hpcmass.degenerate import degenerate_inputs

    for sentence in degenerate_inputs(experiment):
        logger.warning(f"{where}{sentence}")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine_bytes() -> int | None:
    """Memory of this machine; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def bytes_text(size: float) -> str:
    """A size for people: `12 MB`, `3.4 GB`."""
    for unit, factor in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.2g} MB"
