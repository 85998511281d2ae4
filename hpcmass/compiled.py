"""The decorator of every compiled function, and its interface to the kernel cache.

numba's own cache executes what it finds without a check: a damaged file ends the program, or changes its results.
It also notices only a change of the file that defines a function, not of helpers in other files.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import NullCache

from hpcmass.compile_lock import add_seconds
from hpcmass.errors import UserError
from hpcmass.kernel_cache import SUFFIX, KernelCache, cache_of


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: compile a function with numba, once per kind of arguments, and keep it in the kernel cache.

    It releases the interpreter's lock. Called while `NUMBA_DISABLE_JIT` is set, it raises `UserError`: the network's
    vectors exist in compiled code alone, and Python would take hours for the rest.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        if not _compiles():
            return _refusing(function)
        kernel = numba.njit(nogil=True, **options)(function)
        kernel._cache = _Kept(function, options)  # where numba would put its own
        kernel.compile = functools.partial(_compile_in_turn, kernel.compile, kernel._cache)
        return kernel

    return decorate


def require_compiler() -> None:
    """Refuse to start what cannot be computed."""
    if not _compiles():
        raise UserError("nothing can be computed while NUMBA_DISABLE_JIT is set; unset it")


def open_cache(package: str) -> KernelCache:
    """Check the kernel cache of a subpackage of hpcmass before other processes, which are started later, use it."""
    return cache_of(Path(__file__).parent / package)


def kernels_asked_for() -> set[str]:
    """Names of the kernels that this process has compiled or loaded, without those that only other kernels call."""
    return set(_asked_for)


_asked_for: set[str] = set()


def _compile_in_turn(compile_or_load: Callable[[Any], Any], kept: _Kept, signature: Any) -> Any:
    """Compile or load a kernel, release what `load_overload` has locked, and note the time that compiling takes."""
    begun, asked = time.thread_time(), _Asked()
    _open.kernels.append(asked)
    try:
        return compile_or_load(signature)
    finally:
        _open.kernels.pop()
        kept.end_turn()
        took_s = time.thread_time() - begun
        names = {asked.name} - {""}
        if _open.kernels:
            caller = _open.kernels[-1]
            caller.calls_s += took_s
            caller.calls |= asked.calls | names
        else:
            _asked_for.update(names)
        if asked.compiled:
            add_seconds(kept.directory, took_s - asked.calls_s, asked.name, sorted(asked.calls))


@dataclass
class _Asked:
    """A kernel that is being compiled or loaded.

    Attributes
    ----------
    name : str
        Empty if it was compiled before by this process, or cannot be stored.
    compiled : bool
        It was not in the cache.
    calls : set of str
        Kernels that it calls.
    calls_s : float
        Processor time (s) that they have taken.
    """

    name: str = ""
    compiled: bool = False
    calls: set[str] = field(default_factory=set)
    calls_s: float = 0.0


class _Open(threading.local):
    """Kernels that this thread is compiling, each called by the one before."""

    def __init__(self) -> None:
        self.kernels: list[_Asked] = []


_open = _Open()


def _compiles() -> bool:
    return not numba.config.DISABLE_JIT  # type: ignore[attr-defined]


def _refusing(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def refuse(*_: Any, **__: Any) -> None:
        require_compiler()

    return refuse


class _Kept(NullCache):
    """What a numba dispatcher expects of a cache. Nothing is to be flushed: another source is another directory."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self._package = Path(inspect.getfile(function)).parent
        self._name = function.__qualname__.replace("<", "").replace(">", "")
        # a closure's value is part of its code, and the source does not show it
        self._storable = function.__closure__ is None
        line = function.__code__.co_firstlineno
        self._waited_for: list[str] = []
        self._fixed = (function.__module__, function.__qualname__, line, sorted(options.items()))

    @property
    def directory(self) -> Path | None:
        """Where the kernel is stored."""
        return cache_of(self._package).directory

    @property
    def cache_path(self) -> str | None:
        return None if self.directory is None else str(self.directory)

    def end_turn(self) -> None:
        """Let other processes go on with the kernels that this one has asked for."""
        while self._waited_for:
            cache_of(self._package).turns.release(self._waited_for.pop())

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled function for a signature; None if it is to be compiled."""
        target_context.refresh()
        name = self._file_name(signature, target_context.codegen())
        if name is None:
            return None
        _open.kernels[-1].name = name
        cache = cache_of(self._package)
        content = cache.read(name)
        if content is None:
            cache.turns.acquire(name)
            self._waited_for.append(name)
            content = cache.read(name)  # another process may have compiled it
        if content is None:
            _open.kernels[-1].compiled = True
            return None
        try:
            from numba.core.compiler import CompileResult

            return CompileResult._rebuild(target_context, *pickle.loads(content))
        except Exception as error:  # whatever the error is, the function can be compiled
            cache.discard(name, error)
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Store what was compiled for a signature."""
        name = self._file_name(signature, result.codegen)
        # machine code with addresses of this process in it, or functions apart from it, cannot be kept
        if name is None or result.library.has_dynamic_globals or result.lifted:
            return
        cache = cache_of(self._package)
        try:
            from numba.core.serialize import dumps

            content = dumps(result._reduce())
        except Exception as error:  # the function works even if another version of numba differs here
            cache.report_unkept(name, error)
        else:
            cache.write(name, content)

    def _file_name(self, signature: Any, codegen: Any) -> str | None:
        """A key for the function, the argument types and the processor; None if there is no stable one."""
        key = repr((self._fixed, signature, codegen.magic_tuple()))
        if not self._storable or " at 0x" in key:
            return None
        return f"{self._name}-{hashlib.sha256(key.encode()).hexdigest()[:32]}{SUFFIX}"
