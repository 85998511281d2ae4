"""The models behind the benchmarks: the order of trials, a node with slow memory, bytes of rows, starts of an array."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcmass.config import NetworkParameters
from hpcmass.config.file import parse_experiment
from programs import ROOT, load


@pytest.fixture(scope="module")
def programs() -> Any:
    """The programs, which import each other as files beside them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        names = ("bench_order", "bench_node", "bench_cores", "bench_start")
        return SimpleNamespace(**{name: load(f"benchmarks/{name}.py", f"tested_{name}") for name in names})


TRIALS = st.lists(st.floats(0.1, 10.0), min_size=1, max_size=30).map(np.array)
WORKERS = st.integers(1, 8)


# --- the order of trials ------------------------------------------------------------------------------------------


def test_each_trial_goes_to_the_first_free_worker(programs: Any) -> None:
    """Two workers: the third trial follows the second one, the fourth follows the first."""
    assert programs.bench_order.ends(np.array([3.0, 1.0, 4.0, 1.0]), 2).tolist() == [3.0, 1.0, 5.0, 4.0]


@given(seconds=TRIALS, workers=WORKERS)
def test_a_run_is_as_long_as_any_schedule_may_be(programs: Any, seconds: Any, workers: int) -> None:
    """One worker: the sum. A worker for each trial: the longest. Otherwise between Graham's bounds."""
    ends = programs.bench_order.ends
    assert ends(seconds, 1) == pytest.approx(seconds.cumsum())
    assert ends(seconds, seconds.size) == pytest.approx(seconds)
    last = ends(seconds, workers).max()
    assert last >= max(seconds.sum() / workers, seconds.max()) * (1 - 1e-12)
    assert last <= (seconds.sum() / workers + seconds.max() * (1 - 1 / workers)) * (1 + 1e-12)


def test_one_worker_takes_as_long_in_any_order(programs: Any) -> None:
    costs = np.random.default_rng(1).uniform(1, 9, (11, 9))
    longer, coarse, half = programs.bench_order.simulate(costs, np.full(costs.shape, 3), 1, 20)
    assert longer == pytest.approx(1, abs=1e-12)
    assert (coarse < 0.6).all()  # the coarse grid: 6 of 11 values, 5 of 9
    assert ((half > 0.3) & (half < 0.7)).all()


def test_a_worker_for_each_trial_takes_as_long_as_the_longest(programs: Any) -> None:
    costs = np.random.default_rng(2).uniform(1, 9, (5, 5))
    n_trials = np.full(costs.shape, 2)
    n_trials[0] = 0  # of another part
    longer, coarse, half = programs.bench_order.simulate(costs, n_trials, 40, 20)
    assert longer == pytest.approx(1, abs=1e-12)
    assert ((half > 0) & (half <= 1)).all()
    assert (coarse <= 1).all()


# --- a node whose memory is too slow ------------------------------------------------------------------------------


@given(seconds=TRIALS, cores=WORKERS, bandwidth=st.sampled_from([0.5, 3.0, 20.0]), seed=st.integers(0, 99))
def test_a_node_is_no_quicker_than_its_cores_and_its_memory(
    programs: Any, seconds: Any, cores: int, bandwidth: float, seed: int
) -> None:
    length, ends = programs.bench_node.length, programs.bench_order.ends
    n_bytes = np.random.default_rng(seed).uniform(0, 10, seconds.size)
    unlimited = ends(seconds, cores).max()
    assert length(seconds, n_bytes, cores, np.inf) == pytest.approx(unlimited, rel=1e-6)
    assert length(seconds, 0 * n_bytes, cores, bandwidth) == pytest.approx(unlimited, rel=1e-6)
    found = length(seconds, n_bytes, cores, bandwidth)
    assert found >= max(seconds.sum() / cores, n_bytes.sum() / bandwidth) * (1 - 1e-6)
    assert found <= ends(np.maximum(seconds, n_bytes * cores / bandwidth), cores).max() * 2 * (1 + 1e-6)


@pytest.mark.parametrize(("bandwidth", "expected"), [(100.0, 2.0), (5.0, 2.0), (2.5, 4.0), (1.0, 10.0)])
def test_a_trial_alone_waits_for_no_one_but_the_memory(programs: Any, bandwidth: float, expected: float) -> None:
    assert programs.bench_node.length(np.array([2.0]), np.array([10.0]), 8, bandwidth) == pytest.approx(expected)


def test_trials_that_ask_for_little_are_not_slowed(programs: Any) -> None:
    """10 bytes a second for three: 1 for the first, 4.5 for the others, which want 6 and 9.

    The second is at 4.5 / 6 of its speed and has 4 s of work, the third at 4.5 / 9. When the second is done, after
    16 / 3 s, the third has done 8 / 3 of 4 s and has the memory to itself and the first.
    """
    seconds, wanted = np.array([20.0, 4.0, 4.0]), np.array([1.0, 6.0, 9.0])
    assert programs.bench_node.fair_share(wanted, 10.0) == pytest.approx(4.5)
    assert programs.bench_node.length(seconds, seconds * wanted, 3, 10.0) == pytest.approx(20.0)
    alone = np.array([1e-9, 4.0, 4.0])
    rest = 16 / 3 + (4 - 8 / 3)
    assert programs.bench_node.length(alone, alone * [0, 6, 9], 3, 9.0) == pytest.approx(rest)


@given(
    wanted=st.lists(st.floats(0.0, 10.0), min_size=1, max_size=12).map(np.array),
    bandwidth=st.floats(0.1, 100.0),
)
def test_the_bandwidth_is_given_away_and_no_more(programs: Any, wanted: Any, bandwidth: float) -> None:
    share = programs.bench_node.fair_share(wanted, bandwidth)
    if wanted.sum() <= bandwidth:
        assert share == np.inf
    else:
        assert np.minimum(wanted, share).sum() == pytest.approx(bandwidth)


CONFIG = """\
trials: 2
grid: {p: [0.1, 0.3, 1.0], lam: [0.2, 0.8]}
network: {n_neurons: 1200, n_external: 600, duration_ms: 400, transient_ms: 100}
"""


def test_rows_that_the_cache_contains_do_not_come_from_memory(programs: Any) -> None:
    """Rows of 24 words; of 8 and 16 for the external units at λ = 0.2 and 0.8."""
    experiment, of = parse_experiment(CONFIG), programs.bench_node.from_memory
    graphs_mb = 8e-6 * np.array([1200 * 24 + 600 * 8, 1200 * 24 + 600 * 16] * 3)
    assert of(experiment, 0.0).tolist() == [1.0] * 6
    assert not of(experiment, 1.0).any()
    assert of(experiment, 0.1) == pytest.approx(1 - 0.1 / graphs_mb)


def test_what_a_trial_asks_for_follows_from_its_spikes(programs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same spikes at every point, each a row of 192 bytes, but where the graph is complete."""
    node, experiment = programs.bench_node, parse_experiment(CONFIG)
    monkeypatch.setattr(node, "warm_up", lambda: None)
    monkeypatch.setattr(node, "simulate", lambda *_: SimpleNamespace(n_spikes=900))
    seconds, n_bytes = node.demand(experiment, 40.0)
    network = experiment.network
    external = np.array([64, 128] * 3) * 600 * network.external_rate_hz * 0.4
    spikes = 192 * 900 / 0.9 * 10  # in 400 ms in place of 40 ms
    assert n_bytes == pytest.approx(external + spikes * np.array([1, 1, 1, 1, 0, 0]))
    update = network.n_steps * 1200 * node.UPDATE_NS * 1e-9
    assert seconds == pytest.approx(update + (n_bytes - external) / (1e9 * node.ROWS_GB_S))


# --- bytes of rows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lam", "changed", "n_spikes", "expected"),
    [
        (0.8, {}, 0, 128 * 1200),
        (0.2, {}, 0, 64 * 1200),
        (0.2, {"p_ext_I": 0.1}, 0, 192 * 1200),
        (1.0, {"n_external": 0}, 300, 192 * 400),
        (0.2, {}, 300, 64 * 1200 + 192 * 400),
    ],
)
def test_bytes_of_rows(programs: Any, lam: float, changed: dict[str, Any], n_spikes: int, expected: float) -> None:
    """1200 external spikes; 300 spikes in the last three quarters are 400 in all."""
    network = NetworkParameters(
        **{"n_neurons": 1200, "n_external": 600, "external_rate_hz": 5.0, "duration_ms": 400.0, "transient_ms": 100.0}
        | changed
    )
    assert programs.bench_cores.row_bytes(network, lam, n_spikes) == pytest.approx(expected)


# --- starts of an array -------------------------------------------------------------------------------------------


def test_one_task_of_each_node_compiles(programs: Any) -> None:
    """250 tasks on three nodes: three compile, the others wait and load."""
    starts = programs.bench_start.Starts(alone=36.0, two=39.6, warm=3.0, shared=1.8)
    cold, shared = programs.bench_start.array_hours(starts, 250, 100)
    assert cold == pytest.approx((3 * 36 + 247 * 3.6) / 3600)
    assert shared == pytest.approx(250 * 1.8 / 3600)


def test_a_version_without_kernels_in_advance(programs: Any) -> None:
    starts = programs.bench_start.Starts(alone=36.0, two=72.0, warm=3.0, shared=None)
    assert programs.bench_start.array_hours(starts, 1000, 128) == (pytest.approx(10.0), None)
