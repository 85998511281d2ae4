"""The guide's scripts for Brian2 and NEST, with neurons that the kernel has, too: imported, all agree with it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hpcmass import Experiment, compare_sweep, open_comparison, open_sweep, run_sweep
from hpcmass.recordings.importing import import_recordings
from programs import ROOT, load

docs_check = load("scripts/docs_check.py")

TRIALS, OUR_TRIALS = 5, 20
MODELS = ("CFM", "MFM", "FOM")

SCRIPTS = {
    "brian2": ("eif.py", {
        " + 2*mV * exp((v + 56*mV) / (2*mV))": "", "v > -40*mV": "v >= -54*mV", "400, 2, 1500": f"400, {TRIALS}, 1500",
        "eif.npz": "run.npz",
    }),
    "nest": ("nest_lif.py", {
        "= 0.1, 0.5, 10.0": "= 0.1, 0.1, 10.0", "400, 2, 1500": f"400, {TRIALS}, 1500", "nest.npz": "run.npz",
    }),
}  # fmt: skip
"""Simulator → the guide's script, and what makes its network one of leaky neurons, sampled in each step."""

NETWORK = {
    "n_neurons": 400, "n_external": 400, "external_rate_hz": 125, "p_ext": 0.1, "noise_q": 0, "duration_ms": 1500,
    "transient_ms": 300, "tau_E_ms": 5, "tau_I_ms": 7, "tau_ext_ms": 5, "w_E": 0.0175, "w_I": 0.1, "w_ext": 0.0133,
}  # fmt: skip
"""The same network; all other parameters have their defaults."""


def script(simulator: str) -> str:
    name, changes = SCRIPTS[simulator]
    page = "docs/guide/recordings.md"
    (block,) = (b for b in docs_check.blocks(page, (ROOT / page).read_text()) if b.title == name)
    text = "\n".join(block.lines)
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def ours(shared) -> Path:
    experiment = Experiment(grid={"p": 0.4, "lam": 0.6}, network=NETWORK, trials=OUR_TRIALS, mass={"models": MODELS})

    def make(directory: Path) -> None:
        run_sweep(experiment, directory / "rec.h5")
        compare_sweep(directory / "rec.h5", directory / "cmp.h5")

    return shared("network-of-the-peers", make)


def by_trial(directory: Path) -> dict[str, xr.DataArray]:
    """ρ (as z) and lag of each trial and model, rate of each trial."""
    comparison = open_comparison(directory / "cmp.h5").to_xarray().squeeze()
    rate = open_sweep(directory / "rec.h5")["rate_E"].squeeze()
    return {"z": np.arctanh(comparison["rho_trial"]), "lag": comparison["lag_trial"], "rate": rate}


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("simulator", SCRIPTS)
def test_the_same_network_has_the_same_agreement_with_the_models(simulator: str, ours: Path, tmp_path: Path) -> None:
    """Differences within four standard errors; the seeds are fixed.

    The spread is that of the many trials of hpcmass. NEST's spikes take effect one step later, which Brian2 can do as
    well: the two then agree to a hundredth in ρ.
    """
    python = ROOT / f".venv-peers-{simulator}" / "bin" / "python"
    if not python.exists():
        pytest.skip("benchmarks/peers/setup_peers.sh sets the simulators up")
    program = tmp_path / "program.py"
    program.write_text(script(simulator))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python), str(program)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=540, check=False
    )
    assert done.returncode == 0, done.stderr
    import_recordings(tmp_path / "run.npz", tmp_path / "rec.h5", assignments=[f"mass.models=[{', '.join(MODELS)}]"])
    compare_sweep(tmp_path / "rec.h5", tmp_path / "cmp.h5")
    theirs, mine = by_trial(tmp_path), by_trial(ours)
    for name, values in mine.items():
        error = values.std("trial", ddof=1) * np.sqrt(1 / TRIALS + 1 / OUR_TRIALS)
        scores = np.abs(theirs[name].mean("trial") - values.mean("trial")) / error
        assert bool((scores < 4).all()), f"{name}: {scores.values} standard errors"


@pytest.mark.parametrize("simulator", SCRIPTS)
def test_the_scripts_are_those_of_the_page(simulator: str) -> None:
    compile(script(simulator), simulator, "exec")
