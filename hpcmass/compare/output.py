"""The comparison file while it is made: laid out whole, then filled point by point, so that it can be resumed.

As with a sweep, nothing but raw data is written after the layout, and a point is marked as compared after its results
have reached the disk: whatever moment a comparison is killed in, the file opens and the same command goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hpcmass.compare.adjustment import adjusted
from hpcmass.compare.point import Result, bins_of, example_window
from hpcmass.config import CompareParameters, Experiment
from hpcmass.configfile import parse_experiment
from hpcmass.errors import UserError
from hpcmass.store.inplace import open_in_place, sync
from hpcmass.store.layout import Coordinate, create_file, reason, set_aside
from hpcmass.store.provenance import append_history, history_line, history_value
from hpcmass.store.reader import SweepFile, open_hdf5
from hpcmass.store.schema import COMPARISON_FILETYPE, COMPARISON_VARIABLES, DONE, NUMBERS, PENDING, SWEEP_VARIABLES

Point = tuple[int, ...]

VARIABLES = (*COMPARISON_VARIABLES.values(), *(SWEEP_VARIABLES[name] for name in (*NUMBERS, "status")))

START_ANEW = "give another name, or --force to start anew (the old file is kept aside)"

TESTS = ("chi2", "log_ratio", "rho")
"""Statistics with a p-value that is adjusted over the map."""


def prepare(path: Path, sweep: SweepFile, experiment: Experiment, provenance: Mapping[str, Any], force: bool) -> None:
    """Create the comparison file, or see whether the one that is there can be continued.

    Parameters
    ----------
    path : Path
    sweep : SweepFile
    experiment : Experiment
        The sweep's, with the settings of this comparison.
    provenance : mapping
        Further root attributes.
    force : bool
        Keep an existing file aside and create another.

    Raises
    ------
    UserError
        If the file cannot be written, is no comparison, or compares another sweep or with other settings.
    """
    if path.exists() and not path.is_dir() and force:
        set_aside(path)
    if path.exists():
        _require_continuable(path, sweep, experiment)
        return
    bins = bins_of(experiment.network, experiment.compare)
    create_file(
        path,
        filetype=COMPARISON_FILETYPE,
        axes=sweep.axes,
        coordinates=[
            Coordinate("trial", sweep.variable("trial"), "1", "trial number"),
            Coordinate("model", experiment.mass.models, "text", "mass model"),
            Coordinate("frequency", bins.frequency, "Hz", "centre of the merged frequency components"),
            Coordinate("window", sweep.time_ms[example_window(experiment.network)], "ms", "time in the example window"),
        ],
        variables=VARIABLES,
        attributes={
            "title": experiment.title,
            "config_yaml": experiment.text,
            "config_sha256": sweep.physics_sha256,
            "sweep_uuid": sweep.uuid,
            "sweep_path": _as_text(os.path.relpath(sweep.path.absolute(), path.parent.absolute())),
            "history": history_value([history_line(f"comparison of {_as_text(sweep.path.absolute())} started")]),
            **provenance,
        },
        data={"n_components": bins.n_components},
    )


def _as_text(path: str | Path) -> str:
    """A path as an attribute may hold it: a name can be any bytes, or not be known as UTF-8 in this locale."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _require_continuable(path: Path, sweep: SweepFile, experiment: Experiment) -> None:
    with open_hdf5(path, COMPARISON_FILETYPE) as file:
        if str(file.attrs["sweep_uuid"]) != sweep.uuid or file["status"].shape != sweep.shape:
            raise UserError(f"{path} compares another sweep than {sweep.path}; {START_ANEW}")
        if any(variable.name not in file for variable in VARIABLES):
            raise UserError(f"{path} was made by an earlier hpcmass, which computed less; {START_ANEW}")
        stored = parse_experiment(str(file.attrs["config_yaml"]), f"the configuration in {path}")
    differences = [
        f"{section}.{key} is {theirs} there and {ours} here"
        for section in ("mass", "compare")
        for key, ours in getattr(experiment, section).model_dump().items()
        if (theirs := getattr(getattr(stored, section), key)) != ours
    ]
    if differences:
        raise UserError(f"{path} was made with other settings ({'; '.join(differences)}); {START_ANEW}")
    if not os.access(path, os.W_OK):
        raise UserError(f"no permission to write {path}; give another name")


class ComparisonFile:
    """A comparison file that is there already, open for writing; a context manager.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    n_compared : array of int, (axes…)
        Trials in each point's results; 0 where there are none yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_in_place(path)
        self._descriptor = os.open(path, os.O_RDWR)
        self.n_compared: npt.NDArray[np.int64] = np.where(
            self._file["compared"][()] == DONE, self._file["n_compared"][()], 0
        )

    def is_complete(self, sweep: SweepFile) -> bool:
        """True if it holds everything there is about the sweep."""
        file = self._file
        adjusted_all = np.array_equal(file["rho_agrees"][()] < 0, file["rho_agrees_bh"][()] < 0)
        same = np.array_equal(file["status"][()], sweep.status)
        return same and adjusted_all and np.array_equal(self.n_compared, np.sum(sweep.status == DONE, axis=-1))

    def begin(self, sweep: SweepFile, spike_contrast_min: float, what: str) -> None:
        """Copy the sweep's numbers and note in the history what is going to happen.

        Until `finish` nothing is adjusted over the map, which is going to change.
        """
        file, numbers = self._file, sweep.numbers()
        with self._writing():
            for name in NUMBERS:
                file[name][...] = numbers[name]
            file["status"][...] = sweep.status
            file["synchronised"][...] = synchronised(numbers["spike_contrast"], sweep.status, spike_contrast_min)
            for test in TESTS:
                file[f"{test}_qvalue"][...] = np.nan
            file["rho_agrees_bh"][...] = -1
            append_history(file, what)
            file.flush()

    def write(self, point: Point, result: Result) -> None:
        """Store the results of one point."""
        with self._writing():
            self._file["compared"][point] = PENDING
            sync(self._descriptor)
            for name, values in result.items():
                self._file[name][point] = values
            sync(self._descriptor)
            self._file["compared"][point] = DONE

    def finish(self, settings: CompareParameters) -> None:
        """Adjust the p-values over the map, of all points that are compared."""
        file = self._file
        with self._writing():
            for test in TESTS:
                file[f"{test}_qvalue"][...] = adjusted(file[f"{test}_pvalue"][()])
            agrees = (file["rho_qvalue"][()] < settings.alpha) & (file["rho"][()] > settings.rho_min)
            file["rho_agrees_bh"][...] = np.where(file["rho_agrees"][()] < 0, -1, agrees)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What the block writes is on the disk when it ends; if that is impossible, say so in one sentence."""
        try:
            yield
            sync(self._descriptor)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"cannot write {self.path}: {reason(error)}; free some space and start the same command again, what "
                "is done is kept"
            ) from error

    def n_diverged(self) -> npt.NDArray[np.int64]:
        """Trials in which each model ran away, over all points, (models,)."""
        counts = self._file["n_diverged"][()]
        return np.asarray(np.maximum(counts, 0).reshape(-1, counts.shape[-1]).sum(axis=0), dtype=np.int64)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        finally:
            os.close(self._descriptor)


def synchronised(
    spike_contrast: npt.NDArray[Any], status: npt.NDArray[np.int8], spike_contrast_min: float
) -> npt.NDArray[np.int8]:
    """1 where Spike-contrast, averaged over the trials that have it, reaches its threshold, 0 where it does not.

    Parameters
    ----------
    spike_contrast, status : array, (axes…, trials)
    spike_contrast_min : float

    Returns
    -------
    array of int8, (axes…)
        0 also where all trials are silent, -1 where none is done.
    """
    defined = np.isfinite(spike_contrast)
    total = np.where(defined, spike_contrast, 0.0).sum(axis=-1)
    mean = total / np.maximum(defined.sum(axis=-1), 1)
    done = (status == DONE).any(axis=-1)
    return np.where(done, mean >= spike_contrast_min, -1).astype(np.int8)
