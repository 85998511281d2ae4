"""Φ from spikes and degrees: against the kernel, against a plain sum, and its refusals."""

from __future__ import annotations

import numpy as np
import pytest

from hpcmass import Experiment, phi_from_spikes, simulate
from hpcmass.errors import UserError
from hpcmass.grid import trials
from hpcmass.network.simulation import Network


@pytest.mark.long
def test_it_equals_the_kernels_own_phi():
    network = {"n_neurons": 300, "n_external": 300, "w_ext": 0.5, "duration_ms": 600, "transient_ms": 100}
    experiment = Experiment(grid={"p": 0.2, "lam": 0.8}, network=network, trials=1)
    recording = simulate(experiment, p=0.2, lam=0.8, keep_spikes=True).recording
    (trial,) = trials(experiment)
    net = Network(experiment.network, 0.2, 0.8, trial.seed)
    degrees = net.graph.out_degree[:-1]  # the last row of a graph is empty
    excitatory = np.arange(300) < net.n_exc
    assert recording.spike_time is not None
    assert recording.spike_time.size > 1000
    for kind, mine in (("E", excitatory), ("I", ~excitatory)):
        phi = phi_from_spikes(
            recording.spike_time,
            recording.spike_neuron,
            np.where(mine, degrees, 0),
            n_neurons=300,
            dt_ms=experiment.network.dt_ms,
            duration_ms=600,
        )
        np.testing.assert_array_equal(phi.astype(np.float32), getattr(recording, f"phi_{kind}"))


def test_it_is_the_mean_over_the_neurons_that_receive():
    rng = np.random.default_rng(1)
    graph = rng.random((20, 30)) < 0.3  # from 20 senders to 30 neurons
    step, sender = rng.integers(0, 50, 400), rng.integers(0, 20, 400)
    arrived = np.zeros((50, 30))
    np.add.at(arrived, step, graph[sender].astype(float))
    phi = phi_from_spikes(step * 0.2, sender, graph.sum(axis=1), n_neurons=30, dt_ms=0.2, duration_ms=10)
    np.testing.assert_allclose(phi, arrived.mean(axis=1) / 0.2)


def test_a_coarser_step_conserves_the_number_of_spikes():
    rng = np.random.default_rng(2)
    times, sender, degrees = rng.uniform(0, 100, 500), rng.integers(0, 9, 500), rng.integers(0, 50, 9)
    fine = phi_from_spikes(times, sender, degrees, n_neurons=70, dt_ms=0.1, duration_ms=100)
    coarse = phi_from_spikes(times, sender, degrees, n_neurons=70, dt_ms=1.0, duration_ms=100)
    np.testing.assert_allclose(fine.reshape(100, 10).mean(axis=1), coarse)


def test_times_in_single_precision_keep_their_step():
    step = np.arange(0, 300_000, 7)
    given = {"n_neurons": 1, "dt_ms": 0.1, "duration_ms": 30_000}
    for times in (step * 0.1, (step * 0.1).astype(np.float32)):
        phi = phi_from_spikes(times, np.zeros(step.size), [1], **given)
        np.testing.assert_array_equal(np.flatnonzero(phi), step)


def test_start_and_delay():
    at = {"n_neurons": 1, "dt_ms": 0.1, "duration_ms": 1.0}
    assert np.flatnonzero(phi_from_spikes([0.3], [0], [1], **at)).tolist() == [3]
    assert np.flatnonzero(phi_from_spikes([0.3], [0], [1], **at, start_ms=0.1)).tolist() == [2]
    assert np.flatnonzero(phi_from_spikes([0.3], [0], [1], **at, delay_ms=0.4)).tolist() == [7]
    assert phi_from_spikes([0.3, 0.8], [0, 0], [1], **at, delay_ms=0.4).sum() == pytest.approx(10)  # one is too late
    assert not phi_from_spikes([], [], [1], **at).any()


def test_spikes_that_are_left_out_or_in_seconds_are_said(caplog):
    at = {"senders": [0, 0, 0], "out_degrees": [1], "n_neurons": 1, "dt_ms": 0.1, "duration_ms": 100.0}
    assert phi_from_spikes([1.0, 50.0, 99.9], **at).sum() == pytest.approx(30)
    assert phi_from_spikes([1.0, 50.0, 99.9], **at, delay_ms=1.5).sum() == pytest.approx(20)
    assert phi_from_spikes([1.0, 50.0, 100.0], **at).sum() == pytest.approx(20)
    assert not caplog.records
    assert phi_from_spikes([-1.0, 50.0, 150.0], **at).sum() == pytest.approx(10)
    assert "2 of 3 spikes lie outside the recording and are left out: times_ms is from -1 to 150, and" in caplog.text
    phi_from_spikes([1000.01, 1000.05, 1000.09], **at, start_ms=1000.0)
    assert "the last spike is at 1000.09 ms" in caplog.text
    assert "times_ms seems to be in s; give ms" in caplog.text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"times_ms": [0.1, np.nan]}, r"times_ms\[1\] is nan; give finite numbers"),
        ({"times_ms": [0.1]}, "times_ms has 1 spikes and senders 2"),
        ({"senders": [1, 2]}, "senders has the number 2, and out_degrees the elements 0 to 1; count from 0"),
        ({"senders": [-1, 0]}, "senders has the number -1"),
        ({"senders": [0.5, 0]}, "whole numbers"),
        ({"senders": [[0, 1]]}, r"senders has shape \(1, 2\); give one dimension"),
        ({"out_degrees": [1, -1]}, r"out_degrees\[1\] is negative"),
        ({"n_neurons": 0}, "n_neurons = 0: give a number above 0"),
        ({"dt_ms": 0}, "dt_ms = 0"),
        ({"duration_ms": 0.01}, "not a possible number of steps"),
        ({"times_ms": [1e5, 2e5]}, "no spike lies within the recording: times_ms is from 100000 to 200000"),
    ],
)
def test_a_mistake_is_one_sentence(change, sentence):
    right = {
        "times_ms": [0.1, 0.2],
        "senders": [0, 1],
        "out_degrees": [3, 4],
        "n_neurons": 5,
        "dt_ms": 0.1,
        "duration_ms": 1,
    }
    with pytest.raises(UserError, match=sentence):
        phi_from_spikes(**(right | change))
