"""One trial for a look: the same trial as in the sweep, with its spikes if wanted, in a sweep file of its own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path

import yaml

from hpcmass.config import Experiment
from hpcmass.configfile import parse_experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial, trial_seed
from hpcmass.network import Recording, simulate
from hpcmass.store.aside import set_sweep_aside, sweep_exists
from hpcmass.store.creation import create_sweep_file
from hpcmass.store.layout import require_directory
from hpcmass.store.lock import SweepLock
from hpcmass.store.opening import followed
from hpcmass.store.provenance import provenance
from hpcmass.store.schema import SPIKE_VARIABLES
from hpcmass.store.writer import SlabWriter


def at_point(experiment: Experiment, values: Mapping[str, float]) -> Experiment:
    """The experiment with a grid of one point and one trial.

    Parameters
    ----------
    experiment : Experiment
    values : mapping of str to float
        A value for every axis of its grid.

    Raises
    ------
    UserError
        If an axis is missing, is none of the grid, or a value is not allowed.
    """
    axes = experiment.grid.axes()
    missing = [name for name in axes if name not in values]
    if missing:
        raise UserError(f"the grid also sweeps {', '.join(missing)}; give --at {missing[0]}=VALUE")
    unknown = [name for name in values if name not in axes]
    if unknown:
        raise UserError(f"--at {unknown[0]}: the grid does not sweep it; it sweeps {', '.join(axes)}")
    document = json.loads(experiment.model_dump_json(exclude_none=True))
    document |= {"trials": 1, "grid": {name: [float(values[name])] for name in axes}}
    return parse_experiment(yaml.safe_dump(document, sort_keys=False), "the trial")


def run_single(
    experiment: Experiment,
    values: Mapping[str, float],
    number: int,
    *,
    output: Path | None = None,
    keep_spikes: bool = False,
    store_spikes: bool = False,
    force: bool = False,
) -> Recording:
    """Simulate one trial in this process, without MPI, and store it if asked to.

    Parameters
    ----------
    experiment : Experiment
    values : mapping of str to float
        Axis name → value; need not be on the grid.
    number : int
        Trial number at the point; with the values it fixes the seed.
    output : Path, optional
        A sweep file of one trial.
    keep_spikes : bool
        Return every spike, too.
    store_spikes : bool
        Store every spike, too; they are returned then.
    force : bool
        Keep an existing file aside instead of refusing.

    Raises
    ------
    UserError
        If a value is not allowed or the file cannot be written; before the simulation where possible.
    TrialFailure
        If the network leaves the physical regime; nothing is stored then.
    """
    point = at_point(experiment, values)
    here = {name: axis[0] for name, axis in point.grid.axes().items()}
    trial = Trial((0,) * (len(here) + 1), here, trial_seed(point.root_seed, here, number))

    def run() -> Recording:
        network = point.network_at(here)
        return simulate(network, here["p"], here["lam"], trial.seed, keep_spikes=keep_spikes or store_spikes)

    if output is None:
        return run()
    output = followed(output)
    require_directory(output)
    with SweepLock(output):
        if sweep_exists(output) and not force:
            raise UserError(
                f"{output} exists; give another name, or --force to start anew (the old file is kept aside)"
            )
        recording = run()
        set_sweep_aside(output)
        _store(recording, point, trial, number, output, with_spikes=store_spikes)
    return recording


def _store(
    recording: Recording, point: Experiment, trial: Trial, number: int, output: Path, *, with_spikes: bool
) -> None:
    neuron, time_ms = (recording.spike_neuron, recording.spike_time) if with_spikes else (None, None)
    create_sweep_file(
        output,
        point,
        driver="serial",
        provenance={"uuid": str(uuid.uuid4()), **provenance(n_ranks=1, mpi_library="none")},
        started=f"trial {number} alone",
        trial_numbers=[number],
        n_spikes=None if neuron is None else len(neuron),
    )
    with SlabWriter(output) as writer:
        if neuron is not None and time_ms is not None:
            writer.write_spikes(dict(zip(SPIKE_VARIABLES, (neuron, time_ms), strict=True)))
        writer.write(trial, recording.variables(), rank=0)
