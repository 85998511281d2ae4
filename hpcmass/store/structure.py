"""What every sweep file has, and what makes it one that labels its arrays: the schema held against an open file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import h5py
import numpy as np

from hpcmass.grid import trial_label
from hpcmass.store.schema import FORMAT_VERSION, SWEEP_VARIABLES

ATTRIBUTES = ("config_yaml", "config_sha256", "uuid", "title", "driver")
"""Root attributes without which a sweep cannot be identified."""


def faults(file: h5py.File) -> Iterator[str]:
    """What an open sweep file lacks, or has in another shape; cheap enough for every opening.

    A file of an older minor version may lack variables, and a newer one may have more.
    """
    for name in ATTRIBUTES:
        if name not in file.attrs:
            yield f"it has no attribute {name}"
    for name in ("status", "seed", "trial", "time", "word"):
        if name not in file:
            yield f"it has no {name}"
            return
    try:
        axes = tuple(axes_of(file))
    except (RuntimeError, IndexError, KeyError, ValueError, AttributeError):  # a scale that was deleted has no name
        yield "its status has no axes"
        return
    older = str(file.attrs["format_version"]) != "{}.{}".format(*FORMAT_VERSION)
    sizes = {name: len(file[name]) for name in (*axes, "trial", "time", "word")}
    for variable in SWEEP_VARIABLES.values():
        if variable.name not in file:
            if not older:
                yield f"it has no {variable.name}"
            continue
        dataset = file[variable.name]
        shape = tuple(sizes[dim] for dim in variable.dimensions(axes))
        if dataset.shape != shape:
            yield f"{variable.name} has shape {dataset.shape}, not {shape}"
        elif dataset.dtype != np.dtype(variable.dtype):
            yield f"{variable.name} is of type {dataset.dtype}, not {np.dtype(variable.dtype)}"


def descriptions(file: h5py.File) -> Iterator[str]:
    """What is wrong with the dimension scales and units of an open sweep file without `faults`."""
    axes = tuple(axes_of(file))
    for variable in SWEEP_VARIABLES.values():
        if variable.name in file:
            dataset, dims = file[variable.name], variable.dimensions(axes)
            if [_scale(dimension) for dimension in dataset.dims] != list(dims):
                yield f"{variable.name} does not have the dimensions {', '.join(dims)}"
            elif variable.unit not in ("flag", "text") and dataset.attrs.get("units") != variable.unit:
                yield f"{variable.name} does not have the unit {variable.unit}"


def axes_of(file: h5py.File) -> dict[str, tuple[float, ...]]:
    """The swept axes of an open sweep file, name → values, in the order of the dimensions."""
    status = file["status"]
    names = [status.dims[i][0].name.removeprefix("/") for i in range(status.ndim - 1)]
    return {name: tuple(file[name][()].tolist()) for name in names}


def label(file: h5py.File, index: Sequence[int]) -> str:
    """A trial of an open sweep file for messages: `p=0.2 lam=0.8 trial 3`."""
    axes = axes_of(file)
    values = {name: axes[name][i] for name, i in zip(axes, index, strict=False)}
    return trial_label(values, int(file["trial"][index[-1]]))


def _scale(dimension: Any) -> str:
    return str(dimension[0].name).removeprefix("/") if len(dimension) else ""
