"""A real browser, headless and offline, for the tests of the report page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from hpcmass.config import Experiment

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDE, NARROW = (1440, 900), (390, 844)


def find_browser() -> tuple[str, str]:
    """Paths of browser and driver; skips the test, with the reason, if one is missing."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        missing = "browser" if browser is None else "chromedriver"
        pytest.skip(f"no {missing} on this machine; on Debian: apt-get install chromium chromium-driver")
    return browser, driver


@contextmanager
def headless(
    *, dark: bool = False, size: tuple[int, int] = WIDE, downloads: Path | None = None, offline: bool = True
) -> Iterator[webdriver.Chrome]:
    """A browser of this size, offline unless a page is served, that records its console; a narrow one is a phone."""
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
        if offline:
            nothing = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
            chrome.execute_cdp_cmd("Network.emulateNetworkConditions", nothing)
        screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        if downloads is not None:
            to = {"behavior": "allow", "downloadPath": str(downloads)}
            chrome.execute_cdp_cmd("Browser.setDownloadBehavior", to)
        yield chrome
    finally:
        chrome.quit()


def bring(chrome: webdriver.Chrome, element: WebElement) -> WebElement:
    """Scroll an element to the middle of the window."""
    chrome.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    return element


def find(chrome: webdriver.Chrome, selector: str) -> WebElement:
    """The element, in the middle of the window."""
    return bring(chrome, chrome.find_element(By.CSS_SELECTOR, selector))


def count(chrome: webdriver.Chrome, selector: str) -> int:
    return len(chrome.find_elements(By.CSS_SELECTOR, selector))


def text_of(chrome: webdriver.Chrome, selector: str) -> str:
    return str(chrome.execute_script("return document.querySelector(arguments[0]).textContent", selector))


def wait_for_text(chrome: webdriver.Chrome, selector: str, text: str) -> None:
    """Wait until the element has this text, for what the browser does at a time of its own, as copying."""
    WebDriverWait(chrome, 30, 0.05).until(
        lambda _: text_of(chrome, selector) == text, f"{selector} does not become {text!r}"
    )


def cell(chrome: webdriver.Chrome, experiment: Experiment, p: float, lam: float, which: str = "CFM") -> WebElement:
    axes = experiment.grid.axes()
    i = axes["lam"].index(lam) * len(axes["p"]) + axes["p"].index(p)
    return find(chrome, f'[data-map="{which}"] [data-i="{i}"]')


def choose(chrome: webdriver.Chrome, statistic: str) -> None:
    Select(find(chrome, "#statistic")).select_by_value(statistic)


def keys(chrome: webdriver.Chrome, selector: str, *pressed: str) -> None:
    """Focus an element and press keys."""
    chrome.execute_script("arguments[0].focus()", find(chrome, selector))
    ActionChains(chrome).send_keys(*pressed).perform()


def line(chrome: webdriver.Chrome, which: str, source: str) -> np.ndarray:
    """Values that the plot of the row or the column shows."""
    curve = chrome.find_element(By.CSS_SELECTOR, f'#chart-{which} [data-curve="{source}"]')
    return np.array([float(v) for v in str(curve.get_attribute("data-y")).split()])


def address(chrome: webdriver.Chrome) -> str:
    return str(chrome.execute_script("return location.hash"))


def curves_of(chrome: webdriver.Chrome, chart: str) -> list[str | None]:
    """Names of a chart's curves."""
    return [
        c.get_attribute("data-curve") for c in chrome.find_elements(By.CSS_SELECTOR, f"#chart-{chart} g[data-curve]")
    ]


def time_range(chrome: webdriver.Chrome) -> tuple[float, float]:
    """The time shown, from the address."""
    text = chrome.execute_script("return new URLSearchParams(location.hash.slice(1)).get('time')")
    low, high = (float(v) for v in text.split(","))
    return low, high
