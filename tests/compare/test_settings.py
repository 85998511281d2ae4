"""Settings of the statistics against the recordings: refused with the limit, and the limit is accepted."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hpcmass.cli import main
from hpcmass.compare.point import compare_point
from hpcmass.compare.settings import FINEST_HZ, bins_of, lag_samples, require_settings, setting_problems
from hpcmass.compare.spectra import spectral_bins
from hpcmass.config import CompareParameters, MassParameters, NetworkParameters
from hpcmass.errors import UserError
from hpcmass.plots.view import open_view

LONG = NetworkParameters()  # 27 s in steps of 0.1 ms
SHORT = NetworkParameters(duration_ms=400.0, transient_ms=100.0)
COARSE = NetworkParameters(dt_ms=0.3, duration_ms=1000.0, transient_ms=100.0)

REFUSED = [
    (LONG, "bin_hz", 1e-9, r"finer than the frequencies of a recording, every 0.037037 Hz; give at least 0.037037"),
    (LONG, "bin_hz", 5e-324, "give at least 0.037037"),
    (LONG, "bin_hz", 0.036, "give at least 0.037037"),
    (SHORT, "bin_hz", 1.9, f"every 3.33333 Hz; give at least {FINEST_HZ:g}"),
    (LONG, "bin_hz", 1e12, "leaves one bin of compare.band_hz, and a comparison needs two; give at most 250"),
    (LONG, "bin_hz", 1.7e308, "give at most 250"),
    (LONG, "bin_hz", 500.0, "give at most 250"),
    (LONG, "band_hz", (0.0, 1e12), r"\[0, 1e\+12\] ends above 5000 Hz, the highest .* dt_ms = 0.1; let it end at 5000"),
    (LONG, "band_hz", (0.0, 1.7e308), "let it end at 5000"),
    (LONG, "band_hz", (0.0, 5001.0), "let it end at 5000"),
    (LONG, "band_hz", (1e11, 1e12), "let it end at 5000"),
    (COARSE, "band_hz", (0.0, 1700.0), "let it end at 1666.67"),
    (LONG, "band_hz", (0.0, 0.03), "holds no frequency of a recording of 27 s"),
    (LONG, "band_hz", (4999.99, 5000.0), "holds no frequency of a recording of 27 s"),
    (LONG, "band_hz", (0.0, 0.04), "holds one frequency of a recording, .* give a band at least 0.0740741 Hz wide"),
    (LONG, "max_lag_ms", 1e-9, r"less than a step; give at least dt_ms = 0.1"),
    (LONG, "max_lag_ms", 6751.0, "more than a quarter of the 27000 ms after the transient; give at most 6750"),
    (LONG, "max_lag_ms", 1.7e308, "give at most 6750"),
    (SHORT, "max_lag_ms", 76.0, "give at most 75"),
    (LONG, "histogram_count", 1e300, r"not a valid count; give 1 to 1e\+15, or null"),
    (LONG, "histogram_count", 1e-300, "not a valid count"),
]


@pytest.mark.parametrize(("network", "name", "value", "message"), REFUSED)
def test_what_recordings_cannot_give_is_refused_with_the_limit(network, name, value, message):
    settings = CompareParameters(**{name: value})
    (problem,) = setting_problems(network, settings)
    assert problem.startswith(f"compare.{name} = ")
    assert re.search(message, problem), problem
    with pytest.raises(UserError, match=re.escape(problem)):
        require_settings(network, settings)
    with pytest.raises(UserError, match=re.escape(problem)):
        compare_point([], 1, network, MassParameters(), settings)
    if name == "band_hz":
        return
    limit = re.search(r"give (?:at (?:least|most) )?(?:dt_ms = )?([\d.e+-]*\d)", problem)
    assert limit is not None
    assert setting_problems(network, CompareParameters(**{name: float(limit[1])})) == []


def test_all_problems_are_named():
    settings = CompareParameters(bin_hz=1e-9, max_lag_ms=1e9, histogram_count=1e99)
    assert [problem.split(" =")[0] for problem in setting_problems(LONG, settings)] == [
        "compare.max_lag_ms", "compare.bin_hz", "compare.histogram_count",
    ]  # fmt: skip


@pytest.mark.parametrize("network", [LONG, SHORT, COARSE])
def test_the_limits_themselves_are_allowed(network):
    n_samples = network.n_steps - network.n_transient
    assert setting_problems(network, CompareParameters()) == []
    for settings in (
        {"band_hz": (0.0, 500 / network.dt_ms)},
        {"band_hz": (0.0, float(f"{500 / network.dt_ms:g}"))},
        {"bin_hz": 1e3 / (n_samples * network.dt_ms)},
        {"bin_hz": 2.0},
        {"bin_hz": 499.0},
        {"max_lag_ms": n_samples // 4 * network.dt_ms},
        {"max_lag_ms": network.dt_ms},
        {"histogram_count": 1.0},
    ):
        assert setting_problems(network, CompareParameters(**settings)) == [], settings


def positive(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers over decades."""
    return st.floats(np.log10(low), np.log10(high)).map(lambda decades: float(10**decades))


@given(
    st.sampled_from([0.05, 0.1, 0.3, 1.0]), st.integers(2, 5000), positive(1e-12, 1e12), positive(1e-9, 1e9),
    st.floats(0, 1), positive(1e-9, 1e9), positive(1e-20, 1e20),
)  # fmt: skip
@example(0.1, 2, 2.0, 50.0, 0.0, 500.0, 100.0)
def test_allowed_settings_never_exceed_the_recording(dt, n, bin_hz, lag, part, high, count):
    """Valid settings never make more bins than components, nor more lags than samples, and always something to test."""
    network = NetworkParameters(dt_ms=dt, duration_ms=(n + 100) * dt, transient_ms=100 * dt)
    band = (part * high, high)
    if band[0] == band[1]:
        return
    settings = CompareParameters(max_lag_ms=lag, bin_hz=bin_hz, band_hz=band, histogram_count=count)
    if setting_problems(network, settings):
        return
    bins = bins_of(network, settings)
    assert 2 <= bins.frequency.size <= bins.n_components.sum() <= (n - 1) // 2
    assert (np.diff(bins.frequency) > 0).all()
    assert 1 <= lag_samples(network, settings) <= n / 4


@pytest.mark.parametrize("bin_hz", [1e-12, 1e-3, 0.4999])
def test_bins_finer_than_the_components_hold_one_each(bin_hz):
    bins = spectral_bins(20_000, 0.1, (0.0, 500.0), bin_hz)  # components at 0.5, 1, …
    assert (bins.n_components == 1).all()
    np.testing.assert_allclose(bins.frequency, np.arange(1, 1001) / 2, atol=bin_hz + 1e-6)


CONFIG = """
trials: 1
network: {n_neurons: 200, n_external: 200, p_ext: 1.0, w_ext: 0.1, duration_ms: 400.0, transient_ms: 100.0}
grid: {p: 0.5, lam: 0.8}
"""


@pytest.mark.parametrize(
    ("setting", "limit"),
    [
        ("bin_hz: 1e-9", "give at least 2"),
        ("bin_hz: 1e9", "give at most 250"),
        ("band_hz: [0, 1e12]", "let it end at 5000 or below"),
        ("max_lag_ms: 80", "give at most 75"),
        ("histogram_count: 1e300", "give 1 to 1e+15"),
    ],
)
def test_every_command_reports_the_limit(setting, limit, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config, sweep, output = tmp_path / "c.yml", tmp_path / "s.h5", tmp_path / "cmp.h5"
    config.write_text(f"{CONFIG}compare: {{{setting}}}\n")
    assert main(["validate", str(config)]) == 2
    printed = capsys.readouterr()
    assert limit in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert main(["run", str(config), "-o", str(sweep)]) == 0  # a comparison may have separate settings
    assert f"{limit}" in capsys.readouterr().err
    assert main(["status", str(sweep)]) == 0
    capsys.readouterr()
    assert main(["compare", str(sweep), "-o", str(output)]) == 2
    printed = capsys.readouterr()
    assert limit in printed.err
    assert printed.err.count("\n") == 1
    assert not output.exists()
    config.write_text(CONFIG)
    assert main(["compare", str(sweep), "-o", str(output), "--config", str(config)]) == 0


def test_validate_reports_models_and_settings_in_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = tmp_path / "c.yml"
    config.write_text(f"{CONFIG}compare: {{bin_hz: 1e-9, max_lag_ms: 80}}\nmass: {{models: [XYZ]}}\n")
    assert main(["validate", str(config)]) == 2
    printed = capsys.readouterr().err.splitlines()
    assert printed[0] == f"hpcmass: {config} has 3 problems:"
    assert [line.split(" = ")[0].split(":")[0].strip() for line in printed[1:]] == [
        "mass.models", "compare.max_lag_ms", "compare.bin_hz",
    ]  # fmt: skip


def test_a_value_of_another_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config, sweep, output = tmp_path / "c.yml", tmp_path / "s.h5", tmp_path / "cmp.h5"
    config.write_text(CONFIG)
    assert main(["run", str(config), "-o", str(sweep)]) == 0
    words = ["compare", str(sweep), "-o", str(output)]
    capsys.readouterr()
    for more, sentence in (
        (["--set", "alpha=0.05"], "--set gives a key of another configuration its value; name that with --config"),
        (
            ["--config", str(config), "--set", "trials=3"],
            "--set trials has no effect on a comparison; set",
        ),
        (["--config", str(config), "--set", "grid.p=0.3"], "--set grid.p has no effect on a comparison"),
        (["--config", str(config), "--set", "compare.alpa=0.05"], "did you mean 'compare.alpha'?"),
        (["--config", str(config), "--set", "alpha=2"], "compare.alpha"),
    ):
        assert main([*words, *more]) == 2
        printed = capsys.readouterr()
        assert sentence in printed.err
        assert printed.out == ""
        assert not output.exists()
    assert main([*words, "--config", str(config), "--set", "alpha=0.05", "--set", "mass.tau_s_ms=7"]) == 0
    with open_view(output) as view:
        assert (view.experiment.compare.alpha, view.experiment.mass.tau_s_ms) == (0.05, 7)
