"""One process of a node compiles a kernel, the others wait for it; kernels that were compiled in advance are loaded."""

from __future__ import annotations

import math
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path

import pytest

import hpcmass
from hpcmass import compile_lock, kernel_cache
from hpcmass.compile_lock import CompileLock, WaitStopped, add_seconds, compile_seconds, ending_waits
from hpcmass.errors import EXIT_INTERRUPTED, EXIT_STOPPED_EARLY
from hpcmass.kernel_cache import SHARED_KERNELS, SUFFIX, KernelCache, usable_directory

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
    lines = [line.split() for line in (directory / compile_lock.SECONDS_FILE).read_text().splitlines()]
    assert {line[1] for line in lines} == {path.name for path in directory.glob(f"*{SUFFIX}")}
    assert len(lines) == KERNELS
    (outer,) = (line for line in lines if line[1].startswith("outer"))
    assert len(outer) == 4, "it calls `inner` for both kinds of arrays"
    assert compile_seconds(directory, [outer[1]]) == compile_seconds(directory) > 0


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


@pytest.fixture
def one_is_compiled(tmp_path: Path) -> Iterator[CompileLock]:
    """The lock of this process, while another process compiles `one.kernel` and does not end."""
    other = start("-c", HOLD, str(tmp_path))
    yield CompileLock(tmp_path)
    other.kill()
    other.communicate()


@pytest.mark.process
def test_a_stop_ends_the_wait(one_is_compiled: CompileLock) -> None:
    answers = iter([False, False, True])
    with ending_waits(lambda: next(answers)), pytest.raises(WaitStopped):
        one_is_compiled.acquire("one.kernel")
    assert not list(answers)


@pytest.mark.process
def test_a_long_wait_is_said_once_and_given_up(
    one_is_compiled: CompileLock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compile_lock, "NOTICE_S", 0.2)
    monkeypatch.setattr(compile_lock, "PATIENCE_S", 0.8)
    begun = time.monotonic()
    one_is_compiled.acquire("one.kernel")
    assert 0.8 <= time.monotonic() - begun < 20
    assert [(record.levelname, record.getMessage().split(" for ")[0]) for record in caplog.records] == [
        ("INFO", "waits"),
        ("WARNING", "another process has been compiling a kernel"),
    ]
    begun = time.monotonic()
    one_is_compiled.acquire("one.kernel")
    assert time.monotonic() - begun < 0.7
    assert len(caplog.records) == 2


HOLD_ALL = """\
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.readline()
"""

ENDS: dict[str, tuple[list[str], signal.Signals | None, int, str]] = {
    "SIGTERM": ([], signal.SIGTERM, EXIT_STOPPED_EARLY, "stopped by a signal, 2 trials are left"),
    "SIGUSR1 and processes": (["-j", "2"], signal.SIGUSR1, EXIT_STOPPED_EARLY, "stopped by a signal, 2 trials"),
    "time limit": (["--time-limit", "8s"], None, EXIT_STOPPED_EARLY, "stopped at the time limit, 2 trials are left"),
    "Ctrl-C": ([], signal.SIGINT, EXIT_INTERRUPTED, "interrupted"),
}


@pytest.mark.process
@pytest.mark.parametrize(
    "kind", [kind if kind == "SIGTERM" else pytest.param(kind, marks=pytest.mark.slow) for kind in ENDS]
)
def test_a_sweep_that_waits_for_kernels_can_be_stopped(tmp_path: Path, mpi_env: dict[str, str], kind: str) -> None:
    options, number, code, message = ENDS[kind]
    (tmp_path / "config.yml").write_text(
        "trials: 2\ngrid: {p: 0.2, lam: 0.8}\n"
        "network: {n_neurons: 200, n_external: 200, p_ext: 1.0, w_ext: 0.1, duration_ms: 800, transient_ms: 100}\n"
    )
    env = mpi_env | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    env.pop(SHARED_KERNELS, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
        directory = usable_directory(Path(hpcmass.__file__).parent / "network")
    other = start("-c", HOLD_ALL, str(directory / compile_lock.LOCK_FILE))
    command = [sys.executable, "-m", "hpcmass", "run", "config.yml", "-o", "sweep.h5", *options]
    job = subprocess.Popen(command, env=env, cwd=tmp_path, text=True, stderr=subprocess.PIPE)
    try:
        assert job.stderr is not None
        lines: list[str] = []
        while number is not None and not (lines and "waits for another process" in lines[-1]):
            lines.append(job.stderr.readline())
            assert lines[-1], "".join(lines)
        if number is not None:
            job.send_signal(number)
        _, rest = job.communicate(timeout=60)
    finally:
        for process in (job, other):
            process.kill()
            process.communicate()
    assert job.returncode == code, rest
    assert message in rest
    assert "Traceback" not in rest
    assert not list(directory.glob(f"*{SUFFIX}"))


def test_without_a_directory_or_permission_nothing_is_locked(tmp_path: Path) -> None:
    for directory in (None, tmp_path / "missing"):
        lock = CompileLock(directory)
        lock.acquire("one.kernel")
        lock.release("one.kernel")
        add_seconds(directory, 1.0, "one.kernel")
        assert compile_seconds(directory) == 0


def test_seconds_of_the_kernels_that_are_asked_for(tmp_path: Path) -> None:
    """Not those of another neuron model, and not those that were compiled before."""
    add_seconds(tmp_path, 9.0, "loop-lif.kernel", ["rows.kernel"])
    add_seconds(tmp_path, 0.5, "rows.kernel")
    add_seconds(tmp_path, 8.0, "loop-eif.kernel", ["rows.kernel", "power.kernel"])
    add_seconds(tmp_path, 0.25, "power.kernel")
    add_seconds(tmp_path, 6.0, "loop-lif.kernel", ["rows.kernel"])
    assert compile_seconds(tmp_path) == 23.75
    assert compile_seconds(tmp_path, ["loop-lif.kernel"]) == 6.5
    assert compile_seconds(tmp_path, ["loop-lif.kernel", "rows.kernel", "graph.kernel"]) == 6.5
    assert compile_seconds(tmp_path, ["loop-eif.kernel"]) == 8.75
    assert compile_seconds(tmp_path, ["graph.kernel"]) == 0
    add_seconds(tmp_path, 1.0, "outer.kernel", ["loop-eif.kernel"])  # which was compiled before, with what it calls
    assert compile_seconds(tmp_path, ["outer.kernel"]) == 9.75


def test_the_order_of_the_kernels_does_not_change_their_seconds(tmp_path: Path) -> None:
    """0.1 + 0.2 + 0.3 differs from 0.3 + 0.2 + 0.1, and the names are a set, whose order differs between processes."""
    seconds = (0.1, 0.2, 0.3, 0.7, 1.1, 1.3)
    for i, s in enumerate(seconds):
        add_seconds(tmp_path, s, f"{i}.kernel", [f"{i - 1}.kernel"] if i else [])
    assert compile_seconds(tmp_path) == compile_seconds(tmp_path, ["5.kernel"]) == math.fsum(seconds)
    assert {compile_seconds(tmp_path, names) for names in permutations([f"{i}.kernel" for i in range(4)])} == {1.3}


@pytest.mark.parametrize(("text", "seconds"), [("1.500\n0.25\n", 1.75), ("damaged", 0), ("1.5\n\n", 1.5), ("", 0)])
def test_seconds_that_an_older_version_has_noted(tmp_path: Path, text: str, seconds: float) -> None:
    (tmp_path / "compile-seconds.txt").write_text(text)
    assert compile_seconds(tmp_path) == seconds
    assert compile_seconds(tmp_path, ["one.kernel"]) == seconds
    add_seconds(tmp_path, 4.0, "one.kernel")
    if text.endswith("\n") or not text:
        assert compile_seconds(tmp_path, ["one.kernel"]) == 4


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


def modes(directory: Path) -> list[int]:
    """Access rights of the base directory, the package's and the kernels."""
    return [
        path.stat().st_mode & 0o777 for path in (directory.parent, directory, *sorted(directory.glob(f"*{SUFFIX}")))
    ]


def test_what_is_new_is_shared(shared: tuple[Path, Path]) -> None:
    assert modes(shared[1]) == [0o755, 0o755, 0o644]


def test_an_existing_directory_stays_as_private_as_it_is(
    shared: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, _ = shared
    base = tmp_path / "old kernels"
    base.mkdir(mode=0o700)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(base))
    cache = KernelCache(package)
    cache.write("one.kernel", b"1" * 1000)
    assert cache.share() == 1
    assert cache.directory is not None
    assert modes(cache.directory) == [0o700, 0o755, 0o644]
    assert cache.unshared() == [f"chmod go+rx '{base}'"]
    (cache.directory / "one.kernel").chmod(0o600)  # as after a command that was killed
    again = KernelCache(package)
    again.write("two.kernel", b"2" * 1000)
    assert again.share() == 2
    assert modes(cache.directory) == [0o700, 0o755, 0o600, 0o644]
    for command in again.unshared():
        subprocess.run(command, shell=True, check=True)
    assert modes(cache.directory) == [0o755, 0o755, 0o644, 0o644]
    assert again.unshared() == []
    base.chmod(0o750)
    assert again.unshared() == []


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
