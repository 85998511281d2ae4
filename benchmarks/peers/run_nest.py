"""The network in NEST, one thread.

Given a fair chance: its built-in model of this neuron, iaf_cond_exp, synapses that share one weight and are the
smallest it has, external trains made beforehand (its own Poisson generators draw once per unit and step), no recording
of potentials. Not the same: iaf_cond_exp integrates by an adaptive Runge–Kutta scheme and a spike takes effect one
step (0.1 ms, the shortest delay) later. The noise is a current, constant within a step.
"""

from __future__ import annotations

import math
import time

import nest
import numpy as np
from measurement import Measurement, peak_mb, tapered_rate
from scenario import Scenario, Task

LEAK_NS = 10.0
"""Any leak conductance will do: weights and noise scale with it."""


def build(s: Scenario, seed: int, warmup_ms: float, duration_ms: float) -> nest.NodeCollection:
    """Create the network; the recorder of spikes after the warm-up."""
    upstroke = {} if s.delta_t_mv is None else {"a": 0.0, "b": 0.0, "Delta_T": s.delta_t_mv, "V_peak": s.v_cutoff_mv}
    neurons = nest.Create(
        "iaf_cond_exp" if s.delta_t_mv is None else "aeif_cond_exp",
        s.n_neurons,
        params=upstroke | {
            "E_L": s.v_leak_mv, "V_th": s.v_threshold_mv, "V_reset": s.v_reset_mv, "t_ref": s.t_ref_ms,
            "g_L": LEAK_NS, "C_m": LEAK_NS * s.tau_m_ms, "E_ex": s.v_exc_mv, "E_in": s.v_inh_mv,
            "tau_syn_ex": s.tau_exc_ms, "tau_syn_in": s.tau_inh_ms,
        },
    )  # fmt: skip
    neurons.V_m = nest.random.uniform(s.v_reset_mv, s.v_threshold_mv)
    # a delay of one step acts one step later than the shortest one of the model
    delay_ms = max(s.dt_ms, round(s.delay_ms - s.dt_ms, 6))
    for name, weight in (("from_exc", s.w_exc), ("from_inh", -s.w_inh), ("from_ext", s.w_ext)):
        nest.CopyModel("static_synapse_hom_w_hpc", name, {"weight": weight * LEAK_NS, "delay": delay_ms})
    rule = {"rule": "pairwise_bernoulli", "p": s.p} if s.p < 1 else {"rule": "all_to_all"}
    rule["allow_autapses"] = False
    nest.Connect(neurons[: s.n_exc], neurons, rule, {"synapse_model": "from_exc"})
    nest.Connect(neurons[s.n_exc :], neurons, rule, {"synapse_model": "from_inh"})

    unit, step = s.external_trains(seed, warmup_ms + duration_ms)
    order = np.argsort(unit, kind="stable")
    times = np.round((step[order] + 1) * s.dt_ms, 1)
    per_unit = np.split(times, np.searchsorted(unit[order], np.arange(1, s.n_external)))
    external = nest.Create("spike_train_injector", s.n_external)
    external.set([{"spike_times": train} for train in per_unit])
    nest.Connect(
        external, neurons[: s.n_exc], {"rule": "pairwise_bernoulli", "p": s.p_ext}, {"synapse_model": "from_ext"}
    )

    if s.p_ext_inh > 0:
        nest.Connect(
            external, neurons[s.n_exc :], {"rule": "pairwise_bernoulli", "p": s.p_ext_inh},
            {"synapse_model": "from_ext"},
        )  # fmt: skip

    # a current that is constant over a step of h = dt/tau_m moves v by I/g_L · (1 - exp(-h)), hence this variance
    h = s.dt_ms / s.tau_m_ms
    sd_pa = LEAK_NS * s.noise_sd_mv * math.sqrt((1 + math.exp(-h)) / (1 - math.exp(-h)))
    noise = nest.Create("noise_generator", params={"std": sd_pa, "dt": s.dt_ms})
    nest.Connect(noise, neurons)
    recorder = nest.Create("spike_recorder", params={"start": warmup_ms})
    nest.Connect(neurons, recorder)
    return recorder


def main() -> None:
    """Build and run one network."""
    task = Task.from_command_line(("bare",), __doc__)
    s = task.scenario
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.set(resolution=s.dt_ms, local_num_threads=1, rng_seed=task.seed + 1)
    start = time.process_time()
    recorder = build(s, task.seed, task.warmup_ms, task.duration_ms)
    nest.Prepare()
    setup = time.process_time() - start
    nest.Run(task.warmup_ms)
    start = time.process_time()
    nest.Run(task.duration_ms)
    cpu = time.process_time() - start
    nest.Cleanup()
    n_steps = round(task.duration_ms / s.dt_ms)
    # a spike at the end of step k, counted from 0, has the time (k + 1) dt
    step = np.round((np.asarray(recorder.events["times"]) - task.warmup_ms) / s.dt_ms).astype(int) - 1
    # node ids count from 1, in order of creation
    exc = np.asarray(recorder.events["senders"]) <= s.n_exc
    Measurement(
        version=f"NEST {nest.__version__} (wheel)",
        setup_cpu_s=setup,
        cpu_s_per_s=cpu / (task.duration_ms / 1e3),
        peak_mb=peak_mb(),
        rate_exc=[tapered_rate(step[exc], n_steps, s.n_exc, s.dt_ms)],
        rate_inh=[tapered_rate(step[~exc], n_steps, s.n_neurons - s.n_exc, s.dt_ms)],
    ).write(task.output)


if __name__ == "__main__":
    main()
