"""Check of a result file by simulating some of its trials again and comparing byte by byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpcmass.errors import TrialFailure, UserError
from hpcmass.grid import places
from hpcmass.messages import logger
from hpcmass.network import simulate
from hpcmass.store.kept import kept
from hpcmass.store.schema import DONE, NUMBERS, SWEEP_VARIABLES
from hpcmass.store.sweep_file import SweepFile


def resimulate(path: Path, count: int, *, choice_seed: int | None = None) -> list[str]:
    """Simulate so many random trials that are done once more; a sentence for each that differs."""
    problems = []
    with SweepFile(path) as file:
        if file.experiment.imported is not None:
            raise UserError(f"{path} holds imported recordings, which cannot be simulated; leave out --resimulate")
        done = list(places(file.status == DONE))
        chosen = np.random.default_rng(choice_seed).permutation(len(done))[:count]
        for number in sorted(chosen.tolist()):
            index = done[number]
            name, values = file.label(index), file.values_at(index)
            logger.info("simulating %s again", name)
            network = file.experiment.network_at(values)
            try:
                again = simulate(network, values["p"], values["lam"], file.seed(index)).variables()
            except TrialFailure as failure:
                problems.append(f"{name}: it is done, but fails when simulated again: {failure}")
                continue
            recording = kept(again, index[-1], file.experiment)
            differing = [
                variable
                for variable in (*file.traces_of(index), *NUMBERS)
                if variable in file
                and np.asarray(recording[variable], SWEEP_VARIABLES[variable].dtype).tobytes()
                != np.asarray(file.value(variable, index)).tobytes()
            ]
            if differing:
                problems.append(f"{name}: simulated again it differs in {', '.join(differing)}")
    return problems
