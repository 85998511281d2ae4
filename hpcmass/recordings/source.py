"""One file of another program: its traces, or spikes and graph, its axes and what it says about the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hpcmass.compare.arrays import FEWEST
from hpcmass.config.network import SWEEPABLE, NetworkParameters
from hpcmass.errors import UserError
from hpcmass.store.schema import NUMBERS, TRACES
from hpcmass.text import counted

Real = npt.NDArray[np.float64]
Index = tuple[int, ...]

PHI: Final = ("phi_E", "phi_I", "phi_ext")
KINDS: Final = ("E", "I", "ext")

KEYS: Final = ("p", "lam", *(k for k in NetworkParameters.model_fields if k not in ("dt_ms", "duration_ms")))
"""What a source may say about its network: keys of a configuration."""

DIMENSIONS: Final = ("trial", "time", "time_ms", "t")

SPIKES: Final = ("spike_time", "spike_neuron", "out_degree", "kind")
"""Arrays that spikes and graph need, one element a spike, or a unit."""

READ: Final = ("dt_ms", "axes", *TRACES, *NUMBERS, *KEYS, *SPIKES, "spike_trial", *DIMENSIONS)
"""Every name that a source of named arrays may have, beside its axes."""


@dataclass(frozen=True, eq=False)
class Trains:
    """Spikes of all trials of a source, and the graph that they run along.

    Attributes
    ----------
    kinds : array of str, (n_units,)
        `E`, `I` or `ext`.
    degrees : array, (n_units,) or (n_trials, n_units)
        Neurons that each unit reaches.
    read : callable
        Trial → times (ms, from the beginning of the trial's first step) and units of its spikes.
    unit_known : bool
        Whether the source says in which unit the times are.
    """

    kinds: npt.NDArray[np.str_]
    degrees: Real
    read: Callable[[int], tuple[Real, npt.NDArray[np.int64]]]
    unit_known: bool = True


@dataclass(frozen=True, eq=False)
class Source:
    """One source, open.

    Attributes
    ----------
    name : str
        For messages.
    dt_ms : float or None
        Time step; None where the source does not say.
    axes : dict of str to array
        Its own axes, in the order of the first dimensions of its traces.
    units : dict of str to str
        Of the axes.
    n_trials, n_steps : int
    traces : dict of str to callable
        Trace → function of an index (one number for each axis, then the trial) that gives the trace, (n_steps,).
    constants : dict of str to float
        Traces that are one number.
    keys : dict of str to object
        Keys of a configuration.
    numbers : dict of str to array
        Numbers of each trial, (axes…, n_trials).
    trains : Trains or None
    unread : tuple of str
        Names in it that an import does not read.
    close : callable
    """

    name: str
    dt_ms: float | None
    axes: dict[str, Real]
    units: dict[str, str]
    n_trials: int
    n_steps: int
    traces: dict[str, Callable[[Index], Real]]
    constants: dict[str, float]
    keys: dict[str, Any]
    numbers: dict[str, Real] = field(default_factory=dict)
    trains: Trains | None = None
    unread: tuple[str, ...] = ()
    close: Callable[[], None] = lambda: None


def trace_reader(array: Any, *, has_trials: bool, scale: float = 1.0) -> Callable[[Index], Real]:
    """A function that reads one trace of an array (axes…, [trial,] time), in other units by a factor."""

    def read(index: Index) -> Real:
        values = np.asarray(array[index if has_trials else index[:-1]], dtype=np.float64)
        return values if scale == 1.0 else scale * values

    return read


def layout(name: str, shapes: Mapping[str, tuple[int, ...]], axes: Mapping[str, Real]) -> tuple[bool, int, int]:
    """Whether there is a dimension of trials, their number and the number of steps, by the traces' shapes.

    Parameters
    ----------
    name : str
        The source's.
    shapes : mapping of str to tuple of int
        Trace → shape, of those that are not one number.
    axes : mapping of str to array

    Raises
    ------
    UserError
        If the shapes contradict each other or the axes.
    """
    if "mean_v" not in shapes:
        raise UserError(f"{name} has no mean_v, the population mean of the membrane potential (mV); add it")
    shape = shapes["mean_v"]
    lengths = tuple(len(values) for values in axes.values())
    named = "".join(f"{axis}, " for axis in axes)
    if len(shape) not in (len(lengths) + 1, len(lengths) + 2) or shape[: len(lengths)] != lengths or 0 in shape:
        each = ", ".join(f"{axis} of {counted(len(values), 'value')}" for axis, values in axes.items())
        given = f" with {each}" if axes else ""
        raise UserError(
            f"{name}: mean_v has shape {shape}; give ({named}trial, time) or ({named}time){given}"
            + ("" if axes else ", or name the other dimensions in 'axes'")
        )
    for trace, other in shapes.items():
        if other != shape:
            raise UserError(f"{name}: {trace} has shape {other} and mean_v {shape}; give arrays of the same shape")
    if shape[-1] < FEWEST:
        raise UserError(f"{name}: mean_v has {shape[-1]} steps; give at least {FEWEST}, time along the last dimension")
    has_trials = len(shape) == len(lengths) + 2
    return has_trials, shape[-2] if has_trials else 1, shape[-1]


def require_axis(source: str, name: str, values: Any) -> Real:
    """An axis's values, checked: distinct finite numbers, and a name that nothing else in the file has."""
    taken = {*TRACES, *NUMBERS, *DIMENSIONS, "model", "frequency", "window", "word", "letter", "spike", "status"}
    if name in taken or (name in NetworkParameters.model_fields and name not in SWEEPABLE):
        raise UserError(f"{source}: {name} cannot be an axis; give the axis another name")
    if not name.isidentifier():
        raise UserError(f"{source}: '{name}' cannot name an axis; give a name of letters, digits and _")
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise UserError(f"{source}: the axis {name} must be a list of finite numbers")
    if len(set(array.tolist())) != array.size:
        raise UserError(f"{source}: the axis {name} has a value twice; give each value once, and trials as trials")
    return array


def trains_of(
    name: str,
    kinds: npt.NDArray[Any],
    degrees: npt.NDArray[Any],
    read: Callable[[int], tuple[Real, npt.NDArray[np.int64]]],
    *,
    unit_known: bool = True,
) -> Trains:
    """Spikes with their graph, checked."""
    letters = np.asarray([k.decode() if isinstance(k, bytes) else str(k) for k in kinds.tolist()])
    unknown = sorted(set(letters.tolist()) - set(KINDS))
    if unknown:
        raise UserError(f"{name}: kind has {', '.join(map(repr, unknown[:3]))}; give E, I or ext for each unit")
    numbers = np.asarray(degrees, dtype=np.float64)
    if numbers.shape[-1:] != letters.shape:
        raise UserError(
            f"{name}: out_degree has {numbers.shape[-1] if numbers.ndim else 0} units and kind {letters.size}; "
            "give both for each unit"
        )
    if not np.isfinite(numbers).all() or (numbers < 0).any():
        raise UserError(f"{name}: out_degree has a number that is negative or not finite; give numbers from 0")
    return Trains(letters, numbers, read, unit_known)
