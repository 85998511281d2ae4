"""Parameters of a test of which `make test` takes some, and `make test-slow` the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def slow_except(cases: Iterable[str], *quick: str) -> list[Any]:
    """All cases, in their order; those that are not named `quick` are marked as slow."""
    return [pytest.param(case, marks=() if case in quick else pytest.mark.slow) for case in cases]
