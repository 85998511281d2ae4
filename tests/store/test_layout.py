"""Creation is all or nothing, and what it makes reads well without options."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from hpcmass.errors import UserError
from hpcmass.store.layout import Coordinate, axis_coordinates, create_file, creating, set_aside
from hpcmass.store.schema import (
    COMPARISON_FILETYPE,
    COMPARISON_VARIABLES,
    SWEEP_FILETYPE,
    SWEEP_VARIABLES,
    TRACES,
    Variable,
)

AXES = {"p": (0.0, 0.5), "lam": (0.5, 0.8, 1.0)}


def sweep(path: Path, **options: object) -> Path:
    coordinates = [
        Coordinate("trial", np.arange(2, dtype="i4"), "1", "trial number"),
        Coordinate("time", np.arange(5) * 0.1, "ms", "time"),
        Coordinate("word", np.arange(4, dtype="i4"), "1", "word"),
    ]
    create_file(
        path,
        filetype=SWEEP_FILETYPE,
        axes=AXES,
        coordinates=coordinates,
        variables=SWEEP_VARIABLES.values(),
        attributes={"title": "λ"},
        **options,  # type: ignore[arg-type]
    )
    return path


def test_xarray_shows_labels_units_and_missing_values_without_options(tmp_path: Path) -> None:
    path = sweep(tmp_path / "sweep.h5", data={"n_edges": np.full((2, 3, 2), 7)})
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        assert dataset.attrs["title"] == "λ"
        assert dataset.sizes == {"p": 2, "lam": 3, "trial": 2, "time": 5, "word": 4}
        np.testing.assert_array_equal(dataset["lam"], AXES["lam"])
        for name, variable in SWEEP_VARIABLES.items():
            assert dataset[name].dims == variable.dimensions(("p", "lam"))
            assert dataset[name].attrs["long_name"] == variable.long_name
            if variable.unit not in ("flag", "text"):
                assert dataset[name].attrs["units"] == variable.unit
        assert dataset["mean_v"].dtype == np.float32
        assert dataset["time"].attrs["units"] == "ms"
        # a fill that means something stays a number; one that means "nothing there" becomes NaN
        assert dataset["status"].dtype == np.int8
        assert not dataset["status"].any()
        assert dataset["status"].attrs["flag_meanings"] == "pending done failed"
        assert dataset["seed"].dtype == np.uint32
        assert np.isnan(dataset["rank"]).all()
        assert np.isnan(dataset["rate_E"]).all()
        assert (dataset["n_edges"] == 7).all()
        assert set(dataset["error"].values.ravel()) == {b""}


def test_strings_become_labels(tmp_path: Path) -> None:
    variable = Variable("v", ("model",), "f8", "mV", "a number a model")
    create_file(
        tmp_path / "c.h5",
        filetype=COMPARISON_FILETYPE,
        axes=AXES,
        coordinates=[Coordinate("model", ["CFM", "MFM"], "text", "mass model")],
        variables=[variable, COMPARISON_VARIABLES["rho"]],
        attributes={},
        data={"v": [1.0, 2.0]},
    )
    with xr.open_dataset(tmp_path / "c.h5", engine="h5netcdf") as dataset:
        assert float(dataset["v"].sel(model="MFM")) == 2.0
        assert dataset["rho"].dims == ("p", "lam", "model")


def test_traces_have_their_space_but_are_never_filled(tmp_path: Path) -> None:
    path = sweep(tmp_path / "sweep.h5")
    with h5py.File(path, "r", locking=False) as file:
        for name in (*SWEEP_VARIABLES,):
            dataset = file[name]
            creation = dataset.id.get_create_plist()
            assert creation.get_layout() == h5py.h5d.CONTIGUOUS
            assert dataset.id.get_offset() is not None, "not allocated"
            never = creation.get_fill_time() == h5py.h5d.FILL_TIME_NEVER
            assert never == (name in TRACES)


def test_units_of_any_swept_parameter_come_from_the_configuration() -> None:
    (tau,) = axis_coordinates({"tau_m_ms": (10.0, 20.0)})
    assert (tau.name, tau.unit) == ("tau_m_ms", "ms")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_a_file_whose_creation_fails(tmp_path: Path, error: type[BaseException]) -> None:
    def create() -> None:
        with creating(tmp_path / "a.h5") as file:
            file["x"] = 1
            raise error

    with pytest.raises(error):
        create()
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_text("old")
    with pytest.raises(ValueError), creating(path, force=True):  # noqa: PT011
        raise ValueError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_is_refused_or_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    for text in ("first", "second"):
        path.write_text(text)
        with pytest.raises(UserError, match=r"a\.h5 exists.*--force"), creating(path):
            pass
        with creating(path, force=True) as file:
            file["x"] = 1
    assert (tmp_path / "a.1.h5").read_text() == "first"
    assert (tmp_path / "a.2.h5").read_text() == "second"
    assert h5py.is_hdf5(path)


def test_setting_aside_never_hits_a_name_that_is_taken(tmp_path: Path) -> None:
    for name in ("a.h5", "a.3.h5", "a.7.h5.parts", "b.9.h5"):
        (tmp_path / name).write_text(name)
    assert set_aside(tmp_path / "a.h5") == tmp_path / "a.8.h5"
    assert (tmp_path / "a.8.h5").read_text() == "a.h5"


@pytest.mark.parametrize(("name", "message"), [("no/a.h5", "does not exist"), ("dir", "is a directory")])
def test_an_output_that_cannot_be_is_refused_at_once(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "dir").mkdir()
    with pytest.raises(UserError, match=message), creating(tmp_path / name):
        pytest.fail("went on")
