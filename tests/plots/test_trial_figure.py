"""The figure of one trial, and what is drawn over time and frequency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from hpcmass.errors import UserError
from hpcmass.plots import style
from hpcmass.plots.lines import (
    RASTER_NEURONS,
    Spikes,
    draw_inputs,
    draw_potentials,
    draw_raster,
    draw_spectra,
    window_ms,
)
from hpcmass.plots.saving import save
from hpcmass.plots.trial_figure import smooth_spectrum, trial_figure

SIZE: dict[str, Any] = {"dt_ms": 0.1, "transient_ms": 100.0, "n_neurons": 1000, "n_excitatory": 800}
NAN = float("nan")


def recording(spikes: bool = True) -> dict[str, Any]:
    """A trial of 1.1 s that oscillates with 20 Hz."""
    rng = np.random.default_rng(2)
    time = 0.1 * np.arange(11_000)
    made: dict[str, Any] = {
        "mean_v": (-60 + np.sin(2 * np.pi * time / 50) + 0.01 * rng.standard_normal(time.size)).astype("f4"),
        "phi_E": rng.poisson(3, time.size).astype("f4"),
        "phi_I": rng.poisson(1, time.size).astype("f4"),
        "phi_ext": rng.poisson(2, time.size).astype("f4"),
        "spike_contrast": 0.7, "rate_E": 12.5, "rate_I": NAN, "n_spikes": 40_000, "silent": 0,
    }  # fmt: skip
    if spikes:
        made |= {"spike_time": np.sort(rng.uniform(0, 1100, 40_000)), "spike_neuron": rng.integers(0, 1000, 40_000)}
    return made


def draw(path: Path, trial: dict[str, Any], models: dict[str, Any], *, force: bool = False) -> Path:
    with style.house_style():
        return save(trial_figure(trial, models, **SIZE), path, force=force)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_a_trial_has_everything_on_one_page(tmp_path: Path):
    trial = recording()
    trial["mean_v"][8000:] = -60 + 3 * (trial["mean_v"][8000:] + 60)  # after the time shown
    models = {"CFM": trial["mean_v"] * 0.5, "MFM": np.full(11_000, np.nan)}
    with style.house_style():
        figure = trial_figure(trial, models, title="p = 0.2", **SIZE)
    raster, potentials, inputs, spectra, numbers = figure.axes
    assert raster.get_xlim() == (100.0, 600.0)
    assert [t.get_text() for t in raster.get_yticklabels()] == ["E", "I"]
    assert len(np.asarray(potentials.lines[0].get_xdata())) == 5001
    labels = [line.get_label() for line in potentials.lines]
    after = trial["mean_v"].astype(float)[1000:]  # more than is shown
    assert labels[0] == f"network: \N{MINUS SIGN}{-after.mean():.2f} ± {after.std():.2f} mV"
    assert f"± {trial['mean_v'].astype(float)[1000:6000].std():.2f} mV" not in labels[0]
    assert labels[2] == "MFM: diverged"
    assert potentials.get_legend().get_title().get_text() == "mean ± sd over the trial after the transient"
    assert len(inputs.lines) == 3
    frequency, power = (np.asarray(v) for v in spectra.lines[0].get_data())
    assert frequency[np.argmax(power)] == pytest.approx(20, abs=1)
    printed = texts(figure)
    assert numbers.texts
    assert {"rate_E", "12.5", "Hz", "not defined", "40000"} <= set(printed)
    assert draw(tmp_path / "trial.png", trial, models).stat().st_size > 30_000


@pytest.mark.long
def test_a_trial_without_spikes_or_without_models(tmp_path: Path):
    with style.house_style():
        assert len(trial_figure(recording(spikes=False), {}, **SIZE).axes) == 4
    silent = recording() | {
        "spike_time": np.zeros(0),
        "spike_neuron": np.zeros(0, int),
        "mean_v": np.full(11_000, -74.0),
    }
    for suffix in ("svg", "pdf"):
        assert draw(tmp_path / f"t.{suffix}", silent, {}).exists()


@pytest.mark.long
def test_a_figure_is_replaced_by_force_only(tmp_path: Path):
    path = tmp_path / "trial.png"
    path.write_text("mine")
    with pytest.raises(UserError, match=r"trial\.png exists.*--force"):
        draw(path, recording(), {})
    assert path.read_text() == "mine"
    draw(path, recording(), {}, force=True)
    assert path.stat().st_size > 1000
    with pytest.raises(UserError, match=r"cannot write .*no such file or directory"):
        draw(tmp_path / "none" / "trial.png", recording(), {})


def test_rasters_show_both_kinds_in_their_share():
    """A neuron that is shown has all its spikes of the time shown, at its own height."""
    neuron = np.repeat(np.arange(1000), 3)
    time = np.tile([50.0, 150.0, 250.0], 1000)
    axes = Figure().subplots()
    draw_raster(axes, Spikes(time, neuron, 1000, 800), (100.0, 200.0))
    excitatory, inhibitory = (line for line in axes.lines if line.get_marker() == "|")
    assert len(excitatory.get_ydata()) + len(inhibitory.get_ydata()) == RASTER_NEURONS
    assert len(excitatory.get_ydata()) == pytest.approx(0.8 * RASTER_NEURONS, abs=1)
    assert set(np.asarray(excitatory.get_xdata())) == {150.0}
    assert np.max(excitatory.get_ydata()) < np.min(inhibitory.get_ydata())
    axes = Figure().subplots()
    draw_raster(axes, Spikes(time, neuron, 1000, 1000), (0.0, 300.0))
    assert [t.get_text() for t in axes.get_yticklabels()] == ["E"]


def test_inputs_are_averaged_over_a_millisecond():
    axes = Figure().subplots()
    phi = np.arange(105.0)
    draw_inputs(axes, 0.1 * np.arange(105), {"E": phi}, 0.1)
    np.testing.assert_allclose(axes.lines[0].get_ydata(), phi[:100].reshape(-1, 10).mean(axis=1))
    axes = Figure().subplots()
    draw_inputs(axes, np.arange(5.0), {"E": np.zeros(5), "I": np.zeros(5), "ext": np.zeros(5)}, 1.0)
    assert axes.get_ylim()[1] > 1


def test_spectra_mark_median_frequencies_and_survive_silence():
    axes = Figure().subplots()
    draw_spectra(
        axes, np.array([1.0, 2.0, 4.0]), [1.0, 10.0, 1e-9], {"CFM": [1.0, NAN, 1.0]}, {"network": 2.5, "CFM": NAN}
    )
    assert [x for x, _ in _triangles(axes)] == [2.5]
    assert axes.get_ylim() == (pytest.approx(0.7e-9), 30.0)  # down to the network's least power
    axes = Figure().subplots()
    draw_spectra(axes, np.array([1.0, 2.0, 4.0]), [1.0, 10.0, 1e-30], {"CFM": [1.0, 1e-4, 1.0]})
    assert axes.get_ylim() == (pytest.approx(1e-11), 30.0)  # but not to rounding errors
    for nothing in (np.zeros(3), np.full(3, NAN)):
        axes = Figure().subplots()
        draw_spectra(axes, np.array([1.0, 2.0, 4.0]), nothing, {})
        assert axes.get_yscale() == "linear"


def test_equal_median_frequencies_do_not_hide_each_other():
    """Triangles of nearly one frequency stand above each other, the network's lowest; others at the foot."""
    axes = Figure().subplots()
    frequency = np.array([1.0, 10.0, 100.0])
    medians = {"network": 20.0, "A": 20.0, "B": 20.1, "C": 50.0, "D": 20.0}
    draw_spectra(axes, frequency, np.ones(3), dict.fromkeys("ABCD", np.ones(3)), medians)
    network, a, b, c, d = _triangles(axes)
    assert network[1] == c[1] < a[1] < b[1] < d[1] < 0.3
    assert {x for x, _ in (network, a, d)} == {20.0}


def _triangles(axes):
    """Frequency and height of every triangle."""
    triangles = [line for line in axes.lines if line.get_marker() == "^"]
    return [(float(np.asarray(t.get_xdata())[0]), float(np.asarray(t.get_ydata())[0])) for t in triangles]


def test_smoothed_spectra_keep_the_power_of_white_noise():
    noise = np.random.default_rng(1).standard_normal(100_000)
    frequency, power = smooth_spectrum(noise, 0.1)
    assert frequency[0] < 0.11
    assert 900 < frequency[-1] <= 1000
    assert np.all(np.diff(frequency) > 0)
    assert power[-10:].mean() == pytest.approx(2 * 1e-4, rel=0.05)  # one-sided density: 2 dt
    assert np.isnan(smooth_spectrum(np.full(1000, NAN), 0.1)[1]).all()


def test_lines_differ_in_grey_and_windows_hold_some_periods():
    dashes = {str(style.model_line(k)["linestyle"]) for k in range(5)}
    assert len(dashes) == 5
    styles = {(style.model_line(k)["color"], str(style.model_line(k)["linestyle"])) for k in range(30)}
    assert len(styles) == 30
    assert window_ms(20.0, 1e4) == 600.0
    assert window_ms(1000.0, 1e4) == 40.0
    assert window_ms(1.0, 500.0) == window_ms(NAN, 500.0) == 500.0


def test_potentials_of_a_constant_are_drawn():
    axes = Figure().subplots()
    draw_potentials(axes, np.arange(4.0), np.full(4, -74.0), {}, {}, "of nothing")
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [0.0] * 4
