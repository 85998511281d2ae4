#!/usr/bin/env bash
# Install the other simulators, each into a separate environment: .venv-peers-brian2, .venv-peers-nest, .venv-peers-brainpy.
# A second call with unchanged requirements does nothing.
#
#   benchmarks/peers/setup_peers.sh               (or: make bench-peers, which also runs the comparison)
#   benchmarks/peers/setup_peers.sh brian2 nest   only these
#
# Brian2 also needs g++ and make when it runs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
python=${PYTHON:-python3}

[ $# -gt 0 ] || set -- brian2 nest brainpy
for peer; do
    venv=$root/.venv-peers-$peer
    if cmp -s "$here/$peer.txt" "$venv/.installed"; then
        continue
    fi
    echo "[peers] installing $peer into ${venv#"$root"/}"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/$peer.txt"
    cp "$here/$peer.txt" "$venv/.installed"
done
