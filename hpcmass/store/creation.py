"""Creating a sweep: the file with everything in it, none of its trials done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment
from hpcmass.grid import SEED_WORDS, trial_seed
from hpcmass.grid import trials as all_trials
from hpcmass.store.chain import from_now_on, write_chain
from hpcmass.store.layout import (
    METADATA_BYTES,
    Coordinate,
    axis_coordinates,
    creating,
    define,
    filled_bytes,
)
from hpcmass.store.parts import PART_VARIABLE, Share
from hpcmass.store.provenance import history_line, history_value
from hpcmass.store.schema import CONFIG_CHAIN, SPIKE_VARIABLES, SWEEP_FILETYPE, SWEEP_VARIABLES

Driver = Literal["mpio", "shards", "serial"]
"""How a sweep is written: one file by all ranks, a file per rank, one file by one process."""


def sweep_attributes(experiment: Experiment, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Root attributes of a sweep file that follow from the experiment and from `provenance`."""
    return {
        "title": experiment.title,
        "config_yaml": experiment.text,
        "config_sha256": experiment.physics_sha256(),
        **provenance,
    }


def sweep_coordinates(experiment: Experiment, trial_numbers: Sequence[int] | None = None) -> list[Coordinate]:
    """All dimensions of a sweep file; `time` holds the beginning of each step, whose end `mean_v` shows."""
    network = experiment.network
    numbers = range(experiment.trials) if trial_numbers is None else trial_numbers
    return [
        *axis_coordinates(experiment.grid.axes()),
        Coordinate("trial", np.asarray(numbers, "i4"), "1", "trial number"),
        Coordinate("time", np.arange(network.n_steps) * network.dt_ms, "ms", "time since the start of the trial"),
        Coordinate("word", np.arange(SEED_WORDS, dtype="i4"), "1", "word of the seed"),
    ]


def create_sweep_file(
    path: Path,
    experiment: Experiment,
    *,
    driver: Driver,
    provenance: Mapping[str, Any],
    started: str = "started",
    trial_numbers: Sequence[int] | None = None,
    n_spikes: int | None = None,
    share: Share | None = None,
    force: bool = False,
) -> None:
    """Create a sweep file with all its variables, none of its trials done; it appears under its name when complete.

    Parameters
    ----------
    path : Path
    experiment : Experiment
    driver : str
        How it is going to be written; an attribute.
    provenance : mapping
        Further root attributes, `uuid` among them.
    started : str
        First line of the history.
    trial_numbers : sequence of int, optional
        The trials at each point, if not 0 … `experiment.trials` - 1.
    n_spikes : int, optional
        Adds space for that many spikes (one-trial files).
    share : Share, optional
        The part of the sweep that the file is to hold.
    force : bool
        Keep an existing file aside instead of refusing.

    Raises
    ------
    UserError
        See `layout.creating`.
    """
    axes = tuple(experiment.grid.axes())
    coordinates = sweep_coordinates(experiment, trial_numbers)
    variables = [*SWEEP_VARIABLES.values(), CONFIG_CHAIN]
    if n_spikes is not None:
        coordinates.append(Coordinate("spike", np.arange(n_spikes), "1", "spike, in the order of time"))
        variables += SPIKE_VARIABLES.values()
    attributes = {
        **sweep_attributes(experiment, provenance),
        "driver": driver,
        "history": history_value([history_line(started)]),
    }
    if share is not None:
        attributes["part"] = str(share.part)
    sizes = {coordinate.name: len(coordinate.values) for coordinate in coordinates}
    space = METADATA_BYTES + 8 * sum(sizes.values()) + filled_bytes(variables, axes, sizes)
    with creating(path, force=force, space=space) as file:
        define(
            file,
            filetype=SWEEP_FILETYPE,
            axes=axes,
            coordinates=coordinates,
            variables=variables,
            attributes=attributes,
        )
        write_chain(file, [from_now_on(experiment.text)])
        seeds = file["seed"]
        seeds[...] = _seeds(experiment, trial_numbers).reshape(seeds.shape)
        if share is not None:
            file[PART_VARIABLE][...] = share.division


def _seeds(experiment: Experiment, trial_numbers: Sequence[int] | None) -> npt.NDArray[np.uint32]:
    if trial_numbers is None:
        return np.array([trial.seed for trial in all_trials(experiment)], "u4")
    points = [trial.values for trial in all_trials(experiment.model_copy(update={"trials": 1}))]
    return np.array([trial_seed(experiment.root_seed, v, k) for v in points for k in trial_numbers], "u4")
