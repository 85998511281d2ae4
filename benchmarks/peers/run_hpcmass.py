"""The network in hpcmass, through its public interface; every trial draws a new graph and new trains.

The measured part includes what hpcmass does while it simulates: external trains drawn, mean potential and arrivals
recorded at every step, every spike kept.
"""

from __future__ import annotations

import time

import numba
import numpy as np
from measurement import Measurement, peak_mb, tapered_rate
from scenario import Task

import hpcmass
from hpcmass.config import NetworkParameters
from hpcmass.grid import trial_seed
from hpcmass.network import Network, warm_up


def main() -> None:
    """Run `--trials` networks."""
    task = Task.from_command_line(("plain",), __doc__)
    s = task.scenario
    parameters = NetworkParameters(
        n_neurons=s.n_neurons,
        n_external=s.n_external,
        dt_ms=s.dt_ms,
        duration_ms=task.warmup_ms + task.duration_ms,
        transient_ms=task.warmup_ms,
        noise_q=2 * s.tau_m_ms * s.noise_sd_mv**2,
        external_rate_hz=s.external_rate_hz,
        p_ext=s.p_ext,
        tau_m_ms=s.tau_m_ms,
        v_leak_mv=s.v_leak_mv,
        v_reset_mv=s.v_reset_mv,
        v_threshold_mv=s.v_threshold_mv,
        t_ref_ms=s.t_ref_ms,
        v_exc_mv=s.v_exc_mv,
        v_inh_mv=s.v_inh_mv,
        v_ext_mv=s.v_exc_mv,
        tau_E_ms=s.tau_exc_ms,
        tau_I_ms=s.tau_inh_ms,
        tau_ext_ms=s.tau_exc_ms,
        w_E=s.w_exc,
        w_I=s.w_inh,
        w_ext=s.w_ext,
        delay_ms=s.delay_ms,
        p_ext_I=s.p_ext_inh,
        neuron_model="LIF" if s.delta_t_mv is None else "EIF",
        delta_t_mv=s.delta_t_mv or 2.0,
        v_cutoff_mv=s.v_cutoff_mv,
    )
    lam = s.n_exc / s.n_neurons
    n_steps = parameters.n_steps - parameters.n_transient
    warm_up(parameters)
    setup = cpu = 0.0
    rate_exc, rate_inh, mean, sd = [], [], [], []
    for trial in range(task.trials):
        start = time.process_time()
        network = Network(parameters, s.p, lam, trial_seed(task.seed, {"p": s.p, "lam": lam}, trial))
        setup += time.process_time() - start
        network.run(parameters.n_transient)
        start = time.process_time()
        mean_v, _, chunks, _ = network.run(n_steps)
        cpu += time.process_time() - start
        mean.append(float(mean_v.mean()))
        sd.append(float(mean_v.std()))
        neuron = np.concatenate([spikes for spikes, _ in chunks])
        step = np.repeat(np.arange(n_steps), np.concatenate([counts for _, counts in chunks]))
        exc = neuron < s.n_exc
        rate_exc.append(tapered_rate(step[exc], n_steps, s.n_exc, s.dt_ms))
        rate_inh.append(tapered_rate(step[~exc], n_steps, s.n_neurons - s.n_exc, s.dt_ms))
    Measurement(
        version=f"hpcmass {hpcmass.__version__} (numba {numba.__version__})",
        setup_cpu_s=setup / task.trials,
        cpu_s_per_s=cpu / task.trials / (task.duration_ms / 1e3),
        peak_mb=peak_mb(),
        rate_exc=rate_exc,
        rate_inh=rate_inh,
        mean_v_mv=mean,
        sd_v_mv=sd,
    ).write(task.output)


if __name__ == "__main__":
    main()
