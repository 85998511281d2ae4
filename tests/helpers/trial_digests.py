"""Print a digest of the results of each of five small trials, to compare processors: one line of JSON.

python tests/helpers/trial_digests.py
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hpcmass.config import NetworkParameters
from hpcmass.network import simulate

SMALL = {
    "n_neurons": 700, "n_external": 700, "w_E": 0.01, "w_I": 0.057, "w_ext": 0.19,
    "duration_ms": 300.0, "transient_ms": 50.0,
}  # fmt: skip
TRIALS: dict[str, tuple[float, float, dict[str, Any]]] = {
    "sparse": (0.001, 0.8, {}),
    "dense": (0.3, 0.8, {}),
    "complete": (1.0, 1.0, {}),
    "delay": (0.3, 0.8, {"delay_ms": 1.1, "p_ext_I": 0.05}),
    "EIF": (0.3, 0.8, {"neuron_model": "EIF"}),
}
"""Name → p, λ, other parameters."""


def digest(p: float, lam: float, others: dict[str, Any]) -> str:
    """Digest of the traces, the spikes' statistics and the graph's size of one trial."""
    result = simulate(NetworkParameters(**(SMALL | others)), p, lam, (1, 2, 3, 4))
    if not result.n_spikes:
        raise SystemExit("no spikes: nothing is compared")
    hashed = hashlib.sha256()
    for trace in (result.mean_v, result.phi_E, result.phi_I, result.phi_ext):
        hashed.update(trace.tobytes())
    hashed.update(repr((result.spike_contrast, result.n_spikes, result.cv_isi, result.n_edges)).encode())
    return hashed.hexdigest()


if __name__ == "__main__":
    digests = {name: digest(*trial) for name, trial in TRIALS.items()}
    print(json.dumps(digests))
