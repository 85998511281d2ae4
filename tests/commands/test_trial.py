"""`hpcmass trial --plot`: one trial on one page."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from matplotlib.image import imread

from hpcmass import mass
from hpcmass.cli import main
from hpcmass.config.file import parse_experiment
from hpcmass.mass import Traces, predict

CONFIG = """
trials: 2
network: {n_neurons: 100, n_external: 100, duration_ms: 400.0, transient_ms: 50.0, external_rate_hz: 60.0, w_ext: 0.5}
grid: {p: [0.1, 1.0], lam: [0.5, 0.8]}
mass: {models: [CFM, MFM, FOM]}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yml"
    path.write_text(CONFIG)
    return path


@pytest.mark.long
def test_the_picture_lies_beside_the_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial = ["trial", str(config), "--p", "0.1", "--lam", "0.8", "--plot"]
    assert main([*trial, "-o", "a.h5"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["a.h5", "a.png"]
    picture = imread("a.png")
    assert picture.std() > 0.05
    assert min(picture.shape[:2]) > 500
    with h5py.File("a.h5") as file:
        assert "spike_time" not in file  # drawn, not asked to be stored
    assert main(trial) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "trial.png"


def test_a_picture_is_not_overwritten(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.png").write_text("mine")
    trial = ["trial", str(config), "--p", "0.1", "--lam", "0.8", "--plot", "-o", "a.h5"]
    assert main(trial) == 2
    assert "a.png" in capsys.readouterr().err
    assert not Path("a.h5").exists()  # noticed before the simulation
    assert main([*trial, "--force", "--spikes"]) == 0
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    with h5py.File("a.h5") as file:
        assert file["spike_time"].size > 0


def test_an_unknown_model_is_reported_before_the_simulation(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CONFIG.replace("FOM", "XXX"))
    assert main(["trial", str(config), "--p", "0.1", "--lam", "0.8", "--plot"]) == 2
    assert "no mass model 'XXX'" in capsys.readouterr().err


def test_only_models_that_one_trial_is_enough_for_predict_it(config: Path) -> None:
    experiment = parse_experiment(CONFIG)
    n = experiment.network.n_steps
    flat = np.full(n, -60.0, np.float32)
    quiet = np.zeros(n, np.float32)
    found = predict(Traces(flat, quiet, quiet, quiet, quiet), experiment.network, experiment.mass)
    fitted = {name for name, m in mass.models_named(["CFM", "MFM", "FOM"]).items() if isinstance(m, mass.FittedModel)}
    assert list(found) == [name for name in ("CFM", "MFM", "FOM") if name not in fitted]
    assert found["CFM"].shape == (n,)
    assert found["CFM"][-1] == pytest.approx(-74.0, abs=0.1)  # without input the leak alone is left
