"""Code of the user's: mass models and statistics from Python files, installed packages, scripts and notebooks.

A reference names one. `my_models.py:WC` is a name in a file, whose path is relative to the working directory. A plain
name, `WC`, was registered in this process, or belongs to an installed package that declares it as an entry point.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from hpcmass.errors import UserError
from hpcmass.nearest import did_you_mean, missing_file
from hpcmass.user_code import CALLERS, reason

T = TypeVar("T")

THIS_SESSION: Final = "this session"
"""Origin of what a script or a notebook registered."""

UNKNOWN: Final = "unknown"
"""In place of a hash where there is no source."""

_FILE: Final = re.compile(r"(.+\.py):(.+)", re.DOTALL)


def in_file(reference: str) -> tuple[str, str] | None:
    """Path and name of a reference to a file; None if it is a plain name."""
    found = _FILE.fullmatch(reference)
    return None if found is None else (found[1], found[2])


def label_of(reference: str) -> str:
    """The name in a reference: `WC` of `my_models.py:WC`."""
    found = in_file(reference)
    return reference if found is None else found[1]


@dataclass(frozen=True)
class Registered(Generic[T]):
    """Something under a name.

    Attributes
    ----------
    name : str
    value : object
    module : str
        Name of the module that registered it.
    origin : str
        A file, a package and its version, or `THIS_SESSION`; empty for hpcmass itself.
    sha256 : str
        Hash of the source; `UNKNOWN` where there is none; empty for hpcmass itself.
    """

    name: str
    value: T
    module: str
    origin: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class _File:
    """A Python file that was executed: its hash, and (kind, name) → what it registered."""

    path: str
    sha256: str
    module: str
    found: dict[tuple[str, str], Registered[Any]] = field(default_factory=dict)


_LOADED: dict[str, _File] = {}
_LOADING: ContextVar[_File | None] = ContextVar("loading", default=None)


class Registry(Generic[T]):
    """Everything of one kind by name.

    Parameters
    ----------
    kind : str
        What it is, for messages: `mass model`.
    key : str
        The key of a configuration that lists them.
    group : str
        The group of entry points of installed packages.
    own : callable
        Loads what hpcmass itself has.
    """

    def __init__(self, kind: str, key: str, group: str, own: Callable[[], object] = lambda: None) -> None:
        self.kind, self.key, self.group, self.own = kind, key, group, own
        self.entries: dict[str, Registered[T]] = {}

    def add(self, name: str, value: T, source: object) -> None:
        """Register something; a later registration outside hpcmass replaces an earlier one (`source`: its code).

        Raises
        ------
        ValueError
            If hpcmass has one of this name, or the file that is being loaded registers it twice.
        """
        module, file = _registering_module(), _LOADING.get()
        if file is not None and not _is_ours(module):
            if (self.kind, name) in file.found:
                raise ValueError(f"there are two {self.kind}s named {name} in this file")
            file.found[self.kind, name] = Registered(name, value, module, file.path, file.sha256)
            return
        if not _is_ours(module):
            self.own()
        other = self.entries.get(name)
        if other is not None and (_is_ours(other.module) or _is_ours(module)):
            raise ValueError(f"there are two {self.kind}s named {name}, the other in {other.module}")
        origin, sha256 = ("", "") if _is_ours(module) else _origin(module, source)
        self.entries[name] = Registered(name, value, module, origin, sha256)

    def names(self) -> tuple[str, ...]:
        """Plain names that can be given, sorted."""
        self.own()
        return tuple(sorted({*self.entries, *self._packaged()}))

    def find(self, reference: str) -> Registered[T]:
        """What a reference names.

        Raises
        ------
        UserError
            If there is no such name or file, or its code cannot be loaded.
        """
        self.own()
        place = in_file(reference)
        if place is not None:
            return self._in_file(*place)
        if reference not in self.entries and reference in (packaged := self._packaged()):
            self._load_package(packaged[reference])
        if reference not in self.entries:
            raise UserError(self._unknown(reference))
        return self.entries[reference]

    def _in_file(self, path: str, name: str) -> Registered[T]:
        file = _load_file(path)
        found: Registered[T] | None = file.found.get((self.kind, name))
        if found is None:
            there = [other for kind, other in file.found if kind == self.kind]
            hint = did_you_mean(name, there) or f"it has {', '.join(there) or f'no {self.kind}'}"
            raise UserError(f"{self.key}: {path} has no {self.kind} '{name}'; {hint}")
        if name in self.entries and _is_ours(self.entries[name].module):
            raise UserError(f"{self.key}: {name} in {path} has the name of a {self.kind} of hpcmass; give it another")
        return found

    def _packaged(self) -> dict[str, metadata.EntryPoint]:
        return {point.name: point for point in metadata.entry_points(group=self.group)}

    def _load_package(self, point: metadata.EntryPoint) -> None:
        package = f"{point.dist.name} {point.dist.version}" if point.dist else point.module
        with loading(f"the {self.kind} {point.name} of {package}", "correct that package, or remove it"):
            importlib.import_module(point.module)
        if point.name not in self.entries:
            raise UserError(
                f"{package} declares the {self.kind} {point.name}, but its module {point.module} does not register it; "
                "correct that package, or remove it"
            )
        entry = self.entries[point.name]
        self.entries[point.name] = Registered(entry.name, entry.value, entry.module, package, entry.sha256)

    def _unknown(self, name: str) -> str:
        known = self.names()
        if name.endswith(".py"):
            return f"{self.key}: {name} is a file; give a name in it, too, {name}:NAME"
        near = did_you_mean(name, known)
        hint = f" ({near})" if near else ""
        listed = f"{', '.join(known)}, or one" if known else "none; give one"
        in_a_file = f"{self.key.split('.')[-1]}.py:{name}"
        kinds = f"{self.kind.split()[-1]}s"
        return f"{self.key}: there is no {self.kind} '{name}'; known {kinds}: {listed} in a file, {in_a_file}{hint}"


Code = dict[str, dict[str, str]]
"""Name → `from`, where the code is from, and `sha256`, its hash."""


def sources(used: Iterable[Registered[Any]]) -> Code:
    """Name → where its code is from, and the hash of that, for all that is not part of hpcmass."""
    return {each.name: {"from": each.origin, "sha256": each.sha256} for each in used if each.origin}


def changed_sources(ours: Code, theirs: Code) -> list[str]:
    """Names whose code differs; where one side has no source, nothing is known."""

    def of(side: Code, name: str) -> str:
        return side.get(name, {}).get("sha256", "")

    names = [name for name in {**ours, **theirs} if UNKNOWN not in (of(ours, name), of(theirs, name))]
    return [name for name in names if of(ours, name) != of(theirs, name)]


def _load_file(text: str) -> _File:
    """Execute a Python file, once for every state of it."""
    path = Path(os.path.abspath(text))
    try:
        content = path.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        if isinstance(error, FileNotFoundError):
            why = f"there is no such file in {Path.cwd()}" if not os.path.isabs(text) else "there is no such file"
            why = f"{why}; {missing_file(Path(text))}"
        raise UserError(f"cannot read {text}: {why}") from None
    sha256 = hashlib.sha256(content).hexdigest()
    real = os.path.realpath(path)
    if real in _LOADED and _LOADED[real].sha256 == sha256:
        return _LOADED[real]
    name = f"hpcmass_own_{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}_{hashlib.sha256(real.encode()).hexdigest()[:8]}"
    module = types.ModuleType(name)
    module.__file__ = str(path)
    file = _File(text, sha256, name)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # for other files that it imports, also later
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses and pickle look there
    token = _LOADING.set(file)
    try:
        with loading(text, "correct that file"):
            exec(compile(content, str(path), "exec"), module.__dict__)
    except UserError:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise
    finally:
        _LOADING.reset(token)
    _LOADED[real] = file
    return file


@contextmanager
def loading(what: str, then: str) -> Iterator[None]:
    """Turn whatever the loading of code raises into one sentence."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also sys.exit
        raise UserError(f"cannot load {what}, {reason(error)}; {then}") from error


def _registering_module() -> str:
    """Name of the module that called a decorator: the first outside this file and the registries."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename in CALLERS and frame.f_back is not None:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", THIS_SESSION))


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "hpcmass"


def _origin(name: str, source: object) -> tuple[str, str]:
    """Origin and hash of registered code: of its whole module, or of the one function in a script or a notebook."""
    module = sys.modules.get(name)
    try:
        if name in ("__main__", "__mp_main__") or module is None or module.__file__ is None:
            return THIS_SESSION, hashlib.sha256(_source(source).encode()).hexdigest()
        return name, hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()
    except (AttributeError, OSError, TypeError):  # there is no source: it was typed in, or is compiled
        return THIS_SESSION, UNKNOWN


def _source(value: Any) -> str:
    while isinstance(value, partial):
        value = value.func
    value = getattr(value, "py_func", value)  # a function that numba compiles
    code = value if inspect.isroutine(value) else type(value)
    return inspect.getsource(code)
