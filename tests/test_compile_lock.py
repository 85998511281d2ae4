"""One process of a node compiles a kernel, the others wait for it; kernels that were compiled in advance are loaded."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hpcmass import kernel_cache
from hpcmass.compile_lock import CompileLock, add_seconds, compile_seconds
from hpcmass.kernel_cache import SHARED_KERNELS, SUFFIX, KernelCache

Run = Callable[..., "subprocess.CompletedProcess[str]"]

SOURCE = """\
import sys, time
from pathlib import Path

import numpy as np

from hpcmass.compiled import compiled


@compiled()
def inner(x):
    return np.sort(x)[0] + x.std()


@compiled()
def outer(x):
    return inner(x) + inner(x[::2])


@compiled()
def faulty(x):
    return x.no_such_attribute


def misses():
    return sum(sum(kernel.stats.cache_misses.values()) for kernel in (inner, outer, faulty))


print("ready", flush=True)
sys.stdin.readline()
x = np.arange(10.0)
if "faulty" in sys.argv:
    try:
        faulty(x)
    except Exception as error:
        print(type(error).__name__)
    print("failed", flush=True)
    sys.stdin.readline()
print(outer(x), misses(), flush=True)
"""

HOLD = """\
import sys
from pathlib import Path
from hpcmass.compile_lock import CompileLock
lock = CompileLock(Path(sys.argv[1]))
lock.acquire("one.kernel")
print("locked", flush=True)
sys.stdin.readline()
if "released" in sys.argv:
    lock.release("one.kernel")
    print("released", flush=True)
    sys.stdin.readline()
"""

KERNELS = 3
"""`outer`, and `inner` for both kinds of arrays."""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with kernels."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "kernels.py").write_text(SOURCE)
    return package


def start(*arguments: str, **env: str) -> subprocess.Popen[str]:
    """A process that prints a line when it is ready, and continues after one."""
    process = subprocess.Popen(
        [sys.executable, *arguments], env=os.environ | env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() in ("ready", "locked")
    return process


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def result(process: subprocess.Popen[str]) -> tuple[float, int]:
    """What `outer` returned, and how many kernels the process has compiled."""
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    value, misses = out.split()[-2:]
    return float(value), int(misses)


@pytest.mark.process
def test_processes_that_start_together_compile_each_kernel_once(package: Path, tmp_path: Path) -> None:
    env = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    processes = [start(str(package / "kernels.py"), **env) for _ in range(3)]
    for process in processes:
        go_on(process)
    results = [result(process) for process in processes]
    assert len({value for value, _ in results}) == 1
    assert sum(misses for _, misses in results) == KERNELS
    assert len(list(tmp_path.rglob(f"*{SUFFIX}"))) == KERNELS
    (directory,) = (tmp_path / "cache").iterdir()
    assert compile_seconds(directory) > 0


@pytest.mark.slow
@pytest.mark.process
def test_a_kernel_that_cannot_be_compiled_keeps_nobody_waiting(package: Path, tmp_path: Path) -> None:
    env = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    first = start(str(package / "kernels.py"), "faulty", **env)
    go_on(first)
    assert first.stdout is not None
    assert [first.stdout.readline().strip() for _ in range(2)] == ["TypingError", "failed"]
    second = start(str(package / "kernels.py"), "faulty", **env)
    for _ in range(2):
        go_on(second)
    result(second)
    go_on(first)
    result(first)


@pytest.mark.process
@pytest.mark.parametrize("end", ["killed", "released"])
def test_the_lock_is_for_one_process_at_a_time(tmp_path: Path, end: str) -> None:
    first = start("-c", HOLD, str(tmp_path), end)
    second = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    other = CompileLock(tmp_path)
    other.acquire("two.kernel")  # another kernel is free
    other.release("two.kernel")
    assert second.stdout is not None
    assert not select.select([second.stdout], [], [], 1.0)[0], "it waits"
    if end == "killed":
        first.kill()
    else:
        go_on(first)
    assert second.stdout.readline().strip() == "locked"
    for process in (first, second):
        process.kill()
        process.communicate()


def test_without_a_directory_or_permission_nothing_is_locked(tmp_path: Path) -> None:
    for directory in (None, tmp_path / "missing"):
        lock = CompileLock(directory)
        lock.acquire("one.kernel")
        lock.release("one.kernel")
        add_seconds(directory, 1.0)
        assert compile_seconds(directory) == 0


def test_seconds_add_up(tmp_path: Path) -> None:
    for seconds in (1.5, 0.25):
        add_seconds(tmp_path, seconds)
    assert compile_seconds(tmp_path) == 1.75
    (tmp_path / "compile-seconds.txt").write_text("damaged")
    assert compile_seconds(tmp_path) == 0


# ---------------------------------------------------------------------------------------- compiled in advance


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.long
def test_kernels_for_many_jobs(python_run: Run, tmp_path: Path) -> None:
    shared = tmp_path / "shared kernels"
    done = python_run("-m", "hpcmass", "kernels", "--into", str(shared), timeout=300)
    assert done.stdout.startswith(f"{shared}: ")
    assert done.stdout.endswith(f"set {SHARED_KERNELS}={shared} in the jobs\n")
    stored = sorted(shared.rglob(f"*{SUFFIX}"))
    assert f": {len(stored)} kernels" in done.stdout
    assert len(stored) > 40
    for path in (shared, *shared.rglob(f"*{SUFFIX}")):
        assert path.stat().st_mode & 0o044 == 0o044
    again = python_run("-m", "hpcmass", "kernels", "--into", str(shared))
    assert again.stdout == done.stdout
    assert sorted(shared.rglob(f"*{SUFFIX}")) == stored

    (tmp_path / "config.yml").write_text(
        "trials: 1\ngrid: {p: 0.2, lam: 0.8}\n"
        "network: {n_neurons: 200, n_external: 200, p_ext: 1.0, w_ext: 0.1, duration_ms: 800, transient_ms: 100}\n"
    )
    env = {SHARED_KERNELS: str(shared), "NUMBA_CACHE_DIR": str(tmp_path / "own")}
    for command in (
        ["run", "config.yml", "-o", "sweep.h5"],
        ["compare", "sweep.h5", "-o", "cmp.h5", "--models", "CFM,MFM,CLO,FOM,LIN"],
        ["trial", "config.yml", "--p", "0.1", "--lam", "0.8", "-o", "trial.h5", "--plot"],
    ):
        done = python_run("-m", "hpcmass", *command, cwd=tmp_path, env=env)
        assert "kernel" not in done.stderr
    assert not list((tmp_path / "own").rglob(f"*{SUFFIX}"))  # nothing was compiled


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A package, and the directory of the kernels that were compiled in advance for it."""
    monkeypatch.setattr(kernel_cache, "_reported", [])
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "own"))
    package = tmp_path / "network"
    package.mkdir()
    (package / "simd.py").write_text("a = 1")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "shared"))
    filled = KernelCache(package)
    filled.write("one.kernel", b"1" * 1000)
    assert filled.share() == 1
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "own"))
    monkeypatch.setenv(SHARED_KERNELS, str(tmp_path / "shared"))
    assert filled.directory is not None
    return package, filled.directory


def test_the_shared_kernels_are_read_and_never_written(
    shared: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    package, directory = shared
    cache = KernelCache(package)
    assert cache.read("one.kernel") == b"1" * 1000
    assert cache.read("two.kernel") is None
    cache.write("two.kernel", b"2" * 1000)
    assert cache.read("two.kernel") == b"2" * 1000
    assert [path.name for path in directory.iterdir()] == ["one.kernel"]
    assert not caplog.messages


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda directory: shutil.rmtree(directory.parent), "hpcmass kernels --into"),
    "of another version": (lambda directory: directory.rename(directory.with_name("network-0")), "hpcmass kernels"),
    "writable by others": (lambda directory: directory.chmod(0o777), "others may write into it"),
    "a file, writable by others": (lambda directory: (directory / "one.kernel").chmod(0o666), "others may write to it"),
    "damaged": (lambda directory: (directory / "one.kernel").write_bytes(b"x"), "it is not what was stored"),
    "a file": (lambda directory: (shutil.rmtree(directory), directory.write_text("")), "it is not a directory"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_shared_kernels_that_cannot_be_trusted_are_done_without(
    shared: tuple[Path, Path], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    package, directory = shared
    spoil, message = FAULTS[kind]
    spoil(directory)
    before = sorted(directory.parent.rglob("*"))
    cache = KernelCache(package)
    assert cache.read("one.kernel") is None
    (warning,) = caplog.messages
    assert message in warning
    assert str(directory.parent) in warning
    cache.write("one.kernel", b"1" * 1000)
    assert cache.read("one.kernel") == b"1" * 1000
    assert sorted(directory.parent.rglob("*")) == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_the_owner_of_the_package_may_share_kernels(
    shared: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    package, directory = shared
    for path in (directory.parent, directory, directory / "one.kernel"):
        os.chown(path, 1234, -1)
    assert KernelCache(package).read("one.kernel") is None
    assert "belongs to another user" in caplog.text
    os.chown(package, 1234, -1)
    assert KernelCache(package).read("one.kernel") == b"1" * 1000
