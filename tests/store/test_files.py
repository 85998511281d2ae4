"""Files on a disk: refused in one sentence, created atomically, written raw and in place."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpcmass.errors import UserError
from hpcmass.store import files
from hpcmass.store.files import (
    NAME_BYTES,
    RawFile,
    backup,
    changing_metadata,
    creating,
    file_system,
    read_hdf5,
    real_path,
    reason,
    require_output,
    reserve,
    same_file,
)

KB = 1000


@contextmanager
def file_size_limit(n_bytes: int) -> Iterator[None]:
    """No file may become longer than this, as under `ulimit -f`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# ---------------------------------------------------------------------------------------- outputs


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/a.h5", "the directory .*no does not exist; create it first"),
        ("dir", "it is a directory; give a file in it"),
        ("fifo", "it is not a regular file; give another one"),
        ("a" * (NAME_BYTES - 2) + ".h5", "its name is too long; give one of at most 220 bytes"),
        ("Ü" * (NAME_BYTES // 2) + ".h5", "its name is too long"),
    ],
)
def test_an_output_that_cannot_be_is_refused_at_once(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "dir").mkdir()
    os.mkfifo(tmp_path / "fifo")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=message), creating(tmp_path / name, size=1, filled=1, force=True):
        pytest.fail("not refused")
    assert sorted(tmp_path.iterdir()) == before


def test_the_longest_name_that_is_allowed_is_possible(tmp_path: Path) -> None:
    path = tmp_path / ("a" * (NAME_BYTES - 3) + ".h5")
    for _ in range(2):
        with creating(path, size=10 * KB, filled=10 * KB, force=True) as file:
            reserve(file, 10 * KB)
    assert h5py.is_hdf5(path)


@pytest.mark.parametrize("how", ["same", "relative", "dots", "symbolic link", "hard link", "link's directory"])
def test_an_output_that_is_an_input_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:  # fmt: skip
    given = tmp_path / "input.h5"
    given.touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "there").symlink_to(tmp_path)
    (tmp_path / "soft.h5").symlink_to("input.h5")
    (tmp_path / "hard.h5").hardlink_to(given)
    monkeypatch.chdir(tmp_path)
    output = {
        "same": given,
        "relative": Path("input.h5"),
        "dots": tmp_path / "sub" / ".." / "input.h5",
        "symbolic link": Path("soft.h5"),
        "hard link": Path("hard.h5"),
        "link's directory": Path("there/input.h5"),
    }[how]
    with pytest.raises(UserError, match=r"is the same file as the input .*; give another name for the output"):
        require_output(output, [tmp_path / "other.h5", given])
    require_output(tmp_path / "other.h5", [given])


def test_two_links_to_a_file_that_is_not_there_yet_are_the_same_file(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        (tmp_path / name).symlink_to("target.h5")
    assert same_file(tmp_path / "a.h5", tmp_path / "b.h5")
    assert not same_file(tmp_path / "a.h5", tmp_path / "c.h5")


def test_what_belongs_to_a_file_lies_beside_it_not_beside_a_link_to_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "link.h5").symlink_to("../file.h5")
    assert real_path(tmp_path / "sub" / "link.h5") == tmp_path.resolve() / "file.h5"
    assert real_path(Path("plain.h5")) == Path("plain.h5")


@pytest.mark.parametrize("name", ["a.h5", "a.h5.h5", "no suffix", "%20b %%.h5", "Ü (1) [2].h5", "'quoted'.h5"])
def test_a_backup_never_hits_a_name_that_is_taken(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for other in (f"{path.stem}.3{path.suffix}", f"{path.stem}.7{path.suffix}.parts", f"b.9{path.suffix}"):
        (tmp_path / other).write_text("other")
    for number in (4, 5):
        path.write_text(f"{number}")
        assert backup(path) == tmp_path / f"{path.stem}.{number}{path.suffix}"
        assert not path.exists()
    assert (tmp_path / f"{path.stem}.4{path.suffix}").read_text() == "4"
    assert (tmp_path / f"{path.stem}.3{path.suffix}").read_text() == "other"


# ---------------------------------------------------------------------------------------- creation


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, UserError])
def test_nothing_is_left_of_a_file_whose_creation_fails(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.h5"
    path.write_text("old")
    with pytest.raises(error), creating(path, size=KB, filled=KB, force=True) as file:  # noqa: PT012
        file["x"] = 1
        assert path.read_text() == "old"
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_is_refused_or_backed_up(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    for text in ("first", "second"):
        path.write_text(text)
        with (
            pytest.raises(
                UserError, match=r"a\.h5 exists; give another name, or --force \(in Python force=True\) to start over"
            ),
            creating(path, size=KB, filled=KB),
        ):
            pytest.fail("not refused")
        assert path.read_text() == text
        with creating(path, size=KB, filled=KB, force=True) as file:
            file["x"] = 1
    assert (tmp_path / "a.1.h5").read_text() == "first"
    assert (tmp_path / "a.2.h5").read_text() == "second"
    assert h5py.is_hdf5(path)


@pytest.mark.parametrize("what", ["size", "filled"])
def test_a_disk_that_refuses_the_file_is_asked_before_hdf5_meets_it(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a.h5"
    path.write_text("old")
    sizes = {"size": 10 * KB, "filled": 10 * KB, what: 100 * KB}
    with (
        file_size_limit(50 * KB),
        pytest.raises(UserError, match=r"cannot write .*a\.h5: file too large; raise the limit on file sizes"),
        creating(path, **sizes, force=True),
    ):
        pytest.fail("not refused")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_space_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with (
        pytest.raises(UserError, match=r"a\.h5: no space left on device; free some space or give another path"),
        creating(tmp_path / "a.h5", size=KB, filled=KB),
    ):
        pytest.fail("not refused")
    assert list(tmp_path.iterdir()) == []


def test_space_that_a_growing_file_needs_is_asked_for_and_given_back(tmp_path: Path) -> None:
    with creating(tmp_path / "a.h5", size=KB, filled=KB) as file:
        with file_size_limit(10 * KB), pytest.raises(OSError, match="File too large"):
            reserve(file, KB)
        reserve(file, KB)
        assert len(list(tmp_path.iterdir())) == 1
    assert (tmp_path / "a.h5").stat().st_size < 10 * KB


# ---------------------------------------------------------------------------------------- reading


def test_a_file_that_this_process_has_open_with_locks_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with h5py.File(path, "r"), read_hdf5(path) as file:
        assert file["x"][()] == 1
    with pytest.raises(OSError, match="No such file"):
        read_hdf5(tmp_path / "b.h5")


def test_an_error_is_the_systems_message_without_internal_calls(tmp_path: Path) -> None:
    assert reason(OSError(errno.ENOSPC, "…")) == "no space left on device"
    assert reason(RuntimeError("file write failed: errno = 27, error message = 'File too large', buf")) == (
        "file too large"
    )
    assert reason(RuntimeError("Whatever else")) == "whatever else"
    mpich = "Can't write data (MPI error string is 'Other I/O error , error stack:\nADIOI_GEN_WriteContig(80): {}')"
    assert reason(OSError(mpich.format("Other I/O error No space left on device"))) == "no space left on device"
    assert "\n" not in reason(OSError(mpich.format("whatever else")))


# ---------------------------------------------------------------------------------------- raw writes


@pytest.fixture
def raw_path(tmp_path: Path) -> Path:
    """Three variables, one of them without elements, and a group that must be ignored."""
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        file.create_dataset("a", (2, 3, 4), "i4", dcpl=early)
        file.create_dataset("text", (2, 5), "S1", dcpl=early)
        file.create_dataset("none", (0, 3), "f8")
        file.create_dataset("chunked", (4,), "f8", chunks=(2,))
        file.create_group("group")
    return tmp_path / "raw.h5"


def read(path: Path, name: str) -> Any:
    with h5py.File(path, "r", locking=False) as file:
        return file[name][()]


indices = st.lists(st.integers(0, 3), max_size=3).filter(
    lambda i: all(k < n for k, n in zip(i, (2, 3, 4), strict=False))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(index=indices, seed=st.integers(0, 99), short=st.integers(1, 30), whole=st.booleans())
def test_a_value_comes_to_its_place_and_nothing_else_changes(
    raw_path: Path, index: list[int], seed: int, short: int, whole: bool
) -> None:
    """However few bytes the system takes at a time."""
    expected = read(raw_path, "a")
    place = tuple(index)
    shape = expected.shape[len(place) :]
    shape = shape if whole else tuple(1 if k == 0 else n for k, n in enumerate(shape))  # broadcast along the first
    value = np.random.default_rng(seed).integers(1000, size=shape)
    expected[place] = value
    texts = read(raw_path, "text")
    with pytest.MonkeyPatch.context() as patch, RawFile(raw_path) as file:
        pwrite = os.pwrite
        patch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:short], offset))
        file.put("a", place, value)
    np.testing.assert_array_equal(read(raw_path, "a"), expected)
    np.testing.assert_array_equal(read(raw_path, "text"), texts)


def test_a_text_is_padded_and_cut_to_its_place(raw_path: Path) -> None:
    with RawFile(raw_path) as file:
        file.put("text", (1,), b"longer than that")
        assert read(raw_path, "text")[1].tobytes() == b"longe"
        file.put("text", (1,), b"ab")
        file.put("text", (0,), b"")
    assert read(raw_path, "text").tobytes() == b"\0\0\0\0\0ab\0\0\0"


@pytest.mark.parametrize("index", [(2,), (-1,), (0, 3), (0, 0, -1), (1, 2, 4)])
def test_an_index_out_of_range_writes_nothing(raw_path: Path, index: tuple[int, ...]) -> None:
    before = raw_path.read_bytes()
    with RawFile(raw_path) as file, pytest.raises(ValueError, match="invalid entry in coordinates array"):
        file.put("a", index, 1)
    assert raw_path.read_bytes() == before


def test_a_value_that_does_not_fit_writes_nothing(raw_path: Path) -> None:
    before = raw_path.read_bytes()
    with RawFile(raw_path) as file, pytest.raises(ValueError, match="broadcast"):
        file.put("a", (0, 0), np.arange(5))
    assert raw_path.read_bytes() == before


def test_what_can_be_written_raw_is_known(raw_path: Path) -> None:
    before = raw_path.read_bytes()
    with RawFile(raw_path) as file:
        assert [name for name in ("a", "text", "none", "chunked", "group", "b") if name in file] == [
            "a",
            "text",
            "none",
        ]
        file.put("none", (), np.zeros((0, 3)))
    assert raw_path.read_bytes() == before


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", ["pwrite", "sync"])
def test_an_error_of_the_disk_is_an_error_of_the_system(
    raw_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, call: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(*((os, "pwrite") if call == "pwrite" else (files, "sync")), refuse)
    with RawFile(raw_path) as file, pytest.raises(OSError) as caught:  # noqa: PT011, PT012
        file.put("a", (0,), 1)
        file.sync()
    assert caught.value.errno == code


def test_a_write_of_zero_bytes_does_not_loop_for_ever(raw_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    with RawFile(raw_path) as file, pytest.raises(OSError, match="Input/output error"):
        file.put("a", (0,), 1)


@pytest.mark.parametrize("writer", [RawFile, lambda path: changing_metadata(path).__enter__()])
def test_a_file_beyond_the_limit_on_file_sizes_is_not_opened_for_writing(
    raw_path: Path, writer: Callable[[Path], object]
) -> None:
    before = raw_path.read_bytes()
    with (
        file_size_limit(len(before) - 1),
        pytest.raises(UserError, match=r"raw\.h5: file too large; raise the limit on file sizes \(ulimit -f\)"),
    ):
        writer(raw_path)
    assert raw_path.read_bytes() == before
    with file_size_limit(len(before)), RawFile(raw_path) as file:
        file.put("a", (), 7)
    assert (read(raw_path, "a") == 7).all()


def test_a_file_that_may_not_be_written_is_refused(raw_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UserError, match=r"cannot write .*raw\.h5: permission denied; give another name"):
        RawFile(raw_path)


def test_a_change_of_metadata_that_the_disk_refuses_is_one_sentence(raw_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"cannot write .*raw\.h5: no space left on device; free some space and try"),
        changing_metadata(raw_path),
    ):
        raise OSError(errno.ENOSPC, "…")


# ---------------------------------------------------------------------------------------- file systems


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/sweep.h5", "nfs4"),
        ("/home/me/fast/sweep.h5", "lustre"),
        ("/home/me/faster/sweep.h5", "nfs4"),
        ("/home/you and me/sweep.h5", "ceph"),
        ("/twice/sweep.h5", "beegfs"),
        ("/etc/sweep.h5", "ext4"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_its_innermost_mount(
    path: str, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda / ext4 rw 0 0\n"
        "host@tcp:/fast /home/me/fast lustre rw,flock 0 0\n"
        "server:/home /home nfs4 rw,vers=4.2 0 0\n"
        "mon:/x /home/you\\040and\\040me ceph rw 0 0\n"
        "a /twice xfs rw 0 0\n"
        "b /twice beegfs rw 0 0\n"
        "damaged\n"
    )
    monkeypatch.setattr(files, "MOUNTS", mounts)
    assert file_system(Path(path)) == kind


def test_where_mounts_are_not_listed_the_file_system_is_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(files, "MOUNTS", tmp_path / "none")
    assert file_system(tmp_path / "sweep.h5") is None
