"""What a job that was killed while it created a file leaves behind goes with the next one."""

import os
from pathlib import Path

import pytest

from hpcmass.errors import UserError
from hpcmass.store.files import creating


def test_what_a_killed_job_left_of_a_file_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a[1].h5"
    stale = [tmp_path / f".a[1].h5.{pid}.growing" for pid in (77, os.getpid())]
    stale.append(tmp_path / ".a[1].h5.77.growing.reserve")
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
