"""The report page in a real browser: quiet console, values on hover, curves on a click, keys, dark ground."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from hpcmass.config import Experiment
from hpcmass.plots.view import open_view
from hpcmass.report import write_report

pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> tuple[str, str]:
    """Paths of browser and driver; skips the test, with the reason, if one is missing."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        missing = "browser" if browser is None else "chromedriver"
        pytest.skip(f"no {missing} on this machine; on Debian: apt-get install chromium chromium-driver")
    return browser, driver


@contextmanager
def headless(*, dark: bool = False, size: tuple[int, int] = (1500, 1000)) -> Iterator[webdriver.Chrome]:
    """A browser, offline, that records its console."""
    browser, driver = find_browser()
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
                     "--no-first-run", f"--window-size={size[0]},{size[1]}"):  # fmt: skip
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium refuses root a sandbox
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    try:
        chrome.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        chrome.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        yield chrome
    finally:
        chrome.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, gappy_comparison: Path) -> Path:
    """A report with every kind of gap; at p = 0.2, λ = 0.8 the CFM is early by 4.25 ms."""
    find_browser()
    path = tmp_path_factory.mktemp("report") / "cmp.h5"
    path.write_bytes(gappy_comparison.read_bytes())
    with h5py.File(path, "r+") as file:
        file["lag"][6, 4, 0] = -4.25
    with open_view(path) as view:
        return write_report(view, None, path.with_name("report.html"))


@pytest.fixture(scope="module")
def chrome(page: Path) -> Iterator[webdriver.Chrome]:
    with headless() as browser:
        browser.get(page.as_uri())
        yield browser
        assert browser.get_log("browser") == []  # after everything below


@pytest.fixture
def lag_map(chrome) -> WebElement:
    cells = chrome.find_element(By.CSS_SELECTOR, '[data-map="lag-0"]')
    chrome.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", cells)
    return cells


Cell = Callable[[float, float], WebElement]


@pytest.fixture
def cell(lag_map: WebElement, experiment: Experiment) -> Cell:
    """Give `cell(p, lam)`: a cell of the first map of lags, which is in sight."""
    axes = experiment.grid.axes()
    return lambda p, lam: lag_map.find_element(
        By.CSS_SELECTOR, f'[data-i="{axes["lam"].index(lam) * len(axes["p"]) + axes["p"].index(p)}"]'
    )


def text_of(chrome, name: str) -> str:
    return chrome.find_element(By.ID, name).text


def test_a_point_is_shown_from_the_start(chrome):
    assert text_of(chrome, "point-title").startswith("p = ")
    assert len(chrome.find_elements(By.CSS_SELECTOR, "#curves svg")) == 2
    assert len(chrome.find_elements(By.CSS_SELECTOR, "#curves .curve")) == 2 * 3 * 2  # curves and their legend


def test_a_value_is_named_once(chrome):
    """Where a map's title is what it shows, rows and tips do not repeat it."""
    rows = chrome.find_elements(By.CSS_SELECTOR, "#values tr")
    names = [[cell.text for cell in row.find_elements(By.TAG_NAME, "td")[:2]] for row in rows]
    assert ["Spike-contrast", ""] in names
    assert not [name for name in names if name[0] == name[1]]


def test_three_maps_stand_side_by_side(page: Path):
    with headless(size=(1400, 900)) as browser:
        browser.get(page.as_uri())
        for name, count in (("synchrony", 3), ("median_frequency", 3), ("lag", 2)):
            maps = browser.find_elements(By.CSS_SELECTOR, f"#{name} figure")
            assert len(maps) == count
            assert len({m.rect["y"] for m in maps}) == 1


def test_hover_shows_the_value(chrome, cell: Cell, gappy):
    ActionChains(chrome).move_to_element(cell(0.2, 0.8)).perform()
    lines = text_of(chrome, "tip").splitlines()
    assert lines[:2] == ["p = 0.2, λ = 0.8", "CFM: −4.25"]
    assert "lag of the model (ms)" in lines[2]
    assert ("• ρ > 0.9 and significant (α = 0.01)" in lines) == (gappy["rho_agrees"][6, 4, 0] == 1)
    ActionChains(chrome).move_to_element(chrome.find_element(By.CSS_SELECTOR, "#lag h3")).perform()
    assert not chrome.find_element(By.ID, "tip").is_displayed()


def test_a_gap_shows_its_reason(chrome, cell: Cell):
    ActionChains(chrome).move_to_element(cell(1, 0.5)).perform()
    assert "CFM: not computed yet" in text_of(chrome, "tip")


def test_a_click_shows_the_point(chrome, cell: Cell):
    cell(0.6, 0.9).click()
    assert text_of(chrome, "point-title") == "p = 0.6, λ = 0.9"
    before = chrome.find_element(By.CSS_SELECTOR, "#curves .curve").get_attribute("d")
    cell(0.2, 0.8).click()
    assert text_of(chrome, "point-title") == "p = 0.2, λ = 0.8"
    assert chrome.find_element(By.CSS_SELECTOR, "#curves .curve").get_attribute("d") != before
    rows = [row.text for row in chrome.find_elements(By.CSS_SELECTOR, "#values tr")]
    assert any("lag of the model" in row and "−4.25" in row for row in rows)
    cursors = chrome.find_elements(By.CSS_SELECTOR, ".cursor")
    assert {c.get_attribute("visibility") for c in cursors} == {"visible"}
    here = cell(0.2, 0.8)
    for side in ("x", "y"):  # the same cell in every map
        assert {c.get_attribute(side) for c in cursors} == {here.get_attribute(side)}


def test_a_click_where_nothing_was_compared(chrome, cell: Cell):
    cell(1, 0.5).click()
    assert text_of(chrome, "point-title") == "p = 1, λ = 0.5"
    assert "not computed yet" in text_of(chrome, "values")


def test_the_keyboard_does_all_that_a_pointer_does(chrome, cell: Cell):
    cell(0.2, 0.8).click()
    ActionChains(chrome).send_keys(Keys.TAB).perform()
    assert chrome.execute_script("return document.activeElement.dataset.map") == "lag-1"
    ActionChains(chrome).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_UP).perform()
    assert text_of(chrome, "tip").startswith("p = 0.3, λ = 0.85\nMFM: ")
    spoken = chrome.execute_script("return document.getElementById('spoken').textContent")
    assert spoken.startswith("p = 0.3, λ = 0.85; MFM: ")
    ActionChains(chrome).send_keys(Keys.HOME, Keys.ARROW_LEFT, Keys.ENTER).perform()  # not beyond the edge
    assert text_of(chrome, "point-title") == "p = 0, λ = 0.85"
    ActionChains(chrome).send_keys(Keys.ESCAPE).perform()
    assert not chrome.find_element(By.ID, "tip").is_displayed()


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark(page: Path, dark: bool):
    """The background follows the reader's colour scheme, text stands out, and on a narrow screen nothing sticks out."""
    with headless(dark=dark, size=(500, 900)) as browser:
        browser.get(page.as_uri())
        image = np.asarray(Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("L"), dtype=float)
        ground = np.median(image)
        assert (ground < 60) if dark else (ground > 200)
        assert np.ptp(image) > 150
        widths = browser.execute_script(
            "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert widths[0] <= widths[1]
        assert browser.get_log("browser") == []


def test_the_test_would_see_an_error(page: Path, tmp_path: Path):
    """The console check can fail."""
    broken = tmp_path / "broken.html"
    broken.write_text(page.read_text().replace("const rows =", "nowhere.at.all(); const rows ="))
    reaching = tmp_path / "reaching.html"
    reaching.write_text(page.read_text().replace("<header>", '<header><img src="https://example.org/x.png">'))
    for path, message in ((broken, "nowhere is not defined"), (reaching, "Content Security Policy")):
        with headless() as browser:
            browser.get(path.as_uri())
            assert any(message in entry["message"] for entry in browser.get_log("browser"))
