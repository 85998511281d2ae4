"""What the page saves is what the file holds; a link opens the same view."""

from __future__ import annotations

import csv
import io
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from browser import cell, choose, find, headless, keys

pytestmark = pytest.mark.browser

P, LAM = 0.2, 0.8
"""A point: index 6 of p, 4 of λ."""


def downloaded(downloads: Path, name: str) -> Path:
    """Wait for a file."""
    path = downloads / name
    for _ in range(200):
        if path.exists() and path.stat().st_size and not list(downloads.glob("*.crdownload")):
            return path
        time.sleep(0.05)
    raise AssertionError(f"{name} is not there, but {[p.name for p in downloads.iterdir()]}")


def test_csv_is_the_file_s(chrome, downloads, data, experiment):
    choose(chrome, "rho")
    find(chrome, "#save-csv").click()
    rows = list(csv.DictReader(io.StringIO(downloaded(downloads, "cmp-rho.csv").read_text())))
    assert len(rows) == 2 * 108
    for row in rows:
        place = {"p": float(row["p"]), "lam": float(row["lam"])}
        for name, column in (("rho", "rho"), ("rho_se_trials", "rho_se_trials"), ("rho_pvalue", "rho_pvalue")):
            stored = float(data[name].sel(**place, model=row["source"]))
            assert (row[column] == "") if np.isnan(stored) else (float(row[column]) == stored)
        assert (row["note"] == "") == np.isfinite(float(data["rho"].sel(**place, model=row["source"])))
    cell(chrome, experiment, P, LAM).click()
    find(chrome, "#save-curves").click()
    curves = list(csv.DictReader(io.StringIO(downloaded(downloads, "cmp-rho-curves.csv").read_text())))
    network = [float(r["value"]) for r in curves if r["quantity"] == "network"]
    stored = data["example_v_lif"].sel(p=P, lam=LAM).values.reshape(1000, 5).mean(axis=1)
    np.testing.assert_allclose(network, stored, atol=1e-3)
    spectrum = [float(r["value"]) for r in curves if r["quantity"] == "spectrum of MFM"]
    np.testing.assert_allclose(spectrum, data["spectrum"].sel(p=P, lam=LAM, model="MFM"), rtol=1e-3)


def test_the_view_as_svg_and_png(chrome, downloads, experiment):
    choose(chrome, "lag")
    cell(chrome, experiment, P, LAM).click()
    find(chrome, "#save-svg").click()
    root = ElementTree.parse(downloaded(downloads, "cmp-lag.svg")).getroot()
    space = "{http://www.w3.org/2000/svg}"
    texts = ["".join(t.itertext()) for t in root.iter(f"{space}text")]
    assert {
        "CFM: lag (ms)",
        "connection probability p",
        "potential (mV)",
        "p = 0.2, λ = 0.8",
        "model diverged in every trial",
    } <= set(texts)
    assert len(list(root.iter(f"{space}svg"))) > 1 + 2 + 2 + 4  # and those of the legends
    keys(chrome, "#save-png", Keys.ENTER)
    image = Image.open(downloaded(downloads, "cmp-lag.png"))
    assert image.size == (2 * int(root.attrib["width"]), 2 * int(root.attrib["height"]))
    assert len(image.convert("RGB").getcolors(1_000_000)) > 100
    find(chrome, "#save-config").click()
    assert "trials: 2" in downloaded(downloads, "sweep.yml").read_text()


STATE = """const shown = ['#maps', '.slices', '#pins', '#chart-potentials', '#chart-spectra', '#chart-correlation'];
return [location.hash, ...shown.map(
    (selector) => document.querySelector(selector).innerHTML), document.querySelector('#statistic').value]"""


def test_a_link_opens_the_same_view(chrome, experiment, files):
    choose(chrome, "mean_error")
    cell(chrome, experiment, 0.6, 0.9).click()
    find(chrome, "#pin").click()
    cell(chrome, experiment, P, LAM).click()
    find(chrome, 'input[value="sd"]').click()
    keys(chrome, "#chart-potentials", "+")
    find(chrome, '#sources input[value="CFM"]').click()
    find(chrome, "#low").send_keys("-3", Keys.TAB)
    find(chrome, '#curve-toggles [data-curve="phi_I"]').click()
    ActionChains(chrome).move_to_element(find(chrome, "h1")).perform()
    there = chrome.execute_script(STATE)
    with headless() as other:
        other.get(files[1].as_uri() + there[0])
        assert other.execute_script(STATE) == there
        other.execute_script("location.hash = '#show=nothing&at=9,9,9&time=5,1&pins=x&minus=a|b&low=x&trial=-3'")
        assert other.execute_script("return document.documentElement.dataset.ready") == "yes"
        find(other, "#reset").click()
        assert other.get_log("browser") == []
