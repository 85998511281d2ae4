"""The next job removes what a job that was killed while creating a file has left."""

import errno
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from hpcmass.errors import UserError
from hpcmass.store.files import creating, reserve


def test_what_a_killed_job_left_of_a_file_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a[1].h5"
    stale = [tmp_path / f".a[1].h5.{pid}.growing" for pid in (77, os.getpid())]
    kept = [tmp_path / ".a1.h5.77.growing", tmp_path / ".b.h5.77.growing", tmp_path / ".a[1].h5.lock"]
    for left in (*stale, *kept):
        left.write_bytes(b"half")
    with creating(path, size=1000, filled=1000) as file:
        file["x"] = 1
    assert sorted(tmp_path.iterdir()) == sorted([path, *kept])


def test_a_refusal_removes_nothing(tmp_path: Path) -> None:
    path, stale = tmp_path / "a.h5", tmp_path / ".a.h5.77.growing"
    path.write_bytes(b"result")
    stale.write_bytes(b"half")
    with pytest.raises(UserError, match="exists"), creating(path, size=1000, filled=1000):
        pass
    assert sorted(tmp_path.iterdir()) == sorted([path, stale])


def test_room_that_was_not_needed_is_given_back(tmp_path: Path) -> None:
    path, data = tmp_path / "a.h5", np.arange(50_000)
    with creating(path, size=1000, filled=1000) as file:
        for name in "xyz":
            reserve(file, 10 * data.nbytes)
            file.create_dataset(name, data=data, chunks=(1000,), fletcher32=True)
        growing = Path(file.filename)
        assert growing.stat().st_blocks * 512 > 10 * data.nbytes
    assert path.stat().st_size < 3.2 * data.nbytes
    with h5py.File(path, "r") as file:
        assert all(np.array_equal(file[name], data) for name in "xyz")


def fill_and_fail(path: Path) -> None:
    with creating(path, size=1000, filled=1000) as file:
        reserve(file, 8 * 50_000)
        file.create_dataset("x", data=np.random.default_rng(1).normal(size=50_000), chunks=(50_000,), compression=1)
        waiting = 8 * 50_000 - file.id.get_filesize()
        assert 0 < waiting < Path(file.filename).stat().st_size - file.id.get_filesize()  # and has its room
        raise OSError(errno.ENOSPC, "")


def test_what_waits_in_buffers_has_its_room_when_the_disk_is_full(tmp_path: Path) -> None:
    """HDF5 1.10 may crash where it cannot write on closing."""
    with pytest.raises(UserError, match="no space"):
        fill_and_fail(tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []
