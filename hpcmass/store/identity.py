"""Do a sweep file and an experiment, or two sweep files, belong together?"""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np

from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.store.reader import axes_of, experiment_of


def require_same_sweep(file: h5py.File, experiment: Experiment, what_to_do: str, if_same_physics: str = "") -> None:
    """Refuse an open sweep file whose physics, axes or trials are not the experiment's.

    Parameters
    ----------
    file : h5py.File
    experiment : Experiment
    what_to_do : str
        End of the message.
    if_same_physics : str
        Put before it where only axes or trials differ.

    Raises
    ------
    UserError
        Listing each differing key with both values.
    """
    differences = _physics_differences(file, experiment)
    advice = what_to_do if differences else if_same_physics + what_to_do
    axes = axes_of(file)
    for name, values in experiment.grid.axes().items():
        if axes.get(name, values) != values:
            differences.append(f"grid.{name} has {_axis(axes[name])} there and {_axis(values)} here")
    if len(file["trial"]) != experiment.trials:
        differences.append(f"trials is {len(file['trial'])} there and {experiment.trials} here")
    if differences:
        raise UserError(f"{file.filename} holds another sweep ({'; '.join(differences)}); {advice}")


def require_same_seeds(files: Sequence[h5py.File], trials: Sequence[Trial], what_to_do: str) -> None:
    """Refuse open sweep files whose trials' seeds are not those of `trials` (the whole grid, in order).

    Raises
    ------
    UserError
    """
    seeds = np.array([trial.seed for trial in trials], "u4")
    for file in files:
        if not np.array_equal(file["seed"][()].reshape(seeds.shape), seeds):
            raise UserError(f"{file.filename} holds another sweep (its trials have other seeds); {what_to_do}")


def require_same_seeds_in(file: h5py.File, other: h5py.File, what_to_do: str) -> None:
    """Refuse an open sweep file whose trials' seeds are not those of another one.

    Raises
    ------
    UserError
    """
    if not np.array_equal(file["seed"][()], other["seed"][()]):
        raise UserError(f"{file.filename} has other seeds than {other.filename}; {what_to_do}")


def require_same_physics(file: h5py.File, experiment: Experiment, what_to_do: str) -> None:
    """Refuse an open sweep file whose trials would not be the experiment's, whatever its axes and trials.

    Raises
    ------
    UserError
        Listing each differing key with both values.
    """
    differences = _physics_differences(file, experiment)
    if differences:
        raise UserError(f"{file.filename} has other physics ({'; '.join(differences)}); {what_to_do}")


def _physics_differences(file: h5py.File, experiment: Experiment) -> list[str]:
    if str(file.attrs["config_sha256"]) == experiment.physics_sha256():
        return []
    theirs, ours = experiment_of(file).physics(), experiment.physics()
    return [
        f"{key} is {_shown(theirs, key)} there and {_shown(ours, key)} here"
        for key in sorted(theirs.keys() | ours.keys())
        if theirs.get(key) != ours.get(key)
    ] or ["its physics hash differs"]


def _shown(physics: dict[str, object], key: str) -> str:
    return str(physics[key]) if key in physics else "absent"


def _axis(values: tuple[float, ...]) -> str:
    if len(values) <= 4:
        return "[" + ", ".join(f"{v:g}" for v in values) + "]"
    return f"{len(values)} values from {values[0]:g} to {values[-1]:g}"
