"""Reading the files: with one clear sentence for whatever is not one of ours, and never a trial that is not done.

No reader locks a file or needs MPI, so all of this works while a sweep is being written: the sweep changes no
metadata, and a trial's data are there before its status says so.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import numpy.typing as npt

from hpcmass.store.holders import Holders
from hpcmass.store.locking import locking_of
from hpcmass.store.opening import Path_ as Path_
from hpcmass.store.opening import axes_of as axes_of
from hpcmass.store.opening import check_filetype as check_filetype
from hpcmass.store.opening import experiment_of as experiment_of
from hpcmass.store.opening import open_hdf5 as open_hdf5
from hpcmass.store.opening import parts_of as parts_of
from hpcmass.store.opening import shard_directory as shard_directory
from hpcmass.store.opening import stored_experiment as stored_experiment
from hpcmass.store.schema import COMPARISON_FILETYPE, DONE, NUMBERS, SWEEP_FILETYPE, SWEEP_VARIABLES, TRACES

if TYPE_CHECKING:  # a rank of a sweep, or a look at its status, does without
    import xarray as xr


class SweepFile:
    """A sweep file open for reading, trial by trial; a context manager.

    Parameters
    ----------
    path : path
    checked : bool
        It has been opened before in this job.

    Attributes
    ----------
    path : Path
    experiment : Experiment
    axes : dict of str to tuple of float
        The swept axes, in the order of the dimensions.
    status : array of int8, (axes…, trial)
        The schema's PENDING, DONE or FAILED, as it was on opening.
    time_ms : array of float64, (time,)
    traces_held : tuple of str
        Names of the traces in it; a file of an earlier version of the format may lack some.
    uuid, physics_sha256 : str
        Identity of the file, hash of what fixes its results.
    attributes : dict
        All root attributes.

    Raises
    ------
    UserError
        See `open_hdf5`.
    """

    def __init__(self, path: Path_, *, checked: bool = False) -> None:
        self.path = Path(path)
        self._file = open_hdf5(path, SWEEP_FILETYPE, checked=checked)
        self._parts = parts_of(self._file)
        self.attributes: dict[str, Any] = dict(self._file.attrs)
        self.uuid = str(self.attributes["uuid"])
        self.physics_sha256 = str(self.attributes["config_sha256"])
        self.traces_held = tuple(name for name in TRACES if name in self._file)
        self.experiment = experiment_of(self._file)
        self.axes: dict[str, tuple[float, ...]] = axes_of(self._file)
        self.time_ms: npt.NDArray[np.float64] = self._file["time"][()]
        self.status: npt.NDArray[np.int8] = self._file["status"][()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes, then the number of trials."""
        return tuple(self.status.shape)

    def done_trials(self, point: tuple[int, ...]) -> list[int]:
        """Numbers of the trials that are done at one point (`point`: one index per axis)."""
        return [int(k) for k in np.flatnonzero(self.status[point] == DONE)]

    def traces(self, point: tuple[int, ...], trial: int) -> dict[str, npt.NDArray[np.float32]]:
        """The traces of one trial that is done, those that its file's minor version has.

        Parameters
        ----------
        point : tuple of int
            One index per axis.
        trial : int

        Returns
        -------
        dict of str to array of float32, (time,)
            `mean_v` (mV), `phi_E`, `phi_I`, `phi_ext` (1/ms).

        Raises
        ------
        ValueError
            If the trial is not done.
        OSError
            If its data cannot be read.
        """
        if self.status[(*point, trial)] != DONE:
            raise ValueError(f"trial {trial} at {point} is not done")
        index = (*point, trial)
        with Holders(self._file, self._parts) as holders:
            return {name: holders.of(index)[name][index] for name in self.traces_held}

    def numbers(self) -> dict[str, npt.NDArray[np.generic]]:
        """Name → per-trial number, (axes…, trial), with the fill value wherever a trial is not done."""
        waiting = self.status != DONE
        numbers = {name: self._file[name][()] for name in NUMBERS if name in self._file}
        for name, values in numbers.items():
            values[waiting] = SWEEP_VARIABLES[name].fill
        return numbers

    def variable(self, name: str) -> npt.NDArray[np.generic]:
        """Any per-trial variable as it stands in the file, e.g. `wall_s`."""
        return cast("npt.NDArray[np.generic]", self._file[name][()])


def open_sweep(path: Path_) -> xr.Dataset:
    """A sweep as labelled arrays, read when needed.

    Traces and numbers of trials that are not done are NaN (integers become floats for that); failed trials'
    messages are text.

    Raises
    ------
    UserError
        See `open_hdf5`.
    """
    import xarray as xr

    from hpcmass.store.masked import DoneOnly

    with open_hdf5(path, SWEEP_FILETYPE) as file:
        dtypes = {name: file[name].dtype for name in TRACES if name in file}
    dataset = _open_xarray(path)
    done = dataset["status"].load() == DONE
    for name in dtypes:
        plain = dataset[name].variable
        lazy = DoneOnly(Path(path).absolute(), name, plain.shape, dtypes[name]).lazy()
        dataset[name] = xr.Variable(plain.dims, lazy, plain.attrs, plain.encoding)
    for name in NUMBERS:
        if name in dataset and dataset[name].dtype.kind == "f":
            dataset[name] = dataset[name].where(done).assign_attrs(dataset[name].attrs)
    error = dataset["error"].load()
    dataset["error"] = error.copy(data=np.char.decode(error.values, "utf-8", "replace"))
    return dataset


def open_comparison(path: Path_) -> xr.Dataset:
    """A comparison as labelled arrays, read when needed.

    Raises
    ------
    UserError
        See `open_hdf5`.
    """
    open_hdf5(path, COMPARISON_FILETYPE).close()
    return _open_xarray(path)


def _open_xarray(path: Path_) -> xr.Dataset:
    import xarray as xr

    return xr.open_dataset(path, engine="h5netcdf", driver_kwds={"locking": locking_of(Path(path))})
