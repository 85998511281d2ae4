"""Opening a faulty file gives one sentence that names it and says what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from store_examples import Write

from hpcmass.config import Experiment
from hpcmass.costs import Part
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.store.check import check_sweep
from hpcmass.store.labelled import comparison_dataset, open_sweep
from hpcmass.store.opening import axes_of, experiment_of, open_hdf5
from hpcmass.store.parts import SweepParts
from hpcmass.store.schema import COMPARISON_FILETYPE, SWEEP_FILETYPE, SWEEP_VARIABLES
from hpcmass.store.status import sweep_status
from hpcmass.store.sweep_file import SweepFile

READERS: dict[str, Callable[[Path], Any]] = {
    "SweepFile": SweepFile,
    "SweepParts": lambda path: SweepParts([path]),
    "open_sweep": open_sweep,
    "sweep_status": sweep_status,
    "check_sweep": check_sweep,
}


def refusals(path: Path) -> set[str]:
    """Every reader's message about a file that all of them refuse."""
    printed = set()
    for reader in READERS.values():
        with pytest.raises(UserError) as caught:
            reader(path)
        message = str(caught.value)
        assert path.name in message
        assert "\n" not in message
        printed.add(message)
    return printed


# ---------------------------------------------------------------------------------------- no sweep at all

Spoil = Callable[[Path], object]


def _foreign(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = 1


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def edit(change: Callable[[h5py.File], object]) -> Spoil:
    """Change an HDF5 file through HDF5."""

    def spoil(path: Path) -> None:
        with h5py.File(path, "r+", locking=False) as file:
            change(file)

    return spoil


def attribute(name: str, value: object) -> Spoil:
    return edit(lambda file: file.attrs.__setitem__(name, value))


NO_SWEEP: dict[str, tuple[Spoil, str]] = {
    "absent": (Path.unlink, "there is no file .*; check the name"),
    "a directory": (_directory, "is a directory; give an HDF5 file in it"),
    "a pipe": (_pipe, "is not a regular file; give an HDF5 file"),
    "empty": (lambda path: path.write_bytes(b""), "it is empty; give another file"),
    "text": (lambda path: path.write_text("p: [0, 1]\n"), "it is not an HDF5 file; give another file"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-1000]), "it is cut off.*copy it again"),
    "its first bytes": (lambda path: path.write_bytes(path.read_bytes()[:100]), "cut off|damaged"),
    "foreign": (_foreign, "is an HDF5 file of another program, not 'hpcmass-sweep'; give another file"),
    "a comparison": (
        attribute("filetype", COMPARISON_FILETYPE),
        "is a file of type 'hpcmass-comparison', not 'hpcmass-sweep'; give another file",
    ),
    "type as bytes": (attribute("filetype", b"hpcmass-\xff"), "is a file of type 'hpcmass-.', not"),
    "newer": (
        attribute("format_version", "3.0"), r"has format 3.0, this hpcmass reads up to 2\.3; use a newer hpcmass",
    ),
    "no version": (attribute("format_version", ""), "has no format version; it is damaged or not from hpcmass"),
    "a version that is none": (attribute("format_version", [1, 2]), "has no format version"),
}  # fmt: skip


@pytest.mark.parametrize("how", NO_SWEEP)
def test_what_is_no_sweep_is_refused(how: str, tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(tmp_path / "sweep.h5")
    spoil, message = NO_SWEEP[how]
    spoil(path)
    (printed,) = refusals(path)
    with pytest.raises(UserError, match=message):
        SweepFile(path)
    assert printed


def test_a_newer_minor_version_is_read(tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(tmp_path / "sweep.h5")
    attribute("format_version", "2.99")(path)
    edit(lambda file: file.create_dataset("later", data=1))(path)
    assert sweep_status(path).total == 12


def test_a_sweep_is_no_comparison(tmp_path: Path, write_sweep: Write) -> None:
    with pytest.raises(UserError, match="is a file of type 'hpcmass-sweep', not 'hpcmass-comparison'"):
        comparison_dataset(write_sweep(tmp_path / "sweep.h5"))


def test_missing_permission_is_reported(tmp_path: Path, write_sweep: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_sweep(tmp_path / "sweep.h5")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may read everything

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("hpcmass.store.opening.read_hdf5", refuse)
    with pytest.raises(UserError, match=r"cannot read .*sweep\.h5: no permission; ask its owner"):
        SweepFile(path)


# ---------------------------------------------------------------------------------------- a damaged sweep


def remove(name: str) -> Spoil:
    return edit(lambda file: file.__delitem__(name))


def replace(name: str, data: object) -> Spoil:
    def change(file: h5py.File) -> None:
        del file[name]
        if data is None:
            file.create_group(name)
        else:
            file[name] = data

    return edit(change)


def of_another_type(file: h5py.File) -> None:
    """Status with the right shape and dimensions, but as numbers with a fraction."""
    values, scales = file["status"][()], [dim[0] for dim in file["status"].dims]
    del file["status"]
    file["status"] = values.astype("f8")
    for dim, scale in zip(file["status"].dims, scales, strict=True):
        dim.attach_scale(scale)


def longer_than_the_file(name: str) -> Spoil:
    """A coordinate with more values than any file can hold."""

    def change(file: h5py.File) -> None:
        dtype = file[name].dtype
        del file[name]
        file.create_dataset(name, (2**55,), dtype).make_scale(name)

    return edit(change)


COORDINATES = ("p", "lam", "trial", "time", "word")

DAMAGE: dict[str, tuple[Spoil, str]] = {
    **{f"no {name}": (remove(name), f"it has no {name}|its status has no axes") for name in SWEEP_VARIABLES},
    **{f"no {name}": (remove(name), f"it has no {name}|its status has no axes") for name in COORDINATES},
    **{f"{name} is a group": (replace(name, None), "it has no|no axes") for name in ("status", "mean_v", "p", "time")},
    **{f"{name} is a number": (replace(name, 1.0), "it has no|no axes|not a list") for name in COORDINATES},
    **{f"{name} are texts": (replace(name, ["a", "b"]), "it has no|no axes|not a list") for name in COORDINATES},
    **{
        f"{name} is no dimension": (edit(lambda file, n=name: file[n].attrs.__delitem__("CLASS")), "it has no|no axes")
        for name in (*COORDINATES, "letter")
    },  # type: ignore[misc]
    **{f"{name} without end": (longer_than_the_file(name), f"{name} is longer than the file") for name in COORDINATES},
    "another shape": (replace("n_edges", np.zeros(3, "i8")), r"n_edges has shape \(3,\), not \(3, 2, 2\)"),
    "another type": (edit(of_another_type), "status is of type float64, not int8"),
    "status without axes": (replace("status", np.zeros((3, 2, 2), "i1")), "its status has no axes"),
    **{
        f"no attribute {name}": (edit(lambda file, n=name: file.attrs.__delitem__(n)), f"it has no attribute {name}")
        for name in ("config_yaml", "config_sha256", "uuid", "title", "driver")
    },  # type: ignore[misc]
    "no YAML": (attribute("config_yaml", "grid: {p: [0.5"), "the configuration in it"),
    "another program's configuration": (attribute("config_yaml", "colour: red\n"), "the configuration in it"),
    "a configuration that is a number": (attribute("config_yaml", 7), "the configuration in it"),
    "a configuration without text": (attribute("config_yaml", h5py.Empty("f4")), "the configuration in it"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_sweep_is_refused(how: str, tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(tmp_path / "sweep.h5")
    spoil, message = DAMAGE[how]
    spoil(path)
    (printed,) = refusals(path)
    with pytest.raises(UserError, match=f"sweep.h5 is damaged: .*({message}).*; restore a backup, if any"):
        SweepFile(path)
    assert printed


PARTS: dict[str, tuple[dict[str, object], str]] = {
    "no part": ({"part": "9/3"}, "is damaged: its attribute 'part' is '9/3'"),
    "not a text": ({"part": [1, 2]}, "is damaged: its attribute 'part' is"),
    "no range": ({"part_trials": None}, "is damaged: it does not say which trials part 1/3 has; restore a backup"),
    "one number": ({"part_trials": 3}, "is damaged: it does not say which trials"),
    "three numbers": ({"part_trials": [1, 2, 3]}, "is damaged: it does not say which trials"),
    "texts": ({"part_trials": ["a", "b"]}, "is damaged: it does not say which trials"),
}


@pytest.mark.parametrize("how", PARTS)
def test_a_part_without_valid_attributes_is_refused(how: str, tmp_path: Path, write_sweep: Write) -> None:
    path = write_sweep(tmp_path / "part.h5", part=Part(1, 3))
    attributes, message = PARTS[how]
    with h5py.File(path, "r+", locking=False) as file:
        for name, value in attributes.items():
            del file.attrs[name]
            if value is not None:
                file.attrs[name] = value
    for reader in (sweep_status, check_sweep, lambda path: SweepParts([path])):
        with pytest.raises(UserError, match=rf"part\.h5 {message}"):
            reader(path)


# ---------------------------------------------------------------------------------------- comparisons

COMPARISON_DAMAGE: dict[str, tuple[Spoil, str]] = {
    "no status": (remove("status"), "it has no status"),
    "no models": (remove("model"), "it has no model"),
    "models are numbers": (replace("model", np.arange(2.0)), "model is not a list of values"),
    "another shape": (replace("rho", np.zeros((2, 2))), r"rho has shape \(2, 2\), not \(2, 3, 2\)"),
    "another type": (replace("n_components", np.zeros(3, "f4")), "n_components has shape|n_components is of type"),
    "no configuration": (edit(lambda file: file.attrs.__delitem__("config_yaml")), "it has no attribute config_yaml"),
    "a broken configuration": (attribute("config_yaml", "p: ["), "the configuration in it"),
    "no sweep": (edit(lambda file: file.attrs.__delitem__("sweep_uuid")), "it has no attribute sweep_uuid"),
}


@pytest.mark.parametrize("how", COMPARISON_DAMAGE)
def test_a_damaged_comparison_is_refused(how: str, made: Path, tmp_path: Path) -> None:
    path = tmp_path / "comparison.h5"
    shutil.copyfile(made / "comparison.h5", path)
    spoil, message = COMPARISON_DAMAGE[how]
    comparison_dataset(path).close()
    spoil(path)
    with pytest.raises(UserError, match=f"comparison.h5 is damaged: .*({message}).*; restore a backup, if any"):
        comparison_dataset(path)


def test_dimensions_that_only_xarray_reads_are_refused(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "comparison.h5"
    shutil.copyfile(made / "comparison.h5", path)
    with h5py.File(path, "r+", locking=False) as file:
        references = file["rho"].attrs["DIMENSION_LIST"]
        for dimension in references:
            dimension[:] = h5py.Reference()  # leads nowhere
        file["rho"].attrs.modify("DIMENSION_LIST", references)
    with pytest.raises(
        UserError, match=r"cannot read .*comparison\.h5: it is damaged \(.*\); restore a backup, if any"
    ):
        comparison_dataset(path)


# ---------------------------------------------------------------------------------------- a good one


def test_the_experiment_comes_back_word_for_word(tmp_path: Path, write_sweep: Write, experiment: Experiment) -> None:
    with open_hdf5(write_sweep(tmp_path / "sweep.h5"), SWEEP_FILETYPE) as file:
        stored = experiment_of(file)
        assert stored == experiment
        assert stored.text == experiment.text
        assert list(axes_of(file).items()) == list(experiment.grid.axes().items())


def test_an_opened_file_is_open_for_reading_without_locks(
    tmp_path: Path, write_sweep: Write, all_trials: list[Trial]
) -> None:
    path = write_sweep(tmp_path / "sweep.h5", all_trials[:1])
    with SweepFile(path) as one, SweepFile(path, checked=True) as other:
        assert one.hdf5.mode == other.hdf5.mode == "r"
        assert one.status.sum() == other.status.sum() == 1
    path.chmod(0o400)
    SweepFile(path).close()
