"""The last word on a result file: some of its trials simulated again, and compared byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hpcmass.errors import TrialFailure
from hpcmass.grid import Seed
from hpcmass.network import simulate
from hpcmass.store.reader import axes_of, experiment_of, open_hdf5
from hpcmass.store.schema import DONE, NUMBERS, SWEEP_FILETYPE, SWEEP_VARIABLES, TRACES
from hpcmass.store.structure import label


def resimulate(path: Path, count: int, *, draw: int | None = None, say: Callable[[str], None]) -> list[str]:
    """Simulate random trials that are done once more.

    Parameters
    ----------
    path : Path
    count : int
        How many, at most all that are done.
    draw : int, optional
        Seed of the choice; another choice each time by default.
    say : callable
        Told of each trial before it is run.

    Returns
    -------
    list of str
        A sentence for each trial that differs.

    Raises
    ------
    UserError
        If it is not a readable sweep file.
    """
    problems = []
    with open_hdf5(path, SWEEP_FILETYPE) as file:
        experiment, axes = experiment_of(file), axes_of(file)
        done = np.argwhere(file["status"][()] == DONE)
        chosen = np.random.default_rng(draw).permutation(len(done))[:count]
        for number in sorted(chosen.tolist()):
            index = tuple(int(i) for i in done[number])
            name = label(file, index)
            say(f"simulating {name} again")
            values = {axis: axes[axis][i] for axis, i in zip(axes, index, strict=False)}
            a, b, c, d = file["seed"][index].tolist()
            seed: Seed = (a, b, c, d)
            try:
                recording = simulate(experiment.network_at(values), values["p"], values["lam"], seed).variables()
            except TrialFailure as failure:
                problems.append(f"{name}: it is done, but fails when simulated again: {failure}")
                continue
            differing = [
                variable
                for variable in (*TRACES, *NUMBERS)
                if variable in file
                and np.asarray(recording[variable], SWEEP_VARIABLES[variable].dtype).tobytes()
                != file[variable][index].tobytes()
            ]
            if differing:
                problems.append(f"{name}: simulated again it differs in {', '.join(differing)}")
    return problems
