"""One or more sources as the recordings of one sweep: which source has which point and trial."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from hpcmass.config.network import SWEEPABLE
from hpcmass.errors import UserError
from hpcmass.nearest import did_you_mean, missing_file
from hpcmass.recordings.phi import mean_arrivals
from hpcmass.recordings.source import DIMENSIONS, PHI, READ, Index, Real, Source, require_axis
from hpcmass.store.schema import TRACES
from hpcmass.text import counted, one_line

SAME_STEP: Final = 1e-6
"""Relative difference of time steps that are equal."""

MOST_NAMES: Final = 8
"""Most unknown names of a source that a message lists."""


def open_source(path: Path) -> Source:
    """Open a file of any kind that can be imported.

    Raises
    ------
    UserError
        If it cannot be read, or lacks something.
    """
    from hpcmass.recordings.arrays_source import open_hdf5_arrays, open_npz
    from hpcmass.recordings.neo_source import open_neo
    from hpcmass.recordings.nwb_source import open_nwb

    if not path.exists():
        raise UserError(f"there is no file {path}; {missing_file(path)}")
    if path.is_dir():
        raise UserError(f"{path} is a directory; give a file in it")
    if path.suffix.lower() == ".npz":
        return open_npz(path)
    if path.suffix.lower() not in (".nix", ".nio") and h5py.is_hdf5(path):
        with h5py.File(path, "r", locking=False) as file:
            filetype, is_nwb = file.attrs.get("filetype"), "nwb_version" in file.attrs
        if filetype is not None and str(filetype).startswith("hpcmass"):
            raise UserError(f"{path} is a file of hpcmass already; there is nothing to import")
        return open_nwb(path) if is_nwb else open_hdf5_arrays(path)
    return open_neo(path)


@dataclass(frozen=True, eq=False)
class Recordings:
    """All recordings of an import.

    Attributes
    ----------
    sources : tuple of Source
    stacked : dict of str to array
        Axes along which there is one source for each value, in the order of the sources.
    axes : dict of str to array
        All axes: the stacked ones, then the sources' own.
    units : dict of str to str
        Of the axes.
    dt_ms : float
    n_trials, n_steps : int
    constants : dict of str to float
        Traces that are one number.
    keys : dict of str to object
        What the sources say about the network.
    """

    sources: tuple[Source, ...]
    stacked: dict[str, Real]
    axes: dict[str, Real]
    units: dict[str, str]
    dt_ms: float
    n_trials: int
    n_steps: int
    constants: dict[str, float]
    keys: dict[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sources."""
        return tuple(source.name for source in self.sources)

    def available(self, trace: str) -> bool:
        """Whether a trace is recorded, constant or follows from spikes."""
        return trace in self.constants or all(
            trace in source.traces or trace in source.constants or _follows(source, trace) for source in self.sources
        )

    def from_spikes(self, trace: str) -> bool:
        """Whether a trace has to be made from the spikes of a source."""
        return trace not in self.constants and any(
            trace not in source.traces and trace not in source.constants and _follows(source, trace)
            for source in self.sources
        )

    def unread(self) -> Iterator[str]:
        """A sentence for each name that no import reads and that seems to be misspelt, and one for all others."""
        first = {name: source.name for source in reversed(self.sources) for name in source.unread}
        unknown: dict[str, list[str]] = {}
        for name, source in sorted(first.items()):
            hint = did_you_mean(name, (known for known in READ if known not in DIMENSIONS))
            if hint is None:
                unknown.setdefault(source, []).append(f"'{one_line(name)}'")
            else:
                yield f"{source} has '{one_line(name)}', which is not read; {hint}"
        for source, names in unknown.items():
            listed = ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")
            yield f"{source} has {listed}, which {'is' if len(names) == 1 else 'are'} not read"

    def place(self, point: Mapping[str, int], trial: int) -> tuple[Source, Index]:
        """The source of a trial, and its index there (`point`: axis → place in the sources' order)."""
        if self.stacked:
            lengths = [len(values) for values in self.stacked.values()]
            number = int(np.ravel_multi_index([point[name] for name in self.stacked], lengths))
        else:
            number = 0
            while trial >= self.sources[number].n_trials:
                trial -= self.sources[number].n_trials
                number += 1
        source = self.sources[number]
        return source, (*(point[name] for name in source.axes), trial)

    def trace(self, name: str, source: Source, index: Index, n_neurons: int) -> Real:
        """One trace, (n_steps,)."""
        if name in self.constants:
            return np.full(self.n_steps, self.constants[name])
        if name in source.traces:
            values = source.traces[name](index)
            if values.shape != (self.n_steps,):
                raise UserError(f"{source.name}: {name} has {values.size} steps in one trial, not {self.n_steps}")
            return values
        if name in source.constants:
            return np.full(self.n_steps, source.constants[name])
        assert source.trains is not None
        trains, trial = source.trains, index[-1]
        times, units = trains.read(trial)
        degrees = trains.degrees if trains.degrees.ndim == 1 else trains.degrees[trial]
        mine = trains.kinds == name.removeprefix("phi_")
        return mean_arrivals(
            times,
            np.asarray(units, dtype=np.int64),
            np.where(mine, degrees, 0.0),
            n_neurons=n_neurons,
            dt_ms=self.dt_ms,
            n_steps=self.n_steps,
        )


def _follows(source: Source, trace: str) -> bool:
    return trace in PHI and source.trains is not None and trace.removeprefix("phi_") in source.trains.kinds


def collect(
    stack: ExitStack,
    paths: Sequence[Path],
    stacked: Mapping[str, Sequence[float]],
    constants: Mapping[str, float],
    dt_ms: float | None = None,
) -> Recordings:
    """Open all sources (`stack` closes them), as one set of recordings.

    Parameters
    ----------
    stack : ExitStack
    paths : sequence of Path
    stacked : mapping of str to sequence of float
        Axes with a source for each value, or for each combination; without one, sources add trials.
    constants : mapping of str to float
        Traces that are one number in all sources.
    dt_ms : float, optional
        Time step, for sources that do not say it.

    Raises
    ------
    UserError
        If a source cannot be read, or does not fit the others.
    """
    sources = []
    for path in paths:
        sources.append(open_source(path))
        stack.callback(sources[-1].close)
    first = sources[0]
    axes = {name: require_axis("--axis", name, list(values)) for name, values in stacked.items()}
    wanted = math.prod(len(values) for values in axes.values()) if axes else len(sources)
    if len(sources) != wanted:
        given = " x ".join(f"{counted(len(values), 'value')} of {name}" for name, values in axes.items())
        there = counted(len(sources), "source")
        raise UserError(f"--axis gives {given}, and there are {there}; give one source for each point")
    for name in constants:
        if name not in TRACES:
            raise UserError(f"--constant {name}: there is no such trace; give one of {', '.join(TRACES)}")
    for source in sources[1:]:
        _require_equal(source, first, same_trials=bool(axes))
    for name in first.axes:
        if name in axes:
            raise UserError(f"--axis {name}: {first.name} has that axis already; give another name")
    return Recordings(
        sources=tuple(sources),
        stacked=axes,
        axes={**axes, **first.axes},
        units=first.units,
        dt_ms=_step(sources, dt_ms),
        n_trials=first.n_trials if axes else sum(source.n_trials for source in sources),
        n_steps=first.n_steps,
        constants=dict(constants),
        keys=_keys(sources, axes),
    )


def _require_equal(source: Source, first: Source, *, same_trials: bool) -> None:
    if source.n_steps != first.n_steps:
        raise UserError(
            f"{source.name} has {source.n_steps} steps and {first.name} {first.n_steps}; cut them to the same length"
        )
    if same_trials and source.n_trials != first.n_trials:
        raise UserError(
            f"{source.name} has {counted(source.n_trials, 'trial')} and {first.name} {first.n_trials}; give the same "
            "number at each point"
        )
    if list(source.axes) != list(first.axes) or not all(
        np.array_equal(source.axes[name], first.axes[name]) for name in first.axes
    ):
        raise UserError(f"{source.name} has other axes than {first.name}; give the same values in both")


def _step(sources: Sequence[Source], dt_ms: float | None) -> float:
    """The time step of all sources."""
    found = dt_ms
    for source in sources:
        step = source.dt_ms
        if step is None:
            continue
        if found is not None and abs(step - found) > SAME_STEP * found:
            raise UserError(
                f"{source.name} has dt_ms = {step:g}, and another source or --set has {found:g}; resample it"
            )
        found = found if dt_ms is not None or (found is not None and found <= step) else step
    if found is None:
        raise UserError(f"{sources[0].name} does not say its time step; add dt_ms, or give --set network.dt_ms=VALUE")
    if not found > 0:
        raise UserError(f"dt_ms = {found:g}: give a number above 0")
    return found


def _keys(sources: Sequence[Source], axes: Mapping[str, Real]) -> dict[str, Any]:
    """What the sources say about the network, if they agree."""
    keys: dict[str, Any] = {}
    for source in sources:
        for name, value in source.keys.items():
            if name in axes:
                continue
            if keys.setdefault(name, value) != value:
                remedy = f"; make it an axis with --axis {name}=…" if name in SWEEPABLE else "; give the same in all"
                raise UserError(f"{name} is {keys[name]:g} in one source and {value:g} in {source.name}{remedy}")
    return keys
