"""The network in Brian2, C++ standalone, one thread.

Given a fair chance: Brian2's own flags (-O3 -ffast-math -march=native), its default float64 (float32 is no faster: the
noise is drawn in float64 anyway), two conductances where the model allows it, weights and delay as constants rather
than a number per synapse. Its time is what it reports itself, processor time of the simulation loop. Variants:

same   the external trains are drawn and the mean potential is recorded while it simulates, as hpcmass does
bare   the external trains are given, nothing but spikes is recorded
late   as `same`, but every spike takes effect one step later, as in NEST

Trials are runs of one program with different seeds, which Brian2 takes from the system.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import brian2 as b
import numpy as np
from brian2 import Hz, ms, mV
from measurement import Measurement, peak_mb, tapered_rate
from scenario import Scenario, Task

EQUATIONS = """
dv/dt = -((v - v_leak)UPSTROKE + g_exc * (v - v_exc) + g_inh * (v - v_inh)) / tau_m
        + noise_sd * sqrt(2 / tau_m) * xi : volt (unless refractory)
dg_exc/dt = -g_exc / tau_exc : 1
dg_inh/dt = -g_inh / tau_inh : 1
"""


UPSTROKE = " - delta_t * exp((v - v_threshold) / delta_t)"
"""Of an exponential neuron."""


def build(
    s: Scenario, variant: str, seed: int, total_ms: float
) -> tuple[b.Network, b.SpikeMonitor, b.StateMonitor | None]:
    """Describe the network; the monitor of spikes is not yet part of it. The last is that of the mean potential."""
    namespace = {
        "v_leak": s.v_leak_mv * mV, "v_exc": s.v_exc_mv * mV, "v_inh": s.v_inh_mv * mV,
        "v_threshold": s.v_threshold_mv * mV, "v_reset": s.v_reset_mv * mV, "noise_sd": s.noise_sd_mv * mV,
        "tau_m": s.tau_m_ms * ms, "tau_exc": s.tau_exc_ms * ms, "tau_inh": s.tau_inh_ms * ms,
        "w_exc": s.w_exc, "w_inh": s.w_inh, "w_ext": s.w_ext,
    }  # fmt: skip
    exponential = s.delta_t_mv is not None
    if exponential:
        namespace |= {"delta_t": s.delta_t_mv * mV, "v_cutoff": s.v_cutoff_mv * mV}
    neurons = b.NeuronGroup(
        s.n_neurons,
        EQUATIONS.replace("UPSTROKE", UPSTROKE if exponential else ""),
        threshold="v >= v_cutoff" if exponential else "v >= v_threshold",
        reset="v = v_reset",
        # Brian2 counts the step of the spike as the first of the refractory period
        refractory=(s.t_ref_ms + s.dt_ms) * ms,
        method="euler",
        namespace=namespace,
    )
    neurons.v = "v_reset + rand() * (v_threshold - v_reset)"
    excitatory, inhibitory = neurons[: s.n_exc], neurons[s.n_exc :]
    recording: list[b.BrianObject] = []
    potential = None
    if variant != "bare":
        external = b.PoissonGroup(s.n_external, s.external_rate_hz * Hz)
        population = b.NeuronGroup(1, "mean_v : volt")
        mean = b.Synapses(neurons, population, "mean_v_post = v_pre / N_pre : volt (summed)")
        mean.connect()
        potential = b.StateMonitor(population, "mean_v", record=True)
        recording = [population, mean, potential]
    else:
        unit, step = s.external_trains(seed, total_ms)
        external = b.SpikeGeneratorGroup(s.n_external, unit, step * s.dt_ms * ms, sorted=True)
    late = s.dt_ms * ms if variant == "late" else 0 * ms
    delay = late + (s.delay_ms - s.dt_ms) * ms  # without delay a spike of Brian2 acts in the next step, as ours do

    def synapses(source: b.Group, target: b.Group, jump: str, after: b.Quantity = delay) -> b.Synapses:
        return b.Synapses(source, target, on_pre=jump, delay=after, namespace=namespace)

    from_exc = synapses(excitatory, neurons, "g_exc_post += w_exc")
    from_inh = synapses(inhibitory, neurons, "g_inh_post += w_inh")
    to_exc = synapses(external, excitatory, "g_exc_post += w_ext", late)
    from_exc.connect(condition="i != j", p=s.p)
    from_inh.connect(condition=f"i + {s.n_exc} != j", p=s.p)
    to_exc.connect(p=s.p_ext)
    network = b.Network(neurons, external, from_exc, from_inh, to_exc, *recording)
    if s.p_ext_inh > 0:
        to_inh = synapses(external, inhibitory, "g_exc_post += w_ext", late)
        to_inh.connect(p=s.p_ext_inh)
        network.add(to_inh)
    return network, b.SpikeMonitor(neurons), potential


def main() -> None:
    """Compile one program and run it `--trials` times."""
    task = Task.from_command_line(("same", "bare", "late"), __doc__)
    s = task.scenario
    n_steps = round(task.duration_ms / s.dt_ms)
    b.prefs.devices.cpp_standalone.extra_make_args_unix = ["-j1"]
    cpu = setup = peak = 0.0
    rate_exc, rate_inh, mean, sd = [], [], [], []
    start = time.process_time()
    with tempfile.TemporaryDirectory() as directory:
        b.set_device("cpp_standalone", build_on_run=False, directory=directory)
        b.defaultclock.dt = s.dt_ms * ms
        network, monitor, potential = build(s, task.variant, task.seed, task.warmup_ms + task.duration_ms)
        network.run(task.warmup_ms * ms)
        network.add(monitor)
        network.run(task.duration_ms * ms)
        b.device.insert_code(
            "before_end",
            'std::ifstream status_now("/proc/self/status"); std::ofstream("status.txt") << status_now.rdbuf();',
        )
        b.device.build(directory=directory, compile=True, run=False, with_output=False)
        for trial in range(task.trials):
            b.device.run(with_output=False)
            cpu += float(b.device._last_run_time)
            if trial == 0:
                # both simulation loops are within the children's time, and are no set-up
                children = getrusage(RUSAGE_CHILDREN)
                loops = cpu * (task.warmup_ms + task.duration_ms) / task.duration_ms
                setup = time.process_time() - start + children.ru_utime + children.ru_stime - loops
            step = np.round((np.asarray(monitor.t / ms) - task.warmup_ms) / s.dt_ms).astype(int)
            if potential is not None:
                mean_v = np.asarray(potential.mean_v[0] / mV)[-n_steps:]
                mean.append(float(mean_v.mean()))
                sd.append(float(mean_v.std()))
            exc = np.asarray(monitor.i) < s.n_exc
            rate_exc.append(tapered_rate(step[exc], n_steps, s.n_exc, s.dt_ms))
            rate_inh.append(tapered_rate(step[~exc], n_steps, s.n_neurons - s.n_exc, s.dt_ms))
            peak = max(peak, peak_mb(Path(directory) / "status.txt"))
    gcc = subprocess.run(["g++", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    Measurement(
        version=f"Brian2 {b.__version__} (C++ standalone, float64, g++ {gcc})",
        setup_cpu_s=setup,
        cpu_s_per_s=cpu / task.trials / (task.duration_ms / 1e3),
        peak_mb=peak,
        rate_exc=rate_exc,
        rate_inh=rate_inh,
        mean_v_mv=mean,
        sd_v_mv=sd,
    ).write(task.output)


if __name__ == "__main__":
    main()
