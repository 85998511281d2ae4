"""Result files as labelled arrays for xarray, in which only trials that are done can be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from hpcmass.store.files import read_hdf5, without_locks
from hpcmass.store.opening import UNUSABLE, Path_, damaged, open_hdf5
from hpcmass.store.schema import COMPARISON_FILETYPE, DONE, NUMBERS, SWEEP_FILETYPE, TRACES


class DoneOnly(BackendArray):
    """A trace that reads as NaN wherever its trial is not done; opens the file for every access."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path, self.name, self.shape, self.dtype = path, name, shape, dtype

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER_1VECTOR, self._get)

    def _get(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        # NumPy and h5py disagree about a number and a list in one key, so a number becomes a slice of length 1.
        numbers = tuple(i for i, k in enumerate(key) if isinstance(k, int | np.integer))
        key = tuple(slice(k % n, k % n + 1) if i in numbers else k
                    for i, (k, n) in enumerate(zip(key, self.shape, strict=True)))  # fmt: skip
        with read_hdf5(self.path) as file:
            done = file["status"][..., : self.shape[-2]][key[:-1]] == DONE  # a file may keep the first trials only
            if np.any(done):
                values = np.asarray(file[self.name][key])
                values[~done] = np.nan
            else:  # of a file of terabytes that has just begun, nothing is read
                values = np.full((*done.shape, len(np.arange(self.shape[-1])[key[-1]])), np.nan, self.dtype)
        return values.squeeze(numbers)


def open_sweep(path: Path_) -> xr.Dataset:
    """A sweep as labelled arrays, read when needed.

    Traces and numbers of trials that are not done are NaN (integers keep their fill value).

    Raises
    ------
    UserError
        See `opening.open_hdf5`.
    """
    with open_hdf5(path, SWEEP_FILETYPE) as file:
        dtypes = {name: file[name].dtype for name in TRACES if name in file}
    dataset = _open_xarray(path)
    done = dataset.variables["status"].load() == DONE
    masked = {}
    for name, plain in dataset.variables.items():
        if name in dtypes:
            trace = DoneOnly(Path(path).absolute(), str(name), plain.shape, dtypes[name])
            data: Any = indexing.LazilyIndexedArray(trace)
        elif name in NUMBERS and plain.dtype.kind == "f":
            data = np.where(done, plain.values, np.nan)
        elif name == "error" and plain.dtype.kind == "S":  # format 1
            data = np.char.decode(plain.values, errors="replace")
        else:
            continue
        masked[name] = xr.Variable(plain.dims, data, plain.attrs, plain.encoding)
    return dataset.assign(masked)


def comparison_dataset(path: Path_) -> xr.Dataset:
    """A comparison as labelled arrays, read when needed.

    Raises
    ------
    UserError
        See `opening.open_hdf5`.
    """
    open_hdf5(path, COMPARISON_FILETYPE).close()
    return _open_xarray(path)


def scanned_parameter(data: xr.Dataset) -> str:
    """The scanned parameter's name, with its model's if one model has it: `WC.gain`; empty if none was scanned."""
    return str(data.attrs.get("scan", "")).removeprefix("mass.")


def best_values(data: xr.Dataset) -> xr.DataArray | None:
    """The value of a scanned parameter at which the correlation ρ is largest, at every point for each model.

    Parameters
    ----------
    data : Dataset
        A comparison.

    Returns
    -------
    DataArray or None
        NaN where ρ is undefined at all values; the smallest of several. It has the models that have the parameter.
        None if no parameter was scanned.
    """
    axis = data.attrs.get("scan_axis")
    if axis is None:
        return None
    rho = data["rho"].reset_coords(drop=True).load()
    of_model = scanned_parameter(data).removesuffix(str(axis)).removesuffix(".")
    if of_model:
        rho = rho.isel(model=[k for k, name in enumerate(data["model"].values) if str(name) == of_model])
    best = rho.fillna(-np.inf).idxmax(axis).where(rho.notnull().any(axis))
    about = data[axis].attrs
    text = f"value of the largest correlation: {about.get('long_name', axis)}"
    return best.assign_attrs(units=about.get("units", "1"), long_name=text)


def _open_xarray(path: Path_) -> xr.Dataset:
    def opened(locking: bool | None) -> xr.Dataset:
        return xr.open_dataset(path, engine="h5netcdf", driver_kwds={"locking": locking})

    try:
        return without_locks(opened)
    except UNUSABLE as error:  # of what xarray alone reads: references from every variable to its dimensions
        raise damaged(path, error) from None
