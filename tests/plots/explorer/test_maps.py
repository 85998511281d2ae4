"""The answer, the maps and the plots of rows and columns: every control by mouse and by keyboard."""

from __future__ import annotations

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from browser import address, cell, choose, count, find, keys, line, text_of

pytestmark = pytest.mark.browser

MINUS = "\N{MINUS SIGN}"
P, LAM = 0.2, 0.8
"""A point: index 6 of p, 4 of λ."""


def test_the_answer_comes_first(chrome):
    tops = [
        chrome.find_element(By.CSS_SELECTOR, f"#{name}").rect["y"]
        for name in ("answer", "explorer", "point", "regions")
    ]
    assert tops == sorted(tops)
    assert "follows at" in text_of(chrome, "#answer")
    assert count(chrome, "#claims li") == 7
    find(chrome, "#claims li summary").click()
    assert "Criterion:" in find(chrome, "#claims li p").text


def test_hover_shows_value_error_tests_and_trials(chrome, experiment, data):
    choose(chrome, "lag")
    ActionChains(chrome).move_to_element(cell(chrome, experiment, P, LAM)).perform()
    lines = text_of(chrome, "#tip").splitlines()
    assert lines[:3] == ["p = 0.2, λ = 0.8", f"CFM: {MINUS}4.25 ± 0.50 ms", "2 of 2 trials compared"]
    choose(chrome, "rho")
    ActionChains(chrome).move_to_element(cell(chrome, experiment, P, LAM)).perform()
    lines = text_of(chrome, "#tip").splitlines()
    rho = float(data["rho"].sel(p=P, lam=LAM, model="CFM"))
    assert lines[1] == f"CFM: {rho:.4g} (z {np.arctanh(rho):.2f} ± 0.10)"
    assert lines[2:4] == ["p-value 0.003", "q-value 0.02"]
    assert any(entry.startswith("• synchronised") for entry in lines)
    ActionChains(chrome).move_to_element(find(chrome, "h1")).perform()
    assert not chrome.find_element(By.ID, "tip").is_displayed()


def test_gaps_have_their_reasons(chrome, experiment):
    for p, lam, which, reason in (
        (1, 0.5, "CFM", "not computed yet"),
        (0.8, 0.6, "CFM", "network run failed"),
        (0.6, 0.85, "MFM", "model diverged in every trial"),
    ):
        ActionChains(chrome).move_to_element(cell(chrome, experiment, p, lam, which)).perform()
        assert f"{which}: {reason}" in text_of(chrome, "#tip")
    choose(chrome, "spike_contrast")
    ActionChains(chrome).move_to_element(cell(chrome, experiment, 0, 0.6, "network")).perform()
    assert "network: network silent" in text_of(chrome, "#tip")
    choose(chrome, "rate_I")
    ActionChains(chrome).move_to_element(cell(chrome, experiment, 0.2, 1, "network")).perform()
    assert "no neurons of this kind" in text_of(chrome, "#tip")


def test_row_and_column_are_the_file_s(chrome, experiment, data):
    """Of the point chosen, and of the cell under the pointer; all sources, with error bars."""
    choose(chrome, "median_frequency")
    cell(chrome, experiment, P, LAM, "CFM").click()
    for source, values in (
        ("network", data["median_frequency_lif"]),
        ("MFM", data["median_frequency"].sel(model="MFM")),
    ):
        np.testing.assert_array_equal(line(chrome, "row", source), values.sel(lam=LAM))
        np.testing.assert_array_equal(line(chrome, "column", source), values.sel(p=P))
    choose(chrome, "rho")
    ActionChains(chrome).move_to_element(cell(chrome, experiment, 0.05, 0.6)).perform()
    assert text_of(chrome, "#slice-row h3") == "along p, at λ = 0.6"
    np.testing.assert_array_equal(line(chrome, "column", "CFM"), data["rho"].sel(p=0.05, model="CFM"))
    assert count(chrome, '#chart-row [data-curve="CFM"] path') == 2  # the line, the bars
    ActionChains(chrome).move_to_element(find(chrome, "h1")).perform()
    assert text_of(chrome, "#slice-row h3") == "along p, at λ = 0.8"


def test_statistics_sources_and_differences(chrome, data):
    keys(chrome, "#statistic", Keys.ARROW_DOWN)
    assert "show=lag" in address(chrome)
    groups = [g.get_attribute("label") for g in chrome.find_elements(By.CSS_SELECTOR, "#statistic optgroup")]
    assert groups[:5] == ["Correlation and lag", "Spectra", "Mean and variance", "Frequencies", "Network"]
    assert len(Select(find(chrome, "#statistic")).options) > 50
    find(chrome, '#sources input[value="CFM"]').click()
    assert [m.get_attribute("data-map") for m in chrome.find_elements(By.CSS_SELECTOR, ".map-box")] == ["MFM"]
    keys(chrome, '#sources input[value="CFM"]', Keys.SPACE)
    assert count(chrome, ".map-box") == 2
    Select(find(chrome, "#minus-a")).select_by_value("MFM")
    Select(find(chrome, "#minus-b")).select_by_value("CFM")
    assert count(chrome, ".map-box") == 3
    assert f"MFM {MINUS} CFM: lag (ms)" in text_of(chrome, "#maps figure:nth-child(3) figcaption")
    Select(find(chrome, "#minus-b")).select_by_value("")
    assert count(chrome, ".map-box") == 2


def test_outlines_one_by_one(chrome, data):
    find(chrome, ".outline-control summary").click()
    boxes = chrome.find_elements(By.CSS_SELECTOR, "#outlines input")
    assert [box.get_attribute("value") for box in boxes] == [
        "rho",
        "rho_bh",
        "chi2",
        "chi2_bh",
        "cal",
        "cal_bh",
        "sync",
    ]
    inside = int((data["rho_agrees"].sel(model="CFM") == 1).sum())
    assert count(chrome, '[data-map="CFM"] [data-outline="rho"] circle') == inside
    find(chrome, '#outlines input[value="rho"]').click()
    assert count(chrome, '[data-outline="rho"]') == 0
    assert count(chrome, '[data-map="CFM"] [data-outline="sync"]') == 1
    keys(chrome, '#outlines input[value="chi2"]', Keys.SPACE)
    inside = int((data["chi2_pvalue"].sel(model="CFM") > 0.01).sum())
    assert count(chrome, '[data-map="CFM"] [data-outline="chi2"] circle') == inside
    find(chrome, ".outline-control summary").click()


def test_colour_limits_and_scale(chrome, experiment):
    choose(chrome, "rate_E")
    shade = "return getComputedStyle(arguments[0]).fill"
    before = chrome.execute_script(shade, cell(chrome, experiment, P, LAM, "network"))
    find(chrome, "#high").send_keys("1000", Keys.TAB)
    assert chrome.execute_script(shade, cell(chrome, experiment, P, LAM, "network")) != before
    assert "high=1000" in address(chrome)
    find(chrome, "#fit").click()
    assert chrome.execute_script(shade, cell(chrome, experiment, P, LAM, "network")) == before
    keys(chrome, "#scale", Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert "scale=log" in address(chrome)
    assert chrome.execute_script(shade, cell(chrome, experiment, P, LAM, "network")) != before


def test_the_keyboard_moves_over_a_map(chrome, experiment):
    cell(chrome, experiment, P, LAM).click()
    keys(chrome, '[data-map="MFM"]', Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert text_of(chrome, "#tip").startswith("p = 0.3, λ = 0.85\nMFM: ")
    assert text_of(chrome, "#spoken").startswith("p = 0.3, λ = 0.85; MFM: ")
    assert text_of(chrome, "#slice-row h3") == "along p, at λ = 0.85"
    ActionChains(chrome).send_keys(Keys.HOME, Keys.ARROW_LEFT, Keys.ENTER).perform()  # not beyond the edge
    assert text_of(chrome, "#point-title") == "p = 0, λ = 0.85"
    assert chrome.execute_script("return document.activeElement.dataset.map") == "MFM"
    keys(chrome, "#chart-row", Keys.ARROW_RIGHT)
    assert text_of(chrome, "#point-title") == "p = 0.01, λ = 0.85"
    ActionChains(chrome).send_keys(Keys.ESCAPE).perform()
    assert not chrome.find_element(By.ID, "tip").is_displayed()
