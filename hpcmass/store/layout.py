"""How variables lie in a result file: dimension scales, attributes, contiguous or packed storage.

Both kinds of file, sweep and comparison, are laid out here. The attributes follow CF and the netCDF-4 data model as
far as netCDF's own tools and xarray read them: `units`, `long_name`, `_FillValue`, `flag_values`, `flag_meanings`,
and the root attribute `coordinates`, which lists the book-keeping variables so that reductions leave them out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment, NetworkParameters
from hpcmass.grid import SEED_WORDS, n_trials, shape
from hpcmass.store.files import METADATA_BYTES, creating
from hpcmass.store.schema import (
    ERROR_LENGTH,
    FORMAT_VERSION,
    KEEP_ATTRIBUTE,
    KEPT_TRIALS,
    LETTERS,
    SPIKE_VARIABLES,
    SWEEP_FILETYPE,
    Variable,
    sweep_variables,
)

CONVENTIONS: Final = "CF-1.11"

CHUNK_BYTES: Final = 2**20
"""Approximate chunk size of a packed file (bytes); reading a trace reads at least one chunk."""

GZIP_LEVEL: Final = 4

NO_UNITS: Final[Mapping[str, str]] = {}

AXIS_NAMES: Final = {"p": "connection probability", "lam": "fraction of excitatory neurons"}
"""Long names of the two axes that every sweep has."""


@dataclass(frozen=True)
class Coordinate:
    """A dimension with its values.

    Attributes
    ----------
    name : str
    values : array or sequence of str or None
        One-dimensional; strings are stored as HDF5 strings of variable length. None: a dimension without values.
    unit, long_name : str
    length : int
        Of a dimension without values.
    """

    name: str
    values: npt.NDArray[Any] | Sequence[str] | None
    unit: str = "1"
    long_name: str = ""
    length: int = 0

    def __len__(self) -> int:
        return self.length if self.values is None else len(self.values)


def axis_coordinates(axes: Mapping[str, Sequence[float]], units: Mapping[str, str] = NO_UNITS) -> list[Coordinate]:
    """The swept axes as coordinates, with unit and long name.

    Parameters
    ----------
    axes : mapping of str to sequence of float
        Name → values, in the file's order.
    units : mapping of str to str
        Units of axes that are no parameters of the network, or have another unit than by default.
    """
    coordinates = []
    for name, values in axes.items():
        field = NetworkParameters.model_fields.get(name)
        extra = field.json_schema_extra if field is not None else None
        unit = units.get(name, str(extra["unit"]) if isinstance(extra, dict) else "1")
        coordinates.append(Coordinate(name, np.asarray(values, "f8"), unit, AXIS_NAMES.get(name, f"swept {name}")))
    return coordinates


def step_times_ms(network: NetworkParameters) -> npt.NDArray[np.float64]:
    """The beginning of each step (ms), (n_steps,)."""
    return np.asarray(np.arange(network.n_steps) * network.dt_ms, dtype=np.float64)


def trace_times_ms(experiment: Experiment) -> npt.NDArray[np.float64]:
    """The beginning (ms) of each step or, where a sweep keeps means, of each whole window."""
    network = experiment.network
    n_averaged = experiment.traces.n_averaged(network.dt_ms)
    return step_times_ms(network)[: network.n_steps // n_averaged * n_averaged : n_averaged]


def sweep_coordinates(experiment: Experiment, trial_numbers: Sequence[int] | None = None) -> list[Coordinate]:
    """All dimensions of a sweep file.

    `time` is the beginning of each step, and `mean_v` the value at its end; of means, the beginning of the window.
    """
    numbers = range(experiment.trials) if trial_numbers is None else trial_numbers
    traces = experiment.traces
    kept = np.asarray(numbers[: traces.n_trials(len(numbers))], "i4")
    every = "" if traces.every_ms is None else f", beginning of a window of {traces.every_ms:g} ms"
    return [
        *axis_coordinates(experiment.axes(), experiment.axis_units()),
        Coordinate("trial", np.asarray(numbers, "i4"), "1", "trial number"),
        *([Coordinate(KEPT_TRIALS, kept, "1", "trials whose traces are kept")] if traces.keep == "first_trial" else []),
        Coordinate("time", trace_times_ms(experiment), "ms", f"time since the start of the trial{every}"),
        Coordinate("word", np.arange(SEED_WORDS, dtype="i4"), "1", "word of the seed"),
        Coordinate(LETTERS, None, length=ERROR_LENGTH),
    ]


def file_bytes(
    variables: Iterable[Variable], axes: tuple[str, ...], coordinates: Iterable[Coordinate]
) -> tuple[int, int]:
    """Bytes of what is filled on creation, coordinates and metadata included, and of the traces, only allocated."""
    sizes = {coordinate.name: len(coordinate) for coordinate in coordinates}
    filled, traces = METADATA_BYTES + 8 * sum(sizes.values()), 0
    for variable in variables:
        n_bytes = np.dtype(variable.dtype).itemsize * math.prod(sizes[dim] for dim in variable.dimensions(axes))
        if variable.fill is None:
            traces += n_bytes
        else:
            filled += n_bytes
    return filled, traces


def _sweep_bytes(experiment: Experiment) -> tuple[int, int]:
    variables = sweep_variables(experiment.traces.keep).values()
    return file_bytes(variables, tuple(experiment.axes()), sweep_coordinates(experiment))


def sweep_bytes(experiment: Experiment) -> int:
    """Disk space of a whole sweep's file, up to some metadata: the traces of requested points alone take any."""
    filled, traces = _sweep_bytes(experiment)
    return filled + traces * n_trials(experiment) // math.prod(shape(experiment))


def trial_bytes(experiment: Experiment) -> int:
    """Size of one trial's traces in the file, on average."""
    return _sweep_bytes(experiment)[1] // math.prod(shape(experiment))


def creating_sweep(
    path: Path,
    experiment: Experiment,
    attributes: Mapping[str, Any],
    *,
    trial_numbers: Sequence[int] | None = None,
    n_spikes: int | None = None,
    packed: bool = False,
    force: bool = False,
) -> AbstractContextManager[h5py.File]:
    """`creating_file` of a sweep; parameters as for `writer.create_sweep_file`."""
    coordinates = sweep_coordinates(experiment, trial_numbers)
    variables = list(sweep_variables(experiment.traces.keep).values())
    averaged = "" if experiment.traces.every_ms is None else f"time: mean (interval: {experiment.network.dt_ms:g} ms)"
    if n_spikes is not None:
        coordinates.append(Coordinate("spike", np.arange(n_spikes), "1", "spike, in the order of time"))
        variables += SPIKE_VARIABLES.values()
    return creating_file(
        path,
        filetype=SWEEP_FILETYPE,
        axes=experiment.axes(),
        coordinates=coordinates,
        variables=variables,
        attributes={**attributes, KEEP_ATTRIBUTE: experiment.traces.keep},
        packed=packed,
        force=force,
        cell_methods=averaged,
    )


@contextmanager
def creating_file(
    path: Path,
    *,
    filetype: str,
    axes: Iterable[str],
    coordinates: Sequence[Coordinate],
    variables: Sequence[Variable],
    attributes: Mapping[str, Any],
    packed: bool = False,
    force: bool = False,
    replace: bool = False,
    cell_methods: str = "",
) -> Iterator[h5py.File]:
    """A result file with everything in it but the data, which the block adds; all or nothing, see `files.creating`.

    Parameters
    ----------
    path : Path
    filetype : str
        One of the schema's file types.
    axes : iterable of str
        Names of the swept axes, in the file's order: what `AXES` stands for in the variables' dimensions.
    coordinates : sequence of Coordinate
        All dimensions, the axes included.
    variables : sequence of Variable
        Each keeps its fill value unless the block writes it.
    attributes : mapping
        Root attributes beside `filetype`, `format_version`, `Conventions` and `coordinates`.
    packed : bool
        Chunked, compressed and checksummed: not to be written by several processes, nor again. Otherwise each
        variable is contiguous and has its place in the file from now on, so that raw writes need no metadata.
    force : bool
        Back up an existing file as `name.1.h5` instead of refusing it.
    replace : bool
        See `files.creating`.
    cell_methods : str
        CF's attribute of the traces, where they are means.
    """
    axes = tuple(axes)
    filled, traces = file_bytes(variables, axes, coordinates)
    # a configuration may have any length
    filled += sum(len(_encoded(value)) for value in attributes.values() if isinstance(value, str))
    size = filled + (0 if packed else traces)
    lengths = {coordinate.name: len(coordinate) for coordinate in coordinates}
    with creating(path, size=size, filled=filled, force=force, replace=replace) as file:
        file.attrs["filetype"] = filetype
        file.attrs["format_version"] = "{}.{}".format(*FORMAT_VERSION)
        file.attrs["Conventions"] = CONVENTIONS
        file.attrs["coordinates"] = " ".join(v.name for v in variables if v.role == "bookkeeping")
        for name, value in attributes.items():
            if isinstance(value, str):
                file.attrs.create(name, _encoded(value), dtype=h5py.string_dtype())
            else:
                file.attrs[name] = value
        for coordinate in coordinates:
            _create_scale(file, coordinate)
        create = _create_packed if packed else _create_contiguous
        for variable in variables:
            dims = variable.dimensions(axes)
            dataset = create(file, variable, tuple(lengths[dim] for dim in dims))
            for i, dim in enumerate(dims):
                dataset.dims[i].attach_scale(file[dim])
            _describe(dataset, variable)
            if cell_methods and variable.role == "trace":
                dataset.attrs["cell_methods"] = cell_methods
        yield file


def _encoded(text: str) -> bytes:
    """A text as bytes: a file name may be bytes that Python escapes."""
    return text.encode(errors="surrogateescape")


def _create_scale(file: h5py.File, coordinate: Coordinate) -> None:
    name, values = coordinate.name, coordinate.values
    if values is None:  # as netCDF marks a dimension without a variable
        scale = file.create_dataset(name, (coordinate.length,), "i1")
        scale.make_scale(f"This is a netCDF dimension but not a netCDF variable.{coordinate.length:10d}")
        return
    text = not isinstance(values, np.ndarray)
    data = np.array(list(values), dtype=object) if text else values
    scale = file.create_dataset(name, data=data, dtype=h5py.string_dtype() if text else None)
    scale.make_scale(name)
    scale.attrs["long_name"] = coordinate.long_name
    if not text:
        scale.attrs["units"] = coordinate.unit


def _create_contiguous(file: h5py.File, variable: Variable, lengths: tuple[int, ...]) -> h5py.Dataset:
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    fill = {"fill_time": "never"} if variable.fill is None else {"fill_time": "alloc", "fillvalue": variable.fill}
    return file.create_dataset(variable.name, lengths, variable.dtype, dcpl=early, **fill)


def _create_packed(file: h5py.File, variable: Variable, lengths: tuple[int, ...]) -> h5py.Dataset:
    """A trace's chunk lies within one trial; what is never written is missing."""
    itemsize = np.dtype(variable.dtype).itemsize
    if variable.role == "trace":
        pieces = math.ceil(lengths[-1] * itemsize / CHUNK_BYTES)
        chunks = (*(1 for _ in lengths[:-1]), math.ceil(lengths[-1] / pieces))
    else:
        chunks = _last_axes(lengths, CHUNK_BYTES // itemsize)
    return file.create_dataset(
        variable.name,
        lengths,
        variable.dtype,
        chunks=chunks,
        shuffle=True,
        compression="gzip",
        compression_opts=GZIP_LEVEL,
        fletcher32=True,
        fillvalue=np.nan if variable.fill is None else variable.fill,
    )


def _last_axes(lengths: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Lengths of a block of at most `most` elements, as long as can be along the last axes."""
    block: list[int] = []
    for length in reversed(lengths):
        block.insert(0, max(1, min(length, most)))
        most //= block[0]
    return tuple(block)


def _describe(dataset: h5py.Dataset, variable: Variable) -> None:
    """Set a variable's attributes: unit, long name, fill value, flags."""
    dataset.attrs["long_name"] = variable.long_name
    if variable.unit == "text":
        dataset.attrs["_Encoding"] = "utf-8"
    elif variable.unit != "flag":
        dataset.attrs["units"] = variable.unit
    # a fill that is itself a valid value (status 0, an empty text) is not declared missing: readers would make it NaN
    dtype, fill = np.dtype(variable.dtype), variable.fill
    if dtype.kind == "f":
        dataset.attrs["_FillValue"] = np.array(np.nan, dtype)
    elif dtype.kind == "i" and isinstance(fill, int) and fill < 0:
        dataset.attrs["_FillValue"] = np.array(fill, dtype)
    if variable.flag_meanings is not None:
        dataset.attrs["flag_values"] = np.arange(len(variable.flag_meanings.split()), dtype=variable.dtype)
        dataset.attrs["flag_meanings"] = variable.flag_meanings
