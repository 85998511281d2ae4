"""The files for conda list the requirements of pyproject.toml; no test solves or installs them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import hpcmass

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "jobs" / "environments"
RECIPE = FILES / "conda-recipe" / "recipe.yaml"

CONDA_NAMES = {"matplotlib": "matplotlib-base"}
"""Packages that conda-forge calls differently."""


def versions(requirements: list[str]) -> dict[str, str]:
    """Name → version of `name`, `name >=1` or `name >=1 build`."""
    found = (re.fullmatch(r"(\$\{\{.*?\}\}|[\w-]+)\s*(>=[\w.<>=,]+)?(\s.*)?", each) for each in requirements)
    return {match[1]: match[2] or "" for match in found if match}


@pytest.fixture
def wanted() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {CONDA_NAMES.get(name, name): version for name, version in versions(project["dependencies"]).items()}


@pytest.fixture
def recipe() -> Any:
    return yaml.safe_load(RECIPE.read_text())


def test_the_recipe_requires_what_the_package_requires(recipe: Any, wanted: dict[str, str]) -> None:
    have = versions(recipe["requirements"]["run"])
    assert wanted.items() <= have.items()
    assert set(have) - set(wanted) == {"python", "${{ mpi }}"}


def test_the_environment_requires_what_the_package_requires(wanted: dict[str, str]) -> None:
    have = versions(yaml.safe_load((FILES / "conda.yaml").read_text())["dependencies"])
    assert wanted.items() <= have.items()
    assert set(have) - set(wanted) == {"python", "openmpi", "pip"}


def test_the_recipe_takes_an_h5py_of_the_same_mpi_library(recipe: Any) -> None:
    assert "h5py >=3.11 mpi_${{ mpi }}_*" in recipe["requirements"]["run"]
    variants = yaml.safe_load((RECIPE.parent / "variants.yaml").read_text())
    assert variants == {"mpi": ["openmpi", "mpich"]}


def test_the_recipe_names_this_version_and_entry_point(recipe: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert recipe["context"]["version"] == hpcmass.__version__
    assert recipe["build"]["python"]["entry_points"] == [f"hpcmass = {project['scripts']['hpcmass']}"]
    assert recipe["about"]["summary"] == project["description"]
    source = (RECIPE.parent / recipe["source"]["path"]).resolve()
    assert all((source / each.removesuffix("/**")).exists() for each in recipe["source"]["filter"]["include"])
