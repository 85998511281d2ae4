"""The report page of a comparison with every kind of gap, open in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from selenium import webdriver

from browser import find, find_browser, headless
from hpcmass.plots.view import open_sweep_of, open_view
from hpcmass.report import write_report
from hpcmass.store.labelled import comparison_dataset


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory, gappy_comparison: Path, sweep: Path) -> tuple[Path, Path]:
    """A comparison with every kind of gap and its page; at p = 0.2, λ = 0.8 the CFM is early by 4.25 ± 0.5 ms."""
    find_browser()
    path = tmp_path_factory.mktemp("report") / "cmp.h5"
    path.write_bytes(gappy_comparison.read_bytes())
    with h5py.File(path, "r+") as file:
        file["lag"][6, 4, 0], file["lag_se"][6, 4, 0] = -4.25, 0.5
        file["spectrum_lif_se"][...] = 0.1 * file["spectrum_lif"][...]
        file["rho_z"][...] = np.arctanh(file["rho"][...])
        file["rho_se_trials"][...] = 0.1
        file["rho_pvalue"][6, 4, 0], file["rho_qvalue"][6, 4, 0] = 0.003, 0.02
    with open_view(path) as view, open_sweep_of(view, [sweep]) as swept:
        return path, write_report(view, swept, path.with_name("report.html"))


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def chrome(files: tuple[Path, Path], downloads: Path) -> Iterator[webdriver.Chrome]:
    with headless(downloads=downloads) as browser:
        browser.get(files[1].as_uri())
        yield browser
        assert browser.get_log("browser") == []  # after everything below


@pytest.fixture(autouse=True)
def fresh(request: pytest.FixtureRequest) -> None:
    """Each test begins with the same view."""
    if "chrome" in request.fixturenames:
        find(request.getfixturevalue("chrome"), "#reset").click()


@pytest.fixture(scope="module")
def data(files: tuple[Path, Path]) -> xr.Dataset:
    """The comparison, in memory."""
    with comparison_dataset(files[0]) as dataset:
        return dataset.load()
