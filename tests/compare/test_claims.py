"""The claims of real comparison files: resamples of the trials, the table, the command."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from command_line import refused
from hpcmass import check_claims, open_comparison
from hpcmass.claims.criteria import CLAIMS, PAPERS
from hpcmass.claims.readings import planes_of
from hpcmass.claims.trials import Trials, _deviations, _mean, _median, findings
from hpcmass.cli import main
from hpcmass.plots.view import open_view
from hpcmass.summary import summarise

LABELS = ["1", "2a", "2b", "3", "4", "5", "6"]


def test_all_trials_once_are_the_file_s_own(compared: tuple[Path, ...]) -> None:
    """Drawing every trial once gives what the comparison found, at gaps and diverged models, too."""
    with open_view(compared[1], ("p", "lam")) as view:
        for plane in planes_of(view):
            own = findings(plane)
            trials = Trials(plane, own)
            assert trials.lacks == ""
            once = np.take_along_axis(trials._done, trials._order, -1)[None].astype(float)
            drawn = trials.resampled(once)
            for name in ("rate", "frequency", "high_contrast", "lag"):
                expected = np.where(own.compared, getattr(own, name), np.nan)
                found = np.where(own.compared, getattr(drawn, name)[0], np.nan)
                np.testing.assert_allclose(found, expected, err_msg=name)
            for model in PAPERS:
                np.testing.assert_array_equal(drawn.agrees[model][0][own.compared], own.agrees[model][own.compared])
                np.testing.assert_allclose(drawn.critical_count[model][0], own.critical_count[model])


def test_resampled_means_vary_as_much_as_the_standard_error_says(compared: tuple[Path, ...]) -> None:
    with open_view(compared[1], ("p", "lam")) as view:
        plane = planes_of(view)[0]
        trials = Trials(plane, findings(plane))
        counts = trials.draw(np.random.default_rng(1), 20_000)
        drawn = trials.resampled(counts)
        n = trials._n
        np.testing.assert_array_equal(counts.sum(axis=-1)[0], np.where(n > 1, n - 1, n))
        error = plane.model("chi2_se", "MFM") / plane.model("chi2", "MFM")
        spread = np.log(drawn.critical_count["MFM"]).std(axis=0)
        z_error = plane.model("rho_se_trials", "MFM")
        z_spread = _mean(counts, trials._z["MFM"]).std(axis=0)
    several = np.isfinite(error) & (n > 1)
    assert several.sum() >= 2
    np.testing.assert_allclose(spread[several], error[several], rtol=0.15)  # of ln χ², to first order
    np.testing.assert_allclose(z_spread[several], z_error[several], rtol=0.05)


def test_means_and_medians_of_drawn_trials() -> None:
    rng = np.random.default_rng(3)
    values = rng.standard_normal((4, 5, 6))
    values[0, 0] = np.nan
    values[1, 1, :4] = np.nan
    counts = rng.integers(0, 4, (50, 4, 5, 6)).astype(float)
    mean, middle = _mean(counts, values), _median(counts, values)
    for where in np.ndindex(50, 4, 5):
        drawn = np.repeat(values[where[1:]], counts[where].astype(int))
        drawn = drawn[np.isfinite(drawn)]
        expected = (drawn.mean(), np.median(drawn)) if drawn.size else (np.nan, np.nan)
        np.testing.assert_allclose((mean[where], middle[where]), expected)


def experiments(truth: np.ndarray, needed: float) -> tuple[np.ndarray, np.ndarray]:
    """200 experiments of 8 trials (sd 1) at each point: is the share of means above 0 as `needed`, how sure is that."""
    rng = np.random.default_rng(4)
    verdicts, certainties = [], []
    for _ in range(200):
        values = truth[:, None] + rng.standard_normal((truth.size, 8))
        counts = rng.multinomial(7, np.full(8, 1 / 8), size=(400, truth.size)).astype(float)
        verdict = (values.mean(axis=-1) > 0).mean() >= needed
        verdicts.append(verdict)
        certainties.append((((_mean(counts, values) > 0).mean(axis=-1) >= needed) == verdict).mean())
    return np.array(verdicts), np.array(certainties)


def test_certainty_is_high_where_the_truth_is_clear() -> None:
    """17 of 20 points above by 6 standard errors, 16 needed: every verdict right and sure.

    False alarm: a mean is on the wrong side with 1e-9, and of a resample, drawn from 8 trials, with less than 1e-3.
    """
    verdicts, certainties = experiments(np.where(np.arange(20) < 17, 2.2, -2.2), 0.8)
    assert verdicts.all()
    assert certainties.min() >= 0.95


def test_certainty_is_low_where_one_point_at_the_threshold_decides() -> None:
    """15 points clearly above, 4 below, one exactly at the threshold: the verdict is a coin's.

    It is called 95 % sure if that point is 1.6 standard errors away, in a tenth to a fifth of the experiments (normal
    and t distribution); the limits are those of 200 experiments, exceeded with a chance below 1e-3.
    """
    truth = np.concatenate((np.full(15, 3.0), [0.0], np.full(4, -3.0)))
    verdicts, certainties = experiments(truth, 0.8)
    assert 0.35 < verdicts.mean() < 0.65
    assert 0.04 < (certainties >= 0.95).mean() < 0.3


def test_influences_have_no_mean() -> None:
    values = np.array([[1.0, 2.0, 6.0], [np.nan, 1.0, 3.0]])
    np.testing.assert_allclose(_deviations(values), [[-2, -1, 3], [np.nan, -1, 1]])


def test_one_trial_an_older_file_and_a_missing_model(compared: tuple[Path, ...], tmp_path: Path) -> None:
    path = tmp_path / "cmp.h5"

    def notes() -> set[str]:
        return {reading.certainty_note for _, reading in check_claims(path).readings}

    path.write_bytes(compared[1].read_bytes())
    with h5py.File(path, "r+") as file:
        file["status"][..., 1:] = 0
        file["n_compared"][...] = np.minimum(file["n_compared"][...], 1)
    assert notes() == {"certainty unknown: one trial at each point"}
    path.write_bytes(compared[1].read_bytes())
    with h5py.File(path, "r+") as file:
        del file["chi2_without_trial"]
    assert notes() == {"certainty unknown: an earlier hpcmass made the file; compare the sweep again"}
    path.write_bytes(compared[1].read_bytes())
    with h5py.File(path, "r+") as file:
        file["model"][...] = np.array(["CFM", "FOM"], dtype=file["model"].dtype)
    for _, reading in check_claims(path, resamples=20).readings:
        assert {claim.numbers for claim in reading.claims[1:]} == {"the file has no MFM"}
        assert {claim.verdict for claim in reading.claims[1:]} == {"cannot tell"}


def test_the_command(
    compared: tuple[Path, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    path, other = str(compared[1]), tmp_path / "other.h5"
    other.write_bytes(compared[1].read_bytes())
    assert main(["claims", path, str(other), "--bootstrap", "50"]) == 0
    text = capsys.readouterr().out
    assert text == check_claims([path, other], resamples=50).text() + "\n"
    assert max(map(len, text.splitlines())) <= 100
    for label in ("tau_m_ms = 10", "tau_m_ms = 20", compared[1].name, "other.h5", "50 resamples"):
        assert label in text
    assert main(["claims", path, str(other), "--label", "first", "--label", "second", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["readings"]
    assert [each["reading"] for each in listed] == [
        f"{name}: tau_m_ms = {tau}" for name in ("first", "second") for tau in (10, 20)
    ]
    assert [claim["claim"] for claim in listed[0]["claims"]] == LABELS
    assert listed[0]["claims"] == listed[2]["claims"]  # the same file
    assert main(["claims", path, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["claim"] for row in rows] == LABELS * 2
    assert main(["claims", path, "--verbose", "--bootstrap", "0"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert all(claim.text in said for claim in CLAIMS)


def test_the_same_in_python_and_in_the_summary(compared: tuple[Path, ...]) -> None:
    with open_comparison(compared[1]) as comparison:
        mine = comparison.claims()
    table = check_claims(compared[1])
    assert mine.text() == table.text()
    assert len(table.to_dataframe()) == 14
    assert "\n".join(mine.text().splitlines()[2:]) in summarise(compared[1]).text()
    assert table.text() == check_claims(compared[1]).text()  # the seed is fixed
    assert check_claims(compared[1], seed=2).readings[0][1].claims[0].verdict == "cannot tell"


def test_mistakes(compared: tuple[Path, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep, path = compared[0], compared[1]
    assert "give a label for each, or none" in refused(capsys, "claims", path, "--label", "a", "--label", "b")
    assert "is a sweep" in refused(capsys, "claims", sweep)
    assert str(tmp_path / "no.h5") in refused(capsys, "claims", path, tmp_path / "no.h5")
    assert "give a whole number" in refused(capsys, "claims", path, "--bootstrap", "-1")
    assert "not allowed with" in refused(capsys, "claims", path, "--json", "--csv")
