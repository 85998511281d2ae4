"""Check of a result file by simulating some of its trials again and comparing byte by byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpcmass.errors import TrialFailure
from hpcmass.messages import logger
from hpcmass.network import simulate
from hpcmass.store.schema import DONE, NUMBERS, SWEEP_VARIABLES, TRACES
from hpcmass.store.sweep_file import SweepFile


def resimulate(path: Path, count: int, *, choice_seed: int | None = None) -> list[str]:
    """Simulate random trials that are done once more.

    Parameters
    ----------
    path : Path
    count : int
        How many, at most all that are done.
    choice_seed : int, optional
        Seed of the choice; another choice each time by default.

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
    with SweepFile(path) as file:
        done = np.argwhere(file.status == DONE)
        chosen = np.random.default_rng(choice_seed).permutation(len(done))[:count]
        for number in sorted(chosen.tolist()):
            index = tuple(int(i) for i in done[number])
            name, values = file.label(index), file.values_at(index)
            logger.info("simulating %s again", name)
            network = file.experiment.network_at(values)
            try:
                recording = simulate(network, values["p"], values["lam"], file.seed(index)).variables()
            except TrialFailure as failure:
                problems.append(f"{name}: it is done, but fails when simulated again: {failure}")
                continue
            differing = [
                variable
                for variable in (*TRACES, *NUMBERS)
                if variable in file
                and np.asarray(recording[variable], SWEEP_VARIABLES[variable].dtype).tobytes()
                != np.asarray(file.value(variable, index)).tobytes()
            ]
            if differing:
                problems.append(f"{name}: simulated again it differs in {', '.join(differing)}")
    return problems
