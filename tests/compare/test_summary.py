"""The answer in words: its numbers are the file's, on any grid, and JSON has the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from command_line import refused
from hpcmass.cli import main
from hpcmass.store import schema
from hpcmass.store.labelled import comparison_dataset
from hpcmass.summary import SILENT, Medians, medians_text, range_text, summarise


def test_a_model_s_numbers_are_the_file_s(compared: tuple[Path, ...]) -> None:
    """Over all axes, not over the first plane alone."""
    path = compared[1]
    summary = summarise(path)
    with comparison_dataset(path) as data:
        compared_points = data["n_compared"].values > 0
        mfm = data.sel(model="MFM")
        follows = (mfm["rho_agrees"].values == 1) & compared_points
        lag = mfm["lag"].values[compared_points]
        rho, error = (mfm[name].values[compared_points] for name in ("rho", "mean_error"))
        diverged = int((mfm["n_diverged"].values > 0).sum())
    assert (summary.points, summary.compared) == (compared_points.size, compared_points.sum())
    assert [model.model for model in summary.models] == ["CFM", "MFM"]
    model = summary.models[1]
    assert (model.points, model.follows, model.diverged) == (compared_points.sum(), follows.sum(), diverged)
    assert model.everywhere.lag_ms == pytest.approx(np.nanmedian(lag))
    assert model.everywhere.mean_error_mv == pytest.approx(np.nanmedian(np.abs(error)))
    assert model.everywhere.rho == pytest.approx(np.nanmedian(rho))
    assert model.everywhere.mean_too_high == pytest.approx((error > 0).sum() / np.isfinite(error).sum())
    assert sum(n for n, _ in model.regimes.values()) == model.points
    assert sum(k for _, k in model.regimes.values()) == model.follows
    assert [reading.at for reading in summary.readings] == [{"tau_m_ms": 10.0}, {"tau_m_ms": 20.0}]


def test_the_command_prints_text_or_json(compared: tuple[Path, ...], capsys: pytest.CaptureFixture[str]) -> None:
    path = compared[1]
    assert main(["summary", str(path)]) == 0
    text = capsys.readouterr().out
    summary = summarise(path)
    assert text == f"{summary.text()}\n"
    assert max(map(len, text.splitlines())) <= 100
    assert "The paper's six claims, for each value of the further axes" in text
    assert "tau_m_ms = 20" in text
    assert main(["summary", str(path), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    for reading in listed["readings"]:
        assert [claim["claim"] for claim in reading["claims"]] == ["1", "2a", "2b", "3", "4", "5", "6"]
        assert all(claim["numbers"] and claim["criterion"] for claim in reading["claims"])
    for entry, model in zip(listed["models"], summary.models, strict=True):
        assert entry["follows"] == model.follows
        assert entry["share"] == model.share
        assert sum(regime["points"] for regime in entry["regimes"].values()) == model.points


@pytest.mark.parametrize(
    ("medians", "text"),
    [
        (Medians(0.834, -1.42, 8.51, 5.3, 1, 1),
         "ρ 0.83, lag −1.4 ms, mean 8.5 mV too high, variance 5.3 times the network's"),
        (Medians(-0.1, 2, 8.51, 5.3, 0, 0),
         "ρ −0.10, lag +2 ms, mean 8.5 mV too low, variance 0.19 times the network's"),
        (Medians(0.5, 0, 3, 2, 0.999, 0.2),
         "ρ 0.50, lag 0 ms, mean off by 3 mV (too high at 99 %), variance off by a factor of 2 (too large at 20 %)"),
        (Medians(*[np.nan] * 6), "ρ –, lag – ms, mean off by – mV, variance off by a factor of –"),
    ],
)  # fmt: skip
def test_medians_say_the_direction(medians: Medians, text: str) -> None:
    """Where it is that of every point; elsewhere the size, and at how many points it is upwards."""
    assert medians_text(medians) == text.replace("−", "\N{MINUS SIGN}")


def test_ranges_are_not_the_region() -> None:
    assert range_text({"p": (0.1, 0.8), "lam": (0.5, 0.5)}) == "within p 0.1 … 0.8, λ 0.5"
    assert range_text({"p": (0.1, 0.1), "lam": (0.5, 0.5)}) == "at p 0.1, λ 0.5"


def test_silent_points_and_an_older_file(compared: tuple[Path, ...], tmp_path: Path) -> None:
    path = tmp_path / "cmp.h5"
    path.write_bytes(compared[1].read_bytes())
    with h5py.File(path, "r+") as file:
        file["silent"][...] = 1
        del file["lag_se"]
    summary = summarise(path)
    for model in summary.models:
        assert [name for name, (n, _) in model.regimes.items() if n] == [SILENT]
    assert [len(reading.claims) for reading in summary.readings] == [7, 7]


def test_nothing_is_compared_yet(compared: tuple[Path, ...], tmp_path: Path) -> None:
    path = tmp_path / "cmp.h5"
    path.write_bytes(compared[1].read_bytes())
    with h5py.File(path, "r+") as file:
        file["n_compared"][...] = 0
        file["status"][...] = schema.PENDING
        file["rho_agrees"][...] = -1
    summary = summarise(path)
    assert "nothing is compared yet" in summary.text()
    assert {claim.verdict for reading in summary.readings for claim in reading.claims} == {"cannot tell"}


def test_a_sweep_is_refused(compared: tuple[Path, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert "run `hpcmass compare" in refused(capsys, "summary", str(compared[0]))
    assert "there is no file none.h5" in refused(capsys, "summary", "none.h5")


def test_degenerate_networks_are_named(compared: tuple[Path, ...], tmp_path: Path) -> None:
    path = Path(shutil.copy(compared[1], tmp_path / "c.h5"))
    with h5py.File(path, "r+") as file:
        file.attrs["config_yaml"] = str(file.attrs["config_yaml"]).replace("network: {", "network: {p_ext: 1.0, ")
    summary = summarise(path)
    same_input, together = summary.warnings
    assert same_input.startswith("p_ext = 1 gives every excitatory neuron the same external input")
    assert "the excitatory neurons fire equally often" in together  # 8 Hz in 3 s, in all trials
    assert "Warning: p_ext = 1 gives" in summary.text()
    assert summary.to_dict()["warnings"] == summary.warnings
    with h5py.File(path, "r+") as file:
        file["rate_E"][...] = 8.1
    assert summarise(path).warnings == [same_input]
