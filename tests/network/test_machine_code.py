"""The hot loops use vector registers, whatever registers there are give the same bits, and scalar code is reported."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from hpcmass.network.machine_code import register_bits

TRIAL = """
import hashlib, json, logging
logging.basicConfig()
from hpcmass.config import NetworkParameters
from hpcmass.network import simulate
from hpcmass.network.machine_code import hot_loop_registers
small = dict(n_neurons=700, n_external=700, w_E=0.01, w_I=0.057, w_ext=0.19, duration_ms=300.0, transient_ms=50.0)
digest = hashlib.sha256()
for p, lam in ((0.001, 0.8), (0.3, 0.8), (1.0, 1.0)):
    r = simulate(NetworkParameters(**small), p, lam, (1, 2, 3, 4))
    for trace in (r.mean_v, r.phi_E, r.phi_I, r.phi_ext):
        digest.update(trace.tobytes())
    digest.update(repr((r.spike_contrast, r.n_spikes, r.cv_isi, r.n_edges)).encode())
print(json.dumps({"digest": digest.hexdigest(), "spikes": r.n_spikes, "registers": hot_loop_registers()}))
"""

X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="names the instruction sets of x86")


def run(cache: Path, **environment: str) -> tuple[dict[str, object], str]:
    """The trial in a separate process; its output and its log."""
    done = subprocess.run(
        [sys.executable, "-c", TRIAL], env={**os.environ, "NUMBA_CACHE_DIR": str(cache), **environment},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    result: dict[str, object] = json.loads(done.stdout)
    return result, done.stderr


@pytest.mark.process
@pytest.mark.slow  # compiles everything three times
@X86
def test_every_instruction_set_gives_the_same_bits(tmp_path: Path) -> None:
    native, quiet = run(tmp_path / "native")
    again, _ = run(tmp_path / "native")
    avx2, _ = run(tmp_path / "avx2", NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES="+avx2,+fma,+bmi,+bmi2,+popcnt")
    scalar, warned = run(tmp_path / "sse2", NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="+sse2")

    assert native["spikes"] != 0
    assert native["digest"] == avx2["digest"] == scalar["digest"]
    assert again == native, "the stored widths equal the compiler's"
    assert avx2["registers"] == {"noise": 256, "neurons": 256}
    assert scalar["registers"] == {"noise": 0, "neurons": 0}
    assert "without vector instructions" in warned
    if native["registers"] != scalar["registers"]:
        assert "without vector instructions" not in quiet


@pytest.mark.parametrize(
    ("code", "bits"),
    [
        ("vfmadd213ps %zmm1, %zmm2, %zmm3", 512),
        ("vmulps %ymm1, %ymm2, %ymm3\nvaddss %xmm1, %xmm2, %xmm3", 256),
        ("mulps %xmm1, %xmm2", 128),
        ("fmla v0.4s, v1.4s, v2.4s", 128),
        ("vmulss %xmm1, %xmm2, %xmm3\nvmovups (%rax), %zmm1", 0),
        ("mulps %xmm1, %xmm2\ncallq fmaf", 0),
        ("", 0),
    ],
)
def test_registers_are_read_off_the_assembly(code: str, bits: int) -> None:
    assert register_bits(code) == bits
