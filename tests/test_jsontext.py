"""JSON that any parser reads: no NaN and no infinity in any machine-readable output."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcmass.cli import main
from hpcmass.config.file import load_experiment
from hpcmass.jsontext import json_text
from hpcmass.report.encoding import script_json
from hpcmass.store.writer import create_sweep_file

ONE_POINT = """
trials: 1
network: {n_neurons: 200, n_external: 200, p_ext: 1.0, w_ext: 0.1, duration_ms: 400.0, transient_ms: 100.0}
grid: {p: 0.5, lam: 0.8}
"""


def strictly(text: str) -> Any:
    """Parse as RFC 8259 wants it; Python's own parser takes NaN and Infinity, too."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "one.yml"
    path.write_text(ONE_POINT)
    return path


def test_the_strict_parser_is_strict():
    with pytest.raises(ValueError, match="NaN"):
        strictly("[NaN]")
    with pytest.raises(ValueError, match="Infinity"):
        strictly(json.dumps([math.inf]))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(anything)
def test_any_value_becomes_json_and_finite_numbers_are_kept(value: Any):
    def expected(value: Any) -> Any:
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, dict):
            return {k: expected(v) for k, v in value.items()}
        return [expected(v) for v in value] if isinstance(value, list | tuple) else value

    assert strictly(json_text(value)) == expected(value)
    assert strictly(script_json({"data": value})) == {"data": expected(value)}


@pytest.mark.process
def test_a_plan_of_one_point(config: Path, capsys: pytest.CaptureFixture[str]):
    """The uncertainty is undefined."""
    assert main(["plan", str(config), "--json", "--seconds", "0.1", "-j", "1"]) == 0
    facts = strictly(capsys.readouterr().out)
    assert facts["point_uncertainty"] is None
    assert facts["trials"] == 1


def test_the_status_of_a_sweep_that_has_done_nothing(config: Path, capsys: pytest.CaptureFixture[str]):
    paths = [config.with_name(name) for name in ("a.h5", "b.h5")]
    for path in paths:
        create_sweep_file(path, load_experiment(config), driver="serial", provenance={"uuid": path.name})
    assert main(["status", "--json", str(paths[0])]) == 0
    assert strictly(capsys.readouterr().out)["eta_s"] is None
    assert main(["status", "--json", *map(str, paths)]) == 0
    assert [status["mean_wall_s"] for status in strictly(capsys.readouterr().out)] == [None, None]


def test_the_schema(capsys: pytest.CaptureFixture[str]):
    assert main(["config", "--schema"]) == 0
    assert strictly(capsys.readouterr().out)["title"] == "Experiment"
