"""Phones, dark screens, grids of any shape and size."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from browser import NARROW, cell, count, find, headless, keys, line, text_of
from hpcmass.plots.view import open_view
from hpcmass.report import write_report
from hpcmass.store.labelled import comparison_dataset

pytestmark = pytest.mark.browser

TOP = "return document.getElementById('point').getBoundingClientRect().top"


def test_a_phone_has_one_column_and_a_tap_scrolls_to_the_point(files, experiment):
    with headless(size=NARROW) as phone:
        phone.get(files[1].as_uri())
        assert not sideways(phone)
        shown = [m for m in phone.find_elements(By.CSS_SELECTOR, ".map-box") if m.is_displayed()]
        assert [m.get_attribute("data-map") for m in shown] == ["CFM"]
        order = [phone.find_element(By.CSS_SELECTOR, s).rect for s in (".controls", "#maps", "#point", ".slices")]
        assert [r["y"] for r in order] == sorted(r["y"] for r in order)
        find(phone, "#map-tabs button:nth-child(2)").click()
        cell(phone, experiment, 0.6, 0.9, "MFM").click()
        WebDriverWait(phone, 30).until(lambda _: phone.execute_script(TOP) < 200)  # it scrolls smoothly
        assert text_of(phone, "#point-title") == "p = 0.6, λ = 0.9"
        assert phone.get_log("browser") == []


def sideways(browser: webdriver.Chrome) -> int:
    """By how much the page is wider than the window; a phone's `innerWidth` would grow with the page."""
    root = "document.documentElement"
    return int(browser.execute_script(f"return {root}.scrollWidth - {root}.clientWidth"))


def test_a_wide_map_and_a_slider_fit_a_phone(small_comparison: Callable[..., Path], tmp_path: Path):
    path = small_comparison(np.linspace(0, 1, 40).round(4).tolist(), [0.5, 0.8, 1], "w_I: [0.001, 0.0023, 0.004]")
    with open_view(path) as view, headless(size=NARROW) as phone:
        phone.get(write_report(view, None, tmp_path / "report.html").as_uri())
        assert find(phone, '#sliders input[data-axis="w_I"]').is_displayed()
        assert phone.find_element(By.CSS_SELECTOR, ".map-box").is_displayed()
        assert sideways(phone) == 0


def test_lines_run_across_points_that_are_not_requested(small_comparison: Callable[..., Path], tmp_path: Path):
    path = small_comparison([0, 0.1, 0.2, 0.4], [0.5, 0.8])
    with h5py.File(path, "r+") as file:
        file.attrs["config_yaml"] = (
            f"{file.attrs['config_yaml']}\npoints: [[0, 0.5], [0.2, 0.5], [0.4, 0.5], [0, 0.8]]\n"
        )
        file["n_compared"][1], file["rho"][1] = 0, np.nan
        expected = file["rho"][[0, 2, 3], 0, 0]
    with open_view(path) as view, headless() as browser:
        browser.get(write_report(view, None, tmp_path / "report.html").as_uri() + "#show=rho&at=0.2,0.5")
        np.testing.assert_array_equal(line(browser, "row", "CFM"), expected)
        drawn = browser.find_element(By.CSS_SELECTOR, '#chart-row [data-curve="CFM"] .curve').get_attribute("d")
        assert (drawn.count("M"), drawn.count("L")) == (1, 2)


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark(files, dark: bool):
    with headless(dark=dark) as browser:
        browser.get(files[1].as_uri())
        for place in ("#answer", "#explorer", "#point"):
            find(browser, place)
            image = np.asarray(Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("L"), dtype=float)
            assert (np.median(image) < 60) if dark else (np.median(image) > 200)
            assert np.ptp(image) > 150
        assert browser.get_log("browser") == []


def test_the_test_would_see_an_error(files, tmp_path: Path):
    """The console check can fail."""
    text = files[1].read_text()
    broken, reaching = tmp_path / "broken.html", tmp_path / "reaching.html"
    broken.write_text(text.replace("setUpControls();\nsetUpPoint", "nowhere.at.all(); setUpPoint"))
    reaching.write_text(text.replace("<header>", '<header><img src="https://example.org/x.png">'))
    for path, message in ((broken, "nowhere is not defined"), (reaching, "Content Security Policy")):
        with headless() as browser:
            browser.get(path.as_uri())
            assert any(message in entry["message"] for entry in browser.get_log("browser"))


OVERLAPS = """const drawn = [...document.querySelectorAll('svg.map, svg.chart')];
return drawn.filter((svg) => svg.getBoundingClientRect().width).map((svg) => {
  const boxes = [...svg.querySelectorAll('text')].map((t) => t.getBoundingClientRect());
  return boxes.some((a, i) => boxes.some((b, k) => k > i && a.left < b.right - 1 && b.left < a.right - 1
    && a.top < b.bottom - 2 && b.top < a.bottom - 2));
})"""


@pytest.mark.parametrize(
    ("p", "lam", "further"),
    [
        ([0.1, 0.5, 1], [0.5, 0.6, 0.8, 1], ""),
        (np.linspace(0, 1, 40).round(4).tolist(), [0.5, 0.8, 1], ""),
        ([0.5, 0.8, 1], np.linspace(0, 1, 40).round(4).tolist(), ""),
        (np.linspace(0, 1, 15).round(4).tolist(), [0.8], ""),
        ([0, 0.1, 0.2, 0.4], [0.5, 0.7, 0.8], "w_I: [0.001, 0.0023, 0.004]"),
    ],
)
def test_shapes(p, lam, further, small_comparison: Callable[..., Path], tmp_path: Path):
    """Labels do not collide, cells can be hit, one row is a line, a third axis is a slider."""
    path = small_comparison(p, lam, further)
    with open_view(path) as view, comparison_dataset(path) as data, headless() as browser:
        browser.get(write_report(view, None, tmp_path / "report.html").as_uri())
        assert not any(browser.execute_script(OVERLAPS))
        cells = browser.find_elements(By.CSS_SELECTOR, '[data-map="CFM"] .cells rect')
        assert len(cells) == (len(p) * len(lam) if min(len(p), len(lam)) > 1 else 0)
        for size, least in (("width", 10), ("height", 13)):
            assert all(c.rect[size] >= least for c in cells[:1])
        if not cells:
            np.testing.assert_array_equal(line(browser, "row", "CFM"), data["rho"].sel(lam=lam[0], model="CFM"))
            assert count(browser, "#chart-column svg") == 0
        if further:
            keys(browser, '#sliders input[data-axis="w_I"]', Keys.ARROW_RIGHT)
            here = data["rho"].isel(w_I=1).sel(model="CFM")
            at = browser.execute_script("return new URLSearchParams(location.hash.slice(1)).get('at')").split(",")
            np.testing.assert_array_equal(line(browser, "row", "CFM"), here.sel(lam=float(at[1])))
            Select(find(browser, "#axis-up")).select_by_value("w_I")
            assert len(browser.find_elements(By.CSS_SELECTOR, '[data-map="CFM"] .cells rect')) == 12
            assert "--at w_I=0.0023" in text_of(browser, "#command-trial")
        assert browser.get_log("browser") == []


def test_one_point_shows_its_numbers_and_curves(small_comparison: Callable[..., Path], tmp_path: Path):
    with open_view(small_comparison([0.3], [0.8])) as view, headless() as browser:
        browser.get(write_report(view, None, tmp_path / "report.html").as_uri())
        values, curves = find(browser, "#values table"), find(browser, "#chart-potentials svg")
        assert "correlation ρ" in values.text
        assert values.rect["y"] < curves.rect["y"]
        assert "This plane is a line" not in find(browser, "#explorer").text
        for hidden in ("#statistic", "#maps", "#chart-row", "#save-csv", "#pin"):
            assert not browser.find_element(By.CSS_SELECTOR, hidden).is_displayed()
        assert find(browser, "#save-png").is_displayed()
        assert browser.get_log("browser") == []


@pytest.mark.long
def test_a_large_page_opens_quickly(tmp_path: Path, large_comparison: Callable[[Path], Path]):
    """24 x 21 points of 6 models; on an idle machine everything is drawn in less than 2 s."""
    path = large_comparison(tmp_path / "large.h5")
    with open_view(path) as view:
        page = write_report(view, None, tmp_path / "report.html")
    assert page.stat().st_size < 25e6
    with headless() as browser:
        browser.get(page.as_uri())
        took = browser.execute_script(
            "const t = performance.timing; return t.domContentLoadedEventEnd - t.navigationStart"
        )
        print(f"{page.stat().st_size / 1e6:.1f} MB, interactive after {took} ms")
        assert browser.execute_script("return document.documentElement.dataset.ready") == "yes"
        assert took < 20_000  # a time limit only ends what hangs
        assert browser.get_log("browser") == []
