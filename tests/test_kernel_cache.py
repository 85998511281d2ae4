"""Compiled kernels are kept in a private directory; a cache that is damaged or unusable costs a warning, no result."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest

from hpcmass import kernel_cache
from hpcmass.compile_lock import LOCK_FILE
from hpcmass.kernel_cache import SUFFIX, KernelCache, Unusable, source_key, usable_directory
from slow_cases import slow_except

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Shared = Callable[[str, Callable[[Path], object]], Path]

CONFIG = """\
title: tiny
trials: 1
network: {n_neurons: 200, n_external: 200, p_ext: 1.0, w_ext: 0.1, duration_ms: 400, transient_ms: 100}
grid: {p: [0.1, 0.5, 1.0], lam: [0.5, 0.8, 1.0]}
"""
TIMES = ("wall_s", "kernel_s", "rank", "config_chain")
"""Variables in which two runs of the same sweep may differ."""

AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away or mount")


class Evil:
    """Unpickling it leaves a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def stored(name: str, content: bytes) -> bytes:
    """A file's bytes as the cache writes them."""
    return kernel_cache._MAGIC + kernel_cache._digest(name, content) + content


def swap(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def other_than(path: Path) -> Path:
    return next(p for p in sorted(path.parent.glob(f"*{SUFFIX}")) if p != path)


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "random": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "one bit": lambda path: path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])),
    "swapped": lambda path: swap(path, other_than(path)),
    "unpicklable": lambda path: path.write_bytes(stored(path.name, b"no pickle")),
    "other object": lambda path: path.write_bytes(stored(path.name, pickle.dumps([1, 2]))),
    "writable by others": lambda path: path.chmod(0o666),
    "directory": make_directory,
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of one source, and no warning yet."""
    monkeypatch.setattr(kernel_cache, "_reported", [])
    package = tmp_path / "network"
    package.mkdir()
    (package / "simd.py").write_text("a = 1")
    return package


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's directory below the node's temporary one."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(kernel_cache.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path / f"hpcmass-{os.getuid()}"


@pytest.fixture(scope="module")
def warm(shared: Shared, python_run: Run) -> Path:
    """A cache with all kernels, with a sweep and its comparison beside it; not to be changed."""

    def make(home: Path) -> None:
        (home / "config.yml").write_text(CONFIG)
        done = use(python_run, home, "run", "config.yml", "-o", "sweep.h5")
        assert "kernel cache" not in done.stderr
        done = use(python_run, home, "compare", "sweep.h5", "-o", "cmp.h5", "--models", "CFM,FOM,LIN")
        assert "kernel cache" not in done.stderr

    return shared("kernels", make)


@pytest.fixture
def home(warm: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(warm, tmp_path / "home"))


def use(python_run: Run, home: Path, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command in a home, with its cache."""
    env = {"NUMBA_CACHE_DIR": str(home / "kernels")}
    return python_run("-m", "hpcmass", *args, cwd=home, env=env, check=check, timeout=300)  # it may compile everything


def kernels(home: Path, package: str) -> dict[Path, int]:
    """Files of a package's cache → when they were written."""
    return {p: p.stat().st_mtime_ns for p in sorted(home.glob(f"kernels/{package}-*/*{SUFFIX}"))}


def the_warning(stderr: str) -> str:
    """The only line about the cache."""
    (line,) = [line for line in stderr.splitlines() if "kernel cache" in line]
    assert line.startswith("hpcmass: ")
    return line


def same(one: Path, other: Path) -> bool:
    """Whether two result files have the same bits."""
    with h5py.File(one, locking=False) as a, h5py.File(other, locking=False) as b:
        names = [name for name, item in a.items() if isinstance(item, h5py.Dataset) and name not in TIMES]
        assert len(names) > 20
        return all(a[name][()].tobytes() == b[name][()].tobytes() for name in names if a[name].dtype.kind != "O")


def test_the_directory_is_private_and_named_after_the_source(temporary: Path, package: Path) -> None:
    directory = usable_directory(package)
    assert directory == temporary / f"network-{source_key(package)}"
    assert temporary.stat().st_mode & 0o077 == 0
    assert directory.stat().st_mode & 0o077 == 0


def test_the_users_choice_is_taken(tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    assert usable_directory(package).parent == tmp_path / "chosen"


def test_a_change_of_any_source_is_another_directory(package: Path) -> None:
    before = source_key(package)
    (package / "simd.py").write_text("a = 2")
    changed = source_key(package)
    (package / "more.py").write_text("")
    assert len({before, changed, source_key(package)}) == 3


def test_a_sticky_directory_of_everybody_will_do(temporary: Path, package: Path) -> None:
    temporary.mkdir()
    temporary.chmod(0o1777)
    assert usable_directory(package).stat().st_mode & 0o077 == 0


def group_writable(path: Path) -> None:
    path.mkdir()
    path.chmod(0o770)


def everybodys(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def foreign(path: Path) -> None:
    path.mkdir()
    os.chown(path, 12345, 12345)


def foreign_link(path: Path) -> None:
    path.with_name("target").mkdir()
    path.symlink_to(path.with_name("target"))
    os.chown(path, 12345, 12345, follow_symlinks=False)


UNUSABLE = {
    "group": (group_writable, "others may write into it"),
    "everybody": (everybodys, "others may write into it"),
    "file": (lambda path: path.write_text(""), "it is not a directory"),
    "dangling link": (lambda path: path.symlink_to(path.with_name("nothing")), "it is a link to nothing"),
    "foreign": (foreign, "it belongs to another user"),
    "foreign link": (foreign_link, "it belongs to another user"),
}
NEED_ROOT = ("foreign", "foreign link")
UNUSABLE_KINDS = [pytest.param(kind, marks=AS_ROOT if kind in NEED_ROOT else ()) for kind in UNUSABLE]


@pytest.mark.parametrize("kind", UNUSABLE_KINDS)
@pytest.mark.parametrize("inner", [False, True])
def test_a_directory_with_wrong_permissions_is_not_used(
    temporary: Path, package: Path, kind: str, inner: bool, caplog: pytest.LogCaptureFixture
) -> None:
    place = temporary
    if inner:
        place = usable_directory(package)
        place.rmdir()
    make, why = UNUSABLE[kind]
    make(place)
    with pytest.raises(Unusable, match=why):
        usable_directory(package)
    cache = KernelCache(package)
    assert cache.directory is None
    assert cache.read("a.kernel") is None
    cache.write("a.kernel", b"content")
    (message,) = caplog.messages
    assert str(place) in message
    assert "compiled again" in message


def test_without_any_temporary_directory_there_is_a_warning(
    package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(kernel_cache.tempfile, "gettempdir", nowhere)
    assert KernelCache(package).directory is None
    assert "no temporary directory" in caplog.text


LOADED = ("unpicklable", "other object")  # found out only when it is loaded


@pytest.mark.parametrize("kind", [kind for kind in DAMAGE if kind not in LOADED])
@pytest.mark.parametrize("after_opening", [False, True])
def test_what_is_not_what_was_stored_is_removed(
    temporary: Path, package: Path, kind: str, after_opening: bool, caplog: pytest.LogCaptureFixture
) -> None:
    cache = KernelCache(package)
    assert cache.directory is not None
    cache.write("one.kernel", b"1" * 1000)
    cache.write("two.kernel", b"2" * 1000)
    assert cache.read("one.kernel") == b"1" * 1000
    assert not caplog.messages
    DAMAGE[kind](cache.directory / "one.kernel")
    if not after_opening:
        cache = KernelCache(package)
    assert cache.read("one.kernel") is None
    (message,) = caplog.messages
    assert str(cache.directory) in message
    assert "one.kernel" in message
    cache.write("one.kernel", b"1" * 1000)
    assert KernelCache(package).read("one.kernel") == b"1" * 1000
    assert len(caplog.messages) == 1


@AS_ROOT
def test_a_file_of_another_user_is_not_read(temporary: Path, package: Path, tmp_path: Path) -> None:
    cache = KernelCache(package)
    assert cache.directory is not None
    path = cache.directory / "one.kernel"
    path.write_bytes(stored(path.name, pickle.dumps(Evil(tmp_path / "trace"))))
    assert cache.read("one.kernel") is not None
    os.chown(path, 12345, 12345)
    assert cache.read("one.kernel") is None


def test_a_file_behind_a_link_or_a_pipe_is_not_read(temporary: Path, package: Path, tmp_path: Path) -> None:
    cache = KernelCache(package)
    assert cache.directory is not None
    (tmp_path / "one.kernel").write_bytes(stored("one.kernel", b"content"))
    (cache.directory / "one.kernel").symlink_to(tmp_path / "one.kernel")
    os.mkfifo(cache.directory / "two.kernel")
    assert cache.read("one.kernel") is None
    assert cache.read("two.kernel") is None


def test_a_directory_that_vanished_is_a_warning(
    temporary: Path, package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = KernelCache(package)
    assert cache.directory is not None
    shutil.rmtree(cache.directory)
    cache.write("one.kernel", b"1")
    cache.write("two.kernel", b"2")
    (message,) = caplog.messages
    assert f"{cache.directory} cannot be written: no such file or directory" in message


def test_of_the_ranks_of_a_node_the_first_one_warns(
    temporary: Path, package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    temporary.write_text("")
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", "1")
    KernelCache(package)
    assert not caplog.messages
    monkeypatch.setattr(kernel_cache, "_reported", [])
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", "0")
    KernelCache(package)
    assert len(caplog.messages) == 1


EVERY_KERNEL = """
from numba.core.dispatcher import Dispatcher
from hpcmass import mass, network
import sys
network.warm_up()
found = {}
for module in [m for n, m in sys.modules.items() if n.startswith(("hpcmass.network.", "hpcmass.mass."))]:
    found.update({id(o): o for o in vars(module).values() if isinstance(o, Dispatcher)})
used = [kernel for kernel in found.values() if kernel.overloads]
counts = [[sum(kind.values()) for kind in (k.stats.cache_hits, k.stats.cache_misses)] for k in used]
print(len(found), sum(hits for hits, _ in counts), sum(misses for _, misses in counts))
"""


@pytest.mark.slow
def test_what_is_kept_is_loaded(home: Path, python_run: Run) -> None:
    """Checks the cache's assumption about numba: a dispatcher asks `_cache` before it compiles."""
    env = {"NUMBA_CACHE_DIR": str(home / "kernels")}
    found, hits, misses = map(int, python_run("-c", EVERY_KERNEL, env=env).stdout.split())
    assert found > 25
    assert hits > 5
    assert misses == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", slow_except(["emptied", "swapped", *LOADED], "swapped"))
def test_a_damaged_kernel_is_compiled_again(home: Path, python_run: Run, kind: str) -> None:
    (path,) = home.glob(f"kernels/mass-*/_integrate-*{SUFFIX}")
    before = kernels(home, "mass")
    DAMAGE[kind](path)
    compare = ("compare", "sweep.h5", "--models", "CFM,FOM,LIN", "-o")
    line = the_warning(use(python_run, home, *compare, "again.h5").stderr)
    assert str(path.parent) in line
    assert "compiled again" in line
    assert same(home / "again.h5", home / "cmp.h5")
    assert set(kernels(home, "mass")) == set(before)
    repaired = kernels(home, "mass")
    assert "kernel cache" not in use(python_run, home, *compare, "third.h5").stderr
    assert kernels(home, "mass") == repaired, "the next start only loads"


def damage_some(home: Path, package: str, *further: str) -> None:
    """Several kinds at once, and a kernel that calls others, which are loaded."""
    paths = list(kernels(home, package))
    for path, kind in zip(paths, ("emptied", "truncated", "random", "directory"), strict=False):
        DAMAGE[kind](path)
    for name in further:
        for path in home.glob(f"kernels/{package}-*/{name}-*"):
            DAMAGE["emptied"](path)


COMMANDS = {
    "run": ("network", ("run", "config.yml", "-o", "new.h5"), "sweep.h5"),
    "trial": ("network", ("trial", "config.yml", "--p", "0.5", "--lam", "0.8"), None),
    "plan": ("network", ("plan", "config.yml", "--seconds", "0.1", "-j", "2"), None),
    "check": ("network", ("check", "sweep.h5", "--resimulate", "2"), None),
    "compare -j": ("mass", ("compare", "sweep.h5", "-o", "new.h5", "-j", "2", "--models", "CFM,FOM,LIN"), "cmp.h5"),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", slow_except(COMMANDS, "run"))
def test_a_damaged_cache_stops_no_command(home: Path, python_run: Run, command: str) -> None:
    package, arguments, expected = COMMANDS[command]
    damage_some(home, package, *(["run_steps"] if command == "run" else []))
    the_warning(use(python_run, home, *arguments).stderr)
    if expected is not None:
        assert same(home / "new.h5", home / expected)
        (home / "new.h5").unlink()
    assert "kernel cache" not in use(python_run, home, *arguments).stderr


@pytest.mark.slow
@pytest.mark.mpi
def test_ranks_that_find_a_damaged_cache_at_the_same_time(home: Path, mpi_run: Run) -> None:
    damage_some(home, "network")
    env = {"NUMBA_CACHE_DIR": str(home / "kernels")}
    done = mpi_run(3, "-m", "hpcmass", "run", "config.yml", "-o", "new.h5", cwd=home, env=env, timeout=300)
    the_warning(done.stderr)
    assert same(home / "new.h5", home / "sweep.h5")


@pytest.mark.slow
@pytest.mark.mpi
def test_ranks_that_have_no_cache(home: Path, mpi_run: Run) -> None:
    (home / "nothing").write_text("")
    command = ("-m", "hpcmass", "compare", "sweep.h5", "-o", "new.h5", "--models", "CFM,FOM,LIN")
    done = mpi_run(3, *command, cwd=home, env={"NUMBA_CACHE_DIR": str(home / "nothing")}, timeout=300)
    the_warning(done.stderr)
    assert same(home / "new.h5", home / "cmp.h5")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["group", "dangling link"])
def test_a_comparison_without_a_cache(home: Path, python_run: Run, kind: str) -> None:
    place = home / "kernels"
    shutil.rmtree(place)
    UNUSABLE[kind][0](place)
    line = the_warning(use(python_run, home, "compare", "sweep.h5", "-o", "new.h5", "--models", "CFM,FOM,LIN").stderr)
    assert str(place) in line
    assert UNUSABLE[kind][1] in line
    assert same(home / "new.h5", home / "cmp.h5")
    if place.is_dir():
        assert not list(place.iterdir())


@contextmanager
def disk(directory: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes."""
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", str(directory)], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no permission to mount")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=False)


@pytest.mark.slow
@AS_ROOT
def test_a_full_disk(home: Path, python_run: Run) -> None:
    shutil.rmtree(home / "kernels")
    command = ("compare", "sweep.h5", "-o", "new.h5", "--models", "CFM,FOM,LIN", "-j", "2")
    with disk(home / "kernels", 2**16):
        line = the_warning(use(python_run, home, *command).stderr)
        assert f"{home / 'kernels' / 'mass-'}" in line
        assert "no space left on device" in line
        assert {path.name for path in home.glob("kernels/*/.*")} <= {LOCK_FILE}, "nothing half-written is left"
    assert same(home / "new.h5", home / "cmp.h5")


@pytest.mark.slow
@AS_ROOT
def test_a_cache_that_is_only_read(home: Path, python_run: Run) -> None:
    """As in a container: it is used, without a warning until a kernel is missing."""
    full = home / "kernels"
    full.rename(home / "copy")
    with disk(full, 2**24):
        shutil.copytree(home / "copy", full, dirs_exist_ok=True)
        (path,) = home.glob(f"kernels/mass-*/_integrate-*{SUFFIX}")
        subprocess.run(["mount", "-o", "remount,ro", str(full)], check=True)
        command = ("compare", "sweep.h5", "--models", "CFM,FOM,LIN", "-o")
        assert "kernel cache" not in use(python_run, home, *command, "new.h5").stderr
        subprocess.run(["mount", "-o", "remount,rw", str(full)], check=True)
        path.unlink()
        subprocess.run(["mount", "-o", "remount,ro", str(full)], check=True)
        line = the_warning(use(python_run, home, *command, "more.h5").stderr)
        assert "read-only file system" in line
    assert same(home / "new.h5", home / "cmp.h5")
    assert same(home / "more.h5", home / "cmp.h5")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("run", "config.yml", "-o", "new.h5"),
        ("trial", "config.yml", "--p", "0.5", "--lam", "0.8", "-o", "new.h5"),
        ("plan", "config.yml"),
        ("check", "sweep.h5", "--resimulate", "1"),
        ("compare", "sweep.h5", "-o", "new.h5"),
    ],
    ids=lambda command: command[0],
)
def test_without_a_compiler_nothing_is_computed(home: Path, python_run: Run, command: tuple[str, ...]) -> None:
    done = python_run("-m", "hpcmass", *command, cwd=home, env={"NUMBA_DISABLE_JIT": "1"}, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == ("hpcmass: nothing can be computed while NUMBA_DISABLE_JIT is set; unset it")
    assert "Traceback" not in done.stderr
    assert not (home / "new.h5").exists()


@pytest.mark.slow
def test_what_computes_nothing_needs_no_compiler(home: Path, python_run: Run) -> None:
    for command in (("validate", "config.yml"), ("status", "sweep.h5"), ("check", "sweep.h5")):
        python_run("-m", "hpcmass", *command, cwd=home, env={"NUMBA_DISABLE_JIT": "1"})


@pytest.mark.process
def test_without_a_compiler_python_raises_the_same_error() -> None:
    program = (
        "from hpcmass.errors import UserError\n"
        "from hpcmass import Experiment, simulate\n"
        "try: simulate(Experiment(grid={'p': 0.2, 'lam': 0.8}), p=0.2, lam=0.8)\n"
        "except UserError as error: print(error)"
    )
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert "unset it" in done.stdout
