"""A user's mass model with a mistake: every command reports it in one sentence."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import hpcmass.mass
from figures import draw_fewer
from hpcmass.cli import main
from hpcmass.compare.pipeline import compare_sweep
from hpcmass.config import MassParameters
from hpcmass.errors import UserError
from hpcmass.mass import known_models, mass_model, registry
from hpcmass.store.schema import COMPARISON_VARIABLES

CONFIG = """
trials: 2
network: {n_neurons: 200, n_external: 200, p_ext: 1.0, w_ext: 0.1, duration_ms: 400.0, transient_ms: 100.0}
grid: {p: [0.1, 1.0], lam: [0.5, 0.8]}
compare: {bin_hz: 10.0}
mass: {models: [BAD, MFM]}
"""

HEAD = """
import numpy as np
from hpcmass.mass.registry import mass_model

"""

pytestmark = pytest.mark.process


def model(*lines: str) -> str:
    """The text of a module with a model of these lines."""
    body = "\n".join(f"    {line}" for line in lines)
    return f"{HEAD}@mass_model('BAD')\ndef bad(traces, network, mass):\n{body}\n"


UNLOADABLE = {
    "syntax": ("def bad(:\n", r"SyntaxError: invalid syntax \(bad_model.py, line 1\)"),
    "import": ("import no_such_package\n", r"ModuleNotFoundError: No module .*\(bad_model.py, line 1\)"),
    "name": ("from numpy import no_such_name\n", "ImportError: cannot import name"),
    "exit": ("import sys\nsys.exit(0)\n", r"SystemExit: 0 \(bad_model.py, line 2\)"),
    "error": (f"{HEAD}x = 1 / 0\n", r"ZeroDivisionError: .*\(bad_model.py, line 5\)"),
    "after": (f"{model('return traces.mean_v')}\nraise RuntimeError\n", r"RuntimeError \(bad_model.py, line 9\)"),
    "twice": (model("return traces.mean_v").replace("BAD", "MFM"), "there are two mass models named MFM"),
    "no name": (model("return traces.mean_v").replace("('BAD')", ""), "is not a name for a mass model"),
    "null": ("\0\n", "null bytes"),
    "no text": ("x = '\udcff'\n", "SyntaxError"),
}

UNUSABLE = {
    "arguments": (f"{HEAD}@mass_model('BAD')\ndef bad(traces):\n    return 0\n", r"BAD takes \(traces\); it must take"),
    "class": (f"{HEAD}@mass_model('BAD')\nclass Bad:\n    pass\n", "BAD is a class"),
    "number": (f"{HEAD}mass_model('BAD')(3)\n", "BAD is an int"),
}

FAILING = {
    "in place": (model("phi = traces.phi_E", "phi *= 10", "return phi"), "BAD failed, ValueError: .*read-only"),
    "one more": (model("return np.append(traces.mean_v, -60.0)"), r"BAD returned an array of shape \(4001,\)"),
    "list": (model("return traces.mean_v.tolist()"), "BAD returned a list"),
    "nothing": (model("traces.mean_v + 1"), r"BAD returned nothing \(None\)"),
    "generator": (model("yield from traces.mean_v"), "BAD returned a generator"),
    "complex": (model("return traces.mean_v + 1j"), "BAD returned an array of complex64"),
    "whole": (model("return traces.mean_v.astype(int)"), "BAD returned an array of int64"),
    "masked": (model("return np.ma.masked_less(traces.mean_v, 0)"), "BAD returned a masked array"),
    "exception": (
        model("raise ArithmeticError('no root')"),
        r"BAD failed, ArithmeticError: no root \(bad_model.py, li",
    ),
    "exit": (model("import sys", "sys.exit('enough')"), "BAD failed, SystemExit: enough"),
    "import": (model("import no_such_package"), "BAD failed, ModuleNotFoundError"),
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Give a sweep, and the comparison of its MFM alone."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "config.yml").write_text(CONFIG.replace("BAD, ", ""))
    assert main(["run", "-q", str(folder / "config.yml"), "-o", str(folder / "sweep.h5")]) == 0
    assert main(["compare", "-q", str(folder / "sweep.h5"), "-o", str(folder / "mfm.h5")]) == 0
    return folder / "sweep.h5", folder / "mfm.h5"


@pytest.fixture
def install_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Give `install_model(text)`: adds a module to `hpcmass.mass`, also in workers, and gives a configuration."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    known_models()
    monkeypatch.setattr(registry.MODELS, "entries", dict(registry.MODELS.entries))
    monkeypatch.setattr(hpcmass.mass, "__path__", [*hpcmass.mass.__path__, str(plugins)])
    monkeypatch.delitem(sys.modules, "hpcmass.mass.bad_model", raising=False)
    (tmp_path / "sitecustomize.py").write_text(f"import hpcmass.mass\nhpcmass.mass.__path__.append({str(plugins)!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        # Python tells a changed module by its size and the second of its change.
        shutil.rmtree(plugins / "__pycache__", ignore_errors=True)
        importlib.invalidate_caches()
        (plugins / "bad_model.py").write_bytes(text.encode("utf-8", "surrogateescape"))
        (tmp_path / "config.yml").write_text(CONFIG)
        return tmp_path / "config.yml"

    yield write
    sys.modules.pop("hpcmass.mass.bad_model", None)


def refused(capsys: pytest.CaptureFixture[str], message: str, *command: object) -> None:
    """Asserts that a command ends with exit code 2 and one sentence."""
    capsys.readouterr()
    assert main([str(word) for word in command]) == 2
    printed = capsys.readouterr().err
    assert re.search(message, printed.splitlines()[-1]), printed
    assert printed.splitlines()[-1].startswith("hpcmass: ")
    assert "Traceback" not in printed


@pytest.mark.parametrize("kind", UNLOADABLE)
def test_a_module_that_cannot_be_loaded(kind, install_model, swept, capsys):
    text, reason = UNLOADABLE[kind]
    config = install_model(text)
    message = f"cannot load the mass models of hpcmass.mass.bad_model, .*{reason}.*; correct that module or remove it"
    refused(capsys, message, "validate", config)
    refused(capsys, message, "compare", swept[0], "-o", "c.h5", "--models", "BAD,MFM")
    refused(capsys, message, "compare", swept[0], "-o", "c.h5")  # might be meant to be the MFM
    refused(capsys, message, "trial", config, "--p", 0.1, "--lam", 0.8, "--plot")
    assert not Path("c.h5").exists()
    assert not Path("trial.png").exists()
    install_model(model("return traces.mean_v"))  # once fixed, it is loaded, also in the same process
    assert main(["validate", str(config)]) == 0


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_is_no_model_is_refused_before_anything_is_computed(kind, install_model, swept, capsys):
    text, reason = UNUSABLE[kind]
    config = install_model(text)
    refused(capsys, reason, "validate", config)
    refused(capsys, reason, "compare", swept[0], "-o", "c.h5", "--models", "MFM,BAD")
    refused(capsys, reason, "trial", config, "--p", 0.1, "--lam", 0.8, "--plot", "-o", "t.h5")
    assert not Path("c.h5").exists()
    assert not Path("t.h5").exists()
    assert main(["compare", str(swept[0]), "-o", "c.h5", "--models", "MFM"]) == 0  # it is not requested


@pytest.mark.parametrize("kind", FAILING)
def test_a_model_that_fails(kind, install_model, swept, capsys):
    text, reason = FAILING[kind]
    config = install_model(text)
    assert main(["validate", str(config)]) == 0
    refused(capsys, f"at p = .*, lam = .*: the mass model {reason}", "compare", swept[0], "-o", "c.h5",
            "--models", "MFM,BAD")  # fmt: skip
    refused(capsys, reason, "trial", config, "--p", 0.1, "--lam", 0.8, "--plot", "-o", "t.h5")
    with h5py.File("t.h5") as file:  # the trial itself is kept
        assert file["status"][()].all()


@pytest.mark.parametrize("kind", ["in place", "one more", "exception", "exit", "generator"])
def test_a_model_that_fails_in_a_worker_process(kind, install_model, swept, capsys):
    text, reason = FAILING[kind]
    install_model(text)
    refused(capsys, f"at p = .*: the mass model {reason}", "compare", swept[0], "-o", "c.h5", "-j", 2,
            "--models", "MFM,BAD")  # fmt: skip


@pytest.mark.parametrize("text", [UNLOADABLE["syntax"][0], UNLOADABLE["exit"][0], UNUSABLE["arguments"][0]])
def test_a_sweep_continues_with_a_warning(text, install_model, capsys):
    assert main(["run", str(install_model(text)), "-o", "s.h5"]) == 0
    printed = capsys.readouterr()
    assert "8 of 8 trials done" in printed.out
    assert "bad_model" in printed.err or "BAD takes" in printed.err
    assert "Traceback" not in printed.err


DIVERGING = model(
    "v = traces.mean_v.astype('f8')",
    "v[2000] = 1e200",
    "object.__setattr__(traces, 'phi_E', 10 * traces.phi_E)",
    "network.__dict__['tau_m_ms'] = 1.0",
    "return v",
)


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("order", ["BAD,MFM", "MFM,BAD"])
def test_no_model_changes_the_results_of_another(order, jobs, install_model, swept):
    install_model(DIVERGING)
    sweep, alone = swept
    assert main(["compare", str(sweep), "-o", "c.h5", "-j", str(jobs), "--models", order]) == 0
    k = order.split(",").index("MFM")
    with h5py.File("c.h5") as both, h5py.File(alone) as one:
        compared = {name: v.dimensions(("p", "lam")) for name, v in COMPARISON_VARIABLES.items() if "model" in v.dims}
        for name, dimensions in compared.items():
            axis = dimensions.index("model")
            np.testing.assert_array_equal(both[name][()].take(k, axis), one[name][()].take(0, axis), err_msg=name)
        np.testing.assert_array_equal(both["n_diverged"][..., 1 - k], 2)
        assert np.isnan(both["rho"][..., 1 - k]).all()


@pytest.mark.slow
def test_a_diverging_model_is_drawn(install_model, swept, monkeypatch):
    config = install_model(DIVERGING)
    draw_fewer(monkeypatch, "lag")
    assert main(["compare", str(swept[0]), "-o", "c.h5", "--models", "BAD"]) == 0
    assert main(["plot", "c.h5", "-o", "maps"]) == 0
    assert "BAD diverged in 8 trials" in Path("maps/report.html").read_text()
    assert main(["trial", str(config), "--p", "0.1", "--lam", "0.8", "--plot"]) == 0
    assert Path("trial.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_that_only_this_process_knows(install_model, swept, tmp_path):
    install_model("")
    mass_model("HERE")(lambda traces, network, mass: traces.mean_v)
    mass = MassParameters(models=("MFM", "HERE"))
    with pytest.raises(UserError, match=r"a worker process does not know the mass model HERE.*with one job"):
        compare_sweep(swept[0], tmp_path / "c.h5", mass=mass, jobs=2)
    assert compare_sweep(swept[0], tmp_path / "c.h5", mass=mass).n_trials == 8


def test_a_comparison_continues_when_the_model_is_fixed(install_model, swept, capsys):
    """It fails at one point: the results of the others are kept."""
    sweep = str(swept[0])
    with h5py.File(sweep) as file:
        means = np.sort(file["mean_v"][()].mean(axis=(-2, -1)).ravel())
    install_model(model("v = traces.mean_v", f"assert v.mean(dtype=float) < {means[-2:].mean()}", "return v"))
    refused(capsys, "the mass model BAD failed, AssertionError", "compare", sweep, "-o", "c.h5", "--models", "BAD")
    with h5py.File("c.h5") as file:
        assert file["compared"][()].sum() == 3
    install_model(model("print('called')", "return traces.mean_v"))
    forget("BAD")
    assert main(["compare", sweep, "-o", "c.h5", "--models", "BAD"]) == 0
    printed = capsys.readouterr()
    assert "4/4 points" in printed.err
    assert printed.out.count("called") == 2, "the two trials of one point"


def forget(name: str) -> None:
    """As a new process."""
    sys.modules.pop("hpcmass.mass.bad_model")
    registry.MODELS.entries.pop(name)
