"""The point: curves, trials, pins, ranges and the lines to copy."""

from __future__ import annotations

import pytest
import xarray as xr
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from browser import address, cell, count, curves_of, find, keys, line, text_of, time_range, wait_for_text

pytestmark = pytest.mark.browser

MINUS = "\N{MINUS SIGN}"
P, LAM = 0.2, 0.8
"""A point: index 6 of p, 4 of λ."""


def test_a_click_shows_the_point(chrome, experiment):
    cell(chrome, experiment, 0.4, 0.9).click()
    assert text_of(chrome, "#point-title") == "p = 0.4, λ = 0.9"
    assert curves_of(chrome, "potentials") == ["network", "CFM", "MFM"]
    assert len(curves_of(chrome, "inputs")) == 3
    assert count(chrome, '#chart-spectra [data-band="network"]') == 1
    assert curves_of(chrome, "correlation") == ["CFM", "MFM"]
    assert text_of(chrome, "#command-trial") == "hpcmass trial sweep.yml --p 0.4 --lam 0.9 --trial 0 --plot"
    cell(chrome, experiment, 1, 0.5).click()
    assert text_of(chrome, "#note-potentials") == "No curves: not computed yet."
    assert not chrome.find_element(By.ID, "chart-potentials").is_displayed()


def test_the_lines_to_copy_are_true(chrome, experiment, files, monkeypatch):
    """The line for xarray gives the value that the plot shows."""
    cell(chrome, experiment, 0.4, 0.9).click()
    code = text_of(chrome, "#command-xarray")
    monkeypatch.chdir(files[0].parent)
    statement, _, expression = code.rpartition("; ")
    names: dict[str, xr.Dataset] = {}
    exec(statement, names)
    with names["ds"] as dataset:
        assert float(eval(expression, {"ds": dataset})) == line(chrome, "row", "CFM")[8]
    find(chrome, '[data-copy="command-xarray"]').click()
    wait_for_text(chrome, "#spoken", "copied")


def test_trials_units_and_toggles(chrome, experiment):
    cell(chrome, experiment, P, LAM).click()
    path = '#chart-potentials [data-curve="network"] path'
    before = find(chrome, path).get_attribute("d")
    find(chrome, 'input[value="sd"]').click()
    assert find(chrome, path).get_attribute("d") != before
    assert "standardised" in text_of(chrome, "#chart-potentials svg")
    keys(chrome, 'input[value="sd"]', Keys.ARROW_LEFT)
    assert find(chrome, path).get_attribute("d") == before
    keys(chrome, "#trial", Keys.ARROW_DOWN)
    assert "trial=1" in address(chrome)
    assert "Only the first trial has the potential of CFM, MFM." in text_of(chrome, "#trial-note")
    assert count(chrome, "#chart-potentials g[data-curve]") == 1
    assert "--trial 1" in text_of(chrome, "#command-trial")
    Select(find(chrome, "#trial")).select_by_value("0")
    keys(chrome, '#curve-toggles [data-curve="CFM"]', Keys.SPACE)
    for chart in ("potentials", "spectra", "correlation", "row"):
        assert count(chrome, f'#chart-{chart} [data-curve="CFM"]') == 0
    find(chrome, '#curve-toggles [data-curve="CFM"]').click()
    assert count(chrome, '#chart-spectra [data-curve="CFM"]') == 1
    find(chrome, "#power-log").click()
    assert "power=linear" in address(chrome)


def test_pinned_points_are_overlaid(chrome, experiment):
    for place, (p, lam) in enumerate([(P, LAM), (0.4, 0.9), (0.05, 0.6), (0.1, 0.7)]):
        cell(chrome, experiment, p, lam).click()
        keys(chrome, "#pin", Keys.ENTER)
        assert count(chrome, "#pins li") == place + 1
    cell(chrome, experiment, 0.3, 0.8).click()
    assert not find(chrome, "#pin").is_enabled()
    curves = curves_of(chrome, "spectra")
    assert len(curves) == 5 * 3
    assert "MFM at p = 0.4, λ = 0.9" in curves
    assert count(chrome, '[data-map="CFM"] .pin') == 4
    find(chrome, "#pins li:nth-child(1) button:first-child").click()
    assert text_of(chrome, "#point-title") == "p = 0.2, λ = 0.8"
    keys(chrome, "#pins li:nth-child(4) button:last-child", Keys.ENTER)
    assert count(chrome, "#pins li") == 3
    focused = chrome.execute_script("return document.activeElement.getAttribute('aria-label')")
    assert focused == "remove the pin at p = 0.05, λ = 0.6"


def test_zoom_by_dragging_buttons_and_keys(chrome, experiment):
    cell(chrome, experiment, P, LAM).click()
    chart = find(chrome, "#chart-potentials")
    drag = ActionChains(chrome).move_to_element_with_offset(chart, -200, 0).click_and_hold()
    drag.move_by_offset(100, 0).release().perform()
    low, high = time_range(chrome)
    assert 500 < low < high < 1000
    assert high - low == pytest.approx(500 * 100 / (chart.rect["width"] - 70), rel=0.05)
    keys(chrome, "#chart-inputs", "0")  # both charts have one time
    assert "time=" not in address(chrome)
    keys(chrome, "#chart-potentials", "+", Keys.ARROW_RIGHT)
    low, high = time_range(chrome)
    assert high - low == pytest.approx(250, rel=0.01)
    assert low > 625
    for selector in ("#panel-spectra", "#panel-correlation"):
        find(chrome, f"{selector} .zoom button:first-child").click()
    assert "frequency=" in address(chrome)
    assert "lag=" in address(chrome)
    find(chrome, "#panel-potentials .zoom button:last-child").click()
    assert "time=" not in address(chrome)


def test_all_statistics_of_the_point(chrome, experiment, data):
    cell(chrome, experiment, P, LAM).click()
    find(chrome, "#values summary").click()
    WebDriverWait(chrome, 30).until(lambda _: count(chrome, "#values tr"))
    rows = [row.text for row in chrome.find_elements(By.CSS_SELECTOR, "#values tr")]
    assert any(f"{MINUS}4.25 ± 0.50 ms" in row for row in rows)
    assert len(rows) > 40
    find(chrome, "#values summary").click()
