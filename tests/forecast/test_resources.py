"""What a sweep takes: sums, schedules and sizes."""

import heapq
import sys

import numpy as np
import pytest

from hpcmass.config.file import parse_experiment
from hpcmass.config.limits import BYTES_PER_STEP
from hpcmass.costs import point_costs
from hpcmass.errors import UserError
from hpcmass.forecast.calibration import Calibration, calibrate, shortened
from hpcmass.forecast.resources import LISTED_BYTES, Forecast, forecast
from hpcmass.grid import shape
from hpcmass.order import point_order
from hpcmass.store.layout import sweep_bytes
from hpcmass.store.writer import create_sweep_file

CONFIG = """
trials: 2
network: {n_neurons: 200, n_external: 200, duration_ms: 3000.0, transient_ms: 100.0, w_ext: 0.5, w_E: 0.02, w_I: 0.1}
grid: {p: [0.1, 0.5, 1.0], lam: [0.5, 1.0]}
"""


def equally_long(n_points: int, trials: int, seconds: float = 2.0, start_s: float = 1.0) -> Forecast:
    return Forecast(
        n_trials=n_points * trials,
        point_s=np.full(n_points, seconds),
        costs=np.ones(n_points),
        trials_per_point=trials,
        uncertainty=0.0,
        start_s=start_s,
        trial_bytes=1e8,
        file_bytes=10,
    )


def test_wall_time_of_equal_trials():
    expected = equally_long(6, 2)
    assert expected.core_s == 24
    assert expected.wall_s(1) == expected.wall_s(2) == 25  # one alone works; of two, rank 0 runs no trials
    assert expected.wall_s(3) == 13
    assert expected.wall_s(6) == 1 + 3 * 2  # 12 trials by 5 workers
    assert expected.wall_s(1000) == 3
    assert expected.efficiency(3) == pytest.approx(24 / (3 * 13))


def test_the_order_follows_the_expected_costs_and_the_time_what_was_measured():
    """Where a long trial is expected to be short, it is begun last and waited for."""
    point_s = np.array([1.0, 1.0, 1.0, 1.0, 4.0])
    known = Forecast(5, point_s, point_s, 1, 0.0, 0.0, 1e8, 10)
    unknown = Forecast(5, point_s, np.array([2.0, 2.0, 2.0, 2.0, 1.0]), 1, 0.0, 0.0, 1e8, 10)
    assert known.wall_s(3) == 4
    assert unknown.wall_s(3) == 6


def test_ranks_for_a_time():
    expected = equally_long(6, 2)
    assert expected.ranks_for(25) == 1
    assert expected.ranks_for(24.9) == 3
    assert expected.ranks_for(7) == 5
    assert expected.ranks_for(6.9) == 7
    assert expected.ranks_for(2.9) is None


def scheduled_singly(expected: Forecast, n_ranks: int) -> float:
    """Every trial, one after the other, to the first free worker."""
    workers = max(1, n_ranks - 1)
    free_at = [0.0] * workers
    for point in point_order(expected.costs, np.full(expected.costs.shape, expected.trials_per_point), workers):
        for _ in range(expected.trials_per_point):
            heapq.heapreplace(free_at, free_at[0] + float(expected.point_s[point]))
    return expected.start_s + max(free_at)


def random_times(n_points: int, trials: int) -> Forecast:
    point_s = np.random.default_rng(2).uniform(1.0, 5.0, n_points)
    return Forecast(n_points * trials, point_s, point_s, trials, 0.0, 1.0, 1e8, 10)


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 17, 129, 500, 999, 1001, 2000])
@pytest.mark.parametrize("singly", [10, 300, 10**6])
def test_of_many_trials_the_last_ones_alone_are_scheduled(n_ranks, singly, monkeypatch):
    """The time is that of a schedule trial by trial, but for half of the shortest trial."""
    monkeypatch.setattr("hpcmass.order.SCHEDULED_TRIALS", singly)
    expected = random_times(500, 2)
    assert expected.wall_s(n_ranks) == pytest.approx(scheduled_singly(expected, n_ranks), abs=0.5)
    if singly > 1000:
        assert expected.wall_s(n_ranks) == pytest.approx(scheduled_singly(expected, n_ranks))


def test_fewest_ranks_of_all():
    expected = random_times(40, 3)
    walls = [scheduled_singly(expected, n) for n in range(1, 130)]
    for wall_s in (2000.0, 250.0, 100.0, 20.0, 11.0, 9.0, 7.0, 6.1, 4.0):
        first = next((n for n, wall in enumerate(walls, start=1) if wall <= wall_s), None)
        assert expected.ranks_for(wall_s) == first, wall_s


@pytest.mark.process
def test_more_than_enough_points_are_not_tried(monkeypatch):
    """However cheap the trials are: what follows from n of them takes n³ steps."""
    monkeypatch.setattr("hpcmass.forecast.calibration.MOST_POINTS", 5)
    calibration = calibrate(parse_experiment(CONFIG), processes=1, budget_s=60.0)
    assert len(calibration.trial_s) == 5


@pytest.mark.process
def test_calibration_of_a_small_sweep():
    experiment = parse_experiment(CONFIG)
    calibration = calibrate(experiment, processes=1, budget_s=0.0)
    assert 4 <= len(calibration.trial_s) <= 6
    assert calibration.points.shape == (len(calibration.trial_s), 2)
    assert (calibration.trial_s > 0).all()
    assert (calibration.peak_bytes > 1e8).all()  # Python, NumPy and numba alone
    expected = forecast(experiment, calibration)
    assert expected.n_trials == 12
    assert expected.point_s.min() == pytest.approx(calibration.trial_s.min())
    assert expected.point_s.max() == pytest.approx(calibration.trial_s.max())
    assert expected.trial_bytes == calibration.peak_bytes.max() == expected.worker_bytes(5)
    assert expected.root_bytes(5) == expected.trial_bytes + 12 * LISTED_BYTES
    assert 0 <= expected.uncertainty < 5


@pytest.mark.process
def test_a_trial_that_fails_is_left_out():
    """Inhibition far too strong for the step, where there are inhibitory neurons."""
    failing = parse_experiment(CONFIG.replace("w_E: 0.02, w_I: 0.1", "w_E: 1.0, w_I: 5000.0"))
    calibration = calibrate(failing, processes=1, budget_s=0.0)
    assert calibration.n_failed == 3
    assert calibration.points[:, 1].tolist() == [1, 1, 1]


@pytest.mark.process
def test_if_all_fail_the_reason_is_reported():
    unstable = CONFIG.replace("w_E: 0.02, w_I: 0.1", "w_E: 1.0, w_I: 5000.0")
    failing = parse_experiment(unstable.replace("lam: [0.5, 1.0]", "lam: 0.5"))
    with pytest.raises(UserError, match=r"all 3 trials of the calibration failed; the last: the membrane potential"):
        calibrate(failing, processes=1, budget_s=0.0)


def test_a_calibrating_trial_is_short_and_otherwise_the_same():
    network = parse_experiment(CONFIG).network
    short = shortened(network)
    assert short.duration_ms == 1000
    assert short.transient_ms == 100
    assert short.model_dump(exclude={"duration_ms"}) == network.model_dump(exclude={"duration_ms"})
    assert shortened(short) == short


def test_the_order_is_the_sweeps_own():
    """It follows the costs that the sweep expects, whatever the calibration has measured."""
    experiment = parse_experiment("grid: {p: [0.1, 0.5, 1.0], lam: [0.5, 1.0]}")
    calibration = Calibration(np.zeros((1, 2)), np.ones(1), np.ones(1), 0, 0.0, 0.0, False, 1, 0.0)
    np.testing.assert_array_equal(forecast(experiment, calibration).costs, point_costs(experiment))


def of_few_traces(trials: int, n_points: int = 100) -> Forecast:
    """Of a sweep that compares during the run; a trial takes 400 MB."""
    grid = f"{{p: {{linspace: [0, 1, {n_points}]}}, lam: 0.8}}"
    text = f"trials: {trials}\ngrid: {grid}\ntraces: {{keep: none}}"
    calibration = Calibration(np.zeros((1, 2)), np.ones(1), np.full(1, 4e8), 0, 0.0, 0.0, False, 1, 0.0)
    return forecast(parse_experiment(text), calibration)


def test_a_rank_that_compares_keeps_the_recordings_of_a_point():
    """6 MB each at the default size, of 300 000 steps with five traces in single precision."""
    few, many = of_few_traces(10).worker_bytes(9), of_few_traces(60).worker_bytes(9)
    assert 4e8 + 60e6 < few < 4e8 + 100e6
    assert many - few == pytest.approx(50 * 6e6, rel=0.01)
    assert of_few_traces(10).root_bytes(9) == 4e8 + 1000 * LISTED_BYTES
    assert of_few_traces(10).job_bytes(9) == 4e8 + 1000 * LISTED_BYTES + 8 * few
    everything = parse_experiment("trials: 10\ngrid: {p: {linspace: [0, 1, 100]}, lam: 0.8}")
    calibration = Calibration(np.zeros((1, 2)), np.ones(1), np.full(1, 4e8), 0, 0.0, 0.0, False, 1, 0.0)
    assert forecast(everything, calibration).worker_bytes(9) == 4e8  # `plan` prints a job that compares afterwards


def test_of_few_points_for_the_workers_rank_0_keeps_recordings():
    """Those of the trials that 50 workers have, two each, and of two points; a worker gets those of a point."""
    whole, spread = of_few_traces(10, n_points=200), of_few_traces(10, n_points=199)
    assert whole.root_bytes(51) == 4e8 + 2000 * LISTED_BYTES
    assembling = BYTES_PER_STEP * 300_000
    assert spread.root_bytes(51) == pytest.approx(4e8 - assembling + (2 * 50 + 2 * 10) * 6e6 + 1990 * LISTED_BYTES)
    assert spread.worker_bytes(51) == pytest.approx(whole.worker_bytes(51) + 10 * 6e6)
    assert spread.worker_bytes(1) == whole.worker_bytes(1)  # one process compares
    assert spread.root_bytes(1) == spread.worker_bytes(1) + 1990 * LISTED_BYTES
    two = of_few_traces(10, n_points=2)
    assert two.root_bytes(51) == pytest.approx(4e8 - assembling + 2 * 10 * 6e6 + 20 * LISTED_BYTES)


MEASURED = """
import sys
from hpcmass import Experiment, run_sweep
from hpcmass.forecast import calibrate, forecast

trials, duration_ms, output = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
if __name__ == "__main__":
    network = {"n_neurons": 20, "n_external": 20, "duration_ms": duration_ms, "transient_ms": 500}
    experiment = Experiment(grid={"p": 0.2, "lam": 0.8}, network=network, trials=trials, traces={"keep": "none"})
    if output == "forecast":
        print(forecast(experiment, calibrate(experiment, processes=1, budget_s=0.0)).worker_bytes(1))
    else:
        run_sweep(experiment, output, compare=True)
        with open("/proc/self/status") as file:
            print(next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_the_memory_of_a_run_that_compares_is_what_was_forecast(tmp_path, python_run):
    script = tmp_path / "measured.py"
    script.write_text(MEASURED)
    python_run(script, 2, 1000, tmp_path / "kernels.h5")  # to compile takes memory, too
    for trials, duration_ms in ((10, 30_000), (2, 60_000)):
        peak, expected = (
            float(python_run(script, trials, duration_ms, what).stdout.split()[-1])
            for what in (tmp_path / f"{trials}.h5", "forecast")
        )
        assert peak < expected < 1.15 * peak


def test_the_size_is_that_of_the_file(tmp_path):
    experiment = parse_experiment(CONFIG)
    create_sweep_file(tmp_path / "sweep.h5", experiment, driver="serial", provenance={"uuid": "u"})
    actual = (tmp_path / "sweep.h5").stat().st_size
    assert shape(experiment) == (3, 2, 2)
    assert actual == pytest.approx(sweep_bytes(experiment), abs=3e5)
    assert sweep_bytes(experiment) > 12 * 30_000 * 20
