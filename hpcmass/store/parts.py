"""A part of a sweep: the share of one task of a job array, in a file of its own.

The shares are balanced by the trials' expected cost. They follow from the experiment alone, never from what is done;
a part's file keeps the whole division, so that a later version with other expectations goes on with the same one.
"""

from __future__ import annotations

import heapq
import re
from dataclasses import dataclass

import h5py
import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment
from hpcmass.costs import point_costs
from hpcmass.errors import UserError
from hpcmass.grid import Trial, shape

PART_VARIABLE = "part"


@dataclass(frozen=True)
class Part:
    """One of `count` parts, from 1.

    Attributes
    ----------
    number, count : int
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Share:
    """The trials of one part.

    Attributes
    ----------
    part : Part
    division : array of int32, (axes…, trial)
        Which part each trial of the sweep belongs to.
    """

    part: Part
    division: npt.NDArray[np.int32]

    def mask(self) -> npt.NDArray[np.bool_]:
        """True for this part's trials, (axes…, trial)."""
        mine: npt.NDArray[np.bool_] = self.division == self.part.number
        return mine

    def holds(self, trial: Trial) -> bool:
        """True if the trial is this part's."""
        return bool(self.division[trial.index] == self.part.number)


def parse_part(text: str) -> Part:
    """Read `i/n`.

    Raises
    ------
    ValueError
        If it is anything else, or i is not in 1 … n.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    part = Part(int(found[1]), int(found[2])) if found else None
    if part is None or not 1 <= part.number <= part.count:
        raise ValueError(f"give i/n with i from 1 to n, such as 3/8, not '{text}'")
    return part


def divide(experiment: Experiment, count: int) -> npt.NDArray[np.int32]:
    """Which part each trial belongs to: the costliest first, each to the part that has least to do.

    Parameters
    ----------
    experiment : Experiment
    count : int
        Parts; more than there are trials leave some empty.

    Returns
    -------
    array of int32, (axes…, trial)
        Part numbers, from 1.
    """
    costs = np.broadcast_to(point_costs(experiment)[..., None], shape(experiment)).ravel()
    division = np.empty(costs.size, np.int32)
    loads = [(0.0, number) for number in range(1, count + 1)]
    for trial in np.argsort(-costs, kind="stable"):
        load, number = loads[0]
        division[trial] = number
        heapq.heapreplace(loads, (load + float(costs[trial]), number))
    return division.reshape(shape(experiment))


def part_of(file: h5py.File) -> Part | None:
    """The part that an open sweep file holds, None for one that may hold every trial."""
    text = file.attrs.get("part")
    if text is None:
        return None
    try:
        return parse_part(str(text))
    except ValueError:
        raise UserError(f"{file.filename} says that it holds part '{text}'; it is damaged") from None


def share_of(file: h5py.File) -> npt.NDArray[np.bool_]:
    """True for every trial that an open sweep file is to hold, (axes…, trial)."""
    part = part_of(file)
    if part is None:
        return np.ones(file["status"].shape, bool)
    mine: npt.NDArray[np.bool_] = file[PART_VARIABLE][()] == part.number
    return mine


def division_in(file: h5py.File) -> npt.NDArray[np.int32]:
    """Which part each trial belongs to, as an open part's file says, (axes…, trial)."""
    division: npt.NDArray[np.int32] = file[PART_VARIABLE][()]
    return division


def require_same_part(file: h5py.File, part: Part | None, what_to_do: str) -> None:
    """Refuse an open sweep file that holds another part.

    Raises
    ------
    UserError
    """
    found = part_of(file)
    if found != part:
        theirs = f"holds part {found}" if found else "is not a part"
        wanted = f"part {part} is asked for" if part else "no --part is given"
        raise UserError(f"{file.filename} {theirs}, but {wanted}; {what_to_do}")
