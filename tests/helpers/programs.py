"""Programs outside any package, loaded as modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def load(path: str, name: str | None = None) -> ModuleType:
    """Execute a file of the repository as a module.

    Parameters
    ----------
    path : str
        Relative to the repository's root.
    name : str, optional
        The module's name; the file's by default. It stays in `sys.modules`, where dataclasses need it.
    """
    spec = importlib.util.spec_from_file_location(name or Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
