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
if "$python" -m zipfile -l "${wheel[0]}" | grep -E '(^| )(tests|benchmarks|configs)/'; then
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
where=$("$place/venv/bin/python" -c 'import hpcmass; print(hpcmass.__file__)')
case $where in
    "$root"/*) echo "this was imported from the checkout, not from the wheel: $where" >&2; exit 1 ;;
esac
echo "the wheel works outside the checkout"
