"""Sources that Neo reads: segments are trials, signals have the names of traces, spike trains are annotated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hpcmass.errors import UserError
from hpcmass.recordings.arrays_source import kind_of
from hpcmass.recordings.source import KEYS, Index, Real, Source, Trains, layout, trains_of
from hpcmass.store.schema import TRACES
from hpcmass.text import shortened


def open_neo(path: Path) -> Source:
    """A source from the first block of a file that Neo reads."""
    try:
        import neo
    except ImportError:
        raise UserError(
            f"{path}: neither .npz nor HDF5; Neo reads further formats: `pip install 'hpcmass[neo]'`, or convert it"
        ) from None
    try:
        block = neo.get_io(str(path)).read_block()
    except Exception as error:  # each format of Neo fails in another way
        why = shortened(" ".join(str(error).split()).rstrip(".") or type(error).__name__, 120)
        raise UserError(f"cannot read {path} with Neo: {why}; give .npz, HDF5, NWB or a file that Neo reads") from None
    name = path.name
    signals = [{str(s.name): s for s in segment.analogsignals} for segment in block.segments]
    if not signals:
        raise UserError(f"{name} has no segments; a segment is a trial")
    for number, named in enumerate(signals):
        if "mean_v" not in named:
            others = ", ".join(sorted(named)[:8]) or "no signals"
            raise UserError(f"{name}: segment {number} has no signal mean_v, the mean potential; it has {others}")
    found = [trace for trace in TRACES if trace in signals[0]]
    for number, named in enumerate(signals):
        _require_equal(name, number, named, found, signals[0])
    first = signals[0]["mean_v"]
    n_steps = int(first.shape[0])
    layout(name, dict.fromkeys(found, (n_steps,)), {})

    def reader(trace: str) -> Callable[[Index], Real]:
        def read(index: Index) -> Real:
            values = _magnitude(name, trace, signals[index[-1]][trace], kind_of(trace))
            return np.asarray(values.mean(axis=1) if values.ndim == 2 else values)  # of some neurons: averaged

        return read

    annotations = {**block.annotations, **block.segments[0].annotations}
    return Source(
        name=name,
        dt_ms=float(f"{float(_magnitude(name, 'mean_v', first.sampling_period, 'time')):.9g}"),
        axes={},
        units={},
        n_trials=len(signals),
        n_steps=n_steps,
        traces={trace: reader(trace) for trace in found},
        constants={},
        keys={key: _number(annotations[key]) for key in KEYS if isinstance(annotations.get(key), int | float)},
        trains=_trains(name, block),
    )


def _require_equal(name: str, number: int, named: dict[str, Any], found: list[str], first: dict[str, Any]) -> None:
    """Refuse signals of another length or sampling than the first `mean_v`."""
    reference = first["mean_v"]
    for trace in found:
        if trace not in named:
            raise UserError(f"{name}: segment {number} has no signal {trace}, and segment 0 has; give it in all")
        signal = named[trace]
        if signal.shape[0] != reference.shape[0] or signal.sampling_period != reference.sampling_period:
            raise UserError(
                f"{name}: {trace} of segment {number} has {signal.shape[0]} samples of {signal.sampling_period} and "
                f"mean_v of segment 0 has {reference.shape[0]} of {reference.sampling_period}; cut and resample them"
            )


def _magnitude(name: str, trace: str, quantity: Any, kind: str) -> Real:
    """A quantity's numbers in mV, 1/ms or ms."""
    unit = {"rate": "1/ms", "potential": "mV", "time": "ms"}[kind]
    if kind != "time" and str(quantity.dimensionality) == "dimensionless":
        return np.asarray(quantity.magnitude, dtype=np.float64)
    try:
        return np.asarray(quantity.rescale(unit).magnitude, dtype=np.float64)
    except ValueError:
        raise UserError(f"{name}: {trace} is in '{quantity.dimensionality}'; convert it to {unit}") from None


def _number(value: float) -> int | float:
    return int(value) if isinstance(value, int) else float(value)


def _trains(name: str, block: Any) -> Trains | None:
    """Spikes and graph, if the spike trains have the annotations `kind` and `out_degree`."""
    listed = [list(segment.spiketrains) for segment in block.segments]
    if not listed[0] or not all({"kind", "out_degree"} <= set(train.annotations) for train in listed[0]):
        return None
    if len({len(trains) for trains in listed}) != 1:
        raise UserError(f"{name}: the segments have different numbers of spike trains; give one for each unit in all")
    kinds = np.array([str(train.annotations["kind"]) for train in listed[0]])
    degrees = np.array([[float(t.annotations.get("out_degree", np.nan)) for t in trains] for trains in listed])

    def read(trial: int) -> tuple[Real, Any]:
        named = {str(s.name): s for s in block.segments[trial].analogsignals}
        start = float(_magnitude(name, "mean_v", named["mean_v"].t_start, "time"))
        times = [_magnitude(name, "a spike train", train.times, "time") - start for train in listed[trial]]
        return np.concatenate(times), np.repeat(np.arange(len(times)), [len(t) for t in times])

    return trains_of(name, kinds, degrees, read)
