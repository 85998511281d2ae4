"""The claims' criteria on planes whose answer is known: each claim holds on one plane, and fails on changed ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcmass.claims import criteria
from hpcmass.claims.criteria import CLAIMS, VERDICTS
from hpcmass.claims.findings import Findings

P = np.array([0.0, 0.02, 0.2, 0.6, 1.0])
SHAPE = (6, P.size)


def columns(*chosen: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[:, list(chosen)] = True
    return mask


NOWHERE, EVERYWHERE = columns(), columns(*range(P.size))


def both(values: np.ndarray) -> dict[str, np.ndarray]:
    return {"CFM": values, "MFM": values.copy()}


@pytest.fixture
def plane() -> Findings:
    """Give a plane on which every claim holds: silent at p = 0, onset at p = 0.2, slow at 0.6, fast at 1."""
    agrees = columns(2, 3)
    agrees[:2, 1] = True
    few = np.zeros(SHAPE, bool)
    few[:4, 2] = True
    return Findings(
        p=P, compared=EVERYWHERE, rate=np.where(columns(0), 0.0, 10.0), frequency=np.where(columns(4), 120.0, 15.0),
        high_contrast=columns(2, 3, 4), agrees=both(agrees), critical_count=both(np.where(few, 2.0, 0.1)),
        count=np.full(SHAPE, 500.0), same_shape=both(few), lag=np.where(columns(0), 3.0, -2.0),
        lag_se=np.full(SHAPE, 0.1),
    )  # fmt: skip


def verdict(plane: Findings, label: str, **changed: object) -> str:
    found = replace(plane, **changed)
    (claim,) = (claim for claim in CLAIMS if claim.label == label)
    measured = claim.measure(found)
    outcome = VERDICTS[int(claim.decide(measured))]
    assert claim.short(measured)
    assert claim.numbers(found, measured)
    return outcome


@pytest.mark.parametrize("label", [claim.label for claim in CLAIMS])
def test_each_holds_where_it_should(plane: Findings, label: str) -> None:
    assert verdict(plane, label) == "holds"


def test_each_fails_where_it_should(plane: Findings) -> None:
    assert verdict(plane, "1", high_contrast=NOWHERE) == "fails"
    assert verdict(plane, "1", high_contrast=EVERYWHERE, rate=np.full(SHAPE, 10.0)) == "fails"
    for label in ("2a", "2b"):
        assert verdict(plane, label, agrees=both(EVERYWHERE)) == "fails"
        assert verdict(plane, label, agrees=both(columns(3))) == "fails"  # not at the onset
        assert verdict(plane, label, agrees={"CFM": columns(2), "MFM": NOWHERE}) == "fails"
    assert verdict(plane, "3", agrees={"CFM": columns(2), "MFM": columns(3)}) == "fails"
    assert verdict(plane, "3", critical_count={"CFM": np.full(SHAPE, 2.0), "MFM": np.full(SHAPE, 0.5)}) == "fails"
    assert verdict(plane, "4", critical_count=both(np.full(SHAPE, 2.0))) == "fails"
    assert verdict(plane, "4", critical_count=both(np.full(SHAPE, 0.5))) == "fails"
    assert (
        verdict(plane, "5", agrees=both(columns(2, 3, 4))) == "fails"
    )  # all of the synchronised ones, none at small p
    assert verdict(plane, "5", agrees=both(columns(1, 2))) == "fails"  # all at small p
    assert verdict(plane, "6", lag=np.full(SHAPE, 3.0)) == "fails"


def test_claims_that_cannot_be_decided(plane: Findings) -> None:
    assert verdict(plane, "1", p=np.linspace(0.3, 1, P.size)) == "cannot tell"
    assert verdict(plane, "1", rate=np.zeros(SHAPE)) == "cannot tell"
    assert verdict(plane, "2a", frequency=np.full(SHAPE, 15.0)) == "cannot tell"  # no fast synchrony
    assert verdict(plane, "5", p=np.linspace(0.1, 1, P.size)) == "cannot tell"
    assert verdict(plane, "5", p=np.array([0.0, 0.1, 0.2, 0.6, 1.0])) == "cannot tell"  # p = 0 never counts
    assert verdict(plane, "5", compared=~columns(1)) == "cannot tell"
    assert verdict(plane, "6", rate=np.full(SHAPE, 10.0)) == "cannot tell"  # it always spikes
    assert verdict(plane, "6", rate=np.full(SHAPE, np.nan)) == "cannot tell"
    assert verdict(plane, "6", lag_se=np.full(SHAPE, np.nan)) == "cannot tell"  # one trial
    assert verdict(plane, "6", lag=np.full(SHAPE, np.nan)) == "cannot tell"


@pytest.mark.parametrize("label", ["3", "4", "5"])
def test_two_points_say_nothing(plane: Findings, label: str) -> None:
    """Claims 3 and 4 need three points, claim 5 three synchronised ones and three of small p."""
    compared = NOWHERE.copy()
    compared[:3, 1:3] = True
    assert verdict(plane, label, compared=compared) != "cannot tell"
    compared[:2, 1 if label == "5" else slice(None)] = False
    compared[2, 2] = label == "5"
    assert verdict(plane, label, compared=compared) == "cannot tell"
    if label == "5":
        few = columns(1)
        few[0, 2:4] = True
        assert verdict(plane, label, compared=few) == "cannot tell"  # two synchronised points


def test_numbers_of_few_points_are_singular(plane: Findings) -> None:
    one = NOWHERE.copy()
    one[0, 2] = True
    texts = {}
    for claim in CLAIMS:
        found = replace(plane, compared=one)
        texts[claim.label] = claim.numbers(found, claim.measure(found))
    assert texts["2a"] == "de-synchronised (0 points); onset (0 points); fast synchrony (0 points)"
    assert "% of 1 point (" in texts["3"]
    assert "% of 1 point," in texts["4"]
    assert texts["5"] == "0 points with p up to 0.05 (without p = 0), 1 synchronised"


def test_one_definition_of_spikes(plane: Findings) -> None:
    """Below 0.1 Hz a network is silent, whatever its Spike-contrast."""
    quiet = replace(plane, rate=np.full(SHAPE, 0.099))
    assert not quiet.spiking.any()
    assert not quiet.synchronised.any()
    assert replace(plane, rate=np.full(SHAPE, 0.1)).spiking.all()
    assert {verdict(quiet, label) for label in ("1", "2a", "2b", "5", "6")} == {"cannot tell"}


def test_silent_points_count_in_one_reading_of_claim_2(plane: Findings) -> None:
    silent = replace(plane, agrees=both(columns(0, 2)))  # agreement where silent, none where spiking
    assert verdict(silent, "2a") == "holds"
    assert verdict(silent, "2b") == "fails"  # 6 of 12


def test_onset_is_next_to_the_border(plane: Findings) -> None:
    np.testing.assert_array_equal(criteria.onset(plane), columns(2))
    np.testing.assert_array_equal(criteria.onset(replace(plane, rate=np.where(columns(0, 1), 0.0, 9.0))), columns(2))
    compared = plane.compared.copy()
    compared[:, 1] = False
    assert not criteria.onset(replace(plane, compared=compared)).any()


def test_the_interval_of_the_total_count(plane: Findings) -> None:
    """It is exactly where the claim holds when χ² is scaled."""
    rng = np.random.default_rng(1)
    critical = {"CFM": rng.uniform(0.1, 4, SHAPE), "MFM": rng.uniform(0.2, 4, SHAPE)}
    critical["CFM"][0, 0] = np.nan
    claim = next(claim for claim in CLAIMS if claim.label == "4")
    measured = claim.measure(replace(plane, critical_count=critical))
    assert 0 < measured["least"] < measured["most"] < 5
    for factor in np.linspace(0.05, 6, 500):
        holds = verdict(plane, "4", critical_count={m: v / factor for m, v in critical.items()}) == "holds"
        assert holds == (measured["least"] <= factor < measured["most"])


def test_the_jump_is_not_the_first_spike(plane: Findings) -> None:
    """0.05, 0.3, 0.9, 20 and 30 Hz: the lag must change at the third step, and more than elsewhere."""
    rate = np.tile([0.05, 0.3, 0.9, 20.0, 30.0], (SHAPE[0], 1))

    def at(*lags: float) -> str:
        return verdict(plane, "6", rate=rate, lag=np.tile(np.array(lags, float), (SHAPE[0], 1)))

    assert at(3, 3, 3, -2, -2) == "holds"
    assert at(3, -2, -2, -2, -2) == "fails"
    assert at(3, 2, 1, 0, -1) == "fails"  # it changes as much everywhere
    assert at(3, 3, np.nan, -2, -2) == "cannot tell"
    gap = plane.compared & ~columns(2)
    lag = np.tile([3.0, 3, 3, -2, -2], (SHAPE[0], 1))
    assert verdict(plane, "6", rate=rate, lag=lag, compared=gap) == "cannot tell"  # the jump is in the gap
    late = plane.compared & ~columns(0)
    assert verdict(plane, "6", rate=rate, lag=lag, compared=late) == "cannot tell"  # every row begins with spikes


def test_one_row_and_gaps(plane: Findings) -> None:
    row = replace(plane, compared=plane.compared & (np.arange(SHAPE[0]) == 2)[:, None])
    assert verdict(row, "1") == "holds"
    assert verdict(row, "6") == "holds"
    assert verdict(row, "2a") == "cannot tell"  # one point of each regime
    gap = row.compared.copy()
    gap[2, -2:] = False
    assert verdict(replace(row, compared=gap), "1") == "cannot tell"  # it ends at p = 0.2


def test_planes_are_judged_one_by_one(plane: Findings) -> None:
    """Sixty planes at once give what each gives alone."""
    rng = np.random.default_rng(2)
    names = ("rate", "frequency", "lag")

    def random_plane() -> Findings:
        agrees, critical = rng.random(SHAPE) < 0.4, rng.uniform(0, 1.2, SHAPE)
        return replace(
            plane,
            **{n: getattr(plane, n) * rng.choice([0.0, 1.0], SHAPE, p=[0.2, 0.8]) for n in names},
            agrees={"CFM": agrees, "MFM": agrees ^ (rng.random(SHAPE) < rng.choice([0.05, 0.5]))},
            high_contrast=rng.random(SHAPE) < rng.choice([0.1, 0.6]),
            critical_count={"CFM": critical, "MFM": critical * rng.uniform(0.95, 1.05, SHAPE)},
        )

    planes = [random_plane() for _ in range(60)]
    stacked = replace(
        plane,
        **{n: np.array([getattr(one, n) for one in planes]) for n in (*names, "high_contrast")},
        **{n: {m: np.array([getattr(one, n)[m] for one in planes]) for m in ("CFM", "MFM")}
           for n in ("agrees", "critical_count")},
    )  # fmt: skip
    for claim in CLAIMS:
        alone = [int(claim.decide(claim.measure(one))) for one in planes]
        np.testing.assert_array_equal(claim.decide(claim.measure(stacked)), alone, claim.label)
        assert len(set(alone)) > 1, claim.label


def test_median_leaves_out_what_is_undefined() -> None:
    values = np.array([[3.0, np.nan, 1.0, 2.0], [4.0, 1.0, np.nan, np.nan], [np.nan] * 4])
    np.testing.assert_array_equal(criteria.median(values), [2.0, 2.5, np.nan])
