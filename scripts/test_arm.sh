#!/usr/bin/env bash
# The tests of the network on aarch64 (make test-arm), under QEMU where the processor is another one: tests/network, but for
# the slow tests and those that start processes, and the bits of five trials against those of this machine.
#
#   scripts/test_arm.sh [ARGUMENTS OF PYTEST]
#
# Where this machine cannot do that, it prints one line, `skipped: …`, and ends with 0.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=${VENV:-.venv}
arm=${HPCMASS_ARM:-.venv-arm}
export OMP_NUM_THREADS=1

case $(uname -m) in
aarch64 | arm64)
    exec "$venv/bin/python" -m pytest tests/network "$@"
    ;;
esac

scripts/setup_arm.sh || {
    code=$?
    [ "$code" -eq 3 ] && exit 0
    exit "$code"
}

here=$("$venv/bin/python" tests/helpers/trial_digests.py)
there=$("$arm/python" tests/helpers/trial_digests.py)
if [ "$here" != "$there" ]; then
    printf '%s\n' "trials differ" "this machine: $here" "aarch64:      $there" >&2
    exit 1
fi
echo "five trials: the bits on aarch64 are those of this machine"

"$arm/python" -m pytest tests/network -p no:cacheprovider -o timeout=3600 -m 'not (slow or process or mpi)' "$@"
