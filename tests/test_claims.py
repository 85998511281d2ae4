"""The claims' checks on planes whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcmass import claims

P = np.array([0.0, 0.02, 0.2, 0.6, 1.0])
SHAPE = (6, P.size)


def columns(*chosen: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[:, list(chosen)] = True
    return mask


@pytest.fixture
def papers_plane() -> claims.Findings:
    """Give a plane on which every claim holds: silent at p = 0, onset at p = 0.2, slow at 0.6, fast at 1."""
    agrees = columns(2, 3)
    agrees[:2, 1] = True
    few = np.zeros(SHAPE, bool)
    few[:4, 2] = True
    rate = np.where(columns(0), 0.0, 10.0)
    lag = np.where(columns(0), 3.0, -2.0)
    return claims.Findings(
        p=P, compared=np.ones(SHAPE, bool), spiking=~columns(0), synchronised=columns(2, 3, 4), rate=rate,
        frequency=np.where(columns(4), 120.0, 15.0), agrees={"CFM": agrees, "MFM": agrees.copy()},
        same_spectrum={"CFM": few, "MFM": few.copy()}, same_shape={"CFM": few, "MFM": few.copy()},
        lag=lag, lag_se=np.full(SHAPE, 0.1),
    )  # fmt: skip


def outcomes(plane: claims.Findings, **changed) -> dict[int, str]:
    return {v.claim: v.verdict for v in claims.verdicts(replace(plane, **changed))}


def test_all_hold_where_they_should(papers_plane):
    assert outcomes(papers_plane) == dict.fromkeys(range(1, 7), "holds")


def test_each_fails_where_it_should(papers_plane):
    def verdict(claim: int, **changed) -> str:
        return outcomes(papers_plane, **changed)[claim]

    everywhere, nowhere = np.ones(SHAPE, bool), np.zeros(SHAPE, bool)

    def both(mask: np.ndarray) -> dict[str, np.ndarray]:
        return {"CFM": mask, "MFM": mask.copy()}

    assert verdict(1, synchronised=nowhere) == "fails"
    assert verdict(1, synchronised=everywhere) == "fails"
    assert verdict(2, agrees=both(everywhere)) == "fails"
    assert verdict(2, agrees=both(columns(3))) == "fails"  # not at the onset
    assert verdict(2, agrees={"CFM": columns(2), "MFM": nowhere}) == "fails"
    assert verdict(3, agrees={"CFM": columns(2), "MFM": columns(3)}) == "fails"
    assert verdict(3, same_spectrum={"CFM": everywhere, "MFM": nowhere}) == "fails"
    assert verdict(4, same_spectrum=both(everywhere)) == "fails"
    assert verdict(4, same_spectrum=both(nowhere)) == "fails"
    assert verdict(5, agrees=both(columns(2, 3, 4))) == "fails"  # all of the synchronised ones, none at small p
    assert verdict(5, agrees=both(columns(1, 2))) == "fails"  # all at small p
    assert verdict(6, lag=np.full(SHAPE, 3.0)) == "fails"


def test_claims_that_cannot_be_decided(papers_plane):
    def verdict(claim: int, **changed) -> str:
        return outcomes(papers_plane, **changed)[claim]

    nowhere = np.zeros(SHAPE, bool)
    assert verdict(1, p=np.linspace(0.3, 1, P.size)) == "cannot tell"
    assert verdict(1, spiking=nowhere, synchronised=nowhere) == "cannot tell"
    assert verdict(2, frequency=np.full(SHAPE, 15.0)) == "cannot tell"  # no fast synchrony
    assert verdict(5, p=np.linspace(0.1, 1, P.size)) == "cannot tell"
    assert verdict(6, rate=np.full(SHAPE, 10.0)) == "cannot tell"  # it always spikes
    assert verdict(6, lag_se=np.full(SHAPE, np.nan)) == "cannot tell"  # one trial
    assert verdict(6, lag=np.full(SHAPE, np.nan)) == "cannot tell"
    empty = outcomes(papers_plane, compared=nowhere)
    assert set(empty.values()) == {"cannot tell"}
    one_model = outcomes(papers_plane, agrees={"CFM": columns(2)})
    assert one_model[1] == "holds"
    assert {one_model[claim] for claim in range(2, 7)} == {"cannot tell"}


def test_onset_is_next_to_the_border(papers_plane):
    np.testing.assert_array_equal(claims.onset(papers_plane), columns(2))
    compared = papers_plane.compared.copy()
    compared[:, 1] = False
    assert not claims.onset(replace(papers_plane, compared=compared)).any()
