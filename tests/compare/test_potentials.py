"""The models solved again: what they give in further trials is what the comparison saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcmass.compare import potentials
from hpcmass.compare.pipeline import compare_sweep
from hpcmass.compare.point import example_window
from hpcmass.config.file import parse_experiment
from hpcmass.store.labelled import comparison_dataset
from hpcmass.store.parts import SweepParts


def solver_of(comparison: Path, sweep: Path) -> tuple[potentials.Solver | None, np.ndarray]:
    """The solver of a comparison, read in one go, and the potentials that the file has."""
    with comparison_dataset(comparison) as data, SweepParts([sweep]) as parts:
        found = potentials.solver(data, parse_experiment(str(data.attrs["config_yaml"])), parts)
        if found is None:
            return None, np.zeros(0)
        window = example_window(parts.experiment.network)
        place = (1, 0, 0) if "scan_axis" not in data.attrs else (1, 0, 0, 1)
        solved = found(place, 0)
        np.testing.assert_array_equal(list(solved), list(found.models))
        return found, np.stack([solved[name][window] for name in found.models]) - data["example_v"].values[place]


def test_the_first_trial_is_the_file_s(compared) -> None:
    found, difference = solver_of(compared[1], compared[0])
    assert found is not None
    assert found.models == ("CFM", "MFM")
    assert np.abs(difference).max() < 1e-4  # 32 bits in the file


def test_at_a_value_of_a_scanned_parameter(make_sweep, tmp_path: Path) -> None:
    sweep = make_sweep()
    compare_sweep(sweep, tmp_path / "scan.h5", scan={"tau_s_ms": [2.0, 8.0]})
    assert np.abs(solver_of(tmp_path / "scan.h5", sweep)[1]).max() < 1e-4


def test_fitted_models_are_left_out(make_sweep, tmp_path: Path) -> None:
    sweep = make_sweep()
    compare_sweep(sweep, tmp_path / "fitted.h5", models=["MFM", "CFM-closed"])
    with comparison_dataset(tmp_path / "fitted.h5") as data, SweepParts([sweep]) as parts:
        found = potentials.solver(data, parse_experiment(str(data.attrs["config_yaml"])), parts)
    assert found is not None
    assert found.models == ("MFM",)


def test_other_code_of_a_model_is_refused(make_sweep, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    code = "from hpcmass import mass_model\n@mass_model('REST')\ndef rest(traces, network, mass):\n"
    code += "    return 0 * traces.mean_v.astype(float) - {}\n"
    (tmp_path / "rest.py").write_text(code.format(70))
    sweep = make_sweep()
    compare_sweep(sweep, tmp_path / "own.h5", models=[f"{tmp_path}/rest.py:REST"])
    assert solver_of(tmp_path / "own.h5", sweep)[0] is not None
    (tmp_path / "rest.py").write_text(code.format(60))
    assert solver_of(tmp_path / "own.h5", sweep)[0] is None
    assert "the code of REST is not what was compared" in caplog.text
