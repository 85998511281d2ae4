"""Examples: potentials, inputs and spectra are those of the files, and the numbers are those of the tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from hpcmass.errors import UserError
from hpcmass.plots.examples import traces
from hpcmass.plots.regimes import pick_regimes
from hpcmass.plots.view import open_view
from hpcmass.store.parts import SweepParts
from hpcmass.store.schema import PENDING

Make = Callable[..., Path]


def test_traces_show_the_files_potentials(comparison: Make, full):
    points = full["median_frequency_lif"].shape
    known = {"mean_v_lif": np.full(points, -61.234), "sd_v_lif": np.full(points, 1.456)}
    known |= {
        "mean_v_model": np.full((*points, 2), [-50.5, np.nan]),
        "sd_v_model": np.full((*points, 2), [0.004, np.nan]),
    }
    with open_view(comparison(**known)) as view:
        row, column = pick_regimes(view)[1].point or (0, 0)
        figure = traces(view)
        assert figure is not None
        network, conventional, _ = figure.axes[1].lines
        count = len(np.asarray(network.get_ydata()))
        v = full["example_v_lif"][column, row, :count]
        np.testing.assert_allclose(network.get_ydata(), (v - v.mean()) / v.std(), atol=1e-3)
        labels = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
        assert labels == [
            "network: \N{MINUS SIGN}61.23 ± 1.46 mV",
            "CFM: \N{MINUS SIGN}50.50 ± 0.00 mV",
            "MFM",
        ]  # the tables'
        assert figure.axes[1].get_legend().get_title().get_text() == "mean ± sd over the time of all trials"
        v = full["example_v"][column, row, 0, :count]
        np.testing.assert_allclose(conventional.get_ydata(), (v - v.mean()) / v.std(), atol=1e-3)


def test_spectra_of_traces_are_smooth_and_whole(comparison: Make, full):
    """Averaged in steps of the frequency's logarithm, so that noise is smooth; the network's spectrum is not cut."""
    frequency_hz = np.arange(1.0, 500.0, 2.0)
    noise = np.random.default_rng(4).exponential(size=frequency_hz.size)
    spectrum = np.maximum(full["spectrum_lif"] * noise, 1e-9)
    spectrum[..., -20:] = 1e-9
    with open_view(comparison(spectrum_lif=spectrum)) as view:
        row, column = pick_regimes(view)[1].point or (0, 0)
        figure = traces(view)
        assert figure is not None
        axes = figure.axes[len(figure.axes) // 2 + 1]
        frequency, power = (np.asarray(v) for v in axes.lines[0].get_data())
        steps = np.diff(np.log10(frequency))
        assert steps[-10:].min() > 0.02
        count = round(frequency_hz[-1] - frequency[-1]) + 1  # 2 Hz apart, around their mean
        np.testing.assert_allclose(power[-1], spectrum[column, row, -count:].mean())
        assert axes.get_ylim()[0] < power.min()


def test_a_sweep_that_lacks_what_was_compared_is_refused(full_comparison: Path, sweep: Path, tmp_path: Path):
    behind = tmp_path / "behind.h5"
    behind.write_bytes(sweep.read_bytes())
    with h5py.File(behind, "r+") as file:
        file["status"][...] = PENDING
    with (
        open_view(full_comparison) as view,
        SweepParts([behind]) as recorded,
        pytest.raises(UserError, match=r"behind\.h5 does not hold what was compared"),
    ):
        traces(view, recorded)


def test_a_sweep_adds_the_inputs(full_comparison: Path, sweep: Path):
    with open_view(full_comparison) as view, SweepParts([sweep]) as recorded:
        figure = traces(view, recorded)
        assert figure is not None
        assert len(figure.axes) == 9
        row, column = pick_regimes(view)[0].point or (0, 0)
        line = figure.axes[3].lines[0]
        start = round(500.0 / 0.1)
        drawn = np.asarray(line.get_ydata())
        phi = recorded.traces((column, row), 0)["phi_E"][start : start + 10 * drawn.size]
        np.testing.assert_allclose(drawn, phi.reshape(-1, 10).mean(axis=1), rtol=1e-6)  # 1 ms means
        np.testing.assert_allclose(np.asarray(line.get_xdata())[0], start * recorded.experiment.network.dt_ms)
