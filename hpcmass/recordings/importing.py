"""Recordings of another program as a sweep file, which every command reads like one of a simulation."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from hpcmass.compare.plausible import Seen, doubts
from hpcmass.compare.settings import setting_problems
from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.grid import trial_label, values_at
from hpcmass.messages import logger
from hpcmass.recordings.collect import Recordings, collect
from hpcmass.recordings.describe import describe, given_keys, sorted_places
from hpcmass.recordings.numbers import numbers_of
from hpcmass.recordings.source import KINDS, PHI, Index, Real, Source
from hpcmass.recordings.spikes import SpikesSeen
from hpcmass.store.files import real_path, require_output, require_space, reserve
from hpcmass.store.layout import creating_sweep, sweep_bytes
from hpcmass.store.lock import SweepLock
from hpcmass.store.provenance import history_line, history_value, provenance
from hpcmass.store.schema import DONE, TRACES

NONE: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True)
class ImportSummary:
    """What was imported.

    Attributes
    ----------
    path : Path
        The sweep file.
    experiment : Experiment
    n_points, n_trials : int
        Points, and trials in all.
    """

    path: Path
    experiment: Experiment
    n_points: int
    n_trials: int


def import_recordings(
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    assignments: Sequence[str] = (),
    axes: Mapping[str, Sequence[float]] = NONE,
    constants: Mapping[str, float] = NONE,
    force: bool = False,
) -> ImportSummary:
    """Write recordings of another program into a sweep file.

    Parameters
    ----------
    sources : path or sequence of paths
        Files of named arrays (`.npz`, HDF5), NWB files, or files that Neo reads.
    output : path
        The sweep file.
    config : path, optional
        A configuration with what the sources do not say; it need not be complete.
    assignments : sequence of str
        Single values of it, such as `network.tau_m_ms=20`.
    axes : mapping of str to sequence of float
        Axes with one source for each value. Of several axes there is a source for each combination, and the last
        axis changes fastest. Without any, several sources are trials of one point.
    constants : mapping of str to float
        Traces that are constant, such as `{"phi_I": 0}`.
    force : bool
        Back up an existing file instead of refusing it.

    Returns
    -------
    ImportSummary

    Raises
    ------
    UserError
        If a source cannot be read or has mistakes, something is missing, or the file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> from hpcmass.recordings.importing import import_recordings
    >>> phi_E = np.random.default_rng(1).poisson(3, (2, 2000))
    >>> mean_v = -60 + phi_E / 10
    >>> np.savez("run.npz", mean_v=mean_v, phi_E=phi_E, dt_ms=0.5, n_neurons=100, p=0.1, lam=1.0)
    >>> network = ["tau_m_ms=20", "v_leak_mv=-70", "w_E=0.02", "tau_E_ms=5", "v_exc_mv=0"]
    >>> constants = {"phi_I": 0, "phi_ext": 0}
    >>> summary = import_recordings("run.npz", "rec.h5", assignments=network, constants=constants)
    >>> summary.n_points, summary.n_trials
    (1, 2)
    """
    one = isinstance(sources, str | os.PathLike)
    paths = [Path(sources)] if one else [Path(path) for path in sources]  # type: ignore[arg-type, union-attr]
    if not paths:
        raise UserError("there is nothing to import; give at least one file")
    target = real_path(Path(output))
    require_output(target, [*paths, *([] if config is None else [Path(config)])])
    keys = given_keys(None if config is None else Path(config), assignments)
    network = keys.get("network")
    dt_ms = network.get("dt_ms") if isinstance(network, dict) else None
    with ExitStack() as stack:
        recordings = collect(stack, paths, axes, constants, dt_ms if isinstance(dt_ms, int | float) else None)
        for sentence in recordings.unread():
            logger.warning("%s", sentence)
        zero = [kind for kind in KINDS if _is_zero(recordings, f"phi_{kind}")]
        experiment = describe(recordings, keys, zero)
        stack.enter_context(SweepLock(target))
        _write(target, recordings, experiment, force)
    lengths = [len(values) for values in experiment.axes().values()]
    n_points = math.prod(lengths)
    return ImportSummary(target, experiment, n_points, n_points * recordings.n_trials)


def _is_zero(recordings: Recordings, trace: str) -> bool:
    """Whether a trace is the constant 0 everywhere."""
    if trace in recordings.constants:
        return recordings.constants[trace] == 0
    return all(source.constants.get(trace) == 0 for source in recordings.sources)


def _write(path: Path, recordings: Recordings, experiment: Experiment, force: bool) -> None:
    """Create the file with everything in it; all or nothing."""
    require_space(path, sweep_bytes(experiment), remedy=" or give another path")
    attributes = {
        "title": experiment.title,
        "config_yaml": experiment.text,
        "config_sha256": experiment.physics_sha256(),
        "uuid": str(uuid.uuid4()),
        **provenance(n_ranks=1, mpi_library="none"),
        "driver": "imported",
        "comment": "The recordings come from another program, see the section 'imported' of config_yaml.",
        "history": history_value([history_line(f"imported from {', '.join(recordings.names)}")]),
    }
    seen = Seen()
    spikes = SpikesSeen("spike_time", recordings.dt_ms, recordings.n_steps)
    with creating_sweep(path, experiment, attributes, force=force) as file:
        reserve(file, sweep_bytes(experiment))
        axes = experiment.axes()
        order = {name: sorted_places(recordings.axes[name]) for name in recordings.axes}
        for point in np.ndindex(*(len(values) for values in axes.values())):
            places = {name: order[name][i] for name, i in zip(axes, point, strict=True) if name in order}
            values = values_at(axes, point)
            network = experiment.network_at(values)
            for trial in range(recordings.n_trials):
                source, index = recordings.place(places, trial)
                if source.trains is not None:
                    _note(spikes, source, index[-1])
                traces = _traces(recordings, experiment, source, index, trial_label(values, trial), network.n_neurons)
                seen.add(traces, network)
                _put(file, (*point, trial), traces)
                for name, number in numbers_of(recordings, source, index, experiment, traces).items():
                    file[name][(*point, trial)] = number
        file["status"][...] = DONE
        seen.require()
    network = experiment.network
    refused = (
        f"{problem}; `hpcmass compare` will refuse that, give other settings with --set"
        for problem in setting_problems(network, experiment.compare)
    )
    for sentence in (*spikes.doubts(), *doubts(seen, network), *refused):
        logger.warning("%s", sentence)


def _note(spikes: SpikesSeen, source: Source, trial: int) -> None:
    """Note the spikes of one trial of a source."""
    assert source.trains is not None
    times_ms, _ = source.trains.read(trial)
    try:
        spikes.add(times_ms, where=f" of trial {trial}", unit_known=source.trains.unit_known)
    except UserError as error:
        raise UserError(f"{source.name}: {error}") from None


def _traces(
    recordings: Recordings, experiment: Experiment, source: Source, index: Index, label: str, n_neurons: int
) -> dict[str, Real]:
    """All traces of one trial, checked."""
    assert experiment.imported is not None
    traces = {}
    for name in TRACES:
        if name in experiment.imported.lacks:
            continue
        values = recordings.trace(name, source, index, n_neurons)
        finite = np.isfinite(values)
        if not finite.all():
            step = int(np.argmin(finite))
            raise UserError(f"{source.name}: {name} at {label} is {values[step]} in step {step}; cut or fill the gap")
        if name in PHI and (values < 0).any():
            step = int(np.argmax(values < 0))
            raise UserError(
                f"{source.name}: {name} at {label} is {values[step]:g} in step {step}; it counts spikes, give numbers "
                "from 0"
            )
        traces[name] = values
    return traces


def _put(file: h5py.File, index: Index, traces: Mapping[str, Real]) -> None:
    for name in TRACES:
        file[name][index] = traces[name].astype(np.float32) if name in traces else np.float32(np.nan)
