#!/usr/bin/env bash
# Build the wheel, install it into a new environment, and use it in a folder outside the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
python=$(realpath -s "${VENV:-.venv}")/bin/python

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$python" -m build --wheel --outdir "$place" . >"$place/build.log" 2>&1 || { cat "$place/build.log" >&2; exit 1; }
wheel=("$place"/hpcmass-*.whl)
if "$python" -m zipfile -l "${wheel[0]}" | grep -E '(^| )(tests|benchmarks|analysis)/'; then
    echo "the wheel contains more than the package" >&2
    exit 1
fi

"$python" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet "${wheel[0]}"
mkdir "$place/elsewhere"
cd "$place/elsewhere"
hpcmass=$place/venv/bin/hpcmass
"$hpcmass" --version
"$hpcmass" config --defaults | sed '/^  [a-z_]*_ms: [0-9]*000/s/000\.0/00.0/' >my.yml
"$hpcmass" validate my.yml
"$hpcmass" trial my.yml --p 0.2 --lam 0.8 -o trial.h5 --plot
"$hpcmass" compare trial.h5 -o comparison.h5
"$hpcmass" plot comparison.h5 -o maps >/dev/null
ls maps/report.html
"$hpcmass" config --example small >small.yml
"$hpcmass" go small.yml -o results --set trials=2 --set network.duration_ms=700 --set 'grid.p=[0.1, 0.5]' --set grid.lam=0.8 >/dev/null
"$hpcmass" summary results/small-cmp.h5 | grep -q "claims"
cat >own.py <<'END'
from hpcmass import Parameter, mass_model


@mass_model("CONSTANT", parameters={"level_mv": Parameter(-60.0, "mV", "the potential")})
def constant(traces, network, mass, level_mv):
    return 0 * traces.phi_E + level_mv
END
"$hpcmass" compare results/small.h5 -o own-cmp.h5 --models MFM,own.py:CONSTANT
"$place/venv/bin/python" - <<'END'
import numpy as np

n = 12000
phi = np.random.default_rng(1).gamma(2, 10, n)
np.savez("recorded.npz", mean_v=-60 + 0.1 * phi, phi_E=phi, phi_I=phi / 10, phi_ext=np.full(n, 1.0), dt_ms=0.1, p=0.1, lam=0.8)
END
"$hpcmass" import recorded.npz -o recorded.h5 --config small.yml --set grid.p=0.1 --set grid.lam=0.8
"$hpcmass" compare recorded.h5 -o recorded-cmp.h5
where=$("$place/venv/bin/python" -c 'import hpcmass; print(hpcmass.__file__)')
case $where in
    "$root"/*) echo "this was imported from the checkout, not from the wheel: $where" >&2; exit 1 ;;
esac
echo "the wheel works outside the checkout"
