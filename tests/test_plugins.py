"""Mass models and statistics of one's own: from files, packages, scripts and notebook cells."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from hpcmass import Parameter, mass_model, plugins
from hpcmass.cli import main
from hpcmass.compare.pipeline import compare_sweep
from hpcmass.config import Experiment, MassParameters
from hpcmass.errors import UserError
from hpcmass.mass import models_named, models_of, registry
from hpcmass.plugins import Registered, label_of
from hpcmass.sweep.run import run_sweep

MODELS = """
import numpy as np
from hpcmass import Parameter, mass_model
from my_helper import shifted

@mass_model("WC", parameters={"gain": Parameter(1.0, "1", "gain of the input", ge=0, le=10)})
def wilson_cowan(traces, network, mass, gain):
    return shifted(traces.mean_v, 0.01 * gain * traces.phi_E)

class Mean:
    def summarise(self, traces, network, mass, offset):
        return float(traces.mean_v.mean())

    def fit(self, summaries, held_out, network, offset):
        return lambda traces, network, mass: np.linspace(summaries[held_out] + offset, -60, network.n_steps)

mass_model("mean", parameters={"offset": Parameter(2.0, "mV")})(Mean())
"""

CONFIG = """
trials: 2
network: {n_neurons: 100, n_external: 100, p_ext: 1.0, w_ext: 0.1, duration_ms: 400.0, transient_ms: 100.0}
grid: {p: [0.1, 1.0], lam: [0.5, 0.8]}
compare: {bin_hz: 10.0}
mass: {models: [MFM, "my_models.py:WC"], WC: {gain: 3.0}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a file of models; what a test registers is forgotten after it."""
    registry.known_models()
    monkeypatch.setattr(registry.MODELS, "entries", dict(registry.MODELS.entries))
    (tmp_path / "my_models.py").write_text(MODELS)
    (tmp_path / "my_helper.py").write_text("def shifted(v, by):\n    return v.astype('f8') + by\n")
    (tmp_path / "my.yml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "my_helper", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("swept") / "sweep.h5"
    network = {"n_neurons": 100, "n_external": 100, "p_ext": 1.0, "w_ext": 0.1, "duration_ms": 400, "transient_ms": 100}
    grid = {"p": [0.1, 1.0], "lam": [0.5, 0.8]}
    run_sweep(Experiment(grid=grid, network=network, trials=2, compare={"bin_hz": 10.0}), path)
    return path


def refused(capsys: pytest.CaptureFixture[str], *command: object) -> str:
    """Asserts that a command ends with exit code 2 and one sentence, and gives that."""
    capsys.readouterr()
    assert main([str(word) for word in command]) == 2
    printed = capsys.readouterr().err.splitlines()
    assert "Traceback" not in "\n".join(printed)
    return printed[-1]


# References and registration -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "name"),
    [("WC", "WC"), ("my.py:WC", "WC"), ("/a b/my.py:W:C", "W:C"), ("C:on", "C:on"), ("my.py", "my.py")],
)
def test_the_name_in_a_reference(reference: str, name: str) -> None:
    assert label_of(reference) == name


def test_a_file_is_executed_once_and_again_when_it_has_changed(folder: Path) -> None:
    first = models_named(["my_models.py:WC"])["WC"]
    assert models_named([str(folder / "my_models.py:WC")])["WC"].func is first.func
    (folder / "my_models.py").write_text(MODELS.replace("0.01", "0.02"))
    assert models_named(["my_models.py:WC"])["WC"].func is not first.func
    assert "WC" not in registry.known_models(), "names in a file belong to the file"


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (["my_models.py:WD"], "mass.models: my_models.py has no mass model 'WD'; did you mean 'WC'?"),
        (["my_helper.py:WC"], "my_helper.py has no mass model 'WC'; it has no mass model"),
        (["my_model.py:WC"], r"cannot read my_model.py: there is no such file in /.*; did you mean my_models.py\?"),
        (["my_models.py"], "my_models.py is a file; give a name in it, too, my_models.py:NAME"),
        (["my_models.py:WC", "./my_models.py:WC"], "'WC' is given twice"),
        (["WC"], r"there is no mass model 'WC'; known models: CFM, .*MFM, or one in a file, models\.py:WC$"),
    ],
)
def test_a_wrong_reference_is_one_sentence(models: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        models_named(models)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def (:\n", r"cannot load bad.py, SyntaxError: .*\(bad.py, line 1\); correct that file"),
        ("import sys\nsys.exit(3)\n", r"cannot load bad.py, SystemExit: 3 \(bad.py, line 2\); correct that file"),
        (f"{MODELS}\nmass_model('WC')(wilson_cowan)\n", "there are two mass models named WC in this file"),
        (MODELS.replace('"WC"', '"MFM"'), "MFM in bad.py has the name of a mass model of hpcmass; give it another"),
        (MODELS.replace('"WC"', '"models"'), "'models' cannot name a mass model"),
        (MODELS.replace("mass, gain)", "mass)"), r"the mass model WC takes .*; it must take \(.*, mass, gain\)"),
        (MODELS.replace("Parameter(1.0", "Parameter(11.0"), r"default of a parameter is 11, .* range, \[0, 10\]"),
        (MODELS.replace('"gain"', '"my gain"'), "'my gain' cannot name a parameter of WC"),
        (
            MODELS.replace('Parameter(1.0, "1", "gain of the input", ge=0, le=10)', "3.0"),
            r"must be a Parameter\(default",
        ),
    ],
)
def test_a_file_with_a_mistake_is_one_sentence(text: str, message: str, folder: Path) -> None:
    (folder / "bad.py").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        models_named([f"bad.py:{'MFM' if 'MFM' in text else 'WC'}"])
    assert "\n" not in str(error.value)
    (folder / "bad.py").write_text(MODELS)  # and once it is corrected, it is loaded
    assert list(models_named(["bad.py:WC"])) == ["WC"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"WC": {"gian": 3.0}}, "mass.WC.gian: unknown key; did you mean 'gain'?"),
        ({"WC": {"gain": 30.0}}, r"mass.WC.gain is 30, which is outside the allowed range, \[0, 10\]"),
    ],
)
def test_parameters_are_validated(keys: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        models_of(MassParameters(models=("my_models.py:WC",), **keys))


def test_a_cell_that_runs_again_replaces_its_model() -> None:
    for offset in (1.0, 2.0):
        mass_model("MINE")(lambda traces, network, mass, offset=offset: offset)
        assert models_named(["MINE"])["MINE"](None, None, None) == offset
    with pytest.raises(ValueError, match=r"there are two mass models named CFM, the other in hpcmass.mass.freeman"):
        mass_model("CFM")(lambda traces, network, mass: 0)


class Package:
    """An installed package with a module and an entry point."""

    def __init__(self, name: str, module: str) -> None:
        self.name, self.module, self.dist = name, module, SimpleNamespace(name="my-package", version="1.2")


def test_an_installed_package_declares_its_models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "my_package.py").write_text(MODELS)
    points = [Package("WC", "my_package"), Package("OTHER", "my_package"), Package("NONE", "no_such_module")]
    monkeypatch.setattr(
        plugins.metadata, "entry_points", lambda group: points if group == "hpcmass.mass_models" else []
    )
    assert {"WC", "OTHER", "NONE"} <= set(registry.known_models())
    entry: Registered[registry.Declared] = registry.MODELS.find("WC")
    assert entry.origin == "my-package 1.2"
    assert entry.sha256 == hashlib.sha256(MODELS.encode()).hexdigest()
    with pytest.raises(
        UserError, match=r"my-package 1.2 declares the mass model OTHER, but its module my_package does"
    ):
        models_named(["OTHER"])
    with pytest.raises(UserError, match=r"cannot load the mass model NONE of my-package 1.2, ModuleNotFoundError"):
        models_named(["NONE"])
    assert list(models_named(["MFM"])) == ["MFM"], "a broken package concerns only who asks for its models"


# Comparisons -----------------------------------------------------------------------------------------------------


def test_a_comparison_with_a_model_in_a_file(sweep: Path, folder: Path) -> None:
    assert main(["compare", str(sweep), "-o", "c.h5", "--models", "MFM,my_models.py:WC,my_models.py:mean"]) == 0
    compare_sweep(sweep, "mfm.h5", mass=MassParameters(models=("MFM",)))
    with h5py.File("c.h5") as file, h5py.File("mfm.h5") as alone:
        assert file["model"].asstr()[()].tolist() == ["MFM", "WC", "mean"]
        np.testing.assert_array_equal(file["rho"][..., 0], alone["rho"][..., 0])
        assert np.isfinite(file["rho"][()]).all()
        code = json.loads(file.attrs["own_code"])
        assert json.loads(alone.attrs["own_code"]) == {}
    sha256 = hashlib.sha256(MODELS.encode()).hexdigest()
    assert code == {name: {"from": "my_models.py", "sha256": sha256} for name in ("WC", "mean")}


@pytest.mark.slow
@pytest.mark.process
def test_the_same_in_processes(sweep: Path, folder: Path) -> None:
    mass = MassParameters(models=("MFM", "my_models.py:WC", "my_models.py:mean"), WC={"gain": 3.0})
    compare_sweep(sweep, "one.h5", mass=mass)
    compare_sweep(sweep, "two.h5", mass=mass, jobs=2)
    with h5py.File("one.h5") as one, h5py.File("two.h5") as two:
        for name in one:
            np.testing.assert_array_equal(one[name][()], two[name][()], err_msg=name)


@pytest.mark.slow
def test_the_same_under_mpiexec(sweep: Path, folder: Path, mpi_run) -> None:
    models = ["--models", "MFM,my_models.py:WC"]
    assert main(["compare", str(sweep), "-o", "one.h5", *models]) == 0
    mpi_run(3, "-m", "hpcmass", "compare", str(sweep), "-o", "ranks.h5", *models, cwd=folder)
    with h5py.File("one.h5") as one, h5py.File("ranks.h5") as ranks:
        for name in one:
            np.testing.assert_array_equal(one[name][()], ranks[name][()], err_msg=name)
        assert one.attrs["own_code"] == ranks.attrs["own_code"]


def test_parameters_come_from_the_configuration(sweep: Path, folder: Path, capsys) -> None:
    assert main(["validate", "my.yml"]) == 0
    assert main(["compare", str(sweep), "-o", "three.h5", "--config", "my.yml"]) == 0
    (folder / "my.yml").write_text(CONFIG.replace("WC: {gain: 3.0}", ""))
    assert main(["compare", str(sweep), "-o", "default.h5", "--config", "my.yml"]) == 0
    with h5py.File("three.h5") as three, h5py.File("default.h5") as default:
        np.testing.assert_array_equal(three["rho"][..., 0], default["rho"][..., 0])
        means = three["mean_v_model"][..., 1] - default["mean_v_model"][..., 1]
        assert (means >= 0).all()
        assert (means > 0).sum() == 3, "where there is input"
        assert "gain: 3.0" in three.attrs["config_yaml"]
    said = refused(capsys, "compare", sweep, "-o", "three.h5", "--config", "my.yml")
    assert "mass.WC is {'gain': 3.0} there and not set here" in said


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("WC: {gian: 3.0}", "mass.WC.gian: unknown key; did you mean 'gain'?"),
        ("WC: {gain: -1}", "mass.WC.gain is -1, which is outside the allowed range, [0, 10]"),
        ("WC: {gain: high}", "mass.WC.gain: should be a valid number, not 'high'"),
        ("WD: {gain: 3.0}", "'WD' is neither a key nor a model in mass.models; did you mean 'WC'?"),
        ("tau_s_m: 3.0", "mass.tau_s_m: unknown key; did you mean 'tau_s_ms'?"),
    ],
)
def test_validate_reports_a_wrong_parameter(wrong: str, message: str, folder: Path, capsys) -> None:
    (folder / "my.yml").write_text(CONFIG.replace("WC: {gain: 3.0}", wrong))
    assert message in refused(capsys, "validate", "my.yml")


def test_set_changes_a_parameter(capsys) -> None:
    assert main(["validate", "my.yml", "--set", "mass.WC.gain=4"]) == 0
    assert "mass.WC.gain is 40" in refused(capsys, "validate", "my.yml", "--set", "mass.WC.gain=40")
    assert "did you mean 'mass.tau_s_ms'?" in refused(capsys, "validate", "my.yml", "--set", "mass.tau_s_m=4")


def test_other_code_is_not_mixed_into_a_comparison(sweep: Path, folder: Path, capsys) -> None:
    command = ["compare", str(sweep), "-o", "c.h5", "--models", "my_models.py:WC"]
    assert main(command) == 0
    (folder / "my_models.py").write_text(f"{MODELS}\n# a remark\n")
    assert "c.h5 was made with other code of WC; " in refused(capsys, *command)
    assert main([*command, "--force"]) == 0
    os.rename("my_models.py", "moved.py")
    assert main([*command[:-1], "moved.py:WC"]) == 0, "the same code under another name"


def test_code_that_changes_meanwhile_ends_the_comparison(sweep: Path, folder: Path) -> None:
    def change(done: int, total: int) -> None:
        if done == 2:
            (folder / "my_models.py").write_text(f"{MODELS}\n# a remark\n")

    with pytest.raises(UserError, match="the code of WC is not what it was when the comparison started"):
        compare_sweep(sweep, "c.h5", mass=MassParameters(models=("my_models.py:WC",)), progress=change)


def test_a_parameter_has_a_finite_default() -> None:
    with pytest.raises(ValueError, match="the default of a parameter must be a finite number, not nan"):
        Parameter(float("nan"))
