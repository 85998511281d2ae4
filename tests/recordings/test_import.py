"""Recordings of other programs as sweep files: their contents, and a sentence for every mistake."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from hpcmass import Experiment, compare_sweep, open_comparison, open_sweep, run_sweep
from hpcmass.cli import main
from hpcmass.config.file import load_experiment
from hpcmass.errors import UserError
from hpcmass.mass import Traces
from hpcmass.mass.registry import predict
from hpcmass.plots.view import open_view
from hpcmass.recordings.importing import import_recordings
from hpcmass.store.check import check_sweep
from hpcmass.store.schema import TRACES
from hpcmass.store.status import sweep_status
from hpcmass.store.sweep_file import SweepFile

KEYS = {
    "n_neurons": 100, "tau_m_ms": 20.0, "v_leak_mv": -74.0, "w_E": 0.02, "tau_E_ms": 3.0, "v_exc_mv": 0.0, "w_I": 0.1,
    "tau_I_ms": 7.0, "v_inh_mv": -80.0, "w_ext": 0.05, "tau_ext_ms": 5.0, "v_ext_mv": 0.0, "p": 0.1, "lam": 0.8,
}  # fmt: skip
"""What mass models and maps need to know."""

N_STEPS = 2000


def traces(*shape: int, seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    phi = {f"phi_{kind}": rng.poisson(2.0, (*shape, N_STEPS)).astype(float) for kind in ("E", "I", "ext")}
    return {"mean_v": -60 + rng.standard_normal((*shape, N_STEPS)), **phi}


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.fixture
def source(tmp_path: Path):
    """Write `run.npz` with other arrays than the right ones; None leaves one out."""

    def write(name: str = "run.npz", **changes: Any) -> Path:
        arrays = traces() | KEYS | {"dt_ms": 0.5} | changes
        return save(tmp_path / name, **{key: value for key, value in arrays.items() if value is not None})

    return write


@pytest.fixture(scope="module")
def simulated(shared) -> Path:
    network = {"n_neurons": 100, "n_external": 100, "w_ext": 0.5, "duration_ms": 1000, "transient_ms": 200}
    experiment = Experiment(grid={"p": [0.1, 0.3], "lam": 0.8}, network=network, trials=2)

    def make(directory: Path) -> None:
        run_sweep(experiment, directory / "sim.h5")
        compare_sweep(directory / "sim.h5", directory / "sim-cmp.h5", mass=_models(experiment))

    return shared("simulated-for-import", make)


def _models(experiment: Experiment) -> Any:
    return experiment.mass.model_copy(update={"models": ("CFM", "MFM", "CLO", "LIN")})


def _as_arrays(sweep: Path) -> dict[str, Any]:
    with SweepFile(sweep) as file:
        network = file.experiment.network
        own = {key: getattr(network, key) for key in (*KEYS, "transient_ms") if key not in ("p", "lam")}
        recorded = {name: file.hdf5[name][:, 0] for name in (*TRACES, "spike_contrast", "rate_E", "rate_I", "silent")}
        return {**recorded, **own, "dt_ms": network.dt_ms, "lam": 0.8, "p": np.array(file.axes["p"]), "axes": ["p"]}


@pytest.mark.long
def test_a_sweep_that_leaves_and_returns_has_the_same_statistics(simulated: Path, tmp_path: Path) -> None:
    source = save(tmp_path / "run.npz", **_as_arrays(simulated / "sim.h5"))
    summary = import_recordings(source, tmp_path / "rec.h5")
    assert (summary.n_points, summary.n_trials) == (2, 4)
    compare_sweep(tmp_path / "rec.h5", tmp_path / "rec-cmp.h5", mass=_models(summary.experiment))
    with h5py.File(simulated / "sim-cmp.h5") as ours, h5py.File(tmp_path / "rec-cmp.h5") as theirs:
        for name in ours:
            if name not in ("n_edges", "n_edges_ext", "n_spikes", "cv_isi", "spike_contrast_bin"):
                np.testing.assert_array_equal(theirs[name][()], ours[name][()], err_msg=name)


@pytest.mark.long
def test_every_command_reads_it(source, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded, compared = str(tmp_path / "rec.h5"), str(tmp_path / "cmp.h5")
    assert main(["import", str(source()), "-o", recorded]) == 0
    assert f"{recorded}: axes p (1), lam (1), 1 point, 1 trial of 1 s imported" in capsys.readouterr().out
    assert main(["status", recorded]) == 0
    assert "(imported, not running)\n1 of 1 trials done" in capsys.readouterr().out
    assert main(["check", recorded]) == 0
    assert main(["compare", recorded, "-o", compared]) == 0
    assert main(["summary", compared]) == 0
    text = capsys.readouterr().out
    assert text.endswith("The paper's claims are about a plane of p and λ, not about imported recordings.\n")
    assert main(["plot", compared, "-o", str(tmp_path / "maps")]) == 0
    assert "imported from run.npz" in (tmp_path / "maps" / "report.html").read_text()
    assert sweep_status(recorded).driver == "imported"
    assert main(["merge", recorded, "-o", str(tmp_path / "packed.h5"), "--pack"]) == 0
    assert check_sweep(tmp_path / "packed.h5") == []
    assert int(open_comparison(compared).to_xarray()["synchronised"].fillna(-1).item()) == -1  # nobody knows


def test_it_cannot_be_continued(source, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = tmp_path / "rec.h5"
    import_recordings(source(), recorded)
    config = tmp_path / "config.yml"
    config.write_text("grid: {p: 0.1, lam: 0.8}\nnetwork: {n_neurons: 50, duration_ms: 100, transient_ms: 10}\n")
    for command, sentence in (
        (["run", str(config), "-o", str(recorded)], "holds imported recordings, which no simulation can continue"),
        (["run", str(config), "-o", f"{tmp_path}/new.h5", "--reuse", str(recorded)], "are no trials of a sweep"),
        (["check", str(recorded), "--resimulate", "1"], "which cannot be simulated; leave out --resimulate"),
    ):
        assert main(command) == 2
        assert sentence in capsys.readouterr().err
    with SweepFile(recorded) as file:
        text = file.experiment.text
    config.write_text(text)
    with pytest.raises(UserError, match=r"describes imported recordings, which cannot be simulated; leave out 'imp"):
        load_experiment(config)


def test_any_axes_in_any_order(tmp_path: Path) -> None:
    arrays = traces(3, 2, 2)
    keys = {key: value for key, value in KEYS.items() if key != "w_I"}
    source = save(
        tmp_path / "run.npz", **arrays, **keys, dt_ms=0.5, axes=["gain", "w_I"], gain=[2.0, -1.0, 5.0], w_I=[0.2, 0.1]
    )  # fmt: skip
    summary = import_recordings(source, tmp_path / "rec.h5")
    assert summary.experiment.axes() == {"p": (0.1,), "lam": (0.8,), "w_I": (0.1, 0.2), "gain": (-1.0, 2.0, 5.0)}
    sweep = open_sweep(tmp_path / "rec.h5")
    for i, gain in enumerate([2.0, -1.0, 5.0]):
        for j, w in enumerate([0.2, 0.1]):
            there = sweep["mean_v"].sel(gain=gain, w_I=w).squeeze().values
            np.testing.assert_array_equal(there, arrays["mean_v"][i, j].astype(np.float32))
    with SweepFile(tmp_path / "rec.h5") as file:
        assert file.experiment.network_at(file.values_at((0, 0, 1, 2))).w_I == 0.2
        assert check_sweep(tmp_path / "rec.h5") == []
    assert import_recordings(source, tmp_path / "again.h5").experiment != summary.experiment  # another import


def test_several_sources_are_trials_or_points(source, tmp_path: Path) -> None:
    arrays = [traces(seed=k) for k in range(4)]
    paths = [source(f"{k}.npz", **arrays[k]) for k in range(4)]
    assert import_recordings(paths, tmp_path / "trials.h5").n_trials == 4
    sweep = open_sweep(tmp_path / "trials.h5")["mean_v"].squeeze()
    np.testing.assert_array_equal(sweep.values, np.array([a["mean_v"] for a in arrays], np.float32))
    axes = {"noise": [0.5, 0.1], "w_ext": [1.0, 2.0]}
    import_recordings(paths, tmp_path / "points.h5", axes=axes)
    sweep = open_sweep(tmp_path / "points.h5")["phi_E"].squeeze()
    np.testing.assert_array_equal(sweep.sel(noise=0.1, w_ext=2.0).values, arrays[3]["phi_E"].astype(np.float32))
    np.testing.assert_array_equal(sweep.sel(noise=0.5, w_ext=2.0).values, arrays[1]["phi_E"].astype(np.float32))


def test_an_xarray_file_needs_no_list_of_axes(tmp_path: Path) -> None:
    xr = pytest.importorskip("xarray")
    arrays = traces(2, 3)
    dataset = xr.Dataset(
        {name: (("gain", "trial", "time"), values, {"units": "V"} if name == "mean_v" else {})
         for name, values in arrays.items()},
        {"gain": ("gain", [1.0, 3.0], {"units": "nS"}), "time": ("time", np.arange(N_STEPS) * 5e-4, {"units": "s"})},
    )  # fmt: skip
    dataset["mean_v"] = dataset["mean_v"] / 1e3
    dataset["mean_v"].attrs["units"] = "V"
    dataset.assign_attrs(KEYS).to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    summary = import_recordings(tmp_path / "run.nc", tmp_path / "rec.h5")
    assert summary.experiment.network.dt_ms == 0.5
    sweep = open_sweep(tmp_path / "rec.h5")
    assert sweep["gain"].attrs["units"] == "nS"
    np.testing.assert_allclose(sweep["mean_v"].squeeze().values, arrays["mean_v"], rtol=1e-6)


SPIKES = {
    "spike_time": np.array([10.0, 20.0, 30.2, 500.0, 700.1, 900.0]),
    "spike_neuron": np.array([0, 1, 2, 3, 0, 3]),
    "spike_trial": np.array([0, 0, 0, 0, 0, 1]),
    "kind": np.array(["E", "E", "I", "ext"]),
    "out_degree": np.array([10, 20, 5, 50]),
}


def test_spikes_and_degrees_become_phi(source, tmp_path: Path) -> None:
    path = source(phi_E=None, phi_I=None, phi_ext=None, **{"mean_v": traces(2)["mean_v"]} | SPIKES, transient_ms=15.0)
    import_recordings(path, tmp_path / "rec.h5")
    sweep = open_sweep(tmp_path / "rec.h5").squeeze()
    phi_E = sweep["phi_E"].values
    assert np.flatnonzero(phi_E[0]).tolist() == [20, 40, 1400]
    assert phi_E[0, [20, 40, 1400]].tolist() == pytest.approx([0.2, 0.4, 0.2])
    assert np.flatnonzero(sweep["phi_ext"].values[1]).tolist() == [1800]
    assert not phi_E[1].any()
    assert sweep["n_spikes"].values.tolist() == [3, 0]  # after the transient, of the network
    assert sweep["n_edges"].values.tolist() == [35, 35]
    assert sweep["rate_I"].values.tolist() == pytest.approx([1 / 0.985, 0])
    assert sweep["silent"].values.tolist() == [1, 1]
    assert check_sweep(tmp_path / "rec.h5") == []


def test_an_nwb_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pynwb = pytest.importorskip("pynwb")
    start = datetime.datetime.now(datetime.UTC)
    file = pynwb.NWBFile(session_description="a", identifier="b", session_start_time=start)
    mean_v = traces()["mean_v"]
    series = {"name": "mean_v", "data": mean_v * 1e-3, "unit": "V", "rate": 2000.0, "starting_time": 0.0}
    file.add_acquisition(pynwb.TimeSeries(**series))
    file.add_unit_column("kind", "E, I or ext")
    file.add_unit_column("out_degree", "neurons reached")
    times = [[0.1, 0.6], [0.2], [0.3, 0.7]]
    for train, kind, degree in zip(times, ("E", "I", "ext"), (10, 20, 30), strict=True):
        file.add_unit(spike_times=train, kind=kind, out_degree=degree)
    for begin in (0.0, 0.5):
        file.add_trial(start_time=begin, stop_time=begin + 0.5)
    with pynwb.NWBHDF5IO(tmp_path / "run.nwb", "w") as io:
        io.write(file)
    config = tmp_path / "network.yml"
    config.write_text(yaml.safe_dump({"network": {k: v for k, v in KEYS.items() if k not in ("p", "lam")}}))
    labels = ["grid.p=0.1", "grid.lam=0.8"]
    import_recordings(tmp_path / "run.nwb", tmp_path / "rec.h5", config=config, assignments=labels)
    assert "spike" not in caplog.text  # those of the other trial are no mistake
    sweep = open_sweep(tmp_path / "rec.h5").squeeze()
    assert dict(sweep.sizes)["trial"] == 2
    np.testing.assert_allclose(sweep["mean_v"].values.ravel(), mean_v, rtol=1e-6)
    assert np.flatnonzero(sweep["phi_E"].values.ravel()).tolist() == [200, 1200]
    assert np.flatnonzero(sweep["phi_I"].values.ravel()).tolist() == [400]
    with h5py.File(tmp_path / "run.nwb", "r+") as file:
        file["units/spike_times"][...] += 5.0
    with pytest.raises(
        UserError, match=r"run.nwb: no spike lies within a trial: spike_times is from 5.1 to 5.7 s, and"
    ):
        import_recordings(tmp_path / "run.nwb", tmp_path / "late.h5", config=config, assignments=labels)


def test_what_neo_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    neo, pq = pytest.importorskip("neo"), pytest.importorskip("quantities")
    block = neo.Block(**{key: value for key, value in KEYS.items() if key not in ("p", "lam")})
    for _ in range(2):
        segment = neo.Segment()
        voltage = np.full((N_STEPS, 3), -0.06) + np.array([-1e-3, 0, 1e-3])  # of three neurons
        signal = {"units": "V", "sampling_rate": 2 * pq.kHz, "t_start": 1 * pq.s, "name": "mean_v"}
        segment.analogsignals.append(neo.AnalogSignal(voltage, **signal))
        for kind, at in (("E", 1.1), ("I", 1.2), ("ext", 1.3)):
            notes = {"kind": kind, "out_degree": 50}
            segment.spiketrains.append(neo.SpikeTrain([at], units="s", t_start=1, t_stop=2, **notes))
        block.segments.append(segment)
    neo.io.PickleIO(str(tmp_path / "run.pkl")).write_block(block)
    given = {"assignments": ["grid.p=0.1", "grid.lam=0.8"]}
    import_recordings(tmp_path / "run.pkl", tmp_path / "rec.h5", **given)
    sweep = open_sweep(tmp_path / "rec.h5").squeeze()
    np.testing.assert_allclose(sweep["mean_v"].values, -60, rtol=1e-6)
    assert np.argwhere(sweep["phi_I"].values).tolist() == [[0, 400], [1, 400]]
    monkeypatch.setitem(sys.modules, "neo", None)
    with pytest.raises(UserError, match=r"pip install 'hpcmass\[neo\]'"):
        import_recordings(tmp_path / "run.pkl", tmp_path / "new.h5", **given)


ONE = {"phi_E": None, "phi_I": None, "phi_ext": None} | SPIKES | {"spike_trial": None}
"""Changes that put the spikes of one trial in place of Φ."""

NAN = traces()["mean_v"].copy()
NAN[17] = np.nan


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"mean_v": None}, "run.npz has no mean_v, the population mean"),
        ({"mean_v": NAN}, "mean_v at p=0.1 lam=0.8 trial 0 is nan in step 17; cut or fill the gap"),
        ({"mean_v": traces()["mean_v"] * 1e-3}, "mean_v seems to be in V; multiply it by 1000"),
        ({"phi_E": np.ones(5)}, r"phi_E has shape \(5,\) and mean_v \(2000,\); give arrays of the same shape"),
        ({"phi_E": -np.ones(N_STEPS)}, "it counts spikes, give numbers from 0"),
        ({"mean_v": traces(2, 3)["mean_v"]}, r"mean_v has shape \(2, 3, 2000\); give \(trial, time\) or \(time\), "),
        ({"axes": ["g"]}, "there are no values of the axis g; add an array of that name"),
        ({"axes": ["g"], "g": [1.0, 2.0]}, r"mean_v has shape \(2000,\); give \(g, trial, time\).*with g of 2 values"),
        ({"axes": ["trial"], "trial": [1.0]}, "trial cannot be an axis; give the axis another name"),
        ({"axes": ["g"], "g": [1.0, 1.0]}, "the axis g has a value twice"),
        ({"dt_ms": None}, "run.npz does not say its time step; add dt_ms, or give --set network.dt_ms=VALUE"),
        ({"dt_ms": None, "time": np.arange(N_STEPS)}, "time has no unit; give the time step"),
        ({"dt_ms": None, "time_ms": np.arange(N_STEPS) ** 1.1}, "time_ms are not equally spaced"),
        ({"phi_I": None}, "has no phi_I, the spikes that a neuron receives .* --constant phi_I=0"),
        ({"w_I": None}, r"does not say w_I \(jump of the conductance .* --set network.w_I=VALUE; .* current-based"),
        ({"tau_m_ms": None}, r"does not say tau_m_ms \(membrane time constant\), .* --set network.tau_m_ms=VALUE$"),
        ({"p": None}, r"does not say p \(connection probability, or density of the graph\); .* --set grid.p=VALUE"),
        ({"w_E": [1.0, 2.0]}, "w_E must be one number; what differs from point to point is an axis"),
        ({"tau_E_ms": 0.1}, "network.tau_E_ms: must be at least two steps"),
        ({"mean_v": np.array(["a"] * N_STEPS)}, "mean_v must be an array of real numbers"),
        ({"mean_v": np.zeros(3), "phi_E": 1.0, "phi_I": 1.0, "phi_ext": 1.0}, "mean_v has 3 steps; give at least 16"),
        ({"phi_E": None, "spike_time": [1.0]}, "has spike_time, and no spike_neuron and no out_degree and no kind"),
        ({"phi_E": None} | SPIKES | {"spike_trial": np.ones(6, int)}, "spike_trial is from 1 to 1, and mean_v has 1"),
        (
            {"phi_E": None, **traces(2), **SPIKES, "spike_trial": None},
            "^run.npz: mean_v has 2 trials; give spike_trial, the trial of each spike, from 0$",
        ),
        (ONE | {"spike_time": np.full(6, np.nan)}, r"^run.npz: spike_time\[0\] is nan; give finite numbers$"),
        (ONE | {"spike_time": 2e3 + SPIKES["spike_time"]}, r"^run.npz: no spike of trial 0 lies .* recording: spike_t"),
        (ONE | {"spike_neuron": np.full(6, 9)}, "^run.npz: spike_neuron has the number 9, and kind the elements 0 to"),
        (ONE | {"spike_neuron": np.full(6, 0.5)}, "^run.npz: spike_neuron must be whole numbers, from 0$"),
        (ONE | {"n_neurons": None}, r"does not say n_neurons \(.*\), which Φ from spikes needs; .* network.n_neurons="),
        (ONE | {"spike_neuron": np.zeros(5, int)}, r"spike_neuron has shape \(5,\) and spike_time \(6,\)"),
        ({"phi_E": None} | SPIKES | {"spike_trial": np.zeros(6, int), "kind": ["E", "e", "I", "I"]}, "kind has 'e'"),
        ({"phi_E": None} | SPIKES | {"spike_trial": np.zeros(6, int), "out_degree": [1, 2]}, "out_degree has 2 units"),
        ({"rate_E": [1.0, 2.0]}, "rate_E has shape"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(source, tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as raised:
        import_recordings(source(**changes), tmp_path / "rec.h5")
    assert "\n" not in str(raised.value).removesuffix("\n") or "problem" in str(raised.value)
    assert not list(tmp_path.glob("*.h5"))  # nothing half-made


def test_sources_that_do_not_fit_each_other(source, tmp_path: Path) -> None:
    first, longer = source("a.npz"), source("b.npz", **{k: np.tile(v, 2) for k, v in traces().items()})
    output = tmp_path / "rec.h5"
    for paths, given, sentence in (
        ([first, longer], {}, "b.npz has 4000 steps and a.npz 2000; cut them to the same length"),
        ([first, source("c.npz", dt_ms=0.1)], {}, "dt_ms = 0.1, and another source or --set has 0.5; resample it"),
        (
            [first, source("d.npz", w_E=0.5)],
            {},
            r"w_E is 0.02 in one source and 0.5 in d.npz; make it an axis with --a",
        ),
        ([first], {"axes": {"g": [1, 2]}}, "--axis gives 2 values of g, and there are 1 source; give one source for"),
        ([first], {"constants": {"phi_X": 1}}, "--constant phi_X: there is no such trace"),
        ([first], {"assignments": ["grid.w_I=[1, 2]"]}, "grid.w_I: an import has the axes of its sources"),
        ([first], {"assignments": ["grid.p=[0.1, 0.2]"]}, "grid.p is no single value, and the sources have no axis p"),
        ([], {}, "there is nothing to import"),
    ):
        with pytest.raises(UserError, match=sentence):
            import_recordings(paths, output, **given)
    assert not output.exists()


def test_current_based_synapses_are_conductances_with_a_far_reversal_potential(source, tmp_path: Path) -> None:
    """As the guide says: of a jump J of the current both models are tau_m tau_s V'' + … = V_L + Σ J τ Φ."""
    far, jump = 1e6, {"E": 0.4, "I": 0.3}
    given = {"v_exc_mv": far, "v_inh_mv": -far, "w_E": jump["E"] / far, "w_I": jump["I"] / far, "w_ext": 0.0}
    import_recordings(source(**given), tmp_path / "rec.h5")
    with SweepFile(tmp_path / "rec.h5") as file:
        network, mass = file.experiment.network, file.experiment.mass
        potentials = predict(Traces(**file.traces((0, 0), 0)), network, mass)
    assert potentials["CFM"].std() > 0.01
    np.testing.assert_allclose(potentials["CFM"], potentials["MFM"], atol=1e-3)
    phi = traces()
    settled = -74 + jump["E"] * 3 * phi["phi_E"].mean() - jump["I"] * 7 * phi["phi_I"].mean()
    assert potentials["CFM"][500:].mean() == pytest.approx(settled, abs=0.1)


def test_input_in_spikes_per_second_is_noticed(source, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settled = -74 / (1 + 2 * (0.02 * 3 + 0.05 * 5))  # all reversal potentials of what acts are 0, and Φ is 2 per ms
    right = {"mean_v": settled + np.random.default_rng(1).standard_normal(N_STEPS), "w_I": 0.0}
    import_recordings(source(**right, transient_ms=100.0), tmp_path / "right.h5")
    assert not caplog.records
    wrong = {name: 1e3 * values for name, values in traces().items() if name != "mean_v"}
    import_recordings(source(**right, **wrong), tmp_path / "wrong.h5")
    assert "the input seems to be in spikes per s" in caplog.text


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Warnings since the last call."""
    found = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    caplog.clear()
    return found


def test_spikes_in_seconds_are_noticed(source, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import_recordings(source(**ONE), tmp_path / "right.h5")
    assert not warned(caplog)
    path = source(**ONE | {"spike_time": SPIKES["spike_time"] / 1e3})
    import_recordings(path, tmp_path / "wrong.h5")
    assert warned(caplog) == ["the last spike is at 0.9 ms of 1000 ms: spike_time seems to be in s; give ms"]
    early = ONE | {"spike_time": np.linspace(0, 9, 6)}
    with h5py.File(tmp_path / "run.h5", "w") as file, np.load(source(**early)) as arrays:
        for name in arrays:
            file[name] = arrays[name].astype("S3") if name == "kind" else arrays[name]
        file["spike_time"].attrs["units"] = "ms"
    import_recordings(tmp_path / "run.h5", tmp_path / "stated.h5")
    assert not warned(caplog)


def test_spikes_outside_the_recording_are_counted(source, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    two = ONE | {"mean_v": traces(2)["mean_v"], "spike_trial": SPIKES["spike_trial"]}
    import_recordings(source(**two | {"spike_time": SPIKES["spike_time"] + 0.1 * (SPIKES["spike_time"] == 900)}),
                      tmp_path / "right.h5")  # fmt: skip
    assert not warned(caplog)
    late = np.array([10.0, 20.0, 30.2, 1500.0, 1700.1, 900.0])
    import_recordings(source(**two | {"spike_time": late}), tmp_path / "late.h5")
    assert warned(caplog) == [
        "2 of 6 spikes lie outside the recording and are left out: spike_time is from 10 to 1700.1, and the recording "
        "from 0 to 1000 ms"
    ]
    edge = np.array([10.0, 20.0, 30.2, 500.0, 1000.0, 900.0])  # at the end of its step
    import_recordings(source(**two | {"spike_time": edge}), tmp_path / "edge.h5")
    assert not warned(caplog)


def test_a_name_that_is_not_read_is_said(source, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = [source(f"{k}.npz", transient=300.0, Qq=1, zzzz=2) for k in range(2)]
    import_recordings(paths, tmp_path / "rec.h5")
    assert "no transient_ms: the whole recording is analysed" in caplog.text
    assert warned(caplog) == [
        "0.npz has 'transient', which is not read; did you mean 'transient_ms'?",
        "0.npz has 'Qq', 'zzzz', which are not read",
    ]
    import_recordings(source(transient_ms=300.0, axes=["g"], g=[1.0], **traces(1)), tmp_path / "right.h5")
    assert not caplog.records


def test_names_of_an_hdf5_file_that_are_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    xr = pytest.importorskip("xarray")
    arrays = {name: (("gain", "trial", "time"), values) for name, values in traces(2, 1).items()}
    dataset = xr.Dataset(arrays, {"gain": [1.0, 2.0]}).assign_attrs(KEYS, dt_ms=0.5, title="mine", institution="ours")
    dataset.to_netcdf(tmp_path / "right.nc", engine="h5netcdf")
    import_recordings(tmp_path / "right.nc", tmp_path / "right.h5")
    assert not warned(caplog)
    dims = {"spike_time": "spike", "spike_neuron": "spike", "kind": "unit", "out_degree": "unit"}  # without coordinates
    spikes = xr.Dataset({name: (dim, SPIKES[name]) for name, dim in dims.items()})
    spikes["mean_v"] = ("trial", "time"), traces(1)["mean_v"]
    spikes.assign_attrs(KEYS, dt_ms=0.5).to_netcdf(tmp_path / "spikes.nc", engine="h5netcdf")
    import_recordings(tmp_path / "spikes.nc", tmp_path / "spikes.h5")
    assert not warned(caplog)
    dataset["phi_e"] = dataset["phi_E"]
    dataset.assign_attrs(transient=300.0).to_netcdf(tmp_path / "wrong.nc", engine="h5netcdf")
    import_recordings(tmp_path / "wrong.nc", tmp_path / "wrong.h5")
    assert warned(caplog) == [
        "wrong.nc has 'phi_e', which is not read; did you mean 'phi_E'?",
        "wrong.nc has 'transient', which is not read; did you mean 'transient_ms'?",
    ]


def test_all_that_is_missing_is_said_at_once(source, tmp_path: Path) -> None:
    path = source(phi_ext=None, tau_m_ms=None, w_I=None, p=None, lam=None)
    with pytest.raises(UserError) as raised:
        import_recordings(path, tmp_path / "rec.h5")
    for part in (
        "run.npz has no phi_ext, the spikes",
        "; it does not say tau_m_ms (membrane time constant), w_I (",
        "; it does not say p (connection probability, or density of the graph), lam (",
    ):
        assert part in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.long
def test_arrays_need_no_number_of_neurons(source, tmp_path: Path) -> None:
    recorded, compared = tmp_path / "rec.h5", tmp_path / "cmp.h5"
    import_recordings(source(n_neurons=None), recorded)
    assert check_sweep(recorded) == []
    compare_sweep(recorded, compared)
    with open_view(compared) as view:
        assert view.size() == "1 trial of 1 s after the transient"
    import_recordings(source(), tmp_path / "known.h5")
    compare_sweep(tmp_path / "known.h5", tmp_path / "known-cmp.h5")
    with open_view(tmp_path / "known-cmp.h5") as view:
        assert view.size().startswith("N = 100 neurons, 1 trial")
    with pytest.raises(UserError, match=r"n_neurons .* which weight_scaling needs; add it there"):
        import_recordings(source(n_neurons=None), tmp_path / "w.h5", assignments=["network.weight_scaling=1/k"])


def test_what_a_comparison_will_refuse_is_said_at_once(
    source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import_recordings(source(dt_ms=0.05), tmp_path / "rec.h5")
    assert "compare.max_lag_ms = 50 is more than a quarter of the 100 ms" in caplog.text
    import_recordings(source(dt_ms=1.25), tmp_path / "slow.h5")
    with SweepFile(tmp_path / "slow.h5") as file:
        assert file.experiment.compare.band_hz == (0.0, 400.0)  # up to half the sampling rate
