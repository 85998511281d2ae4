"""The page of a real quickstart, with shorter trials, opened as a file on two screens.

Every control is used by mouse and by keyboard, and each use must change something.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from browser import NARROW, WIDE, address, cell, choose, count, curves_of, find, find_browser, headless, keys, line
from hpcmass.cli import main
from hpcmass.config import Experiment
from hpcmass.config.file import load_experiment
from hpcmass.store.labelled import comparison_dataset
from programs import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CONFIG = ROOT / "configs" / "quickstart.yml"
SETTINGS = ("network.duration_ms=1200", "network.transient_ms=400")
P, LAM = 0.2, 0.8
VIEW = (
    "#show=rho&of=CFM|MFM&minus=MFM|CFM&at=0.2,0.8&pins=0.4,0.9|0.05,0.6&low=0.1&high=0.9&time=600,800"
    "&frequency=10,100&lag=-20,20&hidden=phi_I"
)
"""Something is pinned, limited, zoomed and hidden, so that undoing it changes something."""
CONTROLS = """return [...document.querySelectorAll(
  ['select', 'input', 'button', 'summary'].map((tag) => `#explorer ${tag}`).join())]
  .filter((control) => control.offsetParent && !control.disabled && control.ariaPressed !== 'true')"""
SEEN = """const text = [location.hash, document.querySelector('#spoken').textContent,
  ...[...document.querySelectorAll('details')].map((d) => d.open),
  ...[...document.querySelectorAll('#explorer select, #explorer input')].map((i) => i.value + i.checked),
  document.querySelector('#maps').innerHTML, document.querySelector('.slices').innerHTML,
  document.querySelector('#point').innerHTML].join('\\n');
let hash = 7;
for (let k = 0; k < text.length; k++) hash = (31 * hash + text.charCodeAt(k)) | 0;
return `${text.length} ${hash}`"""


@pytest.fixture(scope="module")
def quickstart(shared) -> Path:
    """The folder of `hpcmass go`: comparison and page."""
    find_browser()

    def make(directory: Path) -> None:
        settings = [word for each in SETTINGS for word in ("--set", each)]
        assert main(["go", str(CONFIG), "-o", str(directory), "-j", "2", *settings]) == 0

    return shared("quickstart", make)


@pytest.fixture(scope="module")
def page(quickstart: Path) -> str:
    path = quickstart / "quickstart-maps" / "report.html"
    assert path.stat().st_size < 6e6
    return path.as_uri()


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return load_experiment(CONFIG)


@pytest.fixture(scope="module")
def data(quickstart: Path) -> xr.Dataset:
    with comparison_dataset(quickstart / "quickstart-cmp.h5") as dataset:
        return dataset.load()


@pytest.fixture(params=[WIDE, NARROW], ids=["desktop", "phone"])
def chrome(request: pytest.FixtureRequest, page: str, tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """The page in a browser of its own; its console stays empty."""
    with headless(size=request.param, downloads=tmp_path) as browser:
        browser.get(page)
        yield browser
        assert browser.get_log("browser") == []


def test_every_control_by_mouse_and_by_keyboard(chrome, tmp_path: Path):
    def again() -> list[WebElement]:
        """The same view, and what can be used in it."""
        chrome.execute_script("location.hash = '#none'; location.hash = arguments[0]", VIEW)
        chrome.execute_script("document.querySelectorAll('#explorer details').forEach((d) => { d.open = true })")
        chrome.execute_script("document.querySelector('#spoken').textContent = ''")
        return list(chrome.execute_script(CONTROLS))

    def seen() -> str:
        files = sorted(f"{path.name} {path.stat().st_mtime_ns}" for path in tmp_path.glob("quickstart*"))
        return "\n".join([*files, str(chrome.execute_script(SEEN))])

    def name(control: WebElement) -> str:
        text = "arguments[0].outerHTML.slice(0, 90) + arguments[0].textContent.slice(0, 30)"
        return str(chrome.execute_script(f"return {text}", control))

    idle, used = [], 0
    for use in (by_mouse, by_keyboard):
        for k in range(len(again())):
            control = again()[k]
            what, before = name(control), seen()
            use(chrome, control)
            try:
                WebDriverWait(chrome, 30, 0.05).until(lambda _, before=before: seen() != before)
            except Exception:  # named below
                idle.append(f"{use.__name__}: {what}")
            used += 1
    assert idle == []
    assert used > 2 * 50
    kinds = {path.suffix for path in tmp_path.iterdir()}
    assert {".png", ".svg", ".csv", ".yml"} <= kinds


def by_mouse(chrome: webdriver.Chrome, control: WebElement) -> None:
    chrome.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", control)
    if control.tag_name == "select":
        others = [o for o in Select(control).options if o.is_enabled() and not o.is_selected()]
        Select(control).select_by_value(str(others[0].get_attribute("value")))
    elif control.get_attribute("type") == "number":
        ActionChains(chrome).double_click(control).send_keys("0.3").perform()
        find(chrome, "h1").click()
    elif control.get_attribute("type") == "radio" and control.is_selected():
        find(chrome, 'input[value="sd"]').click()
    else:
        control.click()


def by_keyboard(chrome: webdriver.Chrome, control: WebElement) -> None:
    chrome.execute_script("arguments[0].focus(); arguments[0].select && arguments[0].select()", control)
    kind = control.get_attribute("type")
    if control.tag_name == "select":
        first = not Select(control).options[-1].is_selected()
        pressed = [Keys.ARROW_DOWN if first else Keys.ARROW_UP]
    elif kind == "number":
        pressed = ["0.3", Keys.TAB]
    elif kind == "radio":
        pressed = [Keys.ARROW_RIGHT if control.is_selected() else Keys.SPACE]
    else:
        pressed = [Keys.SPACE if kind == "checkbox" else Keys.ENTER]
    ActionChains(chrome).send_keys(*pressed).perform()


def test_numbers_are_the_file_s(chrome, data, experiment, tmp_path: Path):
    """Row and column of a cell, and the table of a map."""
    which = "MFM" if find(chrome, '[data-map="MFM"]').is_displayed() else "CFM"
    for statistic in ("rho", "lag", "mean_error", "spectral_distance"):
        choose(chrome, statistic)
        cell(chrome, experiment, P, LAM, which).click()
        for model in ("CFM", "MFM"):
            values = data[statistic].sel(model=model)
            np.testing.assert_array_equal(line(chrome, "row", model), values.sel(lam=LAM))
            np.testing.assert_array_equal(line(chrome, "column", model), values.sel(p=P))
        find(chrome, "#save-csv").click()
        table = tmp_path / f"quickstart-cmp-{statistic}.csv"
        WebDriverWait(chrome, 20).until(lambda _, table=table: table.exists() and table.stat().st_size)
        rows = list(csv.DictReader(io.StringIO(table.read_text())))
        assert len(rows) == 2 * 108
        for row in rows:
            place = {"p": float(row["p"]), "lam": float(row["lam"]), "model": row["source"]}
            stored = float(data[statistic].sel(place))
            assert (row[statistic] == "") if np.isnan(stored) else (float(row[statistic]) == stored)


def test_a_point_its_trials_and_a_pinned_one(chrome, experiment):
    which = "MFM" if find(chrome, '[data-map="MFM"]').is_displayed() else "CFM"
    cell(chrome, experiment, 0.4, 0.9, which).click()
    keys(chrome, "#pin", Keys.ENTER)
    cell(chrome, experiment, P, LAM, which).click()
    assert len(curves_of(chrome, "potentials")) == 2 * 3
    assert count(chrome, f'[data-map="{which}"] .pin') == 1
    find(chrome, "#pins button:last-child").click()
    path = '#chart-potentials [data-curve="MFM"] path'
    before = find(chrome, path).get_attribute("d")
    Select(find(chrome, "#trial")).select_by_value("1")
    assert curves_of(chrome, "potentials") == ["network", "CFM", "MFM"]
    assert find(chrome, path).get_attribute("d") != before
    assert curves_of(chrome, "correlation") == ["CFM", "MFM"]


def test_a_link_opens_the_same_view_in_a_fresh_browser(chrome, page: str):
    chrome.execute_script("location.hash = arguments[0]", VIEW)
    keys(chrome, "#chart-potentials", "+")
    link = address(chrome)
    assert "time=650" in link
    shown = "return ['#maps', '.slices', '#pins', '.panels'].map((s) => document.querySelector(s).innerHTML)"
    width = chrome.execute_script("return innerWidth")
    with headless(size=WIDE if width > NARROW[0] else NARROW) as fresh:
        fresh.get(page + link)
        assert fresh.execute_script(shown) == chrome.execute_script(shown)
        assert fresh.get_log("browser") == []
