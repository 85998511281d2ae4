"""The package in a notebook: few names, a light import, and the sweep's own trials."""

from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import hpcmass
from hpcmass import Experiment, load_experiment, run_sweep, simulate
from hpcmass.errors import UserError
from hpcmass.grid import trials
from hpcmass.network import simulate as simulate_network
from hpcmass.trial import at_point

NETWORK: dict[str, Any] = {
    "n_neurons": 100, "n_external": 100, "duration_ms": 400.0, "transient_ms": 50.0, "external_rate_hz": 60.0,
    "w_ext": 0.5, "w_E": 0.02,
}  # fmt: skip


NAMES = [
    "Experiment", "Parameter", "__version__", "check_claims", "compare_recording", "compare_sweep", "load_experiment",
    "mass_model", "open_comparison", "open_sweep", "phi_from_spikes", "run_sweep", "simulate", "statistic",
    "statistics",
]  # fmt: skip


def test_the_import_alone_loads_nothing(python_run):
    python_run(
        "-c",
        "import sys, hpcmass; assert not {'numpy', 'numba', 'h5py', 'pydantic', 'mpi4py'} & set(sys.modules); "
        f"assert dir(hpcmass) == {NAMES}",
    )


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        hpcmass.simulat  # noqa: B018


def test_it_is_the_sweeps_trial(tmp_path):
    experiment = Experiment(grid={"p": 0.2, "lam": 0.8, "noise_q": [0.1, 0.2]}, network=NETWORK, trials=3)
    (trial,) = [t for t in trials(experiment) if t.number == 2 and t.values["noise_q"] == 0.2]
    result = simulate(experiment, 0.2, 0.8, 2, at={"noise_q": 0.2}, output=tmp_path / "one.h5")
    alone = simulate_network(experiment.network_at(trial.values), 0.2, 0.8, trial.seed)
    assert np.array_equal(result.recording.mean_v, alone.mean_v)
    assert result.recording.spike_time is not None
    assert result.network.noise_q == 0.2
    assert result.time_ms[-1] == pytest.approx(399.9)
    assert (tmp_path / "one.h5").exists()


def test_a_configuration_file_in_place_of_an_experiment(tmp_path):
    experiment = Experiment(grid={"p": 0.2, "lam": 0.8}, network=NETWORK)
    path = tmp_path / "base.yml"
    path.write_text(experiment.text)
    for given in (path, str(path)):
        result = simulate(given, p=0.2, lam=0.8)
        assert result.experiment.model_dump() == experiment.model_dump()
        assert np.array_equal(result.recording.mean_v, simulate(experiment, 0.2, 0.8).recording.mean_v)
    with pytest.raises(UserError, match=r"base\.yml is the same file as the input .*base\.yml"):
        simulate(path, 0.2, 0.8, output=path, force=True)
    assert path.read_text() == experiment.text


@pytest.mark.parametrize("run", [lambda given: simulate(given, 0.2, 0.8), lambda given: run_sweep(given, "s.h5")])
def test_what_is_neither_a_file_nor_an_experiment(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^give the path of a configuration, or an Experiment, not dict$"):
        run({"p": 0.2, "lam": 0.8})
    with pytest.raises(UserError, match=r"cannot read the configuration none\.yml: there is no such file"):
        run("none.yml")
    assert list(tmp_path.iterdir()) == []


def test_potentials_and_figure(tmp_path):
    result = simulate(Experiment(grid={"p": 0.2, "lam": 0.8}, network=NETWORK), 0.2, 0.8)
    assert list(result.potentials) == ["CFM", "MFM"]
    for potential in result.potentials.values():
        assert potential.shape == result.time_ms.shape == result.recording.mean_v.shape
    assert result.figure().get_suptitle() == "p = 0.2, λ = 0.8, trial 0"
    assert result.draw(tmp_path / "one.svg").read_text().startswith("<?xml")


@pytest.mark.long
def test_a_window_of_the_figure_in_millivolts() -> None:
    trial = simulate(Experiment(grid={"p": 0.2, "lam": 0.8}, network=NETWORK), 0.2, 0.8)
    figure = trial.figure(window_ms=(20, 220.0), standardised=False)
    raster, potentials, inputs, *_ = figure.axes
    assert raster.get_xlim() == (20, 220)
    line = potentials.lines[0]
    assert line.get_xdata()[[0, -1]] == pytest.approx([20, 220])  # type: ignore[index]
    np.testing.assert_array_equal(line.get_ydata(), trial.recording.mean_v[200:2201])
    assert potentials.get_ylabel() == "potential (mV)"
    assert inputs.get_xlabel() == "time (ms)"
    assert trial.figure(window_ms=(20.0, 20.4))._repr_png_()


@pytest.mark.parametrize("window", [(20, 20), (300, 200), (-5, 10), (300, 401), 5, (1, 2, 3), ("a", "b"), (0, np.nan)])
def test_a_window_outside_the_trial_is_a_sentence(window: Any) -> None:
    trial = simulate(Experiment(grid={"p": 0.2, "lam": 0.8}, network=NETWORK), 0.2, 0.8)
    with pytest.raises(UserError, match="window"):
        trial.figure(window_ms=window)


def test_as_labelled_arrays() -> None:
    trial = simulate(
        Experiment(grid={"p": 0.2, "lam": 0.8, "noise_q": 0.1}, network=NETWORK), 0.2, 0.8, 2, at={"noise_q": 0.1}
    )
    data = trial.to_xarray()
    np.testing.assert_array_equal(data["mean_v"], trial.recording.mean_v)
    assert data["mean_v"].dims == ("time",)
    assert data["mean_v"].attrs["units"] == "mV"
    np.testing.assert_array_equal(data["model_v"].sel(model="MFM"), trial.potentials["MFM"])
    assert {name: float(data[name]) for name in ("p", "lam", "noise_q", "trial")} == {**trial.values, "trial": 2}
    assert float(data["rate_E"]) == trial.recording.rate_E
    assert data["spike_time"].dims == data["spike_neuron"].dims == ("spike",)
    without = simulate(trial.experiment, 0.2, 0.8, at={"noise_q": 0.1}, keep_spikes=False)
    assert "spike_time" not in without.to_xarray()


def test_a_cell_can_be_run_again(tmp_path):
    """A picture is replaced unless `force=False`; messages name the keyword, not only the option."""
    experiment = Experiment(grid={"p": 0.2, "lam": 0.8}, network=NETWORK)
    result = simulate(experiment, 0.2, 0.8, output=tmp_path / "one.h5")
    path = tmp_path / "one.png"
    path.write_text("older")
    assert result.draw(path).stat().st_size > 10_000
    with pytest.raises(UserError, match=r"one\.png exists.*force=True"):
        result.draw(path, force=False)
    with pytest.raises(UserError, match=r"one\.h5 exists.*force=True"):
        simulate(experiment, 0.2, 0.8, output=tmp_path / "one.h5")


def test_its_repr_is_short():
    result = simulate(Experiment(grid={"p": 0.2, "lam": 0.8}, network=NETWORK), 0.2, 0.8, 3)
    assert repr(result).startswith("<p = 0.2, λ = 0.8, trial 3: ")
    assert f"Spike-contrast {result.recording.spike_contrast:.2g}" in repr(result)
    assert len(repr(result)) < 100


@pytest.mark.slow
@pytest.mark.process
def test_a_notebook_shows_it_without_being_told_to():
    """The last line of a cell is a picture, of the result itself and of its figure, without a magic command."""
    network = f"Experiment(grid={{'p': 0.2, 'lam': 0.8}}, network={NETWORK!r})"
    cells = [
        f"from hpcmass import Experiment, simulate\nresult = simulate({network}, 0.2, 0.8)\nresult",
        "result.figure()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=300).execute()
    for cell in notebook.cells:
        (shown,) = [output for output in cell.outputs if output.output_type == "execute_result"]
        assert len(shown.data["image/png"]) > 10_000


def test_a_forgotten_axis_is_a_sentence():
    experiment = Experiment(grid={"p": 0.2, "lam": 0.8, "noise_q": [0.1, 0.2]}, network=NETWORK)
    with pytest.raises(UserError, match="the grid also sweeps noise_q"):
        simulate(experiment, 0.2, 0.8)


def test_p_and_lam_are_given_once():
    experiment = Experiment(grid={"p": 0.2, "lam": 0.8}, network=NETWORK)
    with pytest.raises(UserError, match=r"p is given twice, as 0\.2 and with --at \(in Python at=\) as 0\.3"):
        simulate(experiment, 0.2, 0.8, at={"p": 0.3})


def test_the_example_in_the_docstring_runs(monkeypatch):
    assert hpcmass.__doc__ is not None
    code = "\n".join(line[4:] for line in hpcmass.__doc__.splitlines() if line.startswith("    "))
    code = code.replace("result = simulate(", "result = simulate(shorter(").replace("experiment, p", "experiment), p")
    monkeypatch.chdir(Path(__file__).parent.parent)

    def shorter(experiment: Experiment) -> Experiment:
        assert experiment == load_experiment("configs/quickstart.yml")
        return experiment.model_copy(update={"network": Experiment(grid={"p": 0, "lam": 0}, network=NETWORK).network})

    names: dict[str, Any] = {"shorter": shorter}
    exec(code, names)
    assert names["result"].values == {"p": 0.2, "lam": 0.8}


def test_a_title_that_looks_like_a_number_stays_a_title() -> None:
    experiment = Experiment.model_validate({"title": "1e3", "grid": {"p": 0.2, "lam": 0.8}})
    assert at_point(experiment, {"p": 0.2, "lam": 0.8}).title == "1e3"
