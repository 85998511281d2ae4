"""The contract of the files: what the schema promises is there, and xarray and netCDF's own tools read it."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from store_examples import Write, invented

from hpcmass.config import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.costs import Part
from hpcmass.grid import Trial
from hpcmass.store.layout import Coordinate, axis_coordinates, creating_file, sweep_bytes, trial_bytes
from hpcmass.store.merge import merge
from hpcmass.store.schema import (
    COMPARED_VARIABLES,
    COMPARISON_FILETYPE,
    COMPARISON_VARIABLES,
    ERROR_LENGTH,
    SPIKE_VARIABLES,
    SWEEP_VARIABLES,
    TRACES,
    Variable,
)

pytestmark = pytest.mark.process

KINDS = (
    "fresh", "half done", "done", "part", "merged", "packed", "packed, half done", "one trial", "one silent trial",
    "comparison",
)  # fmt: skip
SWEEPS = tuple(kind for kind in KINDS if kind != "comparison")


@pytest.fixture
def of_kind(
    request: pytest.FixtureRequest, tmp_path: Path, write_sweep: Write, all_trials: list[Trial]
) -> Callable[[str], Path]:
    """Give `of_kind(kind)`: the path of such a file."""

    def half_done() -> Path:
        return write_sweep(tmp_path / "half.h5", all_trials[:5], (all_trials[7], all_trials[9]))

    def path_of(kind: str) -> Path:
        if kind == "fresh":
            return write_sweep(tmp_path / "fresh.h5")
        if kind == "half done":
            return half_done()
        if kind == "part":
            return write_sweep(tmp_path / "part.h5", all_trials[:2], part=Part(1, 3))
        if kind == "packed, half done":
            merge([half_done()], tmp_path / "packed.h5", packed=True, partial=True)
            return tmp_path / "packed.h5"
        made: Path = request.getfixturevalue("made")
        names = {"done": "sweep", "one trial": "trial", "one silent trial": "silent"}
        return made / f"{names.get(kind, kind)}.h5"

    return path_of


def variables_of(kind: str) -> dict[str, Variable]:
    """What a file of this kind has to have."""
    if kind == "comparison":
        return dict(COMPARED_VARIABLES)
    return SWEEP_VARIABLES | (SPIKE_VARIABLES if kind.startswith("one") else {})


# ---------------------------------------------------------------------------------------- the contract


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_the_schema_promises_is_there(kind: str, of_kind: Callable[[str], Path]) -> None:
    with h5py.File(of_kind(kind), "r", locking=False) as file:
        variables = variables_of(kind)
        dims = {name for v in variables.values() for name in v.dimensions(("p", "lam"))}
        assert set(file) == set(variables) | dims
        for name in dims:
            scale = file[name]
            assert h5py.h5ds.is_scale(scale.id)
            assert scale.ndim == 1
            if name not in ("letter", "model"):
                assert {"units", "long_name"} <= set(scale.attrs)
        for name, variable in variables.items():
            dataset = file[name]
            expected = variable.dimensions(("p", "lam"))
            assert [dim[0].name.removeprefix("/") for dim in dataset.dims] == list(expected), name
            assert dataset.shape == tuple(len(file[dim]) for dim in expected), name
            assert dataset.dtype == np.dtype(variable.dtype), name
            assert dataset.attrs["long_name"] == variable.long_name
            assert ("units" in dataset.attrs) == (variable.unit not in ("flag", "text")), name
            if variable.flag_meanings:
                assert dataset.attrs["flag_meanings"] == variable.flag_meanings
                assert dataset.attrs["flag_values"].tolist() == list(range(len(variable.flag_meanings.split())))
                assert dataset.attrs["flag_values"].dtype == dataset.dtype
            if "_FillValue" in dataset.attrs:
                assert dataset.attrs["_FillValue"].dtype == dataset.dtype
            assert ("_FillValue" in dataset.attrs) == (
                name not in ("status", "compared", "seed", "error", "n_compared")
            )
        assert file.attrs["format_version"] == "2.3"
        assert file.attrs["Conventions"] == "CF-1.11"
        assert file.attrs["filetype"] == f"hpcmass-{'comparison' if kind == 'comparison' else 'sweep'}"
        bookkeeping = [v.name for v in variables.values() if v.role == "bookkeeping"]
        assert sorted(file.attrs["coordinates"].split()) == sorted(bookkeeping)
        assert file["error"].shape[-1] == ERROR_LENGTH if kind != "comparison" else True


@pytest.mark.parametrize("kind", ["fresh", "half done", "part", "merged", "one trial"])
def test_every_variable_has_its_place_from_the_beginning_and_traces_are_never_filled(
    kind: str, of_kind: Callable[[str], Path]
) -> None:
    with h5py.File(of_kind(kind), "r", locking=False) as file:
        for name in variables_of(kind):
            creation = file[name].id.get_create_plist()
            assert creation.get_layout() == h5py.h5d.CONTIGUOUS
            assert file[name].id.get_offset() is not None, "not allocated"
            assert (creation.get_fill_time() == h5py.h5d.FILL_TIME_NEVER) == (name in TRACES)


def test_a_packed_file_is_compressed_and_checksummed_a_chunk_within_one_trial(of_kind: Callable[[str], Path]) -> None:
    with h5py.File(of_kind("packed"), "r", locking=False) as file:
        for name, variable in SWEEP_VARIABLES.items():
            assert (file[name].compression, file[name].shuffle, file[name].fletcher32) == ("gzip", True, True)
            if variable.role == "trace":
                assert file[name].chunks[:-1] == (1, 1, 1)


def test_what_has_not_been_written_is_missing(of_kind: Callable[[str], Path]) -> None:
    with h5py.File(of_kind("fresh"), "r", locking=False) as file:
        assert not file["status"][()].any()
        assert set(file["error"][()].ravel()) == {b""}
        for name, variable in SWEEP_VARIABLES.items():
            if variable.role == "number" or name in ("wall_s", "kernel_s", "rank"):
                np.testing.assert_array_equal(file[name][()], variable.fill)


def test_units_of_any_swept_parameter_come_from_the_configuration() -> None:
    (tau,) = axis_coordinates({"tau_m_ms": (10.0, 20.0)})
    assert (tau.name, tau.unit, tau.long_name) == ("tau_m_ms", "ms", "swept tau_m_ms")


def test_further_axes_are_dimensions_of_their_own(tmp_path: Path, experiment: Experiment, write_sweep: Write) -> None:
    other = parse_experiment(experiment.text + "  tau_E_ms: [3.0, 4.0, 5.0]\n")
    with xr.open_dataset(write_sweep(tmp_path / "a.h5", other=other)) as dataset:
        assert dataset["mean_v"].dims == ("p", "lam", "tau_E_ms", "trial", "time")
        assert dataset["tau_E_ms"].attrs["units"] == "ms"
        assert dataset["tau_E_ms"].values.tolist() == [3, 4, 5]


@pytest.mark.parametrize("text", ["duration_ms: 4.0", "duration_ms: 400.0"])
def test_the_size_is_known_before(tmp_path: Path, experiment: Experiment, write_sweep: Write, text: str) -> None:
    other = parse_experiment(experiment.text.replace("duration_ms: 4.0", text))
    actual = write_sweep(tmp_path / "a.h5", other=other).stat().st_size
    assert actual == pytest.approx(sweep_bytes(other), abs=3e5)
    assert actual <= sweep_bytes(other)
    assert trial_bytes(other) == 4 * len(TRACES) * other.network.n_steps


@pytest.mark.parametrize("duration", [4.0, 400.0])
def test_only_written_trials_take_disk_space(
    tmp_path: Path, experiment: Experiment, write_sweep: Write, duration: float
) -> None:
    other = parse_experiment(experiment.text.replace("duration_ms: 4.0", f"duration_ms: {duration * 1000}"))
    info = write_sweep(tmp_path / "a.h5", other=other).stat()
    assert info.st_blocks * 512 < info.st_size - 0.9 * 12 * trial_bytes(other)


def test_strings_become_labels(tmp_path: Path) -> None:
    variable = Variable("v", ("model",), "f8", "mV", "a number for each model")
    with creating_file(
        tmp_path / "c.h5",
        filetype=COMPARISON_FILETYPE,
        axes=("p",),
        coordinates=[
            Coordinate("p", np.array([0.0, 1.0]), "1", "p"),
            Coordinate("model", ["CFM", "λ-Modell"], "text", "mass model"),
        ],
        variables=[variable, COMPARISON_VARIABLES["rho"]],
        attributes={},
    ) as file:
        file["v"][...] = [1.0, 2.0]
    with xr.open_dataset(tmp_path / "c.h5") as dataset:
        assert float(dataset["v"].sel(model="λ-Modell")) == 2.0
        assert dataset["rho"].dims == ("p", "model")


def test_an_attribute_may_be_a_name_that_is_no_text(tmp_path: Path) -> None:
    """As a path on a command line may be: bytes that are no UTF-8."""
    name = b"a\xff.h5".decode(errors="surrogateescape")
    with creating_file(
        tmp_path / "c.h5",
        filetype=COMPARISON_FILETYPE,
        axes=(),
        coordinates=[],
        variables=[],
        attributes={"sweep_path": name, "title": "Ü", "n": 3},
    ):
        pass
    with h5py.File(tmp_path / "c.h5", "r", locking=False) as file:
        assert (file.attrs["sweep_path"], file.attrs["title"], file.attrs["n"]) == (name, "Ü", 3)


# ---------------------------------------------------------------------------------------- xarray, without options


@pytest.mark.parametrize("kind", KINDS)
def test_xarray_opens_a_file_without_options(kind: str, of_kind: Callable[[str], Path]) -> None:
    path = of_kind(kind)
    with xr.open_dataset(path) as dataset:
        dataset.load()
        variables = variables_of(kind)
        bookkeeping = {v.name for v in variables.values() if v.role == "bookkeeping"}
        dims = {name for v in variables.values() for name in v.dimensions(("p", "lam"))} - {"letter"}
        assert set(dataset.data_vars) == set(variables) - bookkeeping
        assert set(dataset.coords) == bookkeeping | dims
        for name, variable in variables.items():
            expected = [dim for dim in variable.dimensions(("p", "lam")) if dim != "letter"]
            assert list(dataset[name].dims) == expected
            if variable.unit not in ("flag", "text"):
                assert dataset[name].attrs["units"] == variable.unit
        assert dataset["status"].dtype == np.int8  # a fill that means something stays a number
        assert set(np.unique(dataset["status"])) <= {0, 1, 2}


def test_xarray_shows_errors_as_texts_and_missing_numbers_as_nan(
    of_kind: Callable[[str], Path], all_trials: list[Trial]
) -> None:
    with xr.open_dataset(of_kind("half done")) as dataset:
        errors = [str(text) for text in dataset["error"].values.ravel()]
        assert [i for i, text in enumerate(errors) if text] == [7, 9]
        assert errors[7] == f"did not converge at {all_trials[7].label()}, λ too large"
        assert dataset["seed"].dtype == np.uint32
        assert int(np.isfinite(dataset["n_edges"]).sum()) == 5
        assert int(np.isfinite(dataset["rank"]).sum()) == 7
        np.testing.assert_array_equal(dataset["phi_I"].values.reshape(12, -1)[4], invented(all_trials[4])["phi_I"])


REDUCTIONS: dict[str, Callable[[xr.Dataset], xr.Dataset]] = {
    "mean over trials": lambda d: d.mean("trial"),
    "std over trials": lambda d: d.std("trial"),
    "max over trials": lambda d: d.max("trial"),
    "sum over trials": lambda d: d.sum("trial"),
    "median over trials": lambda d: d.median("trial"),
    "quantiles over trials": lambda d: d.quantile([0.25, 0.75], "trial"),
    "mean over everything": lambda d: d.mean(),
    "sum over everything": lambda d: d.sum(),
    "max over an axis": lambda d: d.max("lam"),
    "groups": lambda d: d.groupby("p").mean("trial"),
    "selection": lambda d: d.sel(p=1.0, lam=0.8, method="nearest").mean(),
}


@pytest.mark.parametrize("kind", ["half done", "packed", "one trial", "comparison"])
def test_reductions_work_on_the_whole_dataset(kind: str, of_kind: Callable[[str], Path]) -> None:
    """Book-keeping does not get in their way: it consists of coordinates."""
    with xr.open_dataset(of_kind(kind)) as dataset:
        short = dataset.isel({d: slice(20) for d in ("time", "frequency", "window") if d in dataset.dims}).load()
        for what, reduction in REDUCTIONS.items():
            assert set(reduction(short).data_vars) == set(dataset.data_vars), what


@pytest.mark.parametrize("kind", ["done", "half done", "comparison"])
def test_a_dataset_becomes_a_table(kind: str, of_kind: Callable[[str], Path]) -> None:
    with xr.open_dataset(of_kind(kind)) as dataset:
        trials = dataset[[n for n, v in dataset.data_vars.items() if v.dims == ("p", "lam", "trial")]]
        table = trials.drop_dims([d for d in ("time", "word", "model") if d in trials.dims]).to_dataframe()
        assert len(table) == math.prod(dataset.sizes[d] for d in ("p", "lam", "trial"))
        assert "status" in table
        assert "rate_E" in table
        whole = dataset.isel({d: [0] for d in ("time", "word", "frequency", "window") if d in dataset.dims})
        assert set(whole.to_dataframe().columns) >= set(dataset.data_vars)


# ---------------------------------------------------------------------------------------- netCDF's own tools


def tool(name: str) -> Callable[..., str]:
    """Run one of the distribution's netCDF tools, or skip the test that needs it."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed; on Debian it is in netcdf-bin or nco")

    def run(*arguments: object) -> str:
        done = subprocess.run([name, *map(str, arguments)], capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, (arguments, done.stderr.decode(errors="replace"))
        return done.stdout.decode()

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_ncdump_shows_every_variable(kind: str, of_kind: Callable[[str], Path]) -> None:
    ncdump, path = tool("ncdump"), of_kind(kind)
    header = ncdump("-h", path)
    names = set(re.findall(r"^\t(?:string|[a-z0-9]+) (\w+)(?:\(.*\))? ;$", header, flags=re.MULTILINE))
    expected = variables_of(kind)
    assert set(expected) <= names
    assert "letter" not in names, "a dimension, no variable"
    for name in sorted(names):
        shown = ncdump("-v", name, path)
        assert f"\n {name} =" in shown.split("data:")[1] or 0 in np.shape(read(path, name)), name
    if kind == "half done":
        shown = ncdump("-v", "error", path).replace(r"\316\273", "λ")  # some versions show bytes beyond ASCII so
        assert "did not converge at p=0.25 lam=0.8 trial 1, λ too large" in shown


def read(path: Path, name: str) -> Any:
    with h5py.File(path, "r", locking=False) as file:
        return file[name][()]


@pytest.mark.parametrize("kind", KINDS)
def test_copies_by_netcdfs_tools_say_the_same(kind: str, tmp_path: Path, of_kind: Callable[[str], Path]) -> None:
    path = of_kind(kind)
    with xr.open_dataset(path) as original:
        original.load()
        for name, options in (("nccopy", []), ("ncks", ["-O"])):
            copy = tmp_path / f"{name}.nc"
            tool(name)(*options, path, copy)
            with xr.open_dataset(copy, engine="h5netcdf") as copied:
                assert set(original.coords) == set(copied.coords)
                assert set(original.data_vars) == set(copied.data_vars)
                for variable, values in original.variables.items():
                    assert values.dims == copied[variable].dims
                    assert set(values.attrs) <= set(copied[variable].attrs)
                    same = (values.values == copied[variable].values) | (
                        values.isnull() & copied[variable].isnull()
                    ).values
                    assert same[original["status"] == 1].all() if variable in TRACES else same.all(), variable
