"""Compiled kernels are kept in a private directory that changes with their source."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpcmass import kernel_cache


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(kernel_cache.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path / f"hpcmass-{os.getuid()}"


def test_the_directory_is_private_and_named_after_the_source(temporary: Path) -> None:
    directory = kernel_cache.cache_directory()
    assert directory == temporary / kernel_cache.source_key()
    assert temporary.stat().st_mode & 0o077 == 0


def test_a_directory_that_others_may_write_to_is_not_used(temporary: Path) -> None:
    temporary.mkdir()
    temporary.chmod(0o777)
    assert kernel_cache.cache_directory() is None


def test_the_users_choice_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    assert kernel_cache.cache_directory() == tmp_path / "chosen" / kernel_cache.source_key()


def test_a_place_that_cannot_be_made_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert kernel_cache.cache_directory() is None


def test_a_change_of_any_kernel_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "hpcmass"
    (package / "network").mkdir(parents=True)
    (package / "network" / "simd.py").write_text("a = 1")
    monkeypatch.setattr(kernel_cache, "__file__", str(package / "kernel_cache.py"))
    before = kernel_cache.source_key()
    (package / "network" / "simd.py").write_text("a = 2")
    assert kernel_cache.source_key() != before
